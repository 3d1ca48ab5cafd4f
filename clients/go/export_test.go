package hfgateway

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"
)

const (
	DefaultTimeout = defaultTimeout
	PingAfter      = pingAfter
	PingTimeout    = pingTimeout
)

// WithTimers replaces the clock, sleep and randomness of a client.
func WithTimers(
	now func() time.Time, sleep func(context.Context, time.Duration) error, random func() float64,
) Option {
	return func(s *settings) { s.timers = timers{now, sleep, random} }
}

var Sleep = sleep

// Delay returns the delay before the next attempt, with the defaults of the policy.
func (p RetryPolicy) Delay(failures int, asked time.Duration, chance float64) time.Duration {
	return p.withDefaults().delay(failures, asked, chance)
}

// Target returns the address that the client connects to.
func (c *Client) Target() string { return c.calls.conn.Target() }

// WaitWhileReady waits until the connection is not ready for calls, as after a GOAWAY.
func (c *Client) WaitWhileReady(ctx context.Context) {
	c.calls.conn.WaitForStateChange(ctx, connectivity.Ready)
}

// Defaults returns the policy and timeout of a client without options.
func Defaults(t *testing.T) (RetryPolicy, time.Duration) {
	t.Helper()
	client, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return client.calls.policy, client.calls.timeout
}
