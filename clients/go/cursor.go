package hfgateway

import (
	"slices"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// cursor is the position of a watch of many generations. It turns the messages of all streams of one watch into events,
// and keeps the token with which the next stream resumes. It does no I/O.
//
// A resume token continues right after its message. The exception is a snapshot, at the start of a stream without a
// token or after a reset: a token received before caught_up starts the snapshot again. If a stream breaks there, the
// next one is opened without a token. Generations that ended in between are missing from its snapshot, so the cursor
// reports a Reset first.
type cursor struct {
	token        string // opens the next stream
	inSnapshot   bool   // the stream began with a snapshot, and has not caught up
	sentSome     bool   // a generation was reported since the last reset
	sentCaughtUp bool
	sentMissing  []string
}

// opened returns the events to report before the first message of a stream.
func (c *cursor) opened() []Event {
	c.inSnapshot = c.token == ""
	if c.inSnapshot && c.sentSome {
		return []Event{c.reset()}
	}
	return nil
}

// received returns the events of a message. Only the last event carries the message's token: if an earlier one did,
// resuming from it would skip the rest.
func (c *cursor) received(message *pb.WatchGenerationsResponse) []Event {
	var events []Event
	if message.GetReset_() {
		c.token, c.inSnapshot = "", true
		events = append(events, c.reset())
	}
	before, after := Position{c.token}, Position{c.after(message)}
	at := func(last bool) Position {
		if last {
			return after
		}
		return before
	}
	if missing := message.GetMissingIds(); len(missing) > 0 && !slices.Equal(missing, c.sentMissing) {
		c.sentMissing = missing
		events = append(events, Missing{before, missing})
	}
	generation, forecasts := message.GetGeneration(), message.GetForecasts()
	caughtUp := message.GetCaughtUp() && !c.sentCaughtUp
	if generation != nil {
		c.sentSome = true
		events = append(events, Changed{at(len(forecasts) == 0 && !caughtUp), generation})
	}
	if len(forecasts) > 0 {
		events = append(events, Forecasts{at(!caughtUp), forecasts})
	}
	if caughtUp {
		c.sentCaughtUp = true
		events = append(events, CaughtUp{after})
	}

	c.token = after.ResumeToken
	c.inSnapshot = c.inSnapshot && !message.GetCaughtUp()
	return events
}

// after returns the token to resume with once the events of the message are reported.
func (c *cursor) after(message *pb.WatchGenerationsResponse) string {
	if message.GetResumeToken() == "" || (c.inSnapshot && !message.GetCaughtUp()) {
		return c.token
	}
	return message.GetResumeToken()
}

func (c *cursor) reset() Event {
	c.sentSome, c.sentCaughtUp, c.sentMissing = false, false, nil
	return Reset{Position{c.token}}
}
