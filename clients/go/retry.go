package hfgateway

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy configures retries. A zero field has its default.
//
// The client retries a call unchanged, and a submission with the same key, only if the API guarantees that a retry has
// no second effect. These errors are retried:
//   - UNAVAILABLE, which is also the error of a lost response; but not a mistake in the options, such as an unknown name
//     or an untrusted certificate, before the gateway has responded once.
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
	switch err.Reason {
	case "GATEWAY_OVERLOADED", "SUBMISSION_UNRESOLVED":
		return true
	}
	return errors.Is(err, ErrUnavailable) && !err.mistake
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

// deadline returns the context's deadline on the clock of t, or the zero time if it has none.
func (t timers) deadline(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Time{}
	}
	return t.now().Add(time.Until(deadline))
}
