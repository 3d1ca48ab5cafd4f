package hfgateway

import (
	"cmp"
	"slices"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// cursor is the position of a watch of many generations. It turns the messages of all streams of one watch into events,
// and keeps the token with which the next stream resumes. It does no I/O.
//
// A resume token continues right after its message, also within the snapshot at the start of a watch.
type cursor struct {
	token        string // opens the next stream
	sentCaughtUp bool
	sentMissing  []string
}

// received returns the events of a message. Only the last event carries the message's token: if an earlier one did,
// resuming from it would skip the rest.
func (c *cursor) received(message *pb.WatchGenerationsResponse) []Event {
	var events []Event
	if message.GetReset_() {
		*c = cursor{}
		events = append(events, Reset{})
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
	return events
}

// after returns the token to resume with once the events of the message are reported.
func (c *cursor) after(message *pb.WatchGenerationsResponse) string {
	return cmp.Or(message.GetResumeToken(), c.token)
}
