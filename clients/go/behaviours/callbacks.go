package main

import (
	"net"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
)

// called creates a callback for a label that no generation has, to an address on which nothing listens. The caller
// drops it.
func (t *trial) called(options ...hfgateway.CallbackOption) *hfgateway.CreatedCallback {
	socket := value[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	socket.Close()
	filter := &hfgateway.Filter{Labels: map[string]string{"run": unique("nothing")}}
	created, err := t.client.CreateCallback(t.ctx, "http://"+socket.Addr().String()+"/hook",
		append(options, hfgateway.WithFilter(filter))...)
	return value[*hfgateway.CreatedCallback](t)(created, err)
}

// drop deletes the callback, because a tenant may have only a few.
func (t *trial) drop(callback *hfgateway.CreatedCallback) {
	if err := t.client.DeleteCallback(t.ctx, callback.Callback.GetId()); err != nil {
		t.failf("%v", err)
	}
}

func createCallback(t *trial) {
	first := t.called(hfgateway.EveryChange(true))
	defer t.drop(first)
	t.check(strings.HasPrefix(first.Secret, "whsec_") && !first.Replayed, first.Replayed)
	t.check(first.Callback.GetId() != "" && first.Callback.GetEveryChange(), first.Callback)
	second := value[*hfgateway.CreatedCallback](t)(t.client.CreateCallback(t.ctx, first.Callback.GetUrl(),
		hfgateway.WithIdempotencyKey(first.IdempotencyKey), hfgateway.EveryChange(true),
		hfgateway.WithFilter(first.Callback.GetFilter())))
	t.check(second.Callback.GetId() == first.Callback.GetId() && second.Replayed && second.Secret == "", second.Replayed)
}

func getCallback(t *trial) {
	made := t.called()
	defer t.drop(made)
	found := value[*hfgateway.Callback](t)(t.client.GetCallback(t.ctx, made.Callback.GetId()))
	t.check(proto.Equal(found, made.Callback), found, made.Callback)
	other := t.another(t.address, t.otherAPIKey)
	defer other.Close()
	_, err := other.GetCallback(t.ctx, made.Callback.GetId())
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
}

func listCallbacks(t *trial) {
	first := t.called()
	defer t.drop(first)
	second := t.called()
	defer t.drop(second)
	found := idsOf(t, t.client.ListCallbacks(t.ctx, &hfgateway.CallbackQuery{PageSize: 1}))
	t.check(slices.Equal(found[:2], []string{second.Callback.GetId(), first.Callback.GetId()}), found)
}

func updateCallback(t *trial) {
	made := t.called()
	defer t.drop(made)
	for _, paused := range []bool{true, false} {
		changed := value[*hfgateway.Callback](t)(
			t.client.UpdateCallback(t.ctx, made.Callback.GetId(), hfgateway.Paused(paused)))
		t.check(changed.GetPaused() == paused && proto.Equal(changed.GetFilter(), made.Callback.GetFilter()), changed)
	}
}

func deleteCallback(t *trial) {
	made := t.called()
	for range 2 {
		t.drop(made)
		_, err := t.client.GetCallback(t.ctx, made.Callback.GetId())
		t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
	}
}

func rotateCallbackSecret(t *trial) {
	made := t.called()
	defer t.drop(made)
	rotated := value[*hfgateway.RotatedSecret](t)(t.client.RotateCallbackSecret(t.ctx, made.Callback.GetId()))
	t.check(strings.HasPrefix(rotated.GetSecret(), "whsec_") && rotated.GetSecret() != made.Secret, "the same secret")
	t.check(rotated.GetCallback().GetOldSecretsExpireTime() != nil, rotated.GetCallback())
}

func testCallback(t *trial) {
	made := t.called()
	defer t.drop(made)
	delivery := value[*hfgateway.Delivery](t)(t.client.TestCallback(t.ctx, made.Callback.GetId()))
	t.check(delivery.GetState() == hfgateway.DeliveryFailed, delivery)
	t.check(delivery.GetProblem() == hfgateway.ProblemConnection && delivery.GetHttpStatus() == 0, delivery)
}

func listDeliveries(t *trial) {
	made := t.called()
	defer t.drop(made)
	query := &hfgateway.DeliveryQuery{CallbackId: made.Callback.GetId()}
	t.check(len(read(t, t.client.ListDeliveries(t.ctx, query)).rest()) == 0, "unexpected deliveries")
	for _, err := range t.client.ListDeliveries(t.ctx, nil) {
		t.refused(err, hfgateway.ErrInvalidInput, "INVALID_INPUT")
		return
	}
	t.failf("deliveries of no callback are no error")
}

func redeliverDelivery(t *trial) {
	_, err := t.client.Redeliver(t.ctx, hfgateway.NewIdempotencyKey())
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
}
