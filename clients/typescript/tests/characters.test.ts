import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  CharacterState,
  DeadlineExceeded,
  GatewayError,
  KeyReused,
  NotFound,
  type SoulCharacter,
  SoulVersion,
  TrainingFailed,
} from "@hfgateway/client";
import { SoulCharacterSchema } from "@hfgateway/client/stubs";
import { collected, draining, hang, refusal, serve, TRANSPORTS } from "./support.js";

const FACES = ["https://example.com/1.png", "https://example.com/2.png"];
const { NOT_READY, QUEUED, IN_PROGRESS, COMPLETED, FAILED } = CharacterState;

function character(state: CharacterState, init: MessageInitShape<typeof SoulCharacterSchema> = {}): SoulCharacter {
  return create(SoulCharacterSchema, { id: "c", name: "Ann", state, done: state >= COMPLETED, ...init });
}

for (const transport of TRANSPORTS) {
  describe(`characters over ${transport}`, { timeout: 100_000 }, () => {
    test("a creation with a lost response is retried with the same key", async (t) => {
      const asked: unknown[][] = [];
      const { client } = await serve(t, transport, {
        characters: {
          createCharacter: ({ name, imageUrls, version, idempotencyKey }) => {
            asked.push([name, imageUrls, version, idempotencyKey]);
            if (asked.length === 1) throw draining();
            return { character: character(NOT_READY), replayed: true };
          },
        },
      });
      const created = await client.createCharacter("Ann", FACES, { version: "v2" });
      assert.equal(created.character.id, "c");
      assert(created.replayed && created.idempotencyKey);
      const request = ["Ann", FACES, SoulVersion.V2, created.idempotencyKey];
      assert.deepEqual(asked, [request, request]);
    });

    test("the error of a refused creation has the key", async (t) => {
      const { client } = await serve(t, transport, {
        characters: {
          createCharacter: () => {
            throw refusal(Code.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
          },
        },
      });
      const options = { idempotencyKey: "order-7" };
      for (const call of [
        client.createCharacter("Ann", FACES, options),
        client.trainCharacter("Ann", FACES, options),
      ]) {
        await assert.rejects(call, (error) => error instanceof KeyReused && error.idempotencyKey === "order-7");
      }
    });

    test("a watch reopens a broken stream, and repeats no state", async (t) => {
      let streams = 0;
      const { client, gateway, timers } = await serve(t, transport, {
        characters: {
          async *watchCharacter({ id }, context) {
            assert.equal(id, "c");
            streams++;
            if (streams === 1) {
              yield { character: character(QUEUED) };
              yield {};
              await hang(context);
            }
            if (streams === 2) {
              yield { character: character(QUEUED) };
              yield { character: character(QUEUED, { thumbnailUrl: "https://example.com/t.png" }) };
              yield { character: character(IN_PROGRESS) };
              throw draining(700);
            }
            yield { character: character(COMPLETED) };
            await hang(context);
          },
        },
      });
      const seen: [CharacterState, string][] = [];
      for await (const { state, thumbnailUrl } of client.watchCharacter("c")) {
        seen.push([state, thumbnailUrl]);
        if (seen.length === 1) gateway.cut();
      }
      assert.deepEqual(seen, [
        [QUEUED, ""],
        [QUEUED, "https://example.com/t.png"],
        [IN_PROGRESS, ""],
        [COMPLETED, ""],
      ]);
      assert.deepEqual(timers.slept, [200, 700]);
    });

    test("a watch ends with a permanent error", async (t) => {
      const { client, timers } = await serve(t, transport, {
        characters: {
          async *watchCharacter() {
            yield { character: character(QUEUED) };
            throw refusal(Code.NotFound, "NOT_FOUND");
          },
        },
      });
      await assert.rejects(collected(client.watchCharacter("c")), NotFound);
      assert.deepEqual(timers.slept, []);
    });

    test("train creates once, watches to the end, and returns the completed character", async (t) => {
      let created = 0;
      const { client } = await serve(t, transport, {
        characters: {
          createCharacter: () => {
            created++;
            return { character: character(created === 1 ? NOT_READY : COMPLETED) };
          },
          async *watchCharacter() {
            assert.equal(created, 1, "the training of a key that had ended was watched");
            yield { character: character(IN_PROGRESS) };
            yield { character: character(COMPLETED, { thumbnailUrl: "https://example.com/t.png" }) };
          },
        },
      });
      assert.equal((await client.trainCharacter("Ann", FACES)).thumbnailUrl, "https://example.com/t.png");
      assert.equal(created, 1);
      assert.equal((await client.trainCharacter("Ann", FACES)).state, COMPLETED);
    });

    test("a failed training is an error with its reason", async (t) => {
      const { client } = await serve(t, transport, {
        characters: {
          createCharacter: ({ name }) => ({ character: character(name === "Ann" ? NOT_READY : FAILED) }),
          async *watchCharacter() {
            yield { character: character(FAILED, { failure: { message: "no face" } }) };
          },
        },
      });
      for (const [name, message] of [
        ["Ann", "no face"],
        ["Ben", "ended as FAILED"],
      ] as const) {
        await assert.rejects(client.trainCharacter(name, FACES, { idempotencyKey: "k" }), (error) => {
          assert(error instanceof TrainingFailed);
          assert.deepEqual([error.message, error.idempotencyKey, error.code], [message, "k", undefined]);
          assert.equal(error.character.state, FAILED);
          return true;
        });
      }
    });

    test("a watch that ends too early is resumed", async (t) => {
      const states = [IN_PROGRESS, COMPLETED];
      const { client } = await serve(t, transport, {
        characters: {
          createCharacter: () => ({ character: character(QUEUED) }),
          async *watchCharacter() {
            yield { character: character(states.shift()!) };
          },
        },
      });
      assert.equal((await client.trainCharacter("Ann", FACES)).done, true);
    });

    test("the error of a broken training watch has the key of the creation", async (t) => {
      const { client } = await serve(t, transport, {
        characters: {
          createCharacter: () => ({ character: character(QUEUED) }),
          async *watchCharacter(_, context) {
            yield {};
            await hang(context);
          },
        },
      });
      await assert.rejects(client.trainCharacter("Ann", FACES, { idempotencyKey: "k", timeoutMs: 100 }), (error) => {
        assert(error instanceof DeadlineExceeded);
        assert.equal(error.idempotencyKey, "k");
        return true;
      });
    });

    test("the other calls", async (t) => {
      const deleted: string[] = [];
      const { client } = await serve(t, transport, {
        characters: {
          getCharacter: ({ id }) => ({ character: character(QUEUED, { id }) }),
          listCharacters: ({ pageToken, pageSize }) => ({
            characters: [{ id: pageToken || "c2", name: `${pageSize}` }],
            nextPageToken: pageToken ? "" : "c1",
          }),
          deleteCharacter: ({ id }) => {
            deleted.push(id);
            return {};
          },
        },
      });
      assert.equal((await client.getCharacter("c7")).id, "c7");
      const all = await collected(client.listCharacters({ pageSize: 1 }));
      assert.deepEqual(
        all.map(({ id, name }) => [id, name]),
        [
          ["c2", "1"],
          ["c1", "1"],
        ],
      );
      await client.deleteCharacter("c7");
      assert.deepEqual(deleted, ["c7"]);
    });
  });
}

test("TrainingFailed is a GatewayError", () => {
  assert(new TrainingFailed(character(FAILED), "no face") instanceof GatewayError);
});
