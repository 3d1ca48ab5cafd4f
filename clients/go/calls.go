package hfgateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
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
	return c.repeat(ctx, responseDelay(request), func(ctx context.Context) error {
		return c.conn.Invoke(ctx, method, request, response, options...)
	})
}

// repeat makes the attempts of a unary call to which the gateway may respond after a wait.
func (c *calls) repeat(ctx context.Context, wait time.Duration, attempt func(context.Context) error) error {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout+min(wait, math.MaxInt64-c.timeout))
		defer cancel()
	}
	trouble := c.outage(ctx, c.policy.RepeatCallsFor)
	for {
		err := attempt(ctx)
		if err == nil {
			c.reached.Store(true)
			return nil
		}
		if err := trouble.endure(ctx, c.errorOf(ctx, err)); err != nil {
			return err
		}
	}
}

// responseDelay returns how long the request lets the gateway wait before it responds.
func responseDelay(request any) time.Duration {
	submit, _ := request.(*pb.SubmitGenerationRequest)
	wait, _ := request.(*pb.WaitGenerationRequest)
	return submit.GetWaitTimeout().AsDuration() + wait.GetTimeout().AsDuration()
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
	err := s.ClientStream.RecvMsg(message)
	s.calls.reached.CompareAndSwap(false, err == nil)
	return s.calls.typed(s.ctx, err)
}

// typed returns an error of gRPC as an [*Error], and nil and [io.EOF] unchanged.
func (c *calls) typed(ctx context.Context, err error) error {
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
	o := &outage{calls: c, patience: patience}
	if deadline, ok := ctx.Deadline(); ok {
		o.deadline = c.timers.now().Add(time.Until(deadline))
	}
	return o
}

// endure sleeps until the next attempt, and returns nil. If there is no next attempt, it returns the error at once, or
// after an overload the last error whose attempt may have had an effect.
func (o *outage) endure(ctx context.Context, failed *Error) error {
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
	// An overload had no effect, but the failure before it may have had one.
	before := o.last
	overloaded := errors.Is(failed, ErrGatewayOverloaded) && o.failures > 0 && !errors.Is(before, ErrGatewayOverloaded)
	o.failures++
	if !overloaded {
		o.last = failed
	}
	delay := o.calls.policy.delay(o.failures, failed.RetryDelay, o.calls.timers.random())
	next := now.Add(delay)
	if o.patience != 0 && !next.Before(o.began.Add(o.patience)) || !o.deadline.IsZero() && !next.Before(o.deadline) {
		if overloaded {
			before.Message += "; then: " + failed.Message
		}
		return o.last
	}
	if o.calls.onRetry != nil {
		o.calls.onRetry(failed, delay)
	}
	return o.calls.pause(ctx, delay)
}

// RetryPolicy configures retries. A zero field has its default.
//
// The client retries a call unchanged, and a submission with the same key, only if the API guarantees that a retry has
// no second effect: after [ErrUnavailable], [ErrGatewayOverloaded] and [ErrSubmissionUnresolved]. Before the gateway has
// responded once, it does not retry a mistake in the options, such as an unknown name or an untrusted certificate. INTERNAL
// and UNKNOWN without a reason match ErrUnavailable: gRPC reports them for a stream that a proxy has cut off.
type RetryPolicy struct {
	// FirstDelay is the delay before the first retry, if the error has no RetryDelay. It doubles with each consecutive
	// failure up to MaxDelay, and is multiplied by a random factor of 0.5 to 1. Default: 200 ms.
	FirstDelay time.Duration
	// MaxDelay is the longest delay. Default: 10 s.
	MaxDelay time.Duration
	// RepeatCallsFor limits how long a call is retried. Default: until its deadline. Negative: calls are not retried.
	RepeatCallsFor time.Duration
	// ResumeWatchesFor is how long the gateway may be unavailable in a row before a watch ends with the last error.
	// Default: 120 s. Negative: watches are not resumed.
	ResumeWatchesFor time.Duration
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	p.FirstDelay = cmp.Or(p.FirstDelay, 200*time.Millisecond)
	p.MaxDelay = cmp.Or(p.MaxDelay, 10*time.Second)
	p.ResumeWatchesFor = cmp.Or(p.ResumeWatchesFor, 120*time.Second)
	return p
}

// delay returns the time before the next attempt. failures counts consecutive failures, asked is the delay that the
// gateway asked for (0: none), and chance is a random number from 0 to 1.
func (p RetryPolicy) delay(failures int, asked time.Duration, chance float64) time.Duration {
	if asked > 0 {
		return asked // the gateway has added jitter already
	}
	full := min(float64(p.FirstDelay)*math.Exp2(float64(failures-1)), float64(p.MaxDelay))
	return time.Duration(full * (0.5 + chance/2))
}

// mayRepeat returns whether the call can be retried without a second effect, and may succeed then.
func mayRepeat(err *Error) bool {
	return errors.Is(err, ErrGatewayOverloaded) || errors.Is(err, ErrSubmissionUnresolved) ||
		errors.Is(err, ErrUnavailable) && !err.mistake
}

// timers has the clock, sleep and randomness of a client. Tests replace them, so that hours pass without waiting.
type timers struct {
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	random func() float64
}

var realTimers = timers{now: time.Now, sleep: sleep, random: rand.Float64}

func sleep(ctx context.Context, delay time.Duration) error {
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
