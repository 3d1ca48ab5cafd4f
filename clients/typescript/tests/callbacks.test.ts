import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { DeliveryProblem, DeliveryState, GatewayError, KeyReused, QuotaExceeded } from "@hfgateway/client";
import {
  CreateCallbackRequestSchema,
  ListDeliveriesRequestSchema,
  UpdateCallbackRequestSchema,
} from "@hfgateway/client/stubs";
import { collected, draining, refusal, serve, TRANSPORTS } from "./support.js";

const HOOK = "https://example.com/hook";

for (const transport of TRANSPORTS) {
  describe(`callbacks over ${transport}`, { timeout: 100_000 }, () => {
    test("a creation with a lost response is retried with the same key, and a lost secret is rotated", async (t) => {
      const keys: string[] = [];
      const { client } = await serve(t, transport, {
        callbacks: {
          createCallback: ({ url, idempotencyKey }) => {
            keys.push(idempotencyKey);
            if (keys.length === 1) throw draining();
            return { callback: { id: "b", url }, replayed: true };
          },
          rotateCallbackSecret: ({ id }) => ({ secret: `whsec_of_${id}` }),
        },
      });
      const { callback, secret, idempotencyKey, replayed } = await client.createCallback(HOOK);
      assert.deepEqual([callback.url, secret, replayed], [HOOK, "whsec_of_b", true]);
      assert(idempotencyKey);
      assert.deepEqual(keys, [idempotencyKey, idempotencyKey]);
      // With a key of the caller the secret may be one that the caller has.
      assert.equal((await client.createCallback(HOOK, { idempotencyKey: "mine" })).secret, "");
    });

    test("the error of a lost secret that cannot be rotated has the key of the creation", async (t) => {
      const keys: string[] = [];
      const { client } = await serve(t, transport, {
        callbacks: {
          createCallback: ({ idempotencyKey }) => {
            keys.push(idempotencyKey);
            return { callback: { id: "b" }, replayed: true };
          },
          rotateCallbackSecret: () => {
            throw refusal(Code.ResourceExhausted, "QUOTA_EXCEEDED");
          },
        },
      });
      await assert.rejects(client.createCallback(HOOK), (error) => {
        return error instanceof QuotaExceeded && error.idempotencyKey === keys[0];
      });
    });

    test("the error of a key that cannot be found for the rotation has the key of the creation", async (t) => {
      const mistake = new Error("the vault is sealed");
      const keys = ["hfg_create"];
      const apiKey = () => {
        const key = keys.pop();
        if (!key) throw mistake;
        return key;
      };
      const sent: string[] = [];
      const createCallback = ({ idempotencyKey }: { idempotencyKey: string }) => {
        sent.push(idempotencyKey);
        return { callback: { id: "b" }, replayed: true };
      };
      const { client } = await serve(t, transport, { callbacks: { createCallback } }, { apiKey });
      await assert.rejects(client.createCallback(HOOK), (error) => {
        assert(error instanceof GatewayError);
        assert.deepEqual([error.cause, error.idempotencyKey], [mistake, sent[0]]);
        return true;
      });
      await assert.rejects(client.createCallback(HOOK), (error) => error === mistake); // nothing was sent
    });

    test("a creation sends all options, and the error of a refusal has the key", async (t) => {
      const asked: unknown[] = [];
      const { client } = await serve(t, transport, {
        callbacks: {
          createCallback: (request) => {
            asked.push(toJson(CreateCallbackRequestSchema, request));
            if (asked.length === 2) throw refusal(Code.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
            return { callback: { id: "b" }, secret: "whsec_1" };
          },
        },
      });
      const filter = { labels: { order: "7" }, states: ["COMPLETED"] } as const;
      const options = { filter, everyChange: true, idempotencyKey: "k" };
      assert.equal((await client.createCallback(HOOK, options)).secret, "whsec_1");
      await assert.rejects(client.createCallback(HOOK, options), (error) => {
        return error instanceof KeyReused && error.idempotencyKey === "k";
      });
      const sent = { labels: { order: "7" }, states: ["GENERATION_STATE_COMPLETED"] };
      assert.deepEqual(asked[0], { url: HOOK, filter: sent, everyChange: true, idempotencyKey: "k" });
    });

    test("an update sends only the given fields", async (t) => {
      const asked: unknown[] = [];
      const { client } = await serve(t, transport, {
        callbacks: {
          updateCallback: (request) => {
            asked.push(toJson(UpdateCallbackRequestSchema, request));
            return { callback: { id: request.id, paused: true } };
          },
        },
      });
      assert((await client.updateCallback("b", { paused: true })).paused);
      await client.updateCallback("b", { paused: false, everyChange: false, filter: {} });
      assert.deepEqual(asked, [
        { id: "b", paused: true },
        { id: "b", paused: false, everyChange: false, filter: {} },
      ]);
    });

    test("lists fetch all pages", async (t) => {
      const asked: unknown[] = [];
      const { client } = await serve(t, transport, {
        callbacks: {
          listCallbacks: ({ pageToken }) => ({
            callbacks: [{ id: pageToken || "b2" }],
            nextPageToken: pageToken ? "" : "b1",
          }),
          listDeliveries: (request) => {
            asked.push(toJson(ListDeliveriesRequestSchema, request));
            const { pageToken } = request;
            return { deliveries: [{ id: pageToken || "d2" }], nextPageToken: pageToken ? "" : "d1" };
          },
        },
      });
      const ids = async (items: AsyncIterable<{ id: string }>) => (await collected(items)).map(({ id }) => id);
      assert.deepEqual(await ids(client.listCallbacks()), ["b2", "b1"]);
      const failures = { generationId: "g", failedOnly: true, pageSize: 1 };
      assert.deepEqual(await ids(client.listDeliveries("b", failures)), ["d2", "d1"]);
      const sent = { callbackId: "b", ...failures };
      assert.deepEqual(asked, [sent, { ...sent, pageToken: "d1" }]);
    });

    test("the other calls", async (t) => {
      const deleted: string[] = [];
      const { CONNECTION } = DeliveryProblem;
      const { client } = await serve(t, transport, {
        callbacks: {
          getCallback: ({ id }) => ({ callback: { id } }),
          deleteCallback: ({ id }) => {
            deleted.push(id);
            return {};
          },
          rotateCallbackSecret: ({ id }) => ({ callback: { id }, secret: "whsec_2" }),
          testCallback: ({ id }) => ({
            delivery: { callbackId: id, state: DeliveryState.FAILED, problem: CONNECTION },
          }),
          redeliverDelivery: ({ id }) => ({ delivery: { id, state: DeliveryState.PENDING } }),
        },
      });
      assert.equal((await client.getCallback("b")).id, "b");
      await client.deleteCallback("b");
      assert.deepEqual(deleted, ["b"]);
      const { callback, secret } = await client.rotateCallbackSecret("b");
      assert.deepEqual([callback?.id, secret], ["b", "whsec_2"]);
      const tested = await client.testCallback("b");
      assert.deepEqual([tested.callbackId, tested.problem], ["b", CONNECTION]);
      assert.equal((await client.redeliver("d")).state, DeliveryState.PENDING);
    });
  });
}
