package hfgateway_test

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func TestListModelsFetchesAllPagesWithTheSameQuery(t *testing.T) {
	g := newGateway(t)
	g.on("ListModels",
		respond(&pb.ListModelsResponse{Models: []*pb.Model{{Id: "a"}, {Id: "b"}}, NextPageToken: "p2"}),
		draining(0),
		respond(&pb.ListModelsResponse{Models: []*pb.Model{{Id: "c"}}}))
	client, _ := newClient(t, g.address())
	query := &pb.ListModelsRequest{PageSize: 2, Query: "soul", IncludeSchema: true, PageToken: "ignored"}

	var seen []string
	for found, err := range client.ListModels(within(t), query) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, found.GetId())
	}

	if text(seen) != "[a b c]" {
		t.Errorf("listed %v", seen)
	}
	for number, token := range []string{"", "p2", "p2"} {
		want := &pb.ListModelsRequest{PageSize: 2, Query: "soul", IncludeSchema: true, PageToken: token}
		if got := g.received("ListModels")[number].request; !proto.Equal(got, want) {
			t.Errorf("requests %v", got)
		}
	}
	if query.GetPageToken() != "ignored" {
		t.Error("the caller's query was changed")
	}
}

func TestCatalogListsSendTheirQueries(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	ctx := within(t)
	g.on("ListModels", respond(&pb.ListModelsResponse{Models: []*pb.Model{{Id: "m"}}}))
	g.on("ListMotions", respond(&pb.ListMotionsResponse{Motions: []*pb.Motion{{Id: "zoom"}}}))
	g.on("ListSoulStyles", respond(&pb.ListSoulStylesResponse{SoulStyles: []*pb.SoulStyle{{Id: "noir"}}}))
	g.on("ListPresets", respond(&pb.ListPresetsResponse{Presets: []*pb.Preset{{Id: "clay"}}}))

	for _, err := range client.ListModels(ctx, nil) {
		if err != nil {
			t.Error(err)
		}
	}
	for found, err := range client.ListMotions(ctx, &pb.ListMotionsRequest{Query: "zoom"}) {
		if err != nil || found.GetId() != "zoom" {
			t.Error(found, err)
		}
	}
	for found, err := range client.ListSoulStyles(ctx, &pb.ListSoulStylesRequest{Version: hfgateway.SoulV2}) {
		if err != nil || found.GetId() != "noir" {
			t.Error(found, err)
		}
	}
	for found, err := range client.ListPresets(ctx, &pb.ListPresetsRequest{ModelId: "genjutsu"}) {
		if err != nil || found.GetId() != "clay" {
			t.Error(found, err)
		}
	}

	for rpc, want := range map[string]proto.Message{
		"ListModels":     &pb.ListModelsRequest{},
		"ListMotions":    &pb.ListMotionsRequest{Query: "zoom"},
		"ListSoulStyles": &pb.ListSoulStylesRequest{Version: hfgateway.SoulV2},
		"ListPresets":    &pb.ListPresetsRequest{ModelId: "genjutsu"},
	} {
		if got := g.received(rpc)[0].request; !proto.Equal(got, want) {
			t.Errorf("%s: asked %v", rpc, got)
		}
	}
}

func TestWatchModelsResumesAfterLastRevision(t *testing.T) {
	g := newGateway(t)
	change := func(revision int64, id string) proto.Message {
		message := &pb.WatchModelsResponse{Revision: revision}
		if id != "" {
			message.Model = &pb.Model{Id: id}
		}
		return message
	}
	g.on("WatchModels",
		respond(change(7, "")), // a proxy has ended it
		sequence(respond(change(7, ""), change(8, "a")), draining(0)),
		sequence(respond(change(8, ""), change(9, "b")), refuse(codes.InvalidArgument, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_INVALID_INPUT})))
	client, _ := newClient(t, g.address())

	var seen []int64
	given := &pb.WatchModelsRequest{AfterRevision: proto.Int64(6)}
	for found, err := range client.WatchModels(within(t), given) {
		if err != nil {
			if !errors.Is(err, hfgateway.ErrInvalidInput) {
				t.Error(err)
			}
			break
		}
		seen = append(seen, found.GetRevision())
	}
	if text(seen) != "[8 9]" {
		t.Error(seen)
	}
	for number, want := range []*pb.WatchModelsRequest{given, {AfterRevision: proto.Int64(7)}, {AfterRevision: proto.Int64(8)}} {
		if got := g.received("WatchModels")[number].request; !proto.Equal(got, want) {
			t.Error(number, got)
		}
	}
}
