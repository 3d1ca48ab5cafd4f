package hfgateway_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func TestCallbackMethodsSendTheirRequests(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	ctx := within(t)
	labels := &hfgateway.Filter{Labels: map[string]string{"order": "7"}}
	callback, delivery := &pb.Callback{Id: "b1"}, &pb.Delivery{Id: "d1", State: hfgateway.DeliveryFailed}
	no := false
	for _, try := range []struct {
		name     string
		rpc      string
		call     func() (proto.Message, error)
		answer   proto.Message
		request  proto.Message
		returned proto.Message
	}{
		{
			"create", "CreateCallback", func() (proto.Message, error) {
				created, err := client.CreateCallback(ctx, "https://example.com/hook", hfgateway.WithIdempotencyKey("k"),
					hfgateway.WithFilter(labels), hfgateway.EveryChange(true))
				if created.Secret != "whsec_1" || created.IdempotencyKey != "k" || created.Replayed {
					t.Errorf("created %+v", created)
				}
				return created.Callback, err
			},
			&pb.CreateCallbackResponse{Callback: callback, Secret: "whsec_1"},
			&pb.CreateCallbackRequest{
				Url: "https://example.com/hook", Filter: labels, EveryChange: true, IdempotencyKey: "k",
			}, callback,
		},
		{
			"get", "GetCallback", func() (proto.Message, error) { return client.GetCallback(ctx, "b1") },
			&pb.GetCallbackResponse{Callback: callback}, &pb.GetCallbackRequest{Id: "b1"}, callback,
		},
		{
			"update of nothing", "UpdateCallback", func() (proto.Message, error) { return client.UpdateCallback(ctx, "b1") },
			&pb.UpdateCallbackResponse{Callback: callback}, &pb.UpdateCallbackRequest{Id: "b1"}, callback,
		},
		{
			"update of all", "UpdateCallback", func() (proto.Message, error) {
				return client.UpdateCallback(ctx, "b1",
					hfgateway.Paused(false), hfgateway.EveryChange(false), hfgateway.WithFilter(nil))
			},
			&pb.UpdateCallbackResponse{Callback: callback},
			&pb.UpdateCallbackRequest{Id: "b1", Paused: &no, EveryChange: &no, Filter: &hfgateway.Filter{}}, callback,
		},
		{
			"delete", "DeleteCallback", func() (proto.Message, error) { return callback, client.DeleteCallback(ctx, "b1") },
			&pb.DeleteCallbackResponse{}, &pb.DeleteCallbackRequest{Id: "b1"}, callback,
		},
		{
			"rotate", "RotateCallbackSecret", func() (proto.Message, error) { return client.RotateCallbackSecret(ctx, "b1") },
			&hfgateway.RotatedSecret{Callback: callback, Secret: "whsec_2"},
			&pb.RotateCallbackSecretRequest{Id: "b1"},
			&hfgateway.RotatedSecret{Callback: callback, Secret: "whsec_2"},
		},
		{
			"test", "TestCallback", func() (proto.Message, error) { return client.TestCallback(ctx, "b1") },
			&pb.TestCallbackResponse{Delivery: delivery}, &pb.TestCallbackRequest{Id: "b1"}, delivery,
		},
		{
			"redeliver", "RedeliverDelivery", func() (proto.Message, error) { return client.Redeliver(ctx, "d1") },
			&pb.RedeliverDeliveryResponse{Delivery: delivery}, &pb.RedeliverDeliveryRequest{Id: "d1"}, delivery,
		},
	} {
		t.Run(try.name, func(t *testing.T) {
			g.on(try.rpc, respond(try.answer))
			returned, err := try.call()
			if err != nil || !proto.Equal(returned, try.returned) {
				t.Fatal(returned, err)
			}
			received := g.received(try.rpc)
			if got := received[len(received)-1].request; !proto.Equal(got, try.request) {
				t.Errorf("requests %v", got)
			}
		})
	}
}

func TestListsOfCallbacksAndDeliveriesFetchAllPages(t *testing.T) {
	g := newGateway(t)
	g.on("ListCallbacks",
		respond(&pb.ListCallbacksResponse{Callbacks: []*pb.Callback{{Id: "b2"}}, NextPageToken: "p2"}),
		respond(&pb.ListCallbacksResponse{Callbacks: []*pb.Callback{{Id: "b1"}}}))
	g.on("ListDeliveries",
		respond(&pb.ListDeliveriesResponse{Deliveries: []*pb.Delivery{{Id: "d2"}}, NextPageToken: "p2"}),
		respond(&pb.ListDeliveriesResponse{Deliveries: []*pb.Delivery{{Id: "d1"}}}))
	client, _ := newClient(t, g.address())
	ctx := within(t)

	var seen []string
	for found, err := range client.ListCallbacks(ctx, nil) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, found.GetId())
	}
	failures := &hfgateway.DeliveryQuery{CallbackId: "b1", FailedOnly: true, PageSize: 1}
	for found, err := range client.ListDeliveries(ctx, failures) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, found.GetId())
	}

	if text(seen) != "[b2 b1 d2 d1]" {
		t.Errorf("listed %v", seen)
	}
	want := &pb.ListDeliveriesRequest{CallbackId: "b1", FailedOnly: true, PageSize: 1, PageToken: "p2"}
	if got := g.received("ListDeliveries")[1].request; !proto.Equal(got, want) {
		t.Errorf("requests %v", got)
	}
	if got := g.received("ListCallbacks")[1].request; !proto.Equal(got, &pb.ListCallbacksRequest{PageToken: "p2"}) {
		t.Errorf("requests %v", got)
	}
}

func TestSecretThatAnotherCallerMayHaveIsNotReplaced(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	g.on("CreateCallback", respond(&pb.CreateCallbackResponse{Callback: &pb.Callback{Id: "b1"}, Replayed: true}))
	created, err := client.CreateCallback(within(t), "https://example.com/hook", hfgateway.WithIdempotencyKey("k"))
	if err != nil || created.Secret != "" || !created.Replayed {
		t.Error(created, err)
	}
}
