import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { DeadlineExceeded, type GatewayClient, GatewayUnavailable, type Generation, NotFound } from "@hfgateway/client";
import {
  collected,
  draining,
  event,
  type FakeTimers,
  generation,
  hang,
  refusal,
  serve,
  TRANSPORTS,
} from "./support.js";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

for (const transport of TRANSPORTS) {
  describe(`watches over ${transport}`, { timeout: 100_000 }, () => {
    test("after a cut a watch resumes from the last revision, and repeats nothing", async (t) => {
      const asked: number[] = [];
      const { client, gateway, timers } = await serve(t, transport, {
        generations: {
          async *watchGeneration({ afterRevision }, context) {
            asked.push(afterRevision);
            if (asked.length === 1) {
              yield { generation: generation({ revision: 1 }) };
              yield {};
              yield { generation: generation({ revision: 2 }) };
              await hang(context);
            }
            yield { generation: generation({ revision: 2 }) };
            yield { generation: generation({ revision: 3, done: true }) };
            await hang(context);
          },
        },
      });
      const seen: number[] = [];
      for await (const changed of client.watch("g")) {
        seen.push(changed.revision);
        if (changed.revision === 2) gateway.cut();
      }
      assert.deepEqual(seen, [1, 2, 3]);
      assert.deepEqual(asked, [0, 2]);
      assert.deepEqual(timers.slept, [200]);
    });

    test("a watch that is left ends at the gateway, although garbage was collected", async (t) => {
      let noticed = () => {};
      const ended = new Promise<void>((resolve) => {
        noticed = resolve;
      });
      const { client } = await serve(t, transport, {
        generations: {
          async *watchGeneration(_, context) {
            context.signal.addEventListener("abort", () => noticed());
            yield { generation: generation({ revision: 1 }) };
            await hang(context);
          },
        },
      });
      const watch = client.watch("g");
      await watch.next();
      for (let number = 0; number < 5; number++) {
        await new Promise(setImmediate); // what was awaited before may still be held
        collectGarbage();
      }
      await watch.return();
      await ended;
    });

    test("an ended watch leaves no timer of its deadline, which would keep Node alive", async (t) => {
      const { client } = await serve(t, transport, {
        generations: {
          async *watchGeneration(_, context) {
            yield { generation: generation({ revision: 1, done: true }) };
            await hang(context);
          },
        },
      });
      const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
      await collected(client.watch("g")); // from now on the connection has its timers
      const before = timers();
      for (let number = 0; number < 20; number++) await collected(client.watch("g", { timeoutMs: 30_000 }));
      assert.ok(timers() - before < 10, `${timers() - before} timers`);
    });

    test("after a shutdown a watch resumes with the delay that the gateway asked for", async (t) => {
      let streams = 0;
      const { client, timers } = await serve(t, transport, {
        generations: {
          async *watchGeneration({ afterRevision }) {
            if (++streams < 3) {
              yield { generation: generation({ revision: afterRevision + 1 }) };
              throw draining(700);
            }
            yield { generation: generation({ revision: afterRevision + 1, done: true }) };
          },
        },
      });
      const seen = await collected(client.watch("g"));
      assert.deepEqual(
        seen.map((changed) => changed.revision),
        [1, 2, 3],
      );
      assert.deepEqual(timers.slept, [700, 700]);
    });

    test("a watch ends if the gateway is unavailable for two minutes in a row", async (t) => {
      const { client, timers } = await serve(t, transport, {
        generations: {
          // biome-ignore lint/correctness/useYield: it sends nothing
          async *watchGeneration() {
            throw draining();
          },
        },
      });
      await assert.rejects(collected(client.watch("g")), GatewayUnavailable);
      const away = timers.slept.reduce((sum, ms) => sum + ms, 0);
      assert(away < 120_000 && away + 10_000 >= 120_000, `${away}`);
    });

    test("a watch goes on through any number of outages, if there is a message between them", async (t) => {
      let attempts = 0;
      const { client, timers } = await serve(t, transport, {
        generations: {
          async *watchGeneration() {
            attempts++;
            yield { generation: generation({ revision: attempts, done: attempts === 9 }) };
            if (attempts < 9) throw draining();
          },
        },
      });
      for await (const _ of client.watch("g")) timers.pass(119_000);
      assert.equal(attempts, 9);
    });

    test("the time that a device sleeps is no outage", { skip: transport === "grpc" }, async (t) => {
      let attempts = 0;
      const { client, timers } = await serve(t, transport, {
        generations: {
          async *watchGeneration() {
            if (++attempts < 4) throw draining();
            yield { generation: generation({ done: true }) };
          },
        },
      });
      timers.onSleep = () => {
        if (attempts === 1) timers.pass(28_800_000);
      };
      assert.equal((await collected(client.watch("g"))).length, 1);
      assert.equal(attempts, 4);
    });

    test("a permanent error ends a watch at once", async (t) => {
      const { client, timers } = await serve(t, transport, {
        generations: {
          // biome-ignore lint/correctness/useYield: it sends nothing
          async *watchGeneration() {
            throw refusal(Code.NotFound, "NOT_FOUND");
          },
        },
      });
      await assert.rejects(collected(client.watch("g")), NotFound);
      assert.deepEqual(timers.slept, []);
    });

    test("leaving the loop ends the stream at the gateway", async (t) => {
      const left = event();
      const { client } = await serve(t, transport, {
        generations: {
          async *watchGeneration(_, context) {
            context.signal.addEventListener("abort", () => left.resolve());
            yield { generation: generation({}) };
            await hang(context);
          },
        },
      });
      for await (const changed of client.watch("g")) {
        assert.equal(changed.revision, 1);
        break;
      }
      await left.promise;
    });

    test("the caller's signal ends a watch at the gateway, with its own reason", async (t) => {
      const left = event();
      const { client } = await serve(t, transport, {
        generations: {
          async *watchGenerations(_, context) {
            context.signal.addEventListener("abort", () => left.resolve());
            yield { resumeToken: "a", caughtUp: true };
            await hang(context);
          },
        },
      });
      const controller = new AbortController();
      const reason = new Error("enough");
      const watch = client.watchMany({ signal: controller.signal });
      assert.equal((await watch.next()).value?.type, "caughtUp");
      const next = watch.next();
      controller.abort(reason);
      await assert.rejects(next, (error) => error === reason);
      assert.deepEqual(await watch.next(), { done: true, value: undefined });
      await left.promise;
    });

    test("closing the client ends a watch, even while it waits for the gateway", async (t) => {
      const { client, timers } = await serve(t, transport, {
        generations: {
          // biome-ignore lint/correctness/useYield: it sends nothing
          async *watchGeneration() {
            throw draining();
          },
        },
      });
      timers.onSleep = () => client.close();
      await assert.rejects(collected(client.watch("g")), { code: "CANCELLED", message: "the client is closed" });
      assert.deepEqual(timers.slept, [200]);
    });

    test("the timeout ends a watch with DeadlineExceeded", async (t) => {
      let streams = 0;
      const { client } = await serve(t, transport, {
        generations: {
          async *watchGeneration(_, context) {
            if (streams++ === 0) throw draining(1); // from which the watch recovers: it is not a cause
            yield { generation: generation({}) };
            await hang(context);
          },
        },
      });
      const watch = collected(client.watch("g", { timeoutMs: 2000 }));
      await assert.rejects(watch, (error: unknown) => {
        assert(error instanceof DeadlineExceeded);
        assert.match(error.message, /^the call to https?:\/\/127\.0\.0\.1:\d+ timed out$/);
        return true;
      });
    });

    test("watchMany: after a cut it resumes with the last token, and repeats nothing", async (t) => {
      const asked: string[] = [];
      const { client, gateway } = await serve(t, transport, {
        generations: {
          async *watchGenerations({ resumeToken, filter }, context) {
            asked.push(resumeToken);
            assert.deepEqual(filter?.ids, ["g", "h"]);
            if (!resumeToken) {
              yield { resumeToken: "a", generation: generation({ id: "g", revision: 1 }), missingIds: ["h"] };
              yield { resumeToken: "b", caughtUp: true };
              yield { resumeToken: "c", generation: generation({ id: "g", revision: 2 }) };
              await hang(context);
            }
            yield { resumeToken: "d", generation: generation({ id: "g", revision: 3 }) };
            yield { resumeToken: "e", caughtUp: true };
            yield { resumeToken: "f", forecasts: { g: { progress: 0.5 } } };
          },
        },
      });
      const seen: string[] = [];
      for await (const event of client.watchMany({ ids: ["g", "h"] })) {
        seen.push(`${event.type} ${event.resumeToken}`);
        if (event.type === "changed" && event.generation.revision === 2) gateway.cut();
      }
      assert.deepEqual(asked, ["", "c"]);
      assert.deepEqual(seen, ["missing ", "changed a", "caughtUp b", "changed c", "changed d", "forecasts f"]);
    });

    test("watchMany: only a watch of given ids ends with its stream", async (t) => {
      let streams = 0;
      const { client } = await serve(t, transport, {
        generations: {
          async *watchGenerations() {
            streams += 1;
            yield { resumeToken: "a", caughtUp: true };
            if (streams === 3) yield { resumeToken: "b", generation: generation({ id: "g", revision: 1 }) };
          },
        },
      });
      const seen: string[] = [];
      for await (const { type } of client.watchMany({ ids: ["g"] })) seen.push(type);
      for await (const { type } of client.watchMany()) {
        seen.push(type);
        if (type === "changed") break;
      }
      assert.deepEqual(seen, ["caughtUp", "caughtUp", "changed"]);
      assert.equal(streams, 3);
    });

    test("a wait is repeated in steps until the generation has ended, or the timeout", async (t) => {
      const steps: number[] = [];
      const limits = new Set<string>();
      const { client, timers } = await serve(t, transport, {
        generations: {
          waitGeneration: ({ timeout }, { requestHeader }) => {
            limits.add(requestHeader.get("grpc-timeout") ?? `${requestHeader.get("connect-timeout-ms")}m`);
            steps.push(Number(timeout?.seconds));
            if (steps.length !== 2) timers.pass(50_000);
            return { generation: generation({ done: steps.length === 4 }) };
          },
        },
      });
      assert.equal((await client.wait("g")).done, true);
      assert.deepEqual(steps, [50, 50, 50, 50]);
      assert.deepEqual(limits, new Set(["80000m"])); // added to the timeout
      // The second response came at once, as from a gateway that shuts down: the client backed off.
      assert.deepEqual(timers.slept, [200]);
      assert.equal((await client.wait("g", { timeoutMs: 70_000 })).done, false);
      assert.deepEqual(steps.slice(4), [50, 20]);
    });

    test("a wait whose connection is lost ends at the timeout of the caller", async (t) => {
      const steps: number[] = [];
      const { client, timers } = await serve(t, transport, {
        generations: {
          waitGeneration: ({ timeout }) => {
            steps.push(durationMs(timeout!));
            if (steps.length === 3) return { generation: generation({ done: false }) };
            timers.pass(steps.length === 1 ? 2000 : 500);
            throw draining();
          },
        },
      });
      assert.equal((await client.wait("g", { timeoutMs: 3000 })).done, false);
      // Each attempt asks for the time that is left after the previous ones and the delays between them.
      assert.deepEqual(timers.slept, [200, 400]);
      assert.deepEqual(steps, [3000, 800, 0]);
    });
  });
}

