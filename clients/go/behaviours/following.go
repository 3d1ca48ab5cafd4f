package main

import (
	"context"
	"errors"
	"slices"
	"time"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func get(t *trial) {
	prompt := unique("a fox")
	id := t.queued(prompt).GetId()
	found := value[*hfgateway.Generation](t)(t.client.Get(t.ctx, id))
	t.check(found.GetId() == id && found.GetInput().GetSoul().GetPrompt() == prompt, found)
}

func getUnknown(t *trial) {
	_, err := t.client.Get(t.ctx, hfgateway.NewIdempotencyKey())
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
}

func adopt(t *trial) {
	prompt := unique("a fox")
	var made struct {
		RequestID string `json:"request_id"`
	}
	t.control("/elsewhere", map[string]any{"prompt": prompt}, &made)
	labels := map[string]string{"from": "elsewhere"}
	adoption := &pb.AdoptGenerationRequest{UpstreamRequestId: made.RequestID, Labels: labels}
	first := value[*pb.AdoptGenerationResponse](t)(t.client.Generations.AdoptGeneration(t.ctx, adoption))
	again := value[*pb.AdoptGenerationResponse](t)(t.client.Generations.AdoptGeneration(t.ctx, adoption))
	id := first.GetGeneration().GetId()
	t.check(again.GetGeneration().GetId() == id && !first.GetReplayed() && again.GetReplayed(), first, again)
	t.advance(60)
	done := value[*hfgateway.Generation](t)(t.client.Wait(t.ctx, id, 0))
	t.check(done.GetState() == hfgateway.StateCompleted && done.GetAdopted(), done)
	t.check(done.GetLabels()["from"] == "elsewhere", done)
	filter := &hfgateway.Filter{UpstreamRequestIds: []string{made.RequestID}}
	var found []string
	for one, err := range t.client.List(t.ctx, filter) {
		found = append(found, value[*hfgateway.Generation](t)(one, err).GetId())
	}
	t.check(slices.Equal(found, []string{id}), found)
	t.charged(prompt, 1, 1)
}

func adoptUnknown(t *trial) {
	adoption := &pb.AdoptGenerationRequest{
		UpstreamRequestId: hfgateway.NewIdempotencyKey(), ApiVersion: pb.ApiVersion_API_VERSION_V1,
	}
	_, err := t.client.Generations.AdoptGeneration(t.ctx, adoption)
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
}

func listPages(t *trial) {
	labels := map[string]string{"run": unique("five")}
	var made []string
	for range 5 {
		made = append(made, t.queued(unique("a fox"), func(r *hfgateway.SubmitRequest) { r.Labels = labels }).GetId())
	}
	slices.Reverse(made)
	var found []string
	paged := func(r *hfgateway.ListRequest) { r.PageSize = 2 }
	for one, err := range t.client.List(t.ctx, &hfgateway.Filter{Labels: labels}, paged) {
		found = append(found, value[*hfgateway.Generation](t)(one, err).GetId())
	}
	t.check(slices.Equal(found, made), found, made)
}

func wait(t *trial) {
	id := t.queued(unique("a fox")).GetId()
	early := value[*hfgateway.Generation](t)(t.client.Wait(t.ctx, id, 200*time.Millisecond))
	t.check(early.GetId() == id && !early.GetDone(), early)
	type outcome struct {
		generation *hfgateway.Generation
		err        error
	}
	answered := make(chan outcome, 1)
	go func() {
		found, err := t.client.Wait(t.ctx, id, 0)
		answered <- outcome{found, err}
	}()
	t.advance(60)
	came := <-answered
	late := value[*hfgateway.Generation](t)(came.generation, came.err)
	t.check(late.GetDone() && late.GetState() == hfgateway.StateCompleted, late)
}

func watchToEnd(t *trial)               { watchOver(t, func() {}) }
func watchResumesAfterCut(t *trial)     { watchOver(t, t.cut) }
func watchResumesAfterRestart(t *trial) { watchOver(t, t.restart) }

// watchOver watches a generation to its end, and calls trouble in two states.
func watchOver(t *trial, trouble func()) {
	watch := read(t, t.client.Watch(t.ctx, t.queued(unique("a fox")).GetId()))
	defer watch.stop()
	watch.until(inState(hfgateway.StateQueued))
	trouble()
	t.advance(1.5)
	watch.until(inState(hfgateway.StateInProgress))
	trouble()
	t.advance(60)
	seen := watch.rest()
	t.check(withoutGap(seen, 1), seen)
	last := seen[len(seen)-1]
	t.check(last.GetState() == hfgateway.StateCompleted && last.GetOutputs()[0].GetUrl() != "", last)
}

func inState(state hfgateway.State) func(*hfgateway.Generation) bool {
	return func(changed *hfgateway.Generation) bool { return changed.GetState() == state }
}

// withoutGap returns whether changes has every revision from first, once and in order.
func withoutGap(changes []*hfgateway.Generation, first int32) bool {
	for number, changed := range changes {
		if changed.GetRevision() != first+int32(number) {
			return false
		}
	}
	return len(changes) > 0
}

func watchStops(t *trial) {
	id := t.queued(unique("a fox")).GetId()
	// Break ends a watch.
	for changed, err := range t.client.Watch(t.ctx, id) {
		if value[*hfgateway.Generation](t)(changed, err).GetState() == hfgateway.StateQueued {
			break
		}
	}
	// Canceling the context ends it too.
	ctx, cancel := context.WithCancel(t.ctx)
	defer cancel()
	var last error
	for changed, err := range t.client.Watch(ctx, id) {
		if last = err; inState(hfgateway.StateQueued)(changed) {
			cancel()
		}
	}
	t.check(errors.Is(last, context.Canceled), last)
	t.advance(60)
	t.until(id, hfgateway.StateCompleted)
}

func watchMany(t *trial)                { watchTwo(t, []string{hfgateway.NewIdempotencyKey()}, func() {}) }
func watchManyResumesAfterCut(t *trial) { watchTwo(t, nil, t.cut) }

// watchTwo watches two generations, and unknown ids, until both have ended.
func watchTwo(t *trial, unknown []string, trouble func()) {
	first := map[string]int32{}
	var ids []string
	for range 2 {
		found := t.queued(unique("a fox"))
		ids, first[found.GetId()] = append(ids, found.GetId()), found.GetRevision()
	}
	watch := read(t, t.client.WatchMany(t.ctx, &hfgateway.Filter{Ids: append(ids, unknown...)}))
	defer watch.stop()
	watch.until(isCaughtUp)
	trouble()
	t.advance(1.5)
	for range ids {
		watch.until(func(event hfgateway.Event) bool {
			return event.Changed.GetState() == hfgateway.StateInProgress
		})
	}
	trouble()
	t.advance(60)
	seen := watch.rest()

	caughtUp := 0
	var missing []string
	for _, event := range seen {
		t.check(!event.Reset, "a reset")
		missing = append(missing, event.Missing...)
		if event.CaughtUp {
			caughtUp++
		}
	}
	t.check(caughtUp == 1, "caught up", caughtUp)
	t.check(slices.Equal(missing, unknown), missing)
	for _, id := range ids {
		changes := changesOf(id, seen)
		t.check(withoutGap(changes, first[id]), changes)
		t.check(changes[len(changes)-1].GetState() == hfgateway.StateCompleted, changes)
	}
}

func isCaughtUp(event hfgateway.Event) bool { return event.CaughtUp }

func changesOf(id string, seen []hfgateway.Event) (changes []*hfgateway.Generation) {
	for _, event := range seen {
		if event.Changed.GetId() == id {
			changes = append(changes, event.Changed)
		}
	}
	return changes
}

func watchManyResumeToken(t *trial) {
	id := t.queued(unique("a fox")).GetId()
	filter := &hfgateway.Filter{Ids: []string{id}}
	first := read(t, t.client.WatchMany(t.ctx, filter))
	defer first.stop()
	token := first.until(isCaughtUp).ResumeToken
	t.check(token != "", "no token")
	first.stop()
	t.advance(60)
	t.until(id, hfgateway.StateCompleted)

	second := read(t, t.client.WatchMany(t.ctx, filter, func(r *hfgateway.WatchManyRequest) { r.ResumeToken = token }))
	defer second.stop()
	before := changesOf(id, first.seen)
	after := changesOf(id, second.rest())
	t.check(withoutGap(after, before[len(before)-1].GetRevision()+1), before, after)
	t.check(after[len(after)-1].GetState() == hfgateway.StateCompleted, after)
}

func generate(t *trial) {
	prompt := unique("a fox")
	result, seen, err := generated(t, prompt)
	value[*hfgateway.Generation](t)(result, err)
	t.check(withoutGap(seen, 1), seen)
	t.check(result.GetState() == hfgateway.StateCompleted && result.GetOutputs()[0].GetUrl() != "", result)
	t.check(result.GetRevision() == seen[len(seen)-1].GetRevision(), result, seen)
	t.charged(prompt, 1, 1)
}

func generateFailed(t *trial) {
	prompt := unique("a fox [nsfw]")
	_, seen, err := generated(t, prompt)
	var ended *hfgateway.GenerationError
	if !errors.As(err, &ended) || !errors.Is(err, hfgateway.ErrGenerationModerated) {
		t.failf("%v", err)
	}
	t.check(ended.Reason == "MODERATED" && ended.Generation.GetState() == hfgateway.StateNSFW, ended)
	t.check(ended.Generation.GetId() == seen[0].GetId(), ended, seen)
	t.charged(prompt, 0, 1)
}

// generated returns the result of Generate, and the progress that it reported.
func generated(t *trial, prompt string) (*hfgateway.Generation, []*hfgateway.Generation, error) {
	var seen []*hfgateway.Generation
	result, err := t.client.Generate(t.ctx, hfgateway.Soul(prompt), func(changed *hfgateway.Generation) {
		if len(seen) > 0 && seen[len(seen)-1].GetRevision() == changed.GetRevision() {
			seen[len(seen)-1] = changed // a newer forecast
			return
		}
		if seen = append(seen, changed); changed.GetState() == hfgateway.StateQueued {
			t.advance(60)
		}
	})
	return result, seen, err
}
