package hfgateway_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/durationpb"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// patience is after how long a test gives up waiting: no test is meant to come near it.
const patience = 20 * time.Second

// call is one call that came in.
type call struct {
	context.Context
	stream   grpc.ServerStream
	request  proto.Message
	metadata metadata.MD
}

// receive reads the next message of a client's stream into m.
func (c *call) receive(m proto.Message) error { return c.stream.RecvMsg(m) }

// step is what a gateway does about one call; it ends the call with what it returns.
type step func(*call) error

// gateway is a server on a real socket that does what a test wrote down: one step for each call that comes in.
type gateway struct {
	t        *testing.T
	listener *listener
	mu       sync.Mutex
	steps    map[string][]step
	calls    map[string][]*call
}

// newGateway starts one; it ends with the test, which fails where a step was never taken.
func newGateway(t *testing.T, options ...grpc.ServerOption) *gateway {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{
		t: t, listener: &listener{Listener: socket}, steps: map[string][]step{}, calls: map[string][]*call{},
	}
	options = append(options, grpc.UnknownServiceHandler(g.handle), grpc.WaitForHandlers(true))
	server := grpc.NewServer(options...)
	go server.Serve(g.listener)
	t.Cleanup(func() {
		server.Stop()
		for rpc, left := range g.steps {
			if len(left) > 0 {
				t.Errorf("%d steps of %s were never taken", len(left), rpc)
			}
		}
	})
	return g
}

func (g *gateway) address() string { return g.listener.Addr().String() }

// on adds steps for calls of an RPC that are to come.
func (g *gateway) on(rpc string, steps ...step) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps[rpc] = append(g.steps[rpc], steps...)
}

// came returns the calls of an RPC so far.
func (g *gateway) came(rpc string) []*call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[rpc]
}

// requests of an RPC so far.
func requests[M proto.Message](g *gateway, rpc string) []M {
	var found []M
	for _, call := range g.came(rpc) {
		found = append(found, call.request.(M))
	}
	return found
}

func (g *gateway) handle(_ any, stream grpc.ServerStream) error {
	full, _ := grpc.Method(stream.Context())
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(
		protoreflect.FullName(strings.ReplaceAll(full[1:], "/", ".")))
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	method := found.(protoreflect.MethodDescriptor)
	kind, err := protoregistry.GlobalTypes.FindMessageByName(method.Input().FullName())
	if err != nil {
		return err
	}
	came := &call{Context: stream.Context(), stream: stream, request: kind.New().Interface()}
	came.metadata, _ = metadata.FromIncomingContext(stream.Context())
	if err := stream.RecvMsg(came.request); err != nil {
		return err
	}
	next := g.take(string(method.Name()), came)
	if next == nil {
		return status.Errorf(codes.Unimplemented, "the test has no step for this %s", method.Name())
	}
	return next(came)
}

func (g *gateway) take(rpc string, came *call) step {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[rpc] = append(g.calls[rpc], came)
	left := g.steps[rpc]
	if len(left) == 0 {
		return nil
	}
	g.steps[rpc] = left[1:]
	return left[0]
}

// cut resets every connection under its calls. What the client has not read yet is lost with them.
func (g *gateway) cut() { g.listener.cut() }

// cutOff is a step that cuts instead of an answer.
func (g *gateway) cutOff(came *call) error {
	g.cut()
	return hang(came)
}

// tell sends messages and ends the call well.
func tell(messages ...proto.Message) step {
	return func(came *call) error {
		for _, message := range messages {
			if err := came.stream.SendMsg(message); err != nil {
				return err
			}
		}
		return nil
	}
}

// hang gives no answer, ever.
func hang(came *call) error {
	<-came.Done()
	return came.Err()
}

// inTurn takes one step after the other for the same call, until one ends it with an error.
func inTurn(steps ...step) step {
	return func(came *call) error {
		for _, next := range steps {
			if err := next(came); err != nil {
				return err
			}
		}
		return nil
	}
}

// refuse ends a call with an error as the gateway makes it.
func refuse(code codes.Code, failure *pb.Failure) step {
	return refuseAs(code, strings.TrimPrefix(failure.GetReason().String(), "ERROR_REASON_"), failure)
}

// refuseAs does it with a reason that may be newer than the stubs.
func refuseAs(code codes.Code, reason string, failure *pb.Failure) step {
	return func(*call) error {
		came, err := status.New(code, failure.GetMessage()).WithDetails(
			failure, &errdetails.ErrorInfo{Domain: "hfgateway", Reason: reason})
		if err != nil {
			return err
		}
		return came.Err()
	}
}

// draining is what the gateway says before it stops.
func draining(delay time.Duration) step {
	return refuse(codes.Unavailable, &pb.Failure{
		Reason:     pb.ErrorReason_ERROR_REASON_GATEWAY_UNAVAILABLE,
		Message:    "draining",
		RetryDelay: durationpb.New(delay),
	})
}

func generation(state hfgateway.State, revision int32) *hfgateway.Generation {
	done := state >= hfgateway.StateCompleted
	return &hfgateway.Generation{Id: "g1", State: state, Revision: revision, Done: done}
}

func change(state hfgateway.State, revision int32) proto.Message {
	return &pb.WatchGenerationResponse{Generation: generation(state, revision)}
}

func submitted(state hfgateway.State, revision int32) step {
	return tell(&pb.SubmitGenerationResponse{Generation: generation(state, revision)})
}

// listener knows its connections, so that they can be reset.
type listener struct {
	net.Listener
	mu          sync.Mutex
	connections []*net.TCPConn
}

func (l *listener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connections = append(l.connections, connection.(*net.TCPConn))
	return connection, nil
}

func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, connection := range l.connections {
		connection.SetLinger(0) // a reset, not an orderly end
		connection.Close()
	}
	l.connections = nil
}

// clock is time that passes when somebody sleeps, at once.
type clock struct {
	mu     sync.Mutex
	time   time.Time
	slept  []time.Duration
	chance float64
}

func newClock() *clock { return &clock{time: time.Unix(1_700_000_000, 0), chance: 1} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) pass(duration time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(duration)
}

func (c *clock) sleep(ctx context.Context, duration time.Duration) error {
	c.pass(duration)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept = append(c.slept, duration)
	return ctx.Err()
}

// timers of this clock. Its chance, unless changed, has jitter shorten nothing.
func (c *clock) timers() hfgateway.Option {
	return hfgateway.WithTimers(c.now, c.sleep, func() float64 { return c.chance })
}

// newClient returns a client of the address whose time is a clock's, with that clock.
func newClient(t *testing.T, address string, options ...hfgateway.Option) (*hfgateway.Client, *clock) {
	t.Helper()
	clock := newClock()
	client, err := hfgateway.New(address, append([]hfgateway.Option{clock.timers()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, clock
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	return socket.Addr().String()
}

// within is a context for what is meant to come at once.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// wait for something that is meant to happen.
func wait(t *testing.T, happened <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatalf("%s: not in %s", what, patience)
	}
}

// text of anything, to compare messages by.
func text(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

// untilEnd reads a client's stream to its end: nil, or how it broke.
func untilEnd(came *call, take func(*pb.UploadMediaRequest)) error {
	for {
		message := &pb.UploadMediaRequest{}
		if err := came.receive(message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		take(message)
	}
}