for (const transport of ["connect", "grpc-web"] as const) {
  test(`a stream over ${transport} that is silent for longer than two heartbeats is reopened`, async (t) => {
    let streams = 0;
    const { client, timers } = await serve(t, transport, {
      generations: {
        async *watchGeneration(_, context) {
          yield { generation: generation({ revision: ++streams, done: streams === 2 }) };
          await hang(context);
        },
      },
    });
    const seen: Generation[] = [];
    for await (const changed of ringing(client, timers)) seen.push(changed);
    assert.deepEqual(
      seen.map((changed) => changed.revision),
      [1, 2],
    );
    assert.deepEqual(timers.slept, [200]);
    assert.equal(timers.alarms.size, 0);
  });
}

/** A watch whose alarm goes off as soon as it waits for the second message. */
async function* ringing(client: GatewayClient, timers: FakeTimers): AsyncGenerator<Generation> {
  const watch = client.watch("g");
  yield (await watch.next()).value!;
  assert.equal(timers.alarms.size, 0, "while the caller is busy nothing rings");
  const next = watch.next();
  await new Promise(setImmediate);
  const [alarm] = timers.alarms;
  assert.equal(alarm?.ms, 40_000);
  timers.alarms.clear();
  alarm.callback();
  yield (await next).value!;
  yield* watch;
}
