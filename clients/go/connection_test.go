package hfgateway_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
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
