package main

import (
	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func submit(t *trial) {
	prompt := unique("a fox")
	submission := t.submit(prompt)
	t.check(submission.IdempotencyKey != "" && submission.Generation.GetIdempotencyKey() == submission.IdempotencyKey)
	t.check(submission.Generation.GetState() == hfgateway.StateQueued && !submission.Replayed, submission)
	t.charged(prompt, 1, 1)
}

func submitReplay(t *trial) {
	prompt, key := unique("a fox"), withKey(hfgateway.NewIdempotencyKey())
	first, second := t.submit(prompt, key), t.submit(prompt, key)
	t.check(first.Generation.GetId() == second.Generation.GetId(), first, second)
	t.check(!first.Replayed && second.Replayed, first, second)
	t.charged(prompt, 1, 1)
}

func submitKeyReused(t *trial) {
	prompt, other := unique("a fox"), unique("a hare")
	key := t.submit(prompt).IdempotencyKey
	_, err := t.client.Submit(t.ctx, hfgateway.Soul(other), withKey(key))
	t.check(t.refused(err, hfgateway.ErrKeyReused, "IDEMPOTENCY_KEY_REUSED").IdempotencyKey == key)
	t.charged(other, 0, 0)
}

func submitOverCutConnection(t *trial) {
	prompt := unique("a fox")
	t.plan(prompt, fault{"on": "submit", "delay": 5})
	type outcome struct {
		submission *hfgateway.Submission
		err        error
	}
	answered := make(chan outcome, 1)
	go func() {
		submission, err := t.client.Submit(t.ctx, hfgateway.Soul(prompt))
		answered <- outcome{submission, err}
	}()
	t.submitted(prompt)
	t.cut()
	came := <-answered
	submission := value[*hfgateway.Submission](t)(came.submission, came.err)
	t.check(submission.Replayed && submission.Generation.GetState() == hfgateway.StateQueued, submission)
	t.charged(prompt, 1, 1)
}

func submitEndpoint(t *trial) {
	prompt := unique("a fox")
	parameters := map[string]any{"prompt": prompt, "count": 2}
	input := hfgateway.Must(hfgateway.Model("v1/text2image/keyframes", parameters, func(in *hfgateway.ModelInput) {
		in.ApiVersion = pb.ApiVersion_API_VERSION_V1
	}))
	generation := value[*hfgateway.Submission](t)(t.client.Submit(t.ctx, input)).Generation
	t.check(generation.GetState() == hfgateway.StateQueued && len(generation.GetOutputs()) == 2, generation)
	t.charged(prompt, 1, 1)
}

func submitInvalid(t *trial) {
	_, err := t.client.Submit(t.ctx, hfgateway.Soul(""))
	failed := t.refused(err, hfgateway.ErrInvalidInput, "INVALID_INPUT")
	t.check(len(failed.FieldViolations) == 1, failed)
	t.check(failed.FieldViolations[0].GetField() == "input.soul.prompt" && failed.IdempotencyKey != "", failed)
}

func submitRefused(t *trial) {
	prompt, other := unique("a fox"), unique("a hare")
	detail := []map[string]any{{"type": "value_error", "loc": []string{"body", "prompt"}, "msg": "no foxes"}}
	t.plan(prompt, fault{"on": "submit", "status": 422, "body": map[string]any{"detail": detail}})
	_, err := t.client.Submit(t.ctx, hfgateway.Soul(prompt))
	failed := t.refused(err, hfgateway.ErrInputRefused, "INPUT_REFUSED")
	t.check(failed.Metadata["generation_id"] != "", failed.Metadata)
	again := t.submit(other, withKey(failed.IdempotencyKey))
	t.check(!again.Replayed, "the key was not free")
	t.charged(prompt, 0, 1)
	t.charged(other, 1, 1)
}

func submitOutOfCredits(t *trial) {
	submitRefusedAs(t, 403, "not_enough_credits", hfgateway.ErrInsufficientCredits, "INSUFFICIENT_CREDITS")
}

func submitModelUnknown(t *trial) {
	submitRefusedAs(t, 404, "model_not_found", hfgateway.ErrModelUnknown, "MODEL_UNKNOWN")
}

func submitModelUnavailable(t *trial) {
	submitRefusedAs(t, 423, "Model is temporarily blocked", hfgateway.ErrModelUnavailable, "MODEL_UNAVAILABLE")
}

func submitRefusedAs(t *trial, status int, detail string, kind error, reason string) {
	prompt := unique("a fox")
	t.plan(prompt, fault{"on": "submit", "status": status, "body": map[string]any{"detail": detail}})
	_, err := t.client.Submit(t.ctx, hfgateway.Soul(prompt))
	t.refused(err, kind, reason)
	t.charged(prompt, 0, 1)
}

func full() fault {
	return fault{
		"on": "submit", "status": 429, "body": map[string]any{"detail": "full"},
		"headers": map[string]any{"Retry-After": "60"},
	}
}

func submitSaturated(t *trial) {
	prompt := unique("a fox")
	t.plan(prompt, full())
	_, err := t.client.Submit(t.ctx, hfgateway.Soul(prompt), func(r *hfgateway.SubmitRequest) { r.FailWhenSaturated = true })
	failed := t.refused(err, hfgateway.ErrUpstreamSaturated, "UPSTREAM_SATURATED")
	t.check(failed.RetryDelay > 0 && failed.Retryable, failed.RetryDelay, failed.Retryable)
	t.charged(prompt, 0, 1)
	t.restart() // the retry delay would hold up the next behaviours; a new gateway has none
}

func submitUncertain(t *trial) {
	prompt := unique("a fox")
	t.plan(prompt, fault{"on": "submit", "kind": "lost"})
	found := t.submit(prompt, waitBriefly).Generation
	t.until(found.GetId(), hfgateway.StateUncertain)
	_, err := t.client.Cancel(t.ctx, found.GetId())
	failed := t.refused(err, hfgateway.ErrNotCancelable, "NOT_CANCELABLE")
	t.check(failed.Metadata["state"] == "UNCERTAIN", failed.Metadata)
	t.charged(prompt, 1, 1)
}
