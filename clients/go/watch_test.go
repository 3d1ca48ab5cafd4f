package hfgateway_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func TestWatchResumesAfterCutAndRepeatsNothing(t *testing.T) {
	g := newGateway(t)
	g.on("WatchGeneration",
		sequence(respond(change(hfgateway.StatePending, 1), &pb.WatchGenerationResponse{}, change(hfgateway.StateQueued, 2)), hang),
		respond(change(hfgateway.StateQueued, 2), change(hfgateway.StateInProgress, 3), change(hfgateway.StateCompleted, 4)))
	client, _ := newClient(t, g.address())

	var seen []int32
	for changed, err := range client.Watch(within(t), "g1", func(r *hfgateway.WatchRequest) { r.IncludeInput = true }) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, changed.GetRevision())
		if changed.GetRevision() == 2 {
			g.cut()
		}
	}

	if text(seen) != "[1 2 3 4]" {
		t.Errorf("saw %v", seen)
	}
	for number, revision := range []int32{0, 2} {
		want := &pb.WatchGenerationRequest{Id: "g1", AfterRevision: revision, IncludeInput: true}
		if got := g.received("WatchGeneration")[number].request; !proto.Equal(got, want) {
			t.Errorf("requests %v", got)
		}
	}
}

func TestWatchResumesAfterShutdownWithRequestedDelay(t *testing.T) {
	g := newGateway(t)
	g.on("WatchGeneration",
		sequence(respond(change(hfgateway.StateQueued, 1)), draining(3*time.Second)),
		draining(7*time.Second),
		respond(change(hfgateway.StateCompleted, 2)))
	client, clock := newClient(t, g.address())

	// There is no deadline: delays pass only on the test's clock.
	for _, err := range client.Watch(t.Context(), "g1") {
		if err != nil {
			t.Fatal(err)
		}
	}

	if text(clock.slept) != "[3s 7s]" {
		t.Errorf("slept %v", clock.slept)
	}
}

func TestWatchEndsIfGatewayStaysUnavailable(t *testing.T) {
	client, clock := newClient(t, unreachable(t))
	began := clock.now()

	var ended []error
	for _, err := range client.Watch(t.Context(), "g1") {
		ended = append(ended, err)
	}

	if len(ended) != 1 || !errors.Is(ended[0], hfgateway.ErrUnavailable) {
		t.Fatal(ended)
	}
	if away := clock.now().Sub(began); away < 100*time.Second || away > 120*time.Second {
		t.Errorf("gave up after %s", away)
	}
}

func TestWatchEndsWithPermanentError(t *testing.T) {
	g := newGateway(t)
	g.on("WatchGeneration", refuse(codes.NotFound, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_NOT_FOUND}))
	client, _ := newClient(t, g.address())

	var ended []error
	for _, err := range client.Watch(within(t), "unknown") {
		ended = append(ended, err)
	}

	if len(ended) != 1 || !errors.Is(ended[0], hfgateway.ErrNotFound) {
		t.Fatal(ended)
	}
}

func TestTimeoutOfAWatchNamesNoFailureFromWhichItHasRecovered(t *testing.T) {
	late := func(*call) error { return status.Error(codes.DeadlineExceeded, "late") }
	for _, recovered := range []bool{false, true} {
		g := newGateway(t)
		if recovered {
			g.on("WatchGeneration", draining(time.Second), sequence(respond(change(hfgateway.StateQueued, 1)), late))
		} else {
			g.on("WatchGeneration", draining(time.Second), late)
		}
		client, _ := newClient(t, g.address())
		var last error
		for _, last = range client.Watch(within(t), "g1") {
		}

		if !errors.Is(last, hfgateway.ErrDeadlineExceeded) || strings.Contains(last.Error(), "draining") == recovered {
			t.Errorf("recovered: %t: %v", recovered, last)
		}
	}
}

func TestWatchEndsAfterFinalChange(t *testing.T) {
	g := newGateway(t)
	left := make(chan struct{})
	g.on("WatchGeneration", sequence(respond(change(hfgateway.StateCompleted, 1)), func(received *call) error {
		defer close(left)
		return hang(received)
	}))
	client, _ := newClient(t, g.address())

	for _, err := range client.Watch(within(t), "g1") {
		if err != nil {
			t.Fatal(err)
		}
	}
	wait(t, left, "the end of the stream at the gateway")
}

