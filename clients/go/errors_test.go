package hfgateway_test

import (
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func TestErrorText(t *testing.T) {
	seed := &hfgateway.FieldViolation{Field: "input.soul.seed", Description: "1 to 1,000,000"}
	prompt := &hfgateway.FieldViolation{Field: "input.soul.prompt", Description: "is empty"}
	for want, end := range map[string]step{
		"hfgateway: INVALID_INPUT: 2 fields (input.soul.seed: 1 to 1,000,000; input.soul.prompt: is empty)": refuse(codes.InvalidArgument, &pb.Failure{
			Reason:          pb.ErrorReason_ERROR_REASON_INVALID_INPUT,
			Message:         "2 fields",
			FieldViolations: []*hfgateway.FieldViolation{seed, prompt},
		}),
		"hfgateway: INPUT_REFUSED: input.soul.prompt is empty": refuse(codes.InvalidArgument, &pb.Failure{
			Reason:          pb.ErrorReason_ERROR_REASON_INPUT_REFUSED,
			Message:         "input.soul.prompt is empty",
			FieldViolations: []*hfgateway.FieldViolation{prompt},
		}),
		"hfgateway: INVALID_ARGUMENT: invalid argument": func(*call) error { return status.Error(codes.InvalidArgument, "") },
	} {
		g := newGateway(t)
		g.on("GetGeneration", end)
		client, _ := newClient(t, g.address())
		if _, err := client.Get(within(t), "g1"); err.Error() != want {
			t.Errorf("%q instead of %q", err, want)
		}
	}
}

func TestStatusWithoutAnExistingCodeIsUnavailable(t *testing.T) {
	g := newGateway(t)
	unknown := func(*call) error { return status.Error(99, "odd") }
	g.on("SubmitGeneration", unknown, submitted(hfgateway.StateQueued, 1))
	client, _ := newClient(t, g.address())
	if _, err := client.Submit(within(t), input); err != nil {
		t.Fatal(err)
	}
	asked := requests[*pb.SubmitGenerationRequest](g, "SubmitGeneration")
	if len(asked) != 2 || !proto.Equal(asked[0], asked[1]) {
		t.Errorf("requests %v", asked)
	}
}

func TestGenerationErrorText(t *testing.T) {
	for want, ended := range map[string]*hfgateway.Generation{
		"hfgateway: generation g1: MODERATED: no foxes": {
			Id: "g1", State: hfgateway.StateNSFW, Done: true,
			Failure: &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_MODERATED, Message: "no foxes"},
		},
		"hfgateway: generation g1: STATE_17: ended as STATE_17": {Id: "g1", State: 17, Done: true},
	} {
		g := newGateway(t)
		g.on("SubmitGeneration", respond(&pb.SubmitGenerationResponse{Generation: ended}))
		client, _ := newClient(t, g.address())
		_, err := client.Generate(within(t), input, nil)
		if fmt.Sprint(err) != want || !errors.Is(err, hfgateway.ErrGenerationFailed) {
			t.Errorf("%q instead of %q", err, want)
		}
	}
}
