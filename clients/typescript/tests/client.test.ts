import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, type HandlerContext } from "@connectrpc/connect";
import {
  CharacterState,
  DeadlineExceeded,
  GatewayError,
  type Generation,
  GenerationModerated,
  GenerationState,
  generationToJson,
  InputRefused,
  newIdempotencyKey,
  soul,
  stateName,
} from "@hfgateway/client";
import { WaitFor } from "@hfgateway/client/stubs";
import { collected, draining, generation, hang, refusal, serve, TRANSPORTS } from "./support.js";

for (const transport of TRANSPORTS) {
  describe(`the client over ${transport}`, { timeout: 100_000 }, () => {
    test("generate submits once, watches from the stored revision, and reports every change", async (t) => {
      let submits = 0;
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: ({ idempotencyKey, waitFor }) => {
            assert.equal(waitFor, WaitFor.STORED);
            submits++;
            return { generation: generation({ revision: 1, state: GenerationState.PENDING, idempotencyKey }) };
          },
          async *watchGeneration({ afterRevision }) {
            assert.equal(afterRevision, 1);
            yield { generation: generation({ revision: 2 }) };
            yield { generation: generation({ revision: 3, state: GenerationState.COMPLETED, done: true }) };
          },
        },
      });
      const seen: Generation[] = [];
      const completed = await client.generate(soul("a"), { onProgress: (changed) => void seen.push(changed) });
      assert.equal(submits, 1);
      assert.deepEqual(seen.map(stateName), ["PENDING", "QUEUED", "COMPLETED"]);
      assert.equal(completed, seen.at(-1));
    });

    test("generate reports the warnings of its submission", async (t) => {
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: () => ({
            generation: generation({ revision: 1, state: GenerationState.COMPLETED, done: true }),
            warnings: [{ field: "input.model" }, { field: "input.model.parameters.seed" }],
          }),
        },
      });
      const fields: string[] = [];
      await client.generate(soul("a"), { onWarning: ({ field }) => void fields.push(field) });
      assert.deepEqual(fields, ["input.model", "input.model.parameters.seed"]);
      await client.generate(soul("a"));
    });

    test("generate reports forecasts from the stored generation on, if there is a callback", async (t) => {
      const asked: (bigint | undefined)[] = [];
      let submissions = 0;
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: () => {
            submissions += 1;
            return { generation: generation({ revision: 1 }) };
          },
          async *watchGeneration({ forecastInterval }) {
            asked.push(forecastInterval?.seconds);
            yield { forecast: { progress: 0.25 } };
            yield { generation: generation({ revision: 2 }) };
            yield { forecast: { progress: 0.5 } };
            yield { generation: generation({ revision: 3, state: GenerationState.COMPLETED, done: true }) };
          },
        },
      });
      const seen: Generation[] = [];
      const onProgress = (reported: Generation) => void seen.push(reported);
      await client.generate(soul("a"), { onProgress });
      await client.generate(soul("a"), { onProgress: () => {}, forecastIntervalMs: 0 });
      await client.generate(soul("a"));
      // Only now: a forecast must not change the generation that was reported before it.
      const progress = seen.map(({ revision, forecast }) => [revision, forecast?.progress]);
      assert.deepEqual(progress, [
        [1, undefined],
        [1, 0.25],
        [2, undefined],
        [2, 0.5],
        [3, undefined],
      ]);
      assert.deepEqual(asked, [2n, undefined, undefined]);
      const endless = { onProgress, forecastIntervalMs: Number.POSITIVE_INFINITY };
      await assert.rejects(client.generate(soul("a"), endless), RangeError);
      assert.equal(submissions, 3);
    });

    test("what a callback of generate throws is the cause of an error with the key", async (t) => {
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: () => ({ generation: generation({ revision: 1 }), warnings: [{ field: "input" }] }),
          async *watchGeneration() {
            yield { generation: generation({ revision: 2 }) };
          },
        },
      });
      const cause = new Error("mine");
      const fails = (seen: object) => {
        if (!("revision" in seen) || seen.revision === 2) throw cause;
      };
      const idempotencyKey = "order-7";
      for (const callback of [{ onWarning: fails }, { onProgress: fails }]) {
        const generating = client.generate(soul("a"), { ...callback, idempotencyKey });
        await assert.rejects(generating, (error: GatewayError) => {
          assert.deepEqual([error.cause, error.idempotencyKey, error.retryable], [cause, idempotencyKey, false]);
          return error instanceof GatewayError;
        });
      }
    });

    test("generate and trainCharacter submit within the timeout of the client", async (t) => {
      const limits: string[] = [];
      const limit = ({ requestHeader }: HandlerContext) =>
        limits.push(requestHeader.get("grpc-timeout") ?? `${requestHeader.get("connect-timeout-ms")}m`);
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: (_, context) => {
            limit(context);
            return { generation: generation({ state: GenerationState.COMPLETED, done: true }) };
          },
        },
        characters: {
          createCharacter: (_, context) => {
            limit(context);
            return { character: { id: "c", state: CharacterState.COMPLETED, done: true } };
          },
        },
      });
      await client.generate(soul("a"), { timeoutMs: 3_600_000 });
      await client.trainCharacter("Ann", ["https://images.example/1"], { timeoutMs: 3_600_000 });
      assert.deepEqual(limits, ["30000m", "30000m"]);
    });

    test("generate throws the error of the final state, and does not submit again", async (t) => {
      let submits = 0;
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: () => {
            submits++;
            return { generation: generation({ revision: 1 }) };
          },
          async *watchGeneration() {
            yield { generation: generation({ revision: 2, state: GenerationState.NSFW, done: true }) };
          },
        },
      });
      await assert.rejects(client.generate(soul("a")), (error) => {
        assert(error instanceof GenerationModerated);
        assert.equal(error.generation.revision, 2);
        assert.equal(error.code, undefined);
        return true;
      });
      assert.equal(submits, 1);
    });

    test("a watch that ends too early is resumed", async (t) => {
      const asked: number[] = [];
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: () => ({ generation: generation({ revision: 1 }) }),
          async *watchGeneration({ afterRevision }) {
            if (asked.push(afterRevision) === 1) return;
            const done = afterRevision === 2;
            const state = done ? GenerationState.COMPLETED : GenerationState.QUEUED;
            yield { generation: generation({ revision: afterRevision + 1, state, done }) };
          },
        },
      });
      assert.equal((await client.generate(soul("a"))).revision, 3);
      assert.deepEqual(asked, [1, 1, 2]);
    });

    test("the error of a broken generate has the key of the submission", async (t) => {
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: () => ({ generation: generation({}) }),
          async *watchGeneration(_, context) {
            yield {};
            await hang(context);
          },
        },
      });
      await assert.rejects(client.generate(soul("a"), { idempotencyKey: "k", timeoutMs: 100 }), (error) => {
        assert(error instanceof DeadlineExceeded);
        assert.equal(error.idempotencyKey, "k");
        return true;
      });
    });

    test("a submission without a key gets one, and its error has it", async (t) => {
      const keys: string[] = [];
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: ({ idempotencyKey }) => {
            keys.push(idempotencyKey);
            throw refusal(Code.InvalidArgument, "INPUT_REFUSED");
          },
        },
      });
      for (const _ of [1, 2]) {
        await assert.rejects(client.submit(soul("a")), (error) => {
          assert(error instanceof InputRefused);
          assert.equal(error.idempotencyKey, keys.at(-1));
          return true;
        });
      }
      assert.notEqual(keys[0], keys[1]);
    });

    test("waitTimeoutMs is added to the timeout of the call", async (t) => {
      let limit = 0;
      const { client } = await serve(t, transport, {
        generations: {
          submitGeneration: (_, context) => {
            limit = context.timeoutMs() ?? 0;
            return { generation: generation({}) };
          },
        },
      });
      await client.submit(soul("a"), { waitFor: "done", waitTimeoutMs: 60_000, timeoutMs: 5000 });
      assert(limit > 60_000 && limit <= 65_000, `${limit}`);
    });

    test("a list fetches pages on demand, and each page is retried", async (t) => {
      const asked: string[] = [];
      const { client } = await serve(t, transport, {
        generations: {
          listGenerations: ({ pageToken }) => {
            asked.push(pageToken);
            if (asked.length === 2) throw draining();
            const page = Number(pageToken || 0);
            const generations = [generation({ id: `${page}a` }), generation({ id: `${page}b` })];
            return { generations, nextPageToken: page < 2 ? `${page + 1}` : "" };
          },
        },
      });
      const list = client.list({ pageSize: 2 });
      assert.equal((await list.next()).value?.id, "0a");
      assert.deepEqual(asked, [""]);
      const rest = (await collected(list)).map((found) => found.id);
      assert.deepEqual(rest, ["0b", "1a", "1b", "2a", "2b"]);
      assert.deepEqual(asked, ["", "1", "1", "2"]);
    });

    test("the other calls", async (t) => {
      const { client } = await serve(t, transport, {
        generations: {
          cancelGeneration: ({ id }) => ({ generation: generation({ id, state: GenerationState.CANCELED }) }),
          deleteGeneration: ({ id }) => ({ removedUpstream: id === "there" }),
          estimateGeneration: ({ input }) => ({ cost: { credits: `${input?.kind.case}` } }),
          explainGeneration: ({ id }) => ({ generation: generation({ id }), events: [{ description: "stored" }] }),
        },
        uploads: { createUpload: ({ contentType }) => ({ url: contentType }) },
        tokens: { createWatchToken: ({ filter }) => ({ token: `hfw_${filter?.ids}` }) },
      });
      assert.equal(stateName(await client.cancel("g")), "CANCELED");
      assert.deepEqual([await client.delete("there"), await client.delete("gone")], [true, false]);
      assert.equal((await client.estimate(soul("a"))).cost?.credits, "soul");
      assert.deepEqual(
        (await client.explain("g")).events.map((event) => event.description),
        ["stored"],
      );
      assert.equal((await client.createUpload("image/png")).url, "image/png");
      assert.equal((await client.createWatchToken({ ids: ["g"] })).token, "hfw_g");
    });
  });
}

