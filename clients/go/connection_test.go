package hfgateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// proxy forwards connections until they are swallowed.
type proxy struct {
	net.Listener
	target string
	mu     sync.Mutex
	dead   chan struct{} // closed when the connections made so far are swallowed
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: socket, target: target, dead: make(chan struct{})}
	t.Cleanup(func() { socket.Close() })
	go func() {
		for {
			near, err := socket.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", p.target)
			if err != nil {
				near.Close()
				continue
			}
			t.Cleanup(func() { near.Close(); far.Close() })
			p.mu.Lock()
			dead := p.dead
			p.mu.Unlock()
			go forward(near, far, dead)
			go forward(far, near, dead)
		}
	}()
	return p
}

// forward copies data until dead is closed, and then reads it without passing it on. The connections stay open.
func forward(from, to net.Conn, dead <-chan struct{}) {
	buffer := make([]byte, 32*1024)
	for {
		size, err := from.Read(buffer)
		if err != nil {
			if err == io.EOF {
				to.Close()
			}
			return
		}
		select {
		case <-dead:
		default:
			to.Write(buffer[:size])
		}
	}
}

// swallow drops whatever the present connections carry from now on. New connections work.
func (p *proxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.dead)
	p.dead = make(chan struct{})
}

func TestCallOnDeadConnectionIsRetried(t *testing.T) {
	t.Parallel() // gRPC sends no ping before 10 s
	g := newGateway(t, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second}))
	p := newProxy(t, g.address())
	client, err := hfgateway.New(p.Addr().String(), hfgateway.WithDialOptions(
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 100 * time.Millisecond})))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answer := respond(&pb.GetGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)})
	g.on("GetGeneration", answer, answer)
	for range 2 {
		if _, err := client.Get(t.Context(), "g1"); err != nil {
			t.Fatal(err)
		}
		p.swallow()
	}
}

func TestDeadConnectionIsNoticedWithinTheDefaultTimeout(t *testing.T) {
	if hfgateway.PingAfter+hfgateway.PingTimeout > hfgateway.DefaultTimeout*2/3 {
		t.Error("too little time is left to repeat a call")
	}
	if hfgateway.PingAfter <= 10*time.Second {
		t.Error("the gateway closes connections that ping so often")
	}
}

// Without a minimum, gRPC gives an attempt to connect no more time than its first delay of 200 ms.
func TestSlowNetworkHasTimeToConnect(t *testing.T) {
	limits := make(chan time.Time, 1)
	begin := time.Now()
	client, err := hfgateway.New("", hfgateway.WithDialOptions(
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			limit, _ := ctx.Deadline()
			select {
			case limits <- limit:
			default:
			}
			return nil, errors.New("refused")
		})))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if client.Check(t.Context()) == nil {
		t.Fatal("no connection was made")
	}
	if limit := <-limits; limit.Sub(begin) < 10*time.Second {
		t.Errorf("the attempt to connect had only %v", limit.Sub(begin))
	}
}

func TestCheckFailsAtOnceWithCauseAndAddress(t *testing.T) {
	certFile, keyFile := certificate(t)
	own, err := credentials.NewServerTLSFromFile(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	plain, secured := newGateway(t), newGateway(t, grpc.Creds(own))
	for _, try := range []struct {
		address, cause string
		options        []hfgateway.Option
	}{
		{unreachable(t), "connection refused", nil},
		{"nowhere.invalid:1", "nowhere.invalid", nil},
		{secured.address(), "certificate", []hfgateway.Option{hfgateway.WithTLS(nil)}},
		{plain.address(), "TLS", []hfgateway.Option{hfgateway.WithTLS(nil)}},
		{secured.address(), "", nil},
	} {
		client, clock := newClient(t, try.address, try.options...)
		err := client.Check(within(t))
		if !errors.Is(err, hfgateway.ErrUnavailable) || len(clock.slept) > 0 {
			t.Errorf("%s: %v after %v", try.address, err, clock.slept)
			continue
		}
		for _, part := range []string{try.address, try.cause} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v lacks %q", err, part)
			}
		}
	}
}

