/** Characters: trained faces that stay the same in all generations. */

import { equals } from "@bufbuild/protobuf";
import type { Calls } from "./calls.js";
import {
  CharacterService,
  CharacterState,
  type SoulCharacter,
  SoulCharacterSchema,
} from "./gen/hfgateway/v1/character_service_pb.js";
import { SoulVersion } from "./gen/hfgateway/v1/generation_input_pb.js";
import { newIdempotencyKey, withKey } from "./keys.js";
import { named } from "./names.js";
import { pages } from "./paging.js";
import type { CallOptions, PageOptions } from "./requests.js";
import { errorFromTraining } from "./status.js";
import { resumed } from "./watching.js";

const METHODS = CharacterService.method;

/** The result of `createCharacter`. */
export interface CreatedCharacter {
  readonly character: SoulCharacter;
  /** The key of the creation. Creating again with this key returns the same character. */
  readonly idempotencyKey: string;
  /** Whether the key had been used before, so that the call started and charged nothing. */
  readonly replayed: boolean;
}

/** Options of `createCharacter` and `trainCharacter`. */
export interface CreateCharacterOptions extends CallOptions {
  /** The version of Soul for which the character is trained. Default: "v1". */
  version?: "v1" | "v2" | "cinema" | undefined;
  /** One key for each character to create. Default: a new UUID. */
  idempotencyKey?: string | undefined;
}

export async function createCharacter(
  calls: Calls,
  name: string,
  imageUrls: readonly string[],
  options: CreateCharacterOptions,
): Promise<CreatedCharacter> {
  const { idempotencyKey = newIdempotencyKey(), version, ...call } = options;
  const request = { name, imageUrls: [...imageUrls], version: named(SoulVersion, version), idempotencyKey };
  const { character, replayed } = await withKey(idempotencyKey, calls.unary(METHODS.createCharacter, request, call));
  return { character: character!, idempotencyKey, replayed };
}

export async function trainCharacter(
  calls: Calls,
  name: string,
  imageUrls: readonly string[],
  options: CreateCharacterOptions,
): Promise<SoulCharacter> {
  const { signal, timeoutMs = Number.POSITIVE_INFINITY } = options;
  const { now } = calls.timers;
  const deadline = now() + timeoutMs;
  const limit = Math.min(timeoutMs, calls.timeoutMs);
  const created = await createCharacter(calls, name, imageUrls, { ...options, timeoutMs: limit });
  let { character } = created;
  if (!character.done) {
    const rest = { signal, timeoutMs: Math.max(deadline - now(), 0) };
    const follow = async () => {
      for await (character of watchCharacter(calls, created.character.id, rest));
    };
    await withKey(created.idempotencyKey, follow());
  }
  if (character.state !== CharacterState.COMPLETED) throw errorFromTraining(character, created.idempotencyKey);
  return character;
}

export async function getCharacter(calls: Calls, id: string, options?: CallOptions): Promise<SoulCharacter> {
  return (await calls.unary(METHODS.getCharacter, { id }, options)).character!;
}

export async function* listCharacters(
  calls: Calls,
  options: PageOptions,
): AsyncGenerator<SoulCharacter, void, undefined> {
  const { pageSize = 0 } = options;
  yield* pages(
    (pageToken) => calls.unary(METHODS.listCharacters, { pageSize, pageToken }, options),
    (page) => page.characters,
  );
}

export async function deleteCharacter(calls: Calls, id: string, options?: CallOptions): Promise<void> {
  await calls.unary(METHODS.deleteCharacter, { id }, options);
}

export async function* watchCharacter(
  calls: Calls,
  id: string,
  options: CallOptions,
): AsyncGenerator<SoulCharacter, void, undefined> {
  let last: SoulCharacter | undefined;
  for await (const { character } of resumed(calls, METHODS.watchCharacter, () => ({ id }), options)) {
    // Each stream begins with the current state, which may be the last one of the previous stream.
    if (!character || (last && equals(SoulCharacterSchema, character, last))) continue;
    last = character;
    yield character;
    if (character.done) return;
  }
}
