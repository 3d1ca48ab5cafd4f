package hfgateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

var input = hfgateway.Soul("a lighthouse")

var labels = map[string]string{"order": "7"}

func key(r *hfgateway.SubmitRequest) { r.IdempotencyKey = "order-7" }

func seconds(count float64) *durationpb.Duration {
	return durationpb.New(time.Duration(count * float64(time.Second)))
}

func TestSubmitRetriesLostResponseWithSameKey(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", g.cutConnections, submitted(hfgateway.StatePending, 1))
	client, _ := newClient(t, g.address())

	submission, err := client.Submit(within(t), input)

	if err != nil {
		t.Fatal(err)
	}
	asked := requests[*pb.SubmitGenerationRequest](g, "SubmitGeneration")
	if len(asked) != 2 || !proto.Equal(asked[0], asked[1]) {
		t.Errorf("requests %v", asked)
	}
	if submission.IdempotencyKey == "" || submission.IdempotencyKey != asked[0].GetIdempotencyKey() {
		t.Errorf("key %q", submission.IdempotencyKey)
	}
}

func TestMistakesOfTheCallerAreNotRetried(t *testing.T) {
	g := newGateway(t)
	refused := func(refusal error) *hfgateway.Client {
		refuses := func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			return refusal
		}
		client, _ := newClient(t, g.address(), hfgateway.WithDialOptions(grpc.WithUnaryInterceptor(refuses)))
		return client
	}
	client, _ := newClient(t, g.address())

	_, interceptor := refused(errors.New("refused by the interceptor")).Submit(within(t), input, key)
	_, end := refused(io.EOF).Submit(within(t), input, key)
	_, late := refused(fmt.Errorf("interceptor: %w", context.DeadlineExceeded)).Submit(within(t), input, key)
	_, encoding := client.Submit(within(t), hfgateway.Soul("not UTF-8: \xff"), key)

	for _, err := range []error{interceptor, end, late, encoding} {
		var failed *hfgateway.Error
		if !errors.As(err, &failed) || failed.Retryable || failed.IdempotencyKey != "order-7" {
			t.Error(err)
		}
	}
	if !errors.Is(late, hfgateway.ErrDeadlineExceeded) {
		t.Error(late)
	}
	if !strings.Contains(interceptor.Error(), "refused by the interceptor") || !strings.Contains(encoding.Error(), "UTF-8") {
		t.Error(interceptor, encoding)
	}
}

func TestStreamThatCannotBeEncodedIsNotRetried(t *testing.T) {
	client, clock := newClient(t, newGateway(t).address())

	_, upload := client.Upload(within(t), endless{}, "not UTF-8: \xff")
	var watch error
	for _, watch = range client.Watch(within(t), "not UTF-8: \xff") {
	}

	for _, err := range []error{upload, watch} {
		var failed *hfgateway.Error
		if !errors.As(err, &failed) || failed.Retryable || !strings.Contains(failed.Message, "UTF-8") {
			t.Error(err)
		}
	}
	if len(clock.slept) > 0 {
		t.Errorf("slept %v", clock.slept)
	}
}

func TestUnresolvedSubmissionIsRetried(t *testing.T) {
	g := newGateway(t)
	unresolved := refuse(codes.Aborted, &pb.Failure{
		Reason: pb.ErrorReason_ERROR_REASON_SUBMISSION_UNRESOLVED, RetryDelay: seconds(1.5),
	})
	g.on("SubmitGeneration", unresolved,
		respond(&pb.SubmitGenerationResponse{
			Generation: generation(hfgateway.StateQueued, 1), Replayed: true, Warnings: []*pb.FieldViolation{{Field: "input"}},
		}))
	client, clock := newClient(t, g.address())

	submission, err := client.Submit(within(t), input, key)

	if err != nil || !submission.Replayed || submission.IdempotencyKey != "order-7" {
		t.Fatal(submission, err)
	}
	if len(submission.Warnings) != 1 || submission.Warnings[0].GetField() != "input" {
		t.Error(submission.Warnings)
	}
	if text(clock.slept) != "[1.5s]" {
		t.Errorf("slept %v", clock.slept)
	}
	for _, request := range requests[*pb.SubmitGenerationRequest](g, "SubmitGeneration") {
		if request.GetIdempotencyKey() != "order-7" {
			t.Errorf("requests under %q", request.GetIdempotencyKey())
		}
	}
}

