package main

import (
	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func noKey(t *trial)    { stranger(t, "") }
func wrongKey(t *trial) { stranger(t, "hfg_"+hfgateway.NewIdempotencyKey()) }

func stranger(t *trial, key string) {
	id := t.queued(unique("a fox")).GetId()
	client := t.another(t.address, key)
	defer client.Close()
	_, err := client.Get(t.ctx, id)
	t.refused(err, hfgateway.ErrInvalidCredentials, "INVALID_CREDENTIALS")
}

func otherTenant(t *trial) {
	prompt, key := unique("a fox"), withKey(hfgateway.NewIdempotencyKey())
	first := t.submit(prompt, key).Generation
	other := t.another(t.address, t.otherAPIKey)
	defer other.Close()
	_, err := other.Get(t.ctx, first.GetId())
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
	second := value[*hfgateway.Submission](t)(other.Submit(t.ctx, hfgateway.Soul(prompt), key))
	t.check(!second.Replayed && second.Generation.GetId() != first.GetId(), second)
	t.charged(prompt, 2, 2)
}

func overTLS(t *trial) {
	prompt := unique("a fox")
	client := t.another(t.tlsAddress, t.apiKey, hfgateway.WithTLSFiles(t.tlsCA, "", ""))
	defer client.Close()
	submission := value[*hfgateway.Submission](t)(client.Submit(t.ctx, hfgateway.Soul(prompt)))
	t.check(submission.Generation.GetState() == hfgateway.StateQueued, submission)
	t.charged(prompt, 1, 1)

	stranger := t.another(t.tlsAddress, t.apiKey, hfgateway.WithTLS(nil), impatient)
	defer stranger.Close()
	_, err := stranger.Submit(t.ctx, hfgateway.Soul(unique("a hare")))
	t.refused(err, hfgateway.ErrUnavailable, "")
}

func watchToken(t *trial) {
	id, other := t.queued(unique("a fox")).GetId(), t.queued(unique("a hare")).GetId()
	token := value[*pb.CreateWatchTokenResponse](t)(t.client.Tokens.CreateWatchToken(
		t.ctx, &pb.CreateWatchTokenRequest{Filter: &hfgateway.Filter{Ids: []string{id}}}))
	client := t.another(t.address, token.GetToken())
	defer client.Close()
	_, err := client.Get(t.ctx, other)
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
	_, err = client.Submit(t.ctx, hfgateway.Soul(unique("a fox")))
	t.refused(err, hfgateway.ErrNotAllowed, "NOT_ALLOWED")
	watch := read(t, client.Watch(t.ctx, id))
	defer watch.stop()
	watch.until(inState(hfgateway.StateQueued))
	t.advance(60)
	seen := watch.rest()
	t.check(withoutGap(seen, 1) && seen[len(seen)-1].GetState() == hfgateway.StateCompleted, seen)
}
