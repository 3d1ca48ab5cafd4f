import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { agents, SessionState } from "@hfgateway/client/agents";
import { event, hang, serve, TRANSPORTS } from "./support.js";

for (const transport of TRANSPORTS) {
  describe(`the stub of agents over ${transport}`, { timeout: 100_000 }, () => {
    test("uses the client's connection and key, and its own headers", async (t) => {
      const seen: (string | null)[] = [];
      const { client } = await serve(
        t,
        transport,
        {
          agents: {
            createSession: (_, { requestHeader }) => {
              seen.push(requestHeader.get("authorization"), requestHeader.get("x-trace"));
              return { session: { id: "s", state: SessionState.IDLE } };
            },
          },
        },
        { apiKey: "hfg_test" },
      );
      const stub = agents(client);
      const { session } = await stub.createSession({ idempotencyKey: "k" }, { headers: { "x-trace": "7" } });
      assert.equal(session?.id, "s");
      await stub.createSession({ idempotencyKey: "k" }, { headers: { authorization: "Bearer hfg_other" } });
      assert.deepEqual(seen, ["Bearer hfg_test", "7", "Bearer hfg_other", null]);
      assert(!inspect([client.transport, stub], { depth: 9, showHidden: true }).includes("hfg_test"));
    });

    test("a signal ends a stream at the gateway", async (t) => {
      const left = event();
      const { client } = await serve(t, transport, {
        agents: {
          async *watchSession({ id }, context) {
            context.signal.addEventListener("abort", () => left.resolve());
            yield { session: { id } };
            await hang(context);
          },
        },
      });
      const leaving = new AbortController();
      await assert.rejects(async () => {
        for await (const { session } of agents(client).watchSession({ id: "s" }, { signal: leaving.signal })) {
          assert.equal(session?.id, "s");
          leaving.abort();
        }
      }, ConnectError);
      await left.promise;
    });

    test("closing the client ends open calls", async (t) => {
      const arrived = event();
      const { client } = await serve(t, transport, {
        agents: {
          getSession: (_, context) => {
            arrived.resolve();
            return hang(context);
          },
        },
      });
      const call = agents(client).getSession({ id: "s" });
      await arrived.promise;
      await Promise.all([assert.rejects(call, ConnectError), client.close()]);
      await assert.rejects(agents(client).getSession({ id: "s" }), ConnectError);
    });

    test("throws connect's own errors", async (t) => {
      const { client } = await serve(t, transport, {});
      await assert.rejects(agents(client).getSession({ id: "s" }), (error) => {
        return error instanceof ConnectError && error.code === Code.Unimplemented;
      });
    });
  });
}
