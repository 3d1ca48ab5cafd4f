package hfgateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func TestEveryCallSendsKeyAndUserAgent(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", respond(&pb.GetGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)}))
	g.on("WatchGeneration", respond(change(hfgateway.StateCompleted, 1)))
	client, _ := newClient(t, g.address(), hfgateway.WithAPIKey("hfg_test"))

	if _, err := client.Get(within(t), "g1"); err != nil {
		t.Fatal(err)
	}
	for _, err := range client.Watch(within(t), "g1") {
		if err != nil {
			t.Fatal(err)
		}
	}

	for _, rpc := range []string{"GetGeneration", "WatchGeneration"} {
		metadata := g.received(rpc)[0].metadata
		if got := metadata.Get("authorization"); len(got) != 1 || got[0] != "Bearer hfg_test" {
			t.Errorf("%s: authorization %q", rpc, got)
		}
		if got := metadata.Get("user-agent")[0]; !strings.HasPrefix(got, "hfgateway-client-go/"+hfgateway.Version+" ") {
			t.Errorf("%s: user agent %q", rpc, got)
		}
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	option := hfgateway.WithAPIKey("hfg_secret")
	client, _ := newClient(t, "", option)
	_, err := hfgateway.New("", hfgateway.WithAPIKey("hfg_secret\n"))
	if err == nil {
		t.Fatal("a key with a line break was accepted")
	}
	_, failed := client.Get(canceled(), "g1")
	for _, shown := range []any{client, *client, option, err, failed} {
		for _, verb := range []string{"%v", "%+v", "%#v"} {
			if got := fmt.Sprintf(verb, shown); strings.Contains(got, "hfg_secret") {
				t.Errorf("%s of %T contains the key", verb, shown)
			}
		}
	}
}

func TestMethodsSendTheirRequests(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	ctx := within(t)
	for _, try := range []struct {
		rpc      string
		call     func() (any, error)
		answer   proto.Message
		request  proto.Message
		returned any
	}{
		{
			"GetGeneration", func() (any, error) { return client.Get(ctx, "g1") },
			&pb.GetGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)},
			&pb.GetGenerationRequest{Id: "g1"}, generation(hfgateway.StateQueued, 1),
		},
		{
			"CancelGeneration", func() (any, error) { return client.Cancel(ctx, "g1") },
			&pb.CancelGenerationResponse{Generation: generation(hfgateway.StateCanceled, 2)},
			&pb.CancelGenerationRequest{Id: "g1"}, generation(hfgateway.StateCanceled, 2),
		},
	} {
		g.on(try.rpc, respond(try.answer))
		returned, err := try.call()
		if err != nil {
			t.Errorf("%s: %v", try.rpc, err)
			continue
		}
		if got := g.received(try.rpc)[0].request; !proto.Equal(got, try.request) {
			t.Errorf("%s: asked %v", try.rpc, got)
		}
		if want, ok := try.returned.(proto.Message); ok && !proto.Equal(returned.(proto.Message), want) {
			t.Errorf("%s: returned %v", try.rpc, returned)
		} else if !ok && returned != try.returned {
			t.Errorf("%s: returned %v", try.rpc, returned)
		}
	}
}

func TestCallIsRetriedUntilDeadlineAndReturnsLastError(t *testing.T) {
	client, clock := newClient(t, unreachable(t))
	began := clock.now()

	_, err := client.Get(within(t), "g1")

	if !errors.Is(err, hfgateway.ErrUnavailable) {
		t.Fatal(err)
	}
	// The context's 20 s end before the client's 30 s.
	if passed := clock.now().Sub(began); passed < 10*time.Second || passed > patience {
		t.Errorf("gave up after %s", passed)
	}
}

func TestTimeoutEndsCallWithoutResponse(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", hang)
	client, _ := newClient(t, g.address(), hfgateway.WithTimeout(50*time.Millisecond))

	_, err := client.Get(within(t), "g1")

	if !errors.Is(err, hfgateway.ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("its gRPC code is %s", status.Code(err))
	}
}

func TestTimeoutOfZeroIsNoLimit(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", respond(&pb.GetGenerationResponse{}))
	client, _ := newClient(t, g.address(), hfgateway.WithTimeout(0))

	if _, err := client.Get(t.Context(), "g1"); err != nil {
		t.Fatal(err)
	}
	if deadline, limited := g.received("GetGeneration")[0].Deadline(); limited {
		t.Errorf("the call had %s", time.Until(deadline))
	}
}