test("disposing of a client closes it", async (t) => {
  const { gateway } = await serve(t, "grpc", {});
  const client = gateway.client();
  {
    await using used = client;
    assert.equal(used, client);
  }
  await assert.rejects(client.get("g"), (error) => error instanceof GatewayError && error.code === "CANCELLED");
});

test("keys are unique UUIDs of version 4", () => {
  const keys = Array.from({ length: 1000 }, newIdempotencyKey);
  assert.equal(new Set(keys).size, keys.length);
  for (const key of keys) assert.match(key, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("a string in place of several is one and not its characters", async (t) => {
  const asked: unknown[] = [];
  const { client } = await serve(t, "grpc", {
    generations: {
      listGenerations: ({ filter }) => {
        asked.push([filter?.ids, filter?.modelIds, filter?.upstreamRequestIds]);
        return {};
      },
    },
  });
  await collected(client.list({ ids: "g1", modelIds: "m1", upstreamRequestIds: "r1" }));
  assert.deepEqual(asked, [[["g1"], ["m1"], ["r1"]]]);
});

test("an unknown enum name is a TypeError, not the default", async (t) => {
  assert.throws(() => soul("a", { version: "v9" as "v2" }), TypeError);
  const { client } = await serve(t, "grpc", {});
  await assert.rejects(collected(client.list({ states: ["DONE" as "QUEUED"] })), TypeError);
});

test("a generation can be converted to JSON", () => {
  const made = generation({ createTime: { seconds: 60n, nanos: 0 }, outputs: [{ url: "https://a.test/1.png" }] });
  assert.throws(() => JSON.stringify(made), TypeError);
  const { createTime, state, outputs } = JSON.parse(JSON.stringify(generationToJson(made)));
  assert.deepEqual(
    [createTime, state, outputs[0].url],
    ["1970-01-01T00:01:00Z", "GENERATION_STATE_QUEUED", "https://a.test/1.png"],
  );
});