func TestBreakEndsWatchCall(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	watch := client.Watch(within(t), "g1")
	for range 2 { // each range opens a new watch
		left := make(chan struct{})
		g.on("WatchGeneration", sequence(respond(change(hfgateway.StateQueued, 1)), func(received *call) error {
			defer close(left)
			return hang(received)
		}))
		for _, err := range watch {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		wait(t, left, "the end of the stream at the gateway")
	}
}

func TestContextEndsWatch(t *testing.T) {
	g := newGateway(t)
	g.on("WatchGeneration", sequence(respond(change(hfgateway.StateQueued, 1)), hang))
	client, _ := newClient(t, g.address())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var last error
	for changed, err := range client.Watch(ctx, "g1") {
		if changed != nil {
			cancel()
		}
		last = err
	}

	if !errors.Is(last, context.Canceled) {
		t.Fatal(last)
	}
}

func TestWatchManyResumesWithToken(t *testing.T) {
	g := newGateway(t)
	g.on("WatchGenerations",
		sequence(respond(
			&pb.WatchGenerationsResponse{ResumeToken: "a", Generation: generation(hfgateway.StateQueued, 1)},
			&pb.WatchGenerationsResponse{ResumeToken: "b", CaughtUp: true},
		), hang),
		respond(
			&pb.WatchGenerationsResponse{ResumeToken: "c", Generation: generation(hfgateway.StateCompleted, 2)},
			&pb.WatchGenerationsResponse{ResumeToken: "d", CaughtUp: true},
		))
	client, _ := newClient(t, g.address())
	filter := &hfgateway.Filter{Ids: []string{"g1"}}

	var seen []string
	for event, err := range client.WatchMany(within(t), filter,
		func(r *hfgateway.WatchManyRequest) {
			r.ResumeToken, r.IncludeInput, r.ForecastInterval = "start", true, seconds(1)
		}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.CaughtUp {
			seen = append(seen, text("caught up", event.ResumeToken))
			g.cut()
		} else {
			seen = append(seen, text("changed", event.Changed.GetRevision(), event.ResumeToken))
		}
	}

	if text(seen) != "[changed 1 a caught up b changed 2 c]" {
		t.Errorf("saw %q", seen)
	}
	for number, token := range []string{"start", "b"} {
		want := &pb.WatchGenerationsRequest{
			Filter: filter, ResumeToken: token, IncludeInput: true, ForecastInterval: seconds(1),
		}
		if got := g.received("WatchGenerations")[number].request; !proto.Equal(got, want) {
			t.Errorf("requests %v", got)
		}
	}
}

func TestOnlyWatchOfGivenIdsEndsWithItsStream(t *testing.T) {
	g := newGateway(t)
	caughtUp := &pb.WatchGenerationsResponse{ResumeToken: "a", CaughtUp: true}
	changed := &pb.WatchGenerationsResponse{ResumeToken: "b", Generation: generation(hfgateway.StateQueued, 1)}
	g.on("WatchGenerations", respond(caughtUp), respond(caughtUp), sequence(respond(changed), hang))
	client, _ := newClient(t, g.address())

	for event, err := range client.WatchMany(within(t), &hfgateway.Filter{Ids: []string{"g1"}}) {
		if err != nil || !event.CaughtUp {
			t.Fatal(event, err)
		}
	}
	for event, err := range client.WatchMany(within(t), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Changed != nil {
			return
		}
	}
	t.Error("the watch ended with its stream")
}

func TestBreakEndsWatchManyWithinMessage(t *testing.T) {
	g := newGateway(t)
	left := make(chan struct{})
	g.on("WatchGenerations", sequence(
		respond(&pb.WatchGenerationsResponse{
			ResumeToken: "a", Generation: generation(hfgateway.StateQueued, 1), CaughtUp: true,
		}),
		func(received *call) error {
			defer close(left)
			return hang(received)
		}))
	client, _ := newClient(t, g.address())

	count := 0
	for range client.WatchMany(t.Context(), nil) {
		count++
		break
	}

	if count != 1 {
		t.Errorf("%d events", count)
	}
	wait(t, left, "the end of the stream at the gateway")
}

func TestWaitRepeatsUntilDone(t *testing.T) {
	g := newGateway(t)
	client, clock := newClient(t, g.address())
	g.on("WaitGeneration",
		func(received *call) error { // responds at the timeout
			clock.pass(received.request.(*pb.WaitGenerationRequest).GetTimeout().AsDuration())
			return respond(&pb.WaitGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)})(received)
		},
		g.cutConnections,
		respond(&pb.WaitGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)}), // responds early: it is shutting down
		respond(&pb.WaitGenerationResponse{Generation: generation(hfgateway.StateCompleted, 2)}))

	done, err := client.Wait(t.Context(), "g1", 0)

	if err != nil || done.GetRevision() != 2 {
		t.Fatal(done, err)
	}
	if asked := waits(g); text(asked) != "[50s 50s 49.8s 50s]" {
		t.Errorf("requests for %v", asked)
	}
	if text(clock.slept) != "[200ms 200ms]" { // one after the cut, one after the early response
		t.Errorf("slept %v", clock.slept)
	}
	deadline, _ := g.received("WaitGeneration")[3].Deadline()
	if left := time.Until(deadline); left < time.Minute || left > 80*time.Second { // added to the timeout
		t.Errorf("the last call had %s", left)
	}
}