func TestCanceledContextEndsCall(t *testing.T) {
	g := newGateway(t)
	ctx, cancel := context.WithCancel(t.Context())
	g.on("GetGeneration", func(received *call) error {
		cancel()
		return hang(received)
	})
	client, _ := newClient(t, g.address())

	_, err := client.Get(ctx, "g1")

	if !errors.Is(err, context.Canceled) || errors.Is(err, hfgateway.ErrUnavailable) {
		t.Fatal(err)
	}
}

func TestContextEndsRetryDelay(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", draining(15*time.Second))
	ctx, cancel := context.WithCancel(within(t))
	var slept error
	client, err := hfgateway.New(g.address(), hfgateway.WithTimers(
		time.Now,
		func(ctx context.Context, delay time.Duration) error {
			cancel()
			slept = hfgateway.Sleep(ctx, delay)
			return slept
		},
		func() float64 { return 1 },
	))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	_, err = client.Get(ctx, "g1")

	if !errors.Is(err, context.Canceled) || slept == nil {
		t.Fatal(err, slept)
	}
}

func TestCallCanceledByServerIsRetried(t *testing.T) {
	g := newGateway(t)
	byAProxy := func(*call) error { return status.Error(codes.Canceled, "by a proxy") }
	g.on("GetGeneration", byAProxy, respond(&pb.GetGenerationResponse{}))
	g.on("CancelGeneration", byAProxy)
	g.on("WatchGeneration", byAProxy, respond(change(hfgateway.StateCompleted, 1)))
	client, _ := newClient(t, g.address())
	if _, err := client.Get(within(t), "g1"); err != nil {
		t.Error(err)
	}
	for _, err := range client.Watch(within(t), "g1") {
		if err != nil {
			t.Error(err)
		}
	}

	impatient, _ := newClient(t, g.address(), hfgateway.WithRetryPolicy(hfgateway.RetryPolicy{RepeatCallsFor: -1}))
	_, err := impatient.Cancel(within(t), "g1")
	if !errors.Is(err, hfgateway.ErrUnavailable) || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCloseEndsAllCalls(t *testing.T) {
	g := newGateway(t)
	client, clock := newClient(t, g.address())
	g.on("GetGeneration", func(received *call) error {
		client.Close()
		return hang(received)
	})
	_, ended := client.Get(within(t), "g1")

	for name, call := range map[string]func() error{
		"the call that was open": func() error { return ended },
		"another":                func() error { _, err := client.Get(within(t), "g1"); return err },
		"a watch": func() (last error) {
			for _, last = range client.Watch(within(t), "g1") {
			}
			return last
		},
		"an upload": func() error { _, err := client.Upload(within(t), endless{}, "image/png"); return err },
	} {
		err := call()
		if !errors.Is(err, hfgateway.ErrClosed) || errors.Is(err, hfgateway.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if err.Error() != "hfgateway: CANCELLED: the client is closed" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(clock.slept) > 0 {
		t.Errorf("slept %v", clock.slept)
	}
}

func TestCloseEndsCallsAfterGoAway(t *testing.T) {
	// At this age of the connection the server sends a GOAWAY. The calls on it continue.
	age := keepalive.ServerParameters{MaxConnectionAge: 300 * time.Millisecond}
	g := newGateway(t, grpc.KeepaliveParams(age))
	once := hfgateway.WithRetryPolicy(hfgateway.RetryPolicy{RepeatCallsFor: -1})
	client, _ := newClient(t, g.address(), once)
	const calls = 500 // of which gRPC ends some with CANCELLED, and some with UNAVAILABLE
	var arrived, ended sync.WaitGroup
	arrived.Add(calls)
	ended.Add(calls)
	for range calls {
		g.on("GetGeneration", func(received *call) error {
			arrived.Done()
			return hang(received)
		})
		go func() {
			defer ended.Done()
			_, err := client.Get(within(t), "g1")
			if !errors.Is(err, hfgateway.ErrClosed) || errors.Is(err, hfgateway.ErrUnavailable) {
				t.Error(err)
			}
			if !strings.Contains(err.Error(), "the client is closed") {
				t.Error(err)
			}
		}()
	}
	arrived.Wait()
	client.WaitWhileReady(within(t))

	client.Close()

	ended.Wait()
}

func TestCloseEndsRetryDelay(t *testing.T) {
	g := newGateway(t)
	g.on("WatchGeneration", draining(time.Minute))
	var client *hfgateway.Client
	var err error
	client, err = hfgateway.New(g.address(), hfgateway.WithTimers(
		time.Now,
		func(ctx context.Context, delay time.Duration) error {
			client.Close()
			wait(t, ctx.Done(), "the end of the delay")
			return hfgateway.Sleep(ctx, delay)
		},
		func() float64 { return 1 },
	))
	if err != nil {
		t.Fatal(err)
	}

	var last error
	for _, last = range client.Watch(t.Context(), "g1") {
	}

	if !errors.Is(last, hfgateway.ErrClosed) || last.Error() != "hfgateway: CANCELLED: the client is closed" {
		t.Fatal(last)
	}
}

func TestTargetOfAddress(t *testing.T) {
	for address, want := range map[string]string{
		"":                   "passthrough:///" + hfgateway.DefaultAddress,
		"[::1]:1":            "passthrough:///[::1]:1",
		"gateway.example":    "gateway.example", // gRPC adds the port 443
		"unix:/run/gateway":  "unix:/run/gateway",
		"dns:///localhost:1": "dns:///localhost:1",
		"dns:localhost":      "dns:localhost",
	} {
		client, _ := newClient(t, address)
		if got := client.Target(); got != want {
			t.Errorf("%q: %q", address, got)
		}
	}
}

func TestGRPCRetriesAreOff(t *testing.T) {
	g := newGateway(t)
	away := func(*call) error { return status.Error(codes.Unavailable, "away") }
	g.on("GetGeneration", away)
	g.on("WatchGeneration", away)
	ours := hfgateway.WithRetryPolicy(hfgateway.RetryPolicy{RepeatCallsFor: -1, ResumeWatchesFor: -1})
	theirs := `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.001s",
		"maxBackoff": "0.001s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	client, _ := newClient(t, g.address(), ours, hfgateway.WithDialOptions(grpc.WithDefaultServiceConfig(theirs)))

	if _, err := client.Get(within(t), "g1"); !errors.Is(err, hfgateway.ErrUnavailable) {
		t.Error(err)
	}
	for _, err := range client.Watch(within(t), "g1") {
		if !errors.Is(err, hfgateway.ErrUnavailable) {
			t.Error(err)
		}
	}
	if got := len(g.received("GetGeneration")) + len(g.received("WatchGeneration")); got != 2 {
		t.Errorf("%d calls", got)
	}
}

func TestServiceConfigOfResolverIsIgnored(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", respond(&pb.GetGenerationResponse{}))
	names := manual.NewBuilderWithScheme("test")
	names.BuildCallback = func(_ resolver.Target, connection resolver.ClientConn, _ resolver.BuildOptions) {
		config := connection.ParseServiceConfig(`{"methodConfig": [{"name": [{}], "timeout": "0.000000001s"}]}`)
		names.InitialState(resolver.State{
			Addresses: []resolver.Address{{Addr: g.address()}}, ServiceConfig: config,
		})
	}
	client, _ := newClient(t, "test:///gateway", hfgateway.WithDialOptions(grpc.WithResolvers(names)))

	if _, err := client.Get(within(t), "g1"); err != nil {
		t.Error(err)
	}
}

func TestNegativeLimitsDisableRetries(t *testing.T) {
	client, clock := newClient(t, unreachable(t), hfgateway.WithRetryPolicy(
		hfgateway.RetryPolicy{RepeatCallsFor: -1, ResumeWatchesFor: -1}))

	_, err := client.Get(within(t), "g1")
	if !errors.Is(err, hfgateway.ErrUnavailable) {
		t.Error(err)
	}
	for _, err := range client.Watch(within(t), "g1") {
		if !errors.Is(err, hfgateway.ErrUnavailable) {
			t.Error(err)
		}
	}
	if len(clock.slept) > 0 {
		t.Errorf("slept %v", clock.slept)
	}
}

func TestListFetchesAllPages(t *testing.T) {
	g := newGateway(t)
	g.on("ListGenerations",
		respond(&pb.ListGenerationsResponse{
			Generations:   []*pb.Generation{generation(hfgateway.StateQueued, 3), generation(hfgateway.StateQueued, 2)},
			NextPageToken: "p2",
		}),
		respond(&pb.ListGenerationsResponse{Generations: []*pb.Generation{generation(hfgateway.StateQueued, 1)}}))
	client, _ := newClient(t, g.address())
	filter := &hfgateway.Filter{Labels: map[string]string{"order": "7"}}

	var seen []int32
	for found, err := range client.List(within(t), filter, func(r *hfgateway.ListRequest) { r.PageSize, r.IncludeInput = 2, true }) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, found.GetRevision())
	}

	if text(seen) != "[3 2 1]" {
		t.Errorf("listed %v", seen)
	}
	for number, token := range []string{"", "p2"} {
		want := &pb.ListGenerationsRequest{Filter: filter, PageSize: 2, PageToken: token, IncludeInput: true}
		if got := g.received("ListGenerations")[number].request; !proto.Equal(got, want) {
			t.Errorf("requests %v", got)
		}
	}
}

func TestListFetchesPagesOnDemand(t *testing.T) {
	g := newGateway(t)
	g.on("ListGenerations", respond(&pb.ListGenerationsResponse{
		Generations: []*pb.Generation{generation(hfgateway.StateQueued, 1)}, NextPageToken: "p2",
	}))
	client, _ := newClient(t, g.address())

	for range client.List(within(t), nil) {
		break
	}

	if got := len(g.received("ListGenerations")); got != 1 {
		t.Errorf("%d pages were fetched", got)
	}
}

func TestErrorEndsList(t *testing.T) {
	g := newGateway(t)
	g.on("ListGenerations", refuse(codes.InvalidArgument, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_INVALID_INPUT}))
	client, _ := newClient(t, g.address())

	var ended []error
	for _, err := range client.List(within(t), nil) {
		ended = append(ended, err)
	}

	if len(ended) != 1 || !errors.Is(ended[0], hfgateway.ErrInvalidInput) {
		t.Errorf("ended with %v", ended)
	}
}

func TestConcurrentCallsShareOneClient(t *testing.T) {
	g := newGateway(t)
	client, _ := newClient(t, g.address())
	ctx := within(t)
	const callers = 20
	for range callers {
		g.on("SubmitGeneration", submitted(hfgateway.StatePending, 1))
		g.on("WatchGeneration", respond(change(hfgateway.StateQueued, 2), change(hfgateway.StateCompleted, 3)))
	}
	var all sync.WaitGroup
	for range callers {
		all.Add(1)
		go func() {
			defer all.Done()
			result, err := client.Generate(ctx, hfgateway.Soul("a lighthouse"), nil)
			if err != nil || result.GetRevision() != 3 {
				t.Errorf("%v, %v", result, err)
			}
		}()
	}
	all.Wait()

	keys := map[string]bool{}
	for _, request := range requests[*pb.SubmitGenerationRequest](g, "SubmitGeneration") {
		keys[request.GetIdempotencyKey()] = true
	}
	if len(keys) != callers {
		t.Errorf("%d keys for %d submissions", len(keys), callers)
	}
}

func TestNewReturnsErrorForInvalidOption(t *testing.T) {
	own, ownKey := certificate(t)
	for reason, option := range map[string]hfgateway.Option{
		"no such file":                  hfgateway.WithTLSFiles("nowhere.pem", own, ownKey),
		"no certificate in go.mod":      hfgateway.WithTLSFiles("go.mod", "", ""),
		"open nowhere.pem":              hfgateway.WithTLSFiles("", "nowhere.pem", "nowhere.pem"),
		"other than visible ASCII":      hfgateway.WithAPIKey("hfg key"),
		"characters other than visible": hfgateway.WithAPIKey("hfg_é"),
	} {
		if _, err := hfgateway.New("", option); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

func TestMustPanicsWithTheError(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("did not panic")
		}
	}()
	if hfgateway.Must(7, nil) != 7 {
		t.Error("did not return the value")
	}
	hfgateway.Must(7, errors.New("broken"))
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
