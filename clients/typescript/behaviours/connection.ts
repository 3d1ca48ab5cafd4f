/** Connections that die or move, many calls at the same time, and closed clients. */

import assert from "node:assert/strict";
import * as hfgateway from "@hfgateway/client";
import { stateName } from "@hfgateway/client";
import { type Behaviours, failing, nth, PATIENCE_MS, rest, unique } from "./stage.js";

const ELEVEN = Array.from({ length: 11 });

export const CONNECTION: Behaviours = {
  async concurrent_calls(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    const { signal } = new AbortController();
    const watches = ELEVEN.map(() => rest(stage.client.watch(id, { signal, timeoutMs: PATIENCE_MS })));
    const found = await Promise.all(ELEVEN.map(() => stage.client.get(id, { signal })));
    assert(found.every((generation) => generation.id === id));
    await stage.advance(60);
    for (const seen of await Promise.all(watches)) assert.equal(stateName(seen.at(-1)!), "COMPLETED");
  },

  async closed_client(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    const client = stage.another();
    const watch = client.watch(id);
    await nth(watch, () => true, []);
    const waiting = failing(client.wait(id), hfgateway.ClientClosed, "");
    const watching = failing(rest(watch), hfgateway.ClientClosed, "");
    await client.get(id); // sent after the wait, which is therefore in progress
    await client.close();
    await Promise.all([waiting, watching, failing(client.get(id), hfgateway.ClientClosed, "")]);
    assert.equal(stateName(await stage.client.get(id)), "QUEUED");
  },
};

/** Only for gRPC: in a page, the browser finds and checks the connections. */
export const CONNECTION_OVER_GRPC: Behaviours = {
  async dead_connection(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    const { connections } = await stage.control("swallow");
    assert(Number(connections) > 0);
    assert.equal((await stage.client.get(id)).id, id);
  },

  async moved_name(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    const { apiKey, namedAddress: address } = stage;
    await using client = hfgateway.createClient({ address, apiKey, insecure: true });
    const seen: hfgateway.Generation[] = [];
    const watch = client.watch(id);
    await nth(watch, (generation) => stateName(generation) === "QUEUED", seen);
    await stage.control("move");
    await stage.advance(60);
    await rest(watch, seen);
    const revisions = seen.map(({ revision }) => revision);
    assert.deepEqual(
      revisions,
      [...revisions.keys()].map((index) => index + 1),
    );
    assert.equal(stateName(await client.get(id)), "COMPLETED");
  },
};