func TestRefusedSubmitIsNotRetriedAndErrorHasKey(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", refuse(codes.FailedPrecondition, &pb.Failure{
		Reason: pb.ErrorReason_ERROR_REASON_IDEMPOTENCY_KEY_REUSED,
	}))
	client, _ := newClient(t, g.address())

	_, err := client.Submit(within(t), input, key)

	var failed *hfgateway.Error
	if !errors.Is(err, hfgateway.ErrKeyReused) || !errors.As(err, &failed) || failed.IdempotencyKey != "order-7" {
		t.Fatal(err)
	}
}

func TestErrorOfSubmitHasGeneratedKey(t *testing.T) {
	var sent string
	hangs := func(ctx context.Context, _ string, request, _ any, _ *grpc.ClientConn,
		_ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
		sent = request.(*pb.SubmitGenerationRequest).GetIdempotencyKey()
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	client, _ := newClient(t, newGateway(t).address(), hfgateway.WithTimeout(50*time.Millisecond),
		hfgateway.WithDialOptions(grpc.WithUnaryInterceptor(hangs)))

	_, err := client.Submit(within(t), input)

	var failed *hfgateway.Error
	if !errors.As(err, &failed) || !errors.Is(err, hfgateway.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if failed.IdempotencyKey == "" || failed.IdempotencyKey != sent {
		t.Errorf("key %q, sent %q", failed.IdempotencyKey, sent)
	}
}

func TestSubmitSendsWhatTheFunctionsSet(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(hfgateway.StatePending, 1))
	client, _ := newClient(t, g.address())

	_, err := client.Submit(within(t), input,
		key, nil, func(r *hfgateway.SubmitRequest) { r.Labels, r.WaitFor = labels, pb.WaitFor_WAIT_FOR_ACCEPTED })

	if err != nil {
		t.Fatal(err)
	}
	want := &pb.SubmitGenerationRequest{
		Input: input, IdempotencyKey: "order-7", Labels: labels, WaitFor: pb.WaitFor_WAIT_FOR_ACCEPTED,
	}
	if got := g.received("SubmitGeneration")[0].request; !proto.Equal(got, want) {
		t.Errorf("sent %v", got)
	}
}

func TestSubmitAddsWaitToTimeout(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(hfgateway.StatePending, 1))
	client, _ := newClient(t, g.address())

	_, err := client.Submit(t.Context(), input, func(r *hfgateway.SubmitRequest) { r.WaitTimeout = seconds(600) })

	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := g.received("SubmitGeneration")[0].Deadline()
	if left := time.Until(deadline); left < 10*time.Minute || left > 11*time.Minute {
		t.Errorf("the call had %s", left)
	}
}

func TestGenerateReturnsCompletedGeneration(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(hfgateway.StatePending, 1))
	g.on("WatchGeneration",
		sequence(respond(change(hfgateway.StateQueued, 2)), hang),
		respond(change(hfgateway.StateCompleted, 3)))
	client, _ := newClient(t, g.address())
	var seen []int32

	result, err := client.Generate(within(t), input,
		func(changed *hfgateway.Generation) {
			seen = append(seen, changed.GetRevision())
			if changed.GetRevision() == 2 {
				g.cut()
			}
		},
		func(r *hfgateway.SubmitRequest) {
			r.Labels, r.WaitFor, r.WaitTimeout = labels, pb.WaitFor_WAIT_FOR_DONE, seconds(3600)
		})

	if err != nil || result.GetState() != hfgateway.StateCompleted {
		t.Fatal(result, err)
	}
	if text(seen) != "[1 2 3]" {
		t.Errorf("progress: %v", seen)
	}
	asked := requests[*pb.SubmitGenerationRequest](g, "SubmitGeneration")
	if len(asked) != 1 || asked[0].GetLabels()["order"] != "7" || asked[0].GetWaitFor() != pb.WaitFor_WAIT_FOR_STORED ||
		asked[0].GetWaitTimeout() != nil {
		t.Errorf("submitted %v", asked)
	}
	var after []int32
	for _, request := range requests[*pb.WatchGenerationRequest](g, "WatchGeneration") {
		after = append(after, request.GetAfterRevision())
	}
	if text(after) != "[1 2]" {
		t.Errorf("watched after %v", after)
	}
}

