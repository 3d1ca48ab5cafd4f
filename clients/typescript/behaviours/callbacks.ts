/** Callbacks to an address on which nothing listens. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createServer } from "node:net";
import {
  type CallbackFilter,
  type CreatedCallback,
  DeliveryProblem,
  DeliveryState,
  InvalidInput,
  NotFound,
} from "@hfgateway/client";
import { type Behaviour, type Behaviours, failing, idsOf, rest, type Stage, unique } from "./stage.js";

export const CALLBACKS: Behaviours = {
  create_callback: withCallback(async ({ client }, { callback, secret, idempotencyKey, replayed }, filter) => {
    assert(secret.startsWith("whsec_") && !replayed);
    const again = await client.createCallback(callback.url, { filter, idempotencyKey });
    assert.deepEqual([again.callback.id, again.secret, again.replayed], [callback.id, "", true]);
  }),

  async lost_callback_secret(stage) {
    const { harness, client } = stage;
    const url = `${harness}/receive?${randomUUID()}`;
    await client.check(); // there is a connection to lose
    const { connections } = await stage.control("lose", { callback_url: url });
    assert(Number(connections) > 0);
    const { callback, replayed, secret } = await client.createCallback(url, {
      filter: { labels: { run: unique("nothing") } },
    });
    try {
      assert(secret.startsWith("whsec_") && replayed);
      assert.equal((await client.testCallback(callback.id)).state, DeliveryState.DELIVERED);
      assert.deepEqual(await stage.control("verify", { secret }), { valid: true });
    } finally {
      await client.deleteCallback(callback.id);
    }
  },

  get_callback: withCallback(async (stage, { callback }) => {
    assert.deepEqual(await stage.client.getCallback(callback.id), callback);
    await using other = stage.another({ apiKey: stage.otherApiKey });
    await failing(other.getCallback(callback.id), NotFound, "NOT_FOUND");
  }),

  list_callbacks: withCallback((stage, first) =>
    withCallback(async ({ client }, second) => {
      const found = await idsOf(client.listCallbacks({ pageSize: 1 }));
      assert.deepEqual(found.slice(0, 2), [second.callback.id, first.callback.id]);
    })(stage),
  ),

  update_callback: withCallback(async ({ client }, { callback }) => {
    for (const paused of [true, false]) {
      const changed = await client.updateCallback(callback.id, { paused });
      assert.equal(changed.paused, paused);
      assert.deepEqual(changed.filter, callback.filter);
    }
  }),

  delete_callback: withCallback(async ({ client }, { callback: { id } }) => {
    for (const _ of ["there", "gone"]) {
      await client.deleteCallback(id);
      await failing(client.getCallback(id), NotFound, "NOT_FOUND");
    }
  }),

  rotate_callback_secret: withCallback(async ({ client }, made) => {
    const { callback, secret } = await client.rotateCallbackSecret(made.callback.id);
    assert(secret.startsWith("whsec_") && secret !== made.secret);
    assert(callback?.oldSecretsExpireTime);
  }),

  test_callback: withCallback(async ({ client }, { callback }) => {
    const { state, problem, httpStatus } = await client.testCallback(callback.id);
    assert.deepEqual([state, problem, httpStatus], [DeliveryState.FAILED, DeliveryProblem.CONNECTION, 0]);
  }),

  list_deliveries: withCallback(async ({ client }, { callback }) => {
    assert.deepEqual(await rest(client.listDeliveries(callback.id)), []);
    await failing(rest(client.listDeliveries("")), InvalidInput, "INVALID_INPUT");
  }),

  async redeliver_delivery({ client }) {
    await failing(client.redeliver(randomUUID()), NotFound, "NOT_FOUND");
  },
};

/** Runs with a callback for a label that no generation has, and deletes it: a tenant may have only a few. */
function withCallback(
  perform: (stage: Stage, made: CreatedCallback, filter: CallbackFilter) => Promise<void>,
): Behaviour {
  return async (stage) => {
    const filter = { labels: { run: unique("nothing") } };
    const made = await stage.client.createCallback(`http://127.0.0.1:${await freePort()}/hook`, { filter });
    try {
      await perform(stage, made, filter);
    } finally {
      await stage.client.deleteCallback(made.callback.id);
    }
  };
}

/** A port on which nothing listens. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const socket = createServer().listen(0, "127.0.0.1", () => {
      const address = socket.address();
      assert(address && typeof address === "object");
      socket.close(() => resolve(address.port));
    });
  });
}
