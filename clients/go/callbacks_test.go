package hfgateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func TestCreateCallbackSendsItsOptions(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	labels := &hfgateway.Filter{Labels: map[string]string{"order": "7"}}
	g.on("CreateCallback", respond(&pb.CreateCallbackResponse{Callback: &pb.Callback{Id: "b1"}, Secret: "whsec_1"}))
	created, err := client.CreateCallback(within(t), "https://example.com/hook",
		func(r *hfgateway.CreateCallbackRequest) {
			r.IdempotencyKey, r.Filter, r.EveryChange = "k", labels, true
		})
	if err != nil || created.Secret != "whsec_1" || created.IdempotencyKey != "k" || created.Replayed {
		t.Errorf("created %+v, %v", created, err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, printed := range []any{created, *created} {
			if text := fmt.Sprintf(format, printed); strings.Contains(text, "whsec_1") {
				t.Errorf("%s shows the secret: %s", format, text)
			}
		}
	}
	want := &pb.CreateCallbackRequest{
		Url: "https://example.com/hook", Filter: labels, EveryChange: true, IdempotencyKey: "k",
	}
	if got := g.received("CreateCallback")[0].request; !proto.Equal(got, want) {
		t.Errorf("requests %v", got)
	}
}

func TestStubsHaveRetriesAndErrorsOfTheClient(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	g.on("UpdateCallback", draining(0), respond(&pb.UpdateCallbackResponse{Callback: &pb.Callback{Id: "b1"}}))
	g.on("DeleteCallback", refuse(codes.Unauthenticated, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_INVALID_CREDENTIALS}))
	updated, err := client.Callbacks.UpdateCallback(within(t), &pb.UpdateCallbackRequest{Id: "b1", Paused: proto.Bool(true)})
	if err != nil || updated.GetCallback().GetId() != "b1" {
		t.Error(updated, err)
	}
	_, err = client.Callbacks.DeleteCallback(within(t), &pb.DeleteCallbackRequest{Id: "b1"})
	var failed *hfgateway.Error
	if !errors.As(err, &failed) || !errors.Is(err, hfgateway.ErrInvalidCredentials) {
		t.Error(err)
	}
	g.on("WatchCharacter", refuse(codes.NotFound, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_NOT_FOUND}))
	stream, err := client.Characters.WatchCharacter(within(t), &pb.WatchCharacterRequest{Id: "c1"})
	if err == nil {
		_, err = stream.Recv()
	}
	if !errors.As(err, &failed) || !errors.Is(err, hfgateway.ErrNotFound) {
		t.Error(err)
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
	failures := &pb.ListDeliveriesRequest{CallbackId: "b1", FailedOnly: true, PageSize: 1}
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
	created, err := client.CreateCallback(within(t), "https://example.com/hook",
		func(r *hfgateway.CreateCallbackRequest) { r.IdempotencyKey = "k" })
	if err != nil || created.Secret != "" || !created.Replayed {
		t.Error(created, err)
	}
}

func TestErrorOfALostSecretHasTheKeyOfTheCreation(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	g.on("CreateCallback", respond(&pb.CreateCallbackResponse{Callback: &pb.Callback{Id: "b1"}, Replayed: true}))
	g.on("RotateCallbackSecret",
		refuse(codes.ResourceExhausted, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_QUOTA_EXCEEDED}))
	_, err := client.CreateCallback(within(t), "https://example.com/hook")
	var failed *hfgateway.Error
	if !errors.As(err, &failed) || !errors.Is(err, hfgateway.ErrQuotaExceeded) {
		t.Fatal(err)
	}
	if asked := requests[*pb.CreateCallbackRequest](g, "CreateCallback"); failed.IdempotencyKey != asked[0].GetIdempotencyKey() {
		t.Error(failed.IdempotencyKey, asked)
	}
}
