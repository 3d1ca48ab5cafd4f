package hfgateway

import (
	"cmp"
	"slices"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Event is an event of [Client.WatchMany]: a [Changed], [CaughtUp], [Reset], [Missing] or [Forecasts].
type Event interface {
	// Token returns the resume token: a later WatchMany with the same filter continues after this event (see
	// [FromToken]). It may repeat some preceding events, but skips none. The token is empty until the gateway has sent
	// one.
	Token() string
	event()
}

// Position is the position of an event in a watch.
type Position struct {
	ResumeToken string
}

// Token returns the resume token.
func (p Position) Token() string { return p.ResumeToken }

func (Position) event() {}

// Changed has a generation at a new revision. A watch without a resume token begins with the current state of each
// generation.
type Changed struct {
	Position
	Generation *Generation
}

// CaughtUp marks the point at which all earlier changes have been reported; new changes follow. It occurs once, and
// once more after each [Reset].
type CaughtUp struct{ Position }

// Reset reports that changes are missing, including those of generations that have ended. Discard what you have, or
// read it again: a snapshot follows.
type Reset struct{ Position }

// Missing has the ids in the filter that do not exist.
type Missing struct {
	Position
	IDs []string
}

// Forecasts has newer forecasts by generation id, for generations that are otherwise unchanged.
type Forecasts struct {
	Position
	ByID map[string]*Forecast
}

// cursor turns the messages of all streams of a watch of many into events. token opens the next stream: it continues
// right after its message, also within the snapshot at the start of a watch.
type cursor struct {
	token        string
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
	before := Position{c.token}
	c.token = cmp.Or(message.GetResumeToken(), c.token)
	at := func(last bool) Position {
		if last {
			return Position{c.token}
		}
		return before
	}
	if missing := message.GetMissingIds(); len(missing) > 0 && !slices.Equal(missing, c.sentMissing) {
		c.sentMissing = missing
		events = append(events, Missing{before, missing})
	}
	forecasts, caughtUp := message.GetForecasts(), message.GetCaughtUp() && !c.sentCaughtUp
	if generation := message.GetGeneration(); generation != nil {
		events = append(events, Changed{at(len(forecasts) == 0 && !caughtUp), generation})
	}
	if len(forecasts) > 0 {
		events = append(events, Forecasts{at(!caughtUp), forecasts})
	}
	if caughtUp {
		c.sentCaughtUp = true
		events = append(events, CaughtUp{at(true)})
	}
	return events
}
