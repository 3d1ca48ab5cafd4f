/** Submissions: charged once, even if they are repeated or their responses are lost. */

import assert from "node:assert/strict";
import * as hfgateway from "@hfgateway/client";
import { model, soul, stateName } from "@hfgateway/client";
import { type Behaviours, failing, type Stage, unique } from "./stage.js";

/** Makes Higgsfield respond to the submission of a prompt with this. */
function answering(stage: Stage, prompt: string, status: number, detail: unknown, headers = {}): Promise<void> {
  return stage.plan(prompt, { on: "submit", status, body: { detail }, headers });
}

export const SUBMITTING: Behaviours = {
  async submit(stage) {
    const prompt = unique("a fox");
    const { generation, idempotencyKey, replayed } = await stage.client.submit(soul(prompt));
    assert(idempotencyKey);
    assert.equal(generation.idempotencyKey, idempotencyKey);
    assert.deepEqual([stateName(generation), replayed], ["QUEUED", false]);
    await stage.charged(prompt, 1, 1);
  },

  async submit_replay(stage) {
    const prompt = unique("a fox");
    const options = { idempotencyKey: unique("order").replace(" ", "-") };
    const first = await stage.client.submit(soul(prompt), options);
    const second = await stage.client.submit(soul(prompt), options);
    assert.equal(first.generation.id, second.generation.id);
    assert.deepEqual([first.replayed, second.replayed], [false, true]);
    await stage.charged(prompt, 1, 1);
  },

  async submit_key_reused(stage) {
    const other = unique("a hare");
    const { idempotencyKey } = await stage.client.submit(soul(unique("a fox")));
    const again = stage.client.submit(soul(other), { idempotencyKey });
    const error = await failing(again, hfgateway.KeyReused, "IDEMPOTENCY_KEY_REUSED");
    assert.equal(error.idempotencyKey, idempotencyKey);
    await stage.charged(other, 0, 0);
  },

  async submit_over_cut_connection(stage) {
    const prompt = unique("a fox");
    await stage.plan(prompt, { on: "submit", delay: 5 });
    const submitting = stage.client.submit(soul(prompt));
    await stage.submitted(prompt);
    await stage.cut();
    const submission = await submitting;
    assert.deepEqual([stateName(submission.generation), submission.replayed], ["QUEUED", true]);
    await stage.charged(prompt, 1, 1);
  },

  async submit_endpoint(stage) {
    const prompt = unique("a fox");
    const input = model("v1/text2image/keyframes", { prompt, count: 2 }, { apiVersion: "v1" });
    const { generation } = await stage.client.submit(input);
    assert.deepEqual([stateName(generation), generation.outputs.length], ["QUEUED", 2]);
    await stage.charged(prompt, 1, 1);
  },

  async submit_invalid(stage) {
    const error = await failing(stage.client.submit(soul("")), hfgateway.InvalidInput, "INVALID_INPUT");
    assert.deepEqual(
      error.fieldViolations.map((violation) => violation.field),
      ["input.soul.prompt"],
    );
    assert(error.idempotencyKey);
  },

  async submit_refused(stage) {
    const [prompt, other] = [unique("a fox"), unique("a hare")];
    await answering(stage, prompt, 422, [{ type: "value_error", loc: ["body", "prompt"], msg: "no foxes" }]);
    const error = await failing(stage.client.submit(soul(prompt)), hfgateway.InputRefused, "INPUT_REFUSED");
    assert(error.metadata.generation_id);
    const again = await stage.client.submit(soul(other), { idempotencyKey: error.idempotencyKey });
    assert.equal(again.replayed, false);
    await stage.charged(prompt, 0, 1);
    await stage.charged(other, 1, 1);
  },

  async submit_out_of_credits(stage) {
    const prompt = unique("a fox");
    await answering(stage, prompt, 403, "not_enough_credits");
    await failing(stage.client.submit(soul(prompt)), hfgateway.InsufficientCredits, "INSUFFICIENT_CREDITS");
    await stage.charged(prompt, 0, 1);
  },

  async submit_model_unknown(stage) {
    const prompt = unique("a fox");
    await answering(stage, prompt, 404, "model_not_found");
    await failing(stage.client.submit(soul(prompt)), hfgateway.ModelUnknown, "MODEL_UNKNOWN");
    await stage.charged(prompt, 0, 1);
  },

  async submit_model_unavailable(stage) {
    const prompt = unique("a fox");
    await answering(stage, prompt, 423, "Model is temporarily blocked");
    await failing(stage.client.submit(soul(prompt)), hfgateway.ModelUnavailable, "MODEL_UNAVAILABLE");
    await stage.charged(prompt, 0, 1);
  },

  async submit_saturated(stage) {
    const prompt = unique("a fox");
    await answering(stage, prompt, 429, "full", { "Retry-After": "60" });
    const submit = stage.client.submit(soul(prompt), { failWhenSaturated: true });
    const error = await failing(submit, hfgateway.UpstreamSaturated, "UPSTREAM_SATURATED");
    assert(error.retryDelayMs && error.retryable);
    await stage.charged(prompt, 0, 1);
    await stage.restart();
  },

  async submit_uncertain(stage) {
    const prompt = unique("a fox");
    await stage.plan(prompt, { on: "submit", kind: "lost" });
    const { generation } = await stage.client.submit(soul(prompt), { waitTimeoutMs: 500 });
    await stage.until(generation.id, "UNCERTAIN");
    const error = await failing(stage.client.cancel(generation.id), hfgateway.NotCancelable, "NOT_CANCELABLE");
    assert.equal(error.metadata.state, "UNCERTAIN");
    await stage.charged(prompt, 1, 1);
  },
};
