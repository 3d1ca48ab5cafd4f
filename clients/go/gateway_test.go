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

// patience is the timeout of a test's waits. Passing tests stay far below it.
const patience = 20 * time.Second

// call is a call that the gateway has received.
type call struct {
	context.Context
	stream   grpc.ServerStream
	request  proto.Message
	metadata metadata.MD
}

// receive reads the next message of the client into m.
func (c *call) receive(m proto.Message) error { return c.stream.RecvMsg(m) }

// step handles one call, and returns the error that ends it, or nil.
type step func(*call) error

// gateway is a scripted server on a real socket: each call takes the next step of its RPC.
type gateway struct {
	t        *testing.T
	listener *listener
	mu       sync.Mutex
	steps    map[string][]step
	calls    map[string][]*call
}

// newGateway starts a gateway that stops at the end of the test. The test fails if steps are left.
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

// on adds steps for later calls of an RPC.
func (g *gateway) on(rpc string, steps ...step) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.steps[rpc] = append(g.steps[rpc], steps...)
}

// received returns the calls of an RPC so far.
func (g *gateway) received(rpc string) []*call {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[rpc]
}

// requests returns the requests of an RPC so far.
func requests[M proto.Message](g *gateway, rpc string) []M {
	var found []M
	for _, call := range g.received(rpc) {
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
	received := &call{Context: stream.Context(), stream: stream, request: kind.New().Interface()}
	received.metadata, _ = metadata.FromIncomingContext(stream.Context())
	if err := stream.RecvMsg(received.request); err != nil {
		return err
	}
	next := g.take(string(method.Name()), received)
	if next == nil {
		return status.Errorf(codes.Unimplemented, "the test has no step for this %s", method.Name())
	}
	return next(received)
}

func (g *gateway) take(rpc string, received *call) step {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[rpc] = append(g.calls[rpc], received)
	left := g.steps[rpc]
	if len(left) == 0 {
		return nil
	}
	g.steps[rpc] = left[1:]
	return left[0]
}

// cut resets every connection. Data that the client has not read yet is lost.
func (g *gateway) cut() { g.listener.cut() }

// cutConnections is a step that resets the connections instead of responding.
func (g *gateway) cutConnections(received *call) error {
	g.cut()
	return hang(received)
}

// respond returns a step that sends messages and ends the call with OK.
func respond(messages ...proto.Message) step {
	return func(received *call) error {
		for _, message := range messages {
			if err := received.stream.SendMsg(message); err != nil {
				return err
			}
		}
		return nil
	}
}

// hang is a step that never responds.
func hang(received *call) error {
	<-received.Done()
	return received.Err()
}

// sequence returns a step that runs steps for one call, up to the first error.
func sequence(steps ...step) step {
	return func(received *call) error {
		for _, next := range steps {
			if err := next(received); err != nil {
				return err
			}
		}
		return nil
	}
}

// refuse returns a step that fails with the gateway's error for the failure.
func refuse(code codes.Code, failure *pb.Failure) step {
	return refuseAs(code, strings.TrimPrefix(failure.GetReason().String(), "ERROR_REASON_"), failure)
}

// refuseAs is refuse with a reason that may be newer than the stubs.
func refuseAs(code codes.Code, reason string, failure *pb.Failure) step {
	return func(*call) error {
		received, err := status.New(code, failure.GetMessage()).WithDetails(
			failure, &errdetails.ErrorInfo{Domain: "hfgateway", Reason: reason})
		if err != nil {
			return err
		}
		return received.Err()
	}
}

// draining returns a step that fails as a gateway that shuts down does.
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
	return respond(&pb.SubmitGenerationResponse{Generation: generation(state, revision)})
}

// listener keeps its connections, so that they can be reset.
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
		connection.SetLinger(0) // a reset instead of an orderly close
		connection.Close()
	}
	l.connections = nil
}

// clock advances only when the client sleeps, and sleeps return at once.
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

// timers returns the option for this clock. By default the jitter does not shorten delays.
func (c *clock) timers() hfgateway.Option {
	return hfgateway.WithTimers(c.now, c.sleep, func() float64 { return c.chance })
}

// newClient returns a client of the address and its clock.
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

// unreachable returns an address on which nothing listens.
func unreachable(t *testing.T) string {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	return socket.Addr().String()
}

// within returns a context that ends after patience.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// wait waits until happened is closed, and fails the test after patience.
func wait(t *testing.T, happened <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatalf("%s: not within %s", what, patience)
	}
}

// text formats values, to compare messages.
func text(values ...any) string { return strings.TrimSuffix(fmt.Sprintln(values...), "\n") }

// readAll reads the client's stream to its end. It returns nil, or the error that broke the stream.
func readAll(received *call, take func(*pb.UploadMediaRequest)) error {
	for {
		message := &pb.UploadMediaRequest{}
		if err := received.receive(message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		take(message)
	}
}
