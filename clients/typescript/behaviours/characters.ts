/** Characters and their training. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { CharacterState, KeyReused, NotFound, type SoulCharacter, SoulVersion } from "@hfgateway/client";
import { type Behaviours, failing, idsOf, nth, PATIENCE_MS, rest, type Stage, unique } from "./stage.js";

const FACES = ["https://example.com/face-1.png", "https://example.com/face-2.png"];

export const CHARACTERS: Behaviours = {
  async create_character(stage) {
    const name = unique("Ann");
    const { character, idempotencyKey, replayed } = await stage.client.createCharacter(name, FACES, { version: "v2" });
    assert.deepEqual([character.name, character.version, character.done], [name, SoulVersion.V2, false]);
    assert.equal(replayed, false);
    const options = { version: "v2", idempotencyKey } as const;
    const again = await stage.client.createCharacter(name, FACES, options);
    assert.deepEqual([again.character.id, again.replayed], [character.id, true]);
    const other = stage.client.createCharacter(unique("Ben"), FACES, options);
    assert.equal((await failing(other, KeyReused, "IDEMPOTENCY_KEY_REUSED")).idempotencyKey, idempotencyKey);
    assert.equal((await stage.control("charges", { prompt: name })).charges, 1);
  },

  async get_character(stage) {
    const { id, name } = await training(stage);
    assert.equal((await stage.client.getCharacter(id)).name, name);
    await failing(stage.client.getCharacter(randomUUID()), NotFound, "NOT_FOUND");
    await using other = stage.another({ apiKey: stage.otherApiKey });
    await failing(other.getCharacter(id), NotFound, "NOT_FOUND");
  },

  async list_characters(stage) {
    await stage.advance(1); // Higgsfield does not order characters created at the same time
    const first = await training(stage);
    await stage.advance(1);
    const second = await training(stage);
    const found = await idsOf(stage.client.listCharacters({ pageSize: 1 }));
    assert.deepEqual(found.slice(0, 2), [second.id, first.id]);
  },

  async watch_character(stage) {
    const { id } = await training(stage);
    const seen: SoulCharacter[] = [];
    const watch = stage.client.watchCharacter(id, { timeoutMs: PATIENCE_MS });
    const present = await nth(watch, () => true, seen);
    assert(present.state < CharacterState.IN_PROGRESS && !present.done, `${present.state}`);
    await stage.advance(1.5);
    await nth(watch, ({ state }) => state === CharacterState.IN_PROGRESS, seen);
    await stage.advance(3600);
    const states = (await rest(watch, seen)).map(({ state }) => state);
    assert.deepEqual(
      states,
      states.toSorted((one, other) => one - other),
    );
    assert.equal(states.at(-1), CharacterState.COMPLETED);
    assert(seen.at(-1)?.done);
  },

  async delete_character(stage) {
    const { id } = await training(stage);
    for (const _ of ["there", "gone"]) {
      await stage.client.deleteCharacter(id);
      await failing(stage.client.getCharacter(id), NotFound, "NOT_FOUND");
    }
  },
};

async function training(stage: Stage): Promise<SoulCharacter> {
  return (await stage.client.createCharacter(unique("Ann"), FACES)).character;
}
