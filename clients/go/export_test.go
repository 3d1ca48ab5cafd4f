package hfgateway

import (
	"context"
	"testing"
	"time"
)

// WithTimers gives a client time and chance of a test's making.
func WithTimers(
	now func() time.Time, sleep func(context.Context, time.Duration) error, random func() float64,
) Option {
	return func(s *settings) error {
		s.timers = timers{now, sleep, random}
		return nil
	}
}

var Sleep = sleep

// Delay before the next attempt, by the policy with its defaults.
func (p RetryPolicy) Delay(failures int, asked time.Duration, chance float64) time.Duration {
	return p.withDefaults().delay(failures, asked, chance)
}

// Target is the address that a client was made for.
func (c *Client) Target() string { return c.conn.Target() }

// Defaults of a client for which nothing is said.
func Defaults(t *testing.T) (RetryPolicy, time.Duration) {
	t.Helper()
	client, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	return client.policy, client.timeout
}