func TestMistakesAreNotRetriedBeforeTheGatewayHasResponded(t *testing.T) {
	certFile, keyFile := certificate(t)
	own, err := credentials.NewServerTLSFromFile(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	plain, secured := newGateway(t), newGateway(t, grpc.Creds(own))
	_, port, _ := net.SplitHostPort(secured.address())
	for name, try := range map[string]struct {
		address string
		option  hfgateway.Option
	}{
		"unknown name":               {"nowhere.invalid:1", hfgateway.WithTimeout(patience)},
		"unknown name with a scheme": {"dns:///nowhere.invalid:1", hfgateway.WithTimeout(patience)},
		"untrusted certificate":      {secured.address(), hfgateway.WithTLS(nil)},
		"certificate of another":     {"localhost:" + port, hfgateway.WithTLSFiles(certFile, "", "")},
		"gateway without TLS":        {plain.address(), hfgateway.WithTLS(nil)},
	} {
		client, clock := newClient(t, try.address, try.option)
		_, err := client.Get(within(t), "g1")
		var failed *hfgateway.Error
		if !errors.Is(err, hfgateway.ErrUnavailable) || !errors.As(err, &failed) || failed.Retryable {
			t.Errorf("%s: %v", name, err)
		}
		if len(clock.slept) > 0 {
			t.Errorf("%s: slept %v before %v", name, clock.slept, err)
		}
	}
}

func TestMistakeIsReportedAfterARefusedConnection(t *testing.T) {
	dials := 0
	dial := func(context.Context, string) (net.Conn, error) {
		if dials++; dials == 1 {
			return nil, errors.New("connection refused")
		}
		return nil, &net.DNSError{Err: "no such host", Name: "gateway.example"}
	}
	client, err := hfgateway.New("gateway.example:1", hfgateway.WithDialOptions(grpc.WithContextDialer(dial)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var failed *hfgateway.Error
	_, err = client.Get(within(t), "g1")
	if !errors.As(err, &failed) || failed.Retryable || !strings.Contains(failed.Message, "no such host") {
		t.Error(err)
	}
}

func TestNameIsLookedUpForEachConnectionAndItsLossIsNoMistake(t *testing.T) {
	first, second := newGateway(t), newGateway(t)
	for _, g := range []*gateway{first, second} {
		g.on("GetGeneration", respond(&pb.GetGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)}))
	}
	var lookups []func() (net.Conn, error)
	dial := func(_ context.Context, address string) (net.Conn, error) {
		if address != "gateway.example:1" {
			t.Errorf("dials %s", address)
		}
		next := lookups[0]
		lookups = lookups[1:]
		return next()
	}
	to := func(g *gateway) func() (net.Conn, error) {
		return func() (net.Conn, error) { return net.Dial("tcp", g.address()) }
	}
	unknown := func() (net.Conn, error) { return nil, &net.DNSError{Err: "no such host", Name: "gateway.example"} }
	lookups = append(lookups, to(first), unknown, to(second))
	retried := 0
	client, err := hfgateway.New("gateway.example:1", hfgateway.WithDialOptions(grpc.WithContextDialer(dial)),
		hfgateway.WithOnRetry(func(*hfgateway.Error, time.Duration) { retried++ }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 2 {
		if _, err := client.Get(within(t), "g1"); err != nil {
			t.Fatal(err)
		}
		first.cut()
	}
	if retried == 0 || len(lookups) > 0 {
		t.Error(retried, len(lookups))
	}
}

// lostOnce returns a client whose first connection reaches the gateway, and whose next lookup fails. It runs on the
// system's clock, because gRPC waits before it reconnects. The function returns the number of lookups.
func lostOnce(t *testing.T, g *gateway) (*hfgateway.Client, func() int32) {
	var lookups atomic.Int32
	dial := func(context.Context, string) (net.Conn, error) {
		if lookups.Add(1) == 2 {
			return nil, &net.DNSError{Err: "no such host", Name: "gateway.example"}
		}
		return net.Dial("tcp", g.address())
	}
	client, err := hfgateway.New("gateway.example:1", hfgateway.WithDialOptions(grpc.WithContextDialer(dial)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, lookups.Load
}

func TestNameIsNoMistakeAfterACheck(t *testing.T) {
	g := newGateway(t)
	g.on("ListGenerations", respond(&pb.ListGenerationsResponse{}))
	g.on("GetGeneration", respond(&pb.GetGenerationResponse{}))
	client, lookups := lostOnce(t, g)
	if err := client.Check(within(t)); err != nil {
		t.Fatal(err)
	}
	g.cut()
	if _, err := client.Get(within(t), "g1"); err != nil || lookups() < 3 {
		t.Error(err, lookups())
	}
}

func TestNameIsNoMistakeAfterAMessageOfAWatch(t *testing.T) {
	g := newGateway(t)
	g.on("WatchGeneration",
		sequence(respond(change(hfgateway.StateQueued, 1)), hang), respond(change(hfgateway.StateCompleted, 2)))
	client, lookups := lostOnce(t, g)
	for changed, err := range client.Watch(within(t), "g1") {
		if err != nil {
			t.Fatal(err)
		}
		if !changed.GetDone() {
			g.cut()
		}
	}
	if lookups() < 3 {
		t.Error(lookups())
	}
}

func TestInterceptorsSeeEveryAttempt(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", draining(0), respond(&pb.GetGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)}))
	g.on("WatchGeneration", draining(0), respond(change(hfgateway.StateCompleted, 1)))
	var seen []string
	unary := func(ctx context.Context, method string, request, response any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		err := invoke(ctx, method, request, response, conn, options...)
		seen = append(seen, status.Code(err).String())
		return err
	}
	streams := func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
		open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		seen = append(seen, desc.StreamName)
		return open(ctx, desc, conn, method, options...)
	}
	client, _ := newClient(t, g.address(),
		hfgateway.WithDialOptions(grpc.WithUnaryInterceptor(unary), grpc.WithStreamInterceptor(streams)))
	if _, err := client.Get(within(t), "g1"); err != nil {
		t.Error(err)
	}
	for _, err := range client.Watch(within(t), "g1") {
		if err != nil {
			t.Error(err)
		}
	}
	if text(seen) != "[Unavailable OK WatchGeneration WatchGeneration]" {
		t.Error(seen)
	}
}

// rotating is a key that changes with each attempt.
type rotating struct{ number int }

func (r *rotating) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	r.number++
	return map[string]string{"authorization": text("Bearer", r.number)}, nil
}

func (*rotating) RequireTransportSecurity() bool { return false }

func TestCredentialsOfTheCallerAreAskedForEachAttempt(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", draining(0), respond(&pb.GetGenerationResponse{}))
	client, _ := newClient(t, g.address(), hfgateway.WithDialOptions(grpc.WithPerRPCCredentials(&rotating{})))
	if _, err := client.Get(within(t), "g1"); err != nil {
		t.Fatal(err)
	}
	for number, call := range g.received("GetGeneration") {
		if got := call.metadata.Get("authorization"); text(got) != text([]string{text("Bearer", number+1)}) {
			t.Errorf("attempt %d: %q", number, got)
		}
	}
}

// scarce is a key that can be read once.
type scarce struct{ rotating }

func (s *scarce) GetRequestMetadata(ctx context.Context, urls ...string) (map[string]string, error) {
	key, err := s.rotating.GetRequestMetadata(ctx, urls...)
	if s.number > 1 {
		err = errors.New("the vault is sealed")
	}
	return key, err
}

func TestCredentialsThatFailBeforeTheWatchLeaveTheKeyOfTheSubmissionInTheError(t *testing.T) {
	g := newGateway(t)
	g.on("SubmitGeneration", submitted(pb.GenerationState_GENERATION_STATE_QUEUED, 1))
	client, _ := newClient(t, g.address(), hfgateway.WithDialOptions(grpc.WithPerRPCCredentials(&scarce{})))
	_, err := client.Generate(within(t), hfgateway.Soul("a fox"), nil, func(r *hfgateway.SubmitRequest) {
		r.IdempotencyKey = "order-7"
	})
	var failed *hfgateway.Error
	if !errors.As(err, &failed) || failed.IdempotencyKey != "order-7" || !strings.Contains(err.Error(), "vault") {
		t.Errorf("%v: %+v", err, failed)
	}
}

func TestCheckReturnsErrorsOfTheGateway(t *testing.T) {
	g := newGateway(t)
	g.on("ListGenerations", respond(&pb.ListGenerationsResponse{}),
		refuse(codes.Unauthenticated, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_INVALID_CREDENTIALS}))
	client, _ := newClient(t, g.address())
	if err := client.Check(within(t)); err != nil {
		t.Error(err)
	}
	if err := client.Check(t.Context()); !errors.Is(err, hfgateway.ErrInvalidCredentials) {
		t.Error(err)
	}
	deadline, limited := g.received("ListGenerations")[1].Deadline()
	if !limited || time.Until(deadline) > 10*time.Second {
		t.Error(deadline)
	}
}

func TestNameIsNoMistakeAfterARefusal(t *testing.T) {
	g := newGateway(t)
	g.on("GetGeneration", refuse(codes.NotFound, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_NOT_FOUND}),
		respond(&pb.GetGenerationResponse{}))
	client, lookups := lostOnce(t, g)
	if _, err := client.Get(within(t), "g1"); !errors.Is(err, hfgateway.ErrNotFound) {
		t.Fatal(err)
	}
	g.cut()
	if _, err := client.Get(within(t), "g1"); err != nil || lookups() < 3 {
		t.Error(err, lookups())
	}
}

func TestRetriesAreReportedAndTheLastErrorToo(t *testing.T) {
	t.Parallel() // it waits for the deadline
	g := newGateway(t)
	g.on("GetGeneration", draining(3*time.Second), hang)
	var reported []string
	client, _ := newClient(t, g.address(), hfgateway.WithOnRetry(func(err *hfgateway.Error, delay time.Duration) {
		reported = append(reported, text(err.Reason, delay))
	}))
	ctx, cancel := context.WithTimeout(within(t), 5*time.Second)
	defer cancel()
	_, err := client.Get(ctx, "g1")
	if !errors.Is(err, hfgateway.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "before that: draining") ||
		!strings.Contains(err.Error(), g.address()) {
		t.Error(err)
	}
	if !slices.Equal(reported, []string{"GATEWAY_UNAVAILABLE 3s"}) {
		t.Error(reported)
	}
}