func TestWaitReturnsGenerationAtTimeout(t *testing.T) {
	g := newGateway(t)
	client, clock := newClient(t, g.address())
	var asked []time.Duration
	takeTheTime := func(received *call) error {
		asked = append(asked, received.request.(*pb.WaitGenerationRequest).GetTimeout().AsDuration())
		clock.pass(asked[len(asked)-1])
		return respond(&pb.WaitGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)})(received)
	}
	g.on("WaitGeneration", takeTheTime, takeTheTime)

	left, err := client.Wait(t.Context(), "g1", 70*time.Second)

	if err != nil || left.GetDone() {
		t.Fatal(left, err)
	}
	if text(asked) != "[50s 20s]" {
		t.Errorf("requests for %v", asked)
	}
}

func TestWaitAsksForTheTimeLeftAfterALostConnection(t *testing.T) {
	g := newGateway(t)
	client, clock := newClient(t, g.address())
	away := func(received *call) error {
		clock.pass(15 * time.Second)
		return draining(0)(received)
	}
	g.on("WaitGeneration", away, away,
		respond(&pb.WaitGenerationResponse{Generation: generation(hfgateway.StateCompleted, 1)}))

	if _, err := client.Wait(t.Context(), "g1", 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if asked := waits(g); text(asked) != "[20s 4.8s 0s]" {
		t.Errorf("requests for %v", asked)
	}
}

func TestWaitByTheStubIsAddedToTheTimeout(t *testing.T) {
	g := newGateway(t)
	g.on("WaitGeneration", respond(&pb.WaitGenerationResponse{}))
	client, _ := newClient(t, g.address())

	_, err := client.Generations.WaitGeneration(t.Context(), &pb.WaitGenerationRequest{Id: "g1", Timeout: seconds(600)})

	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := g.received("WaitGeneration")[0].Deadline()
	if left := time.Until(deadline); left < 10*time.Minute || left > 11*time.Minute {
		t.Errorf("the call had %s", left)
	}
}

// waits returns for how long the gateway was asked to wait.
func waits(g *gateway) (asked []time.Duration) {
	for _, request := range requests[*pb.WaitGenerationRequest](g, "WaitGeneration") {
		asked = append(asked, request.GetTimeout().AsDuration())
	}
	return asked
}

func TestWaitWithoutTimeLeftReturnsGenerationAsItIs(t *testing.T) {
	g := newGateway(t)
	g.on("WaitGeneration", respond(&pb.WaitGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)}))
	client, clock := newClient(t, g.address())

	left, err := client.Wait(within(t), "g1", -time.Hour)

	if err != nil || left.GetRevision() != 1 || len(clock.slept) > 0 {
		t.Fatal(left, err, clock.slept)
	}
	if asked := waits(g); text(asked) != "[0s]" {
		t.Errorf("requests for %v", asked)
	}
}

func TestLongestTimeoutIsNoLimit(t *testing.T) {
	g := newGateway(t)
	g.on("WaitGeneration", respond(&pb.WaitGenerationResponse{Generation: generation(hfgateway.StateCompleted, 1)}))
	client, _ := newClient(t, g.address(), hfgateway.WithTimeout(math.MaxInt64))

	// The time that the gateway waits is added to the timeout.
	if _, err := client.Wait(within(t), "g1", math.MaxInt64); err != nil {
		t.Fatal(err)
	}
}
