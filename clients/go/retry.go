package hfgateway

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
)

// RetryPolicy configures retries. A zero field has its default.
//
// The client retries a call unchanged, and a submission with the same key, only if the API guarantees that a retry has
// no second effect. These errors are retried:
//   - UNAVAILABLE, which is also the error of a lost response.
//   - CANCELLED, if the caller did not cancel. A gateway that shuts down returns it for calls that it has not started.
//   - GATEWAY_OVERLOADED: the gateway refused the call before it did anything.
//   - SUBMISSION_UNRESOLVED: the same submission finds out what happened.
//
// gRPC's own retries are off: they know neither the reasons nor the delay that the gateway asks for.
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
	if p.FirstDelay == 0 {
		p.FirstDelay = 200 * time.Millisecond
	}
	if p.MaxDelay == 0 {
		p.MaxDelay = 10 * time.Second
	}
	if p.ResumeWatchesFor == 0 {
		p.ResumeWatchesFor = 120 * time.Second
	}
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
	switch err.Reason {
	case "GATEWAY_OVERLOADED", "SUBMISSION_UNRESOLVED":
		return true
	}
	return errors.Is(err, ErrUnavailable)
}

// timers has the clock, sleep and randomness of a client. Tests replace them, so that hours pass without waiting.
type timers struct {
	now    func() time.Time
	sleep  func(context.Context, time.Duration) error
	random func() float64
}

var realTimers = timers{now: time.Now, sleep: sleep, random: rand.Float64}

func sleep(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deadline returns the context's deadline on the clock of t, or the zero time if it has none.
func (t timers) deadline(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Time{}
	}
	return t.now().Add(time.Until(deadline))
}

// outage counts the failures since the last success. It decides how long to wait before the next attempt, and when to
// give up.
type outage struct {
	client   *Client
	patience time.Duration // 0: until the deadline
	deadline time.Time     // zero: none
	failures int
	began    time.Time
	last     *Error
}

// over ends the outage, after a message of the gateway.
func (o *outage) over() {
	o.failures = 0
}

// endure sleeps until the next attempt, and returns nil. If there is no next attempt, it returns the error at once.
func (o *outage) endure(ctx context.Context, failed *Error) error {
	if failed.Code == codes.DeadlineExceeded && o.failures > 0 {
		failed.Message += "; before that: " + o.last.Message
	}
	if !mayRepeat(failed) {
		return failed
	}
	timers := o.client.timers
	now := timers.now()
	if o.failures == 0 {
		o.began = now
	}
	o.failures++
	o.last = failed
	next := now.Add(o.client.policy.delay(o.failures, failed.RetryDelay, timers.random()))
	if o.patience != 0 && !next.Before(o.began.Add(o.patience)) {
		return failed
	}
	if !o.deadline.IsZero() && !next.Before(o.deadline) {
		return failed
	}
	if o.client.onRetry != nil {
		o.client.onRetry(failed, next.Sub(now))
	}
	return o.client.pause(ctx, next.Sub(now))
}
