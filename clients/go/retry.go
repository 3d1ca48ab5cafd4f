package hfgateway

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy says how patient a client is. What is zero has its default.
//
// A call is repeated as it is, a submission under the same key, and only where the gateway's contract says that nothing is
// done twice: after UNAVAILABLE (an answer that was lost arrives as that), after CANCELLED that the caller did not ask for (a
// gateway that ends makes it of calls that it has not taken up), after a refusal to even look at it (GATEWAY_OVERLOADED), and
// after SUBMISSION_UNRESOLVED, which asks for it. There is one mechanism: gRPC's own would know neither the reasons nor the
// delay that the gateway asks for.
type RetryPolicy struct {
	// FirstDelay is that before the first repeat, where the gateway asked for none; it doubles with each failure in a row
	// up to MaxDelay, and is shortened at random by up to a half. Default 200 ms.
	FirstDelay time.Duration
	// Default 10 s.
	MaxDelay time.Duration
	// RepeatCallsFor ends the repeats of one call before its deadline. Default: the deadline alone; negative: no repeats.
	RepeatCallsFor time.Duration
	// ResumeWatchesFor is how long the gateway may be away in a row before a watch ends with the last error. Default 120 s;
	// negative: watches are not resumed.
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

// delay before the next attempt, after so many failures in a row; chance is from 0 to 1.
func (p RetryPolicy) delay(failures int, asked time.Duration, chance float64) time.Duration {
	if asked > 0 {
		return asked // the gateway has spread it already
	}
	full := min(float64(p.FirstDelay)*math.Exp2(float64(failures-1)), float64(p.MaxDelay))
	return time.Duration(full * (0.5 + chance/2))
}

// mayRepeat says whether the same call may be made again without doing anything twice, and has a chance.
func mayRepeat(err *Error) bool {
	switch err.Reason {
	case "GATEWAY_OVERLOADED", "SUBMISSION_UNRESOLVED":
		return true
	}
	return errors.Is(err, ErrUnavailable)
}

// timers are time and chance as values, so that a test has hours pass without waiting for them.
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

// deadline of a context on these timers' clock; none is the zero time.
func (t timers) deadline(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Time{}
	}
	return t.now().Add(time.Until(deadline))
}

// outage counts the failures since the last success: how long to wait before the next attempt, and when to give up.
type outage struct {
	client   *Client
	patience time.Duration // 0: as long as the deadline lets it
	deadline time.Time     // zero: none
	failures int
	began    time.Time
}

// over is what an answer of the gateway makes of it.
func (o *outage) over() {
	o.failures = 0
}

// endure waits until another attempt is due. Where none is, it returns at once with the error to end with.
func (o *outage) endure(ctx context.Context, failed *Error) error {
	if !mayRepeat(failed) {
		return failed
	}
	timers := o.client.timers
	now := timers.now()
	if o.failures == 0 {
		o.began = now
	}
	o.failures++
	next := now.Add(o.client.policy.delay(o.failures, failed.RetryDelay, timers.random()))
	if o.patience != 0 && !next.Before(o.began.Add(o.patience)) {
		return failed
	}
	if !o.deadline.IsZero() && !next.Before(o.deadline) {
		return failed
	}
	return o.client.pause(ctx, next.Sub(now))
}
