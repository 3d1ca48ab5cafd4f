/** Canceling, deleting, explaining, estimating, and calls without a response. */

import assert from "node:assert/strict";
import * as hfgateway from "@hfgateway/client";
import { soul, stateName } from "@hfgateway/client";
import { type Behaviours, failing, unique } from "./stage.js";

export const ENDING: Behaviours = {
  async cancel_queued(stage) {
    const prompt = unique("a fox");
    const { id } = (await stage.queued(prompt)).generation;
    for (const _ of [1, 2]) assert.equal(stateName(await stage.client.cancel(id)), "CANCELED");
    await stage.charged(prompt, 0, 1);
  },

  async cancel_pending(stage) {
    const prompt = unique("a fox");
    const full = { status: 429, body: { detail: "full" }, headers: { "Retry-After": "60" } };
    await stage.plan(prompt, { on: "submit", ...full });
    const { generation } = await stage.client.submit(soul(prompt), { waitTimeoutMs: 500 });
    assert.equal(stateName(generation), "PENDING");
    assert.equal(stateName(await stage.client.cancel(generation.id)), "CANCELED");
    await stage.restart(); // a new gateway has no retry delay: it would send a pending generation at once
    await stage.charged(prompt, 0, 1);
  },

  async cancel_in_progress(stage) {
    const { id } = await stage.running(unique("a fox"));
    const error = await failing(stage.client.cancel(id), hfgateway.NotCancelable, "NOT_CANCELABLE");
    assert.equal(error.metadata.state, "IN_PROGRESS");
  },

  async cancel_ended(stage) {
    const { id } = await stage.completed(unique("a fox"));
    const error = await failing(stage.client.cancel(id), hfgateway.NotCancelable, "NOT_CANCELABLE");
    assert.equal(error.metadata.state, "COMPLETED");
  },

  async estimate(stage) {
    const prompt = unique("a fox");
    const { cost } = await stage.client.estimate(soul(prompt));
    assert(Number(cost?.credits) > 0);
    await stage.charged(prompt, 0, 0);
  },

  async estimate_upstream_away(stage) {
    const prompt = unique("a fox");
    await stage.plan(prompt, { on: "estimate", kind: "503", times: 100 });
    await using client = stage.another({ retry: { repeatCallsForMs: 0 } });
    const error = await failing(client.estimate(soul(prompt)), hfgateway.UpstreamUnavailable, "UPSTREAM_UNAVAILABLE");
    assert(error.retryable);
  },

  async estimate_credentials_refused(stage) {
    const prompt = unique("a fox");
    await stage.plan(prompt, { on: "estimate", status: 401, body: { detail: "Invalid credentials" } });
    const estimate = stage.client.estimate(soul(prompt));
    await failing(estimate, hfgateway.UpstreamCredentialsRefused, "UPSTREAM_CREDENTIALS_REFUSED");
  },

  async delete(stage) {
    const prompt = unique("a fox");
    const { id, idempotencyKey } = await stage.completed(prompt);
    assert.equal(await stage.client.delete(id), true);
    await failing(stage.client.get(id), hfgateway.NotFound, "NOT_FOUND");
    const again = stage.client.submit(soul(prompt), { idempotencyKey });
    await failing(again, hfgateway.KeyReused, "IDEMPOTENCY_KEY_REUSED");
    await stage.charged(prompt, 1, 1);
  },

  async delete_not_done(stage) {
    const { id } = (await stage.queued(unique("a fox"))).generation;
    await failing(stage.client.delete(id), hfgateway.NotDone, "NOT_DONE");
  },

  async explain(stage) {
    const { id, revision } = await stage.completed(unique("a fox"));
    const story = await stage.client.explain(id);
    assert.equal(story.generation?.id, id);
    const submissions = story.events.filter((event) => event.upstreamCall?.method === "POST");
    assert.deepEqual(
      submissions.map((event) => event.upstreamCall?.httpStatus),
      [200],
    );
    assert.deepEqual(
      story.events.filter((event) => event.revision).map((event) => event.revision),
      Array.from({ length: revision }, (_, index) => index + 1),
    );
  },

  async deadline(stage) {
    const prompt = unique("a fox");
    await stage.plan(prompt, { on: "estimate", delay: 60 });
    await failing(stage.client.estimate(soul(prompt), { timeoutMs: 500 }), hfgateway.DeadlineExceeded, "");
    const { cost } = await stage.client.estimate(soul(unique("a hare")));
    assert(Number(cost?.credits) > 0);
  },
};
