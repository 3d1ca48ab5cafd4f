package main

import (
	"net/http"
	"strconv"
	"time"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func cancelQueued(t *trial) {
	prompt := unique("a fox")
	id := t.queued(prompt).GetId()
	for range 2 {
		found := value[*hfgateway.Generation](t)(t.client.Cancel(t.ctx, id))
		t.check(found.GetState() == hfgateway.StateCanceled, found)
	}
	t.charged(prompt, 0, 1)
}

func cancelPending(t *trial) {
	prompt := unique("a fox")
	t.plan(prompt, full())
	found := t.submit(prompt, waitBriefly).Generation
	t.check(found.GetState() == hfgateway.StatePending, found)
	found = value[*hfgateway.Generation](t)(t.client.Cancel(t.ctx, found.GetId()))
	t.check(found.GetState() == hfgateway.StateCanceled, found)
	t.restart() // a new gateway has no retry delay: it would send a pending generation at once
	t.charged(prompt, 0, 1)
}

func cancelInProgress(t *trial) {
	notCancelable(t, t.running(unique("a fox")).GetId(), "IN_PROGRESS")
}

func cancelEnded(t *trial) {
	notCancelable(t, t.completed(unique("a fox")).GetId(), "COMPLETED")
}

func notCancelable(t *trial, id, state string) {
	_, err := t.client.Cancel(t.ctx, id)
	failed := t.refused(err, hfgateway.ErrNotCancelable, "NOT_CANCELABLE")
	t.check(failed.Metadata["state"] == state, failed.Metadata)
}

func estimate(t *trial) {
	prompt := unique("a fox")
	price := value[*pb.EstimateGenerationResponse](t)(t.client.Generations.EstimateGeneration(t.ctx, priced(prompt)))
	t.check(credits(t, price) > 0, price)
	t.charged(prompt, 0, 0)
}

func credits(t *trial, price *pb.EstimateGenerationResponse) float64 {
	return value[float64](t)(strconv.ParseFloat(price.GetCost().GetCredits(), 64))
}

func estimateUpstreamAway(t *trial) {
	prompt := unique("a fox")
	t.plan(prompt, fault{"on": "estimate", "kind": "503", "times": 100})
	client := t.another(t.address, t.apiKey, impatient)
	defer client.Close()
	_, err := client.Generations.EstimateGeneration(t.ctx, priced(prompt))
	failed := t.refused(err, hfgateway.ErrUpstreamUnavailable, "UPSTREAM_UNAVAILABLE")
	t.check(failed.Retryable, failed)
}

func estimateCredentialsRefused(t *trial) {
	prompt := unique("a fox")
	t.plan(prompt, fault{"on": "estimate", "status": 401, "body": map[string]any{"detail": "Invalid credentials"}})
	_, err := t.client.Generations.EstimateGeneration(t.ctx, priced(prompt))
	t.refused(err, hfgateway.ErrUpstreamCredentialsRefused, "UPSTREAM_CREDENTIALS_REFUSED")
}

func deleteDone(t *trial) {
	prompt := unique("a fox")
	found := t.completed(prompt)
	deletion := &pb.DeleteGenerationRequest{Id: found.GetId()}
	deleted := value[*pb.DeleteGenerationResponse](t)(t.client.Generations.DeleteGeneration(t.ctx, deletion))
	t.check(deleted.GetRemovedUpstream(), "not removed at Higgsfield")
	_, err := t.client.Get(t.ctx, found.GetId())
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
	_, err = t.client.Submit(t.ctx, hfgateway.Soul(prompt), withKey(found.GetIdempotencyKey()))
	t.refused(err, hfgateway.ErrKeyReused, "IDEMPOTENCY_KEY_REUSED")
	t.charged(prompt, 1, 1)
}

func deleteNotDone(t *trial) {
	deletion := &pb.DeleteGenerationRequest{Id: t.queued(unique("a fox")).GetId()}
	_, err := t.client.Generations.DeleteGeneration(t.ctx, deletion)
	t.refused(err, hfgateway.ErrNotDone, "NOT_DONE")
}

func explain(t *trial) {
	found := t.completed(unique("a fox"))
	story := value[*pb.ExplainGenerationResponse](t)(
		t.client.Generations.ExplainGeneration(t.ctx, &pb.ExplainGenerationRequest{Id: found.GetId()}))
	var revision int32
	posts := 0
	for _, event := range story.GetEvents() {
		if event.GetRevision() != 0 {
			revision++
			t.check(event.GetRevision() == revision, story.GetEvents())
		}
		if call := event.GetUpstreamCall(); call.GetMethod() == http.MethodPost {
			posts++
			t.check(call.GetHttpStatus() == http.StatusOK, call)
		}
	}
	t.check(posts == 1 && revision == found.GetRevision(), story.GetEvents())
	t.check(story.GetGeneration().GetId() == found.GetId(), story.GetGeneration())
}

func deadline(t *trial) {
	prompt := unique("a fox")
	t.plan(prompt, fault{"on": "estimate", "delay": 60})
	client := t.another(t.address, t.apiKey, hfgateway.WithTimeout(5*time.Second)) // enough for the second call
	defer client.Close()
	_, err := client.Generations.EstimateGeneration(t.ctx, priced(prompt))
	t.refused(err, hfgateway.ErrDeadlineExceeded, "")
	price := value[*pb.EstimateGenerationResponse](t)(
		client.Generations.EstimateGeneration(t.ctx, priced(unique("a hare"))))
	t.check(credits(t, price) > 0, price)
}

func priced(prompt string) *pb.EstimateGenerationRequest {
	return &pb.EstimateGenerationRequest{Input: hfgateway.Soul(prompt)}
}
