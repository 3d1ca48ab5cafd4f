package main

import (
	"net"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// called creates a callback for a label that no generation has, to an address on which nothing listens. The caller
// drops it.
func (t *trial) called(set ...func(*hfgateway.CreateCallbackRequest)) *hfgateway.CreatedCallback {
	socket := value[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	socket.Close()
	filter := &hfgateway.Filter{Labels: map[string]string{"run": unique("nothing")}}
	filtered := func(r *hfgateway.CreateCallbackRequest) { r.Filter = filter }
	created, err := t.client.CreateCallback(t.ctx, "http://"+socket.Addr().String()+"/hook", append(set, filtered)...)
	return value[*hfgateway.CreatedCallback](t)(created, err)
}

// drop deletes the callback, because a tenant may have only a few.
func (t *trial) drop(callback *hfgateway.CreatedCallback) {
	request := &pb.DeleteCallbackRequest{Id: callback.Callback.GetId()}
	value[*pb.DeleteCallbackResponse](t)(t.client.Callbacks.DeleteCallback(t.ctx, request))
}

func createCallback(t *trial) {
	first := t.called(func(r *hfgateway.CreateCallbackRequest) { r.EveryChange = true })
	defer t.drop(first)
	t.check(strings.HasPrefix(first.Secret, "whsec_") && !first.Replayed, first.Replayed)
	t.check(first.Callback.GetId() != "" && first.Callback.GetEveryChange(), first.Callback)
	second := value[*hfgateway.CreatedCallback](t)(t.client.CreateCallback(t.ctx, first.Callback.GetUrl(),
		func(r *hfgateway.CreateCallbackRequest) {
			r.IdempotencyKey, r.EveryChange, r.Filter = first.IdempotencyKey, true, first.Callback.GetFilter()
		}))
	t.check(second.Callback.GetId() == first.Callback.GetId() && second.Replayed && second.Secret == "", second.Replayed)
}

func lostCallbackSecret(t *trial) {
	url := t.harness + "/receive?" + hfgateway.NewIdempotencyKey()
	t.check(t.client.Check(t.ctx) == nil, "there is no connection to lose")
	var lost struct{ Connections int }
	t.control("/lose", map[string]any{"callback_url": url}, &lost)
	t.check(lost.Connections > 0, "there was no connection to lose")
	filter := &hfgateway.Filter{Labels: map[string]string{"run": unique("nothing")}}
	made := value[*hfgateway.CreatedCallback](t)(t.client.CreateCallback(t.ctx, url,
		func(r *hfgateway.CreateCallbackRequest) { r.Filter = filter }))
	defer t.drop(made)
	t.check(made.Replayed && strings.HasPrefix(made.Secret, "whsec_"), made.Replayed)
	request := &pb.TestCallbackRequest{Id: made.Callback.GetId()}
	delivery := value[*pb.TestCallbackResponse](t)(t.client.Callbacks.TestCallback(t.ctx, request)).GetDelivery()
	t.check(delivery.GetState() == pb.DeliveryState_DELIVERY_STATE_DELIVERED, delivery)
	var verified struct{ Valid bool }
	t.control("/verify", map[string]any{"secret": made.Secret}, &verified)
	t.check(verified.Valid, "the secret is not the one that signs")
}

func getCallback(t *trial) {
	made := t.called()
	defer t.drop(made)
	request := &pb.GetCallbackRequest{Id: made.Callback.GetId()}
	found := value[*pb.GetCallbackResponse](t)(t.client.Callbacks.GetCallback(t.ctx, request)).GetCallback()
	t.check(proto.Equal(found, made.Callback), found, made.Callback)
	other := t.another(t.address, t.otherAPIKey)
	defer other.Close()
	_, err := other.Callbacks.GetCallback(t.ctx, request)
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
}

func listCallbacks(t *trial) {
	first := t.called()
	defer t.drop(first)
	second := t.called()
	defer t.drop(second)
	found := idsOf(t, t.client.ListCallbacks(t.ctx, &pb.ListCallbacksRequest{PageSize: 1}))
	t.check(slices.Equal(found[:2], []string{second.Callback.GetId(), first.Callback.GetId()}), found)
}

func updateCallback(t *trial) {
	made := t.called()
	defer t.drop(made)
	for _, paused := range []bool{true, false} {
		request := &pb.UpdateCallbackRequest{Id: made.Callback.GetId(), Paused: &paused}
		changed := value[*pb.UpdateCallbackResponse](t)(t.client.Callbacks.UpdateCallback(t.ctx, request)).GetCallback()
		t.check(changed.GetPaused() == paused && proto.Equal(changed.GetFilter(), made.Callback.GetFilter()), changed)
	}
}

func deleteCallback(t *trial) {
	made := t.called()
	for range 2 {
		t.drop(made)
		_, err := t.client.Callbacks.GetCallback(t.ctx, &pb.GetCallbackRequest{Id: made.Callback.GetId()})
		t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
	}
}

func rotateCallbackSecret(t *trial) {
	made := t.called()
	defer t.drop(made)
	request := &pb.RotateCallbackSecretRequest{Id: made.Callback.GetId()}
	rotated := value[*pb.RotateCallbackSecretResponse](t)(t.client.Callbacks.RotateCallbackSecret(t.ctx, request))
	t.check(strings.HasPrefix(rotated.GetSecret(), "whsec_") && rotated.GetSecret() != made.Secret, "the same secret")
	t.check(rotated.GetCallback().GetOldSecretsExpireTime() != nil, rotated.GetCallback())
}

func testCallback(t *trial) {
	made := t.called()
	defer t.drop(made)
	request := &pb.TestCallbackRequest{Id: made.Callback.GetId()}
	delivery := value[*pb.TestCallbackResponse](t)(t.client.Callbacks.TestCallback(t.ctx, request)).GetDelivery()
	t.check(delivery.GetState() == pb.DeliveryState_DELIVERY_STATE_FAILED && delivery.GetHttpStatus() == 0, delivery)
	t.check(delivery.GetProblem() == pb.DeliveryProblem_DELIVERY_PROBLEM_CONNECTION, delivery)
}

func listDeliveries(t *trial) {
	made := t.called()
	defer t.drop(made)
	query := &pb.ListDeliveriesRequest{CallbackId: made.Callback.GetId()}
	t.check(len(read(t, t.client.ListDeliveries(t.ctx, query)).rest()) == 0, "unexpected deliveries")
	for _, err := range t.client.ListDeliveries(t.ctx, nil) {
		t.refused(err, hfgateway.ErrInvalidInput, "INVALID_INPUT")
		return
	}
	t.failf("deliveries of no callback are no error")
}

func redeliverDelivery(t *trial) {
	request := &pb.RedeliverDeliveryRequest{Id: hfgateway.NewIdempotencyKey()}
	_, err := t.client.Callbacks.RedeliverDelivery(t.ctx, request)
	t.refused(err, hfgateway.ErrNotFound, "NOT_FOUND")
}
