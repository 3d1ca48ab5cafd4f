/** Authentication, tenants and TLS. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import * as hfgateway from "@hfgateway/client";
import { soul, stateName } from "@hfgateway/client";
import { type Behaviours, failing, PATIENCE_MS, rest, type Stage, unique } from "./stage.js";

export const ACCESS: Behaviours = {
  no_key: (stage) => refused(stage, undefined),
  wrong_key: (stage) => refused(stage, `hfg_${randomUUID()}`),

  async other_tenant(stage) {
    const prompt = unique("a fox");
    const options = { idempotencyKey: randomUUID() };
    const first = await stage.client.submit(soul(prompt), options);
    await using other = stage.another({ apiKey: stage.otherApiKey });
    await failing(other.get(first.generation.id), hfgateway.NotFound, "NOT_FOUND");
    const second = await other.submit(soul(prompt), options);
    assert.equal(second.replayed, false);
    assert.notEqual(second.generation.id, first.generation.id);
    await stage.charged(prompt, 2, 2);
  },

  async watch_token(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    const other = (await stage.queued(unique("a hare"))).generation.id;
    const { token } = await stage.client.createWatchToken({ ids: [id], ttlMs: 60_000 });
    assert.match(token, /^hfw_/);
    await using page = stage.another({ apiKey: token });
    const watching = rest(page.watch(id, { timeoutMs: PATIENCE_MS }));
    await failing(page.get(other), hfgateway.NotFound, "NOT_FOUND");
    await failing(page.submit(soul(unique("a fox"))), hfgateway.NotAllowed, "NOT_ALLOWED");
    await stage.advance(60);
    assert.equal(stateName((await watching).at(-1)!), "COMPLETED");
  },
};

/** Only for gRPC: in a page, the browser handles TLS. */
export const TLS: Behaviours = {
  async tls(stage) {
    const prompt = unique("a fox");
    const options = { address: stage.tlsAddress, apiKey: stage.apiKey };
    await using client = hfgateway.createClient({ ...options, tls: { ca: readFileSync(stage.tlsCa) } });
    assert.equal(stateName((await client.submit(soul(prompt))).generation), "QUEUED");
    await stage.charged(prompt, 1, 1);
    await using stranger = hfgateway.createClient({ ...options, tls: true, retry: { repeatCallsForMs: 0 } });
    await failing(stranger.submit(soul(unique("a hare"))), hfgateway.Unavailable, "");
  },
};

async function refused(stage: Stage, apiKey: string | undefined): Promise<void> {
  const { id } = (await stage.queued(unique("a fox"))).generation;
  await using stranger = stage.another({ apiKey });
  await failing(stranger.get(id), hfgateway.InvalidCredentials, "INVALID_CREDENTIALS");
}
