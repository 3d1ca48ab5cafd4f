package hfgateway

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// calls is the connection of the stubs, a [grpc.ClientConnInterface] that adds the client's timeout, retries and errors.
// Interceptors of the caller belong to conn, so they see every attempt.
type calls struct {
	conn    *grpc.ClientConn
	address string
	timeout time.Duration
	policy  RetryPolicy
	onRetry func(*Error, time.Duration)
	timers  timers
	open    context.Context // until Close
	reached atomic.Bool     // whether the gateway has ever responded
}

// Invoke makes a unary call, and retries it if that is safe, until the client's timeout or the context's deadline.
func (c *calls) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout+responseDelay(request))
		defer cancel()
	}
	trouble := c.outage(ctx, c.policy.RepeatCallsFor)
	for {
		err := c.typed(ctx, c.conn.Invoke(ctx, method, request, response, options...))
		if err == nil {
			return nil
		}
		if err := trouble.endure(ctx, err); err != nil {
			return err
		}
	}
}

// responseDelay returns how long the request lets the gateway wait before it responds.
func responseDelay(request any) time.Duration {
	switch request := request.(type) {
	case *pb.SubmitGenerationRequest:
		return request.GetWaitTimeout().AsDuration()
	case *pb.WaitGenerationRequest:
		return request.GetTimeout().AsDuration()
	}
	return 0
}

// NewStream opens a stream. Watches reopen it if it breaks; see [watch].
func (c *calls) NewStream(
	ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	opened, err := c.conn.NewStream(ctx, desc, method, options...)
	if err != nil {
		return nil, c.typed(ctx, err)
	}
	return &stream{opened, c, ctx}, nil
}

// stream converts the errors of a stream.
type stream struct {
	grpc.ClientStream
	calls *calls
	ctx   context.Context // of the caller: that of the stream ends with the stream
}

func (s *stream) SendMsg(message any) error {
	return s.calls.typed(s.ctx, s.ClientStream.SendMsg(message))
}
func (s *stream) RecvMsg(message any) error {
	return s.calls.typed(s.ctx, s.ClientStream.RecvMsg(message))
}

// typed returns an error of gRPC as an [*Error], and nil and [io.EOF] unchanged.
func (c *calls) typed(ctx context.Context, err error) error {
	if err == nil {
		c.reached.Store(true)
	}
	if err == nil || err == io.EOF {
		return err
	}
	return c.errorOf(ctx, err)
}

// pause sleeps for delay. It returns an error if the context is done or the client is closed first.
func (c *calls) pause(ctx context.Context, delay time.Duration) error {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.open, cancel)()
	return c.typed(ctx, c.timers.sleep(both, delay))
}

// outage counts the failures since the last success. It decides how long to wait before the next attempt, and when to
// give up.
type outage struct {
	calls    *calls
	patience time.Duration // 0: until the deadline
	deadline time.Time     // zero: none
	failures int
	began    time.Time
	last     *Error
}

func (c *calls) outage(ctx context.Context, patience time.Duration) *outage {
	return &outage{calls: c, patience: patience, deadline: c.timers.deadline(ctx)}
}

// endure sleeps until the next attempt, and returns nil. If there is no next attempt, it returns the error at once.
func (o *outage) endure(ctx context.Context, err error) error {
	var failed *Error
	if !errors.As(err, &failed) {
		return err
	}
	if failed.Code == codes.DeadlineExceeded && o.failures > 0 {
		failed.Message += "; before that: " + o.last.Message
	}
	if !mayRepeat(failed) {
		return failed
	}
	now := o.calls.timers.now()
	if o.failures == 0 {
		o.began = now
	}
	o.failures++
	o.last = failed
	delay := o.calls.policy.delay(o.failures, failed.RetryDelay, o.calls.timers.random())
	next := now.Add(delay)
	if o.patience != 0 && !next.Before(o.began.Add(o.patience)) || !o.deadline.IsZero() && !next.Before(o.deadline) {
		return failed
	}
	if o.calls.onRetry != nil {
		o.calls.onRetry(failed, delay)
	}
	return o.calls.pause(ctx, delay)
}