func TestGenerateLeavesTheSliceOfTheCallerAsItIs(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(hfgateway.StateCompleted, 2))
	client, _ := newClient(t, g.address())
	set := [2]func(*hfgateway.SubmitRequest){key}

	if _, err := client.Generate(within(t), input, nil, set[:1]...); err != nil || set[1] != nil {
		t.Fatal(err, set)
	}
}

func TestGenerateDoesNotWatchReplayedDoneGeneration(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(hfgateway.StateCompleted, 5))
	client, _ := newClient(t, g.address())

	result, err := client.Generate(within(t), input, nil, key)

	if err != nil || result.GetRevision() != 5 {
		t.Fatal(result, err)
	}
}

func TestGenerateReturnsErrorWithoutOutput(t *testing.T) {
	for state, want := range map[hfgateway.State]error{
		hfgateway.StateFailed:   hfgateway.ErrGenerationRefused,
		hfgateway.StateNSFW:     hfgateway.ErrGenerationModerated,
		hfgateway.StateCanceled: hfgateway.ErrGenerationCanceled,
		hfgateway.StateLost:     hfgateway.ErrGenerationLost,
	} {
		g := newGateway(t)
		g.on("SubmitGeneration", submitted(hfgateway.StatePending, 1))
		g.on("WatchGeneration", respond(change(state, 2)))
		client, _ := newClient(t, g.address())

		result, err := client.Generate(within(t), input, nil)

		var ended *hfgateway.GenerationError
		if result != nil || !errors.As(err, &ended) || ended.Generation.GetId() != "g1" {
			t.Errorf("%s: %v, %v", state, result, err)
		}
		if !errors.Is(err, want) || !errors.Is(err, hfgateway.ErrGenerationFailed) {
			t.Errorf("%s: %v", state, err)
		}
	}
}

func TestWatchThatEndsTooEarlyIsResumed(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(hfgateway.StatePending, 1))
	g.on("WatchGeneration", respond(), respond(change(hfgateway.StateQueued, 2)), respond(change(hfgateway.StateCompleted, 3)))
	g.on("CreateCharacter", respond(&pb.CreateCharacterResponse{Character: character(hfgateway.CharacterQueued)}))
	g.on("WatchCharacter",
		respond(), respond(training(hfgateway.CharacterInProgress)), respond(training(hfgateway.CharacterCompleted)))
	client, _ := newClient(t, g.address())

	generated, err := client.Generate(within(t), input, nil)
	if err != nil || generated.GetRevision() != 3 {
		t.Error(generated, err)
	}
	trained, err := client.TrainCharacter(within(t), "Ann", faces)
	if err != nil || !trained.GetDone() {
		t.Error(trained, err)
	}
}

func TestContextEndsGenerateAndErrorHasKey(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(hfgateway.StatePending, 1))
	left := make(chan struct{})
	g.on("WatchGeneration", sequence(respond(change(hfgateway.StateQueued, 2)), func(received *call) error {
		defer close(left)
		return hang(received)
	}))
	client, _ := newClient(t, g.address())
	ctx, cancel := context.WithCancel(within(t))

	_, err := client.Generate(ctx, input,
		func(changed *hfgateway.Generation) {
			if changed.GetState() == hfgateway.StateQueued {
				cancel()
			}
		}, key)

	var failed *hfgateway.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &failed) || failed.IdempotencyKey != "order-7" {
		t.Fatal(err)
	}
	wait(t, left, "the end of the stream at the gateway")
	if got := len(g.received("CancelGeneration")); got != 0 {
		t.Errorf("%d cancels", got)
	}
}

func TestKeysAreUniqueUUIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		key := hfgateway.NewIdempotencyKey()
		if len(key) != 36 || key[14] != '4' || !strings.ContainsRune("89ab", rune(key[19])) || seen[key] {
			t.Fatalf("key %q", key)
		}
		seen[key] = true
	}
}

