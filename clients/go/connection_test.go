package hfgateway_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

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

func TestCheckReturnsErrorsOfTheGateway(t *testing.T) {
	g := newGateway(t)
	g.on("ListGenerations", respond(&pb.ListGenerationsResponse{}),
		refuse(codes.Unauthenticated, &pb.Failure{Reason: pb.ErrorReason_ERROR_REASON_INVALID_CREDENTIALS}))
	client, _ := newClient(t, g.address())
	if err := client.Check(within(t)); err != nil {
		t.Error(err)
	}
	if err := client.Check(within(t)); !errors.Is(err, hfgateway.ErrInvalidCredentials) {
		t.Error(err)
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