func TestForecastsAreProgress(t *testing.T) {
	at := func(revision int32, progress float64) *hfgateway.Generation {
		found := generation(hfgateway.StateInProgress, revision)
		found.Forecast = &hfgateway.Forecast{Progress: progress}
		return found
	}
	forecast := func(progress float64) proto.Message {
		return &pb.WatchGenerationResponse{Forecast: &hfgateway.Forecast{Progress: progress}}
	}
	g := newGateway(t)
	input := hfgateway.Soul("a lighthouse")
	var seen []*hfgateway.Generation
	progress := func(changed *hfgateway.Generation) { seen = append(seen, changed) }
	// Called at the end: a forecast must not change the generation that was reported before it.
	reported := func() (found []string) {
		for _, changed := range seen {
			found = append(found, text(changed.GetRevision(), changed.GetForecast().GetProgress()))
		}
		return found
	}
	for _, try := range []struct {
		progress func(*hfgateway.Generation)
		option   hfgateway.Option
	}{
		{progress, hfgateway.WithInsecure()}, {progress, hfgateway.WithForecasts(5 * time.Second)},
		{progress, hfgateway.WithForecasts(0)}, {nil, hfgateway.WithInsecure()},
	} {
		client, _ := newClient(t, g.address(), try.option)
		g.on("SubmitGeneration", submitted(hfgateway.StateInProgress, 1))
		g.on("WatchGeneration", respond(forecast(0.1), &pb.WatchGenerationResponse{Generation: at(2, 0.2)},
			forecast(0.3), change(hfgateway.StateCompleted, 3)))
		if _, err := client.Generate(within(t), input, try.progress); err != nil {
			t.Fatal(err)
		}
		requested := requests[*pb.WatchGenerationRequest](g, "WatchGeneration")
		wanted := map[int64]string{0: "[1 0 2 0.2 3 0]", 2: "[1 0 1 0.1 2 0.2 2 0.3 3 0]", 5: "[1 0 1 0.1 2 0.2 2 0.3 3 0]"}
		interval := requested[len(requested)-1].GetForecastInterval().GetSeconds()
		if got := text(reported()); try.progress != nil && got != wanted[interval] {
			t.Errorf("every %d s: %s", interval, got)
		}
		seen = nil
	}
	var intervals []int64
	for _, request := range requests[*pb.WatchGenerationRequest](g, "WatchGeneration") {
		intervals = append(intervals, request.GetForecastInterval().GetSeconds())
	}
	if !slices.Equal(intervals, []int64{2, 5, 0, 0}) {
		t.Error(intervals)
	}
	// A forecast before the first change belongs to nothing.
	g.on("WatchGeneration", respond(forecast(0.1), &pb.WatchGenerationResponse{Generation: at(2, 0.2)}, forecast(0.3),
		change(hfgateway.StateCompleted, 3)))
	client, _ := newClient(t, g.address())
	forecasts := func(r *hfgateway.WatchRequest) { r.ForecastInterval = seconds(1) }
	for changed, err := range client.Watch(within(t), "g1", forecasts) {
		if err != nil {
			t.Fatal(err)
		}
		progress(changed)
	}
	if got := text(reported()); got != "[2 0.2 2 0.3 3 0]" {
		t.Error(got)
	}
}

func TestGenerateReportsWarnings(t *testing.T) {
	g := newGateway(t)
	completed := generation(hfgateway.StateCompleted, 3)
	submitted := respond(&pb.SubmitGenerationResponse{
		Generation: completed, Warnings: []*pb.FieldViolation{{Field: "input.model"}, {Field: "input.model.parameters.seed"}},
	})
	g.on("SubmitGeneration", submitted, submitted)
	var fields []string
	client, _ := newClient(t, g.address(), hfgateway.WithOnWarning(func(warning *hfgateway.FieldViolation) {
		fields = append(fields, warning.GetField())
	}))

	_, err := client.Generate(within(t), input, nil)

	if err != nil || text(fields) != "[input.model input.model.parameters.seed]" {
		t.Error(fields, err)
	}

	silent, _ := newClient(t, g.address(), hfgateway.WithOnWarning(nil))
	if _, err := silent.Generate(within(t), input, nil); err != nil {
		t.Error(err)
	}
}
