package hfgateway

import (
	"slices"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Event is an event of [Client.WatchMany]. Besides ResumeToken, one field is set.
type Event struct {
	// ResumeToken continues a later WatchMany with the same filter after this event. It may repeat some preceding
	// events, but skips none. It is empty until the gateway has sent one.
	ResumeToken string
	// Changed is a generation at a new revision. A watch without a resume token begins with the current state of each.
	Changed *Generation
	// CaughtUp reports that all earlier changes have been reported; new changes follow. Once, and again after a Reset.
	CaughtUp bool
	// Reset reports that changes are missing, including those of generations that have ended. Discard what you have, or
	// read it again: a snapshot follows.
	Reset bool
	// Missing has the ids in the filter that do not exist.
	Missing []string
	// Forecasts has newer forecasts by generation id, for generations that are otherwise unchanged.
	Forecasts map[string]*Forecast
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
	add := func(event Event) {
		event.ResumeToken = c.token
		events = append(events, event)
	}
	if message.GetReset_() {
		*c = cursor{}
		add(Event{Reset: true})
	}
	if missing := message.GetMissingIds(); len(missing) > 0 && !slices.Equal(missing, c.sentMissing) {
		c.sentMissing = missing
		add(Event{Missing: missing})
	}
	reported := len(events)
	if generation := message.GetGeneration(); generation != nil {
		add(Event{Changed: generation})
	}
	if forecasts := message.GetForecasts(); len(forecasts) > 0 {
		add(Event{Forecasts: forecasts})
	}
	if message.GetCaughtUp() && !c.sentCaughtUp {
		c.sentCaughtUp = true
		add(Event{CaughtUp: true})
	}
	if token := message.GetResumeToken(); token != "" {
		c.token = token
		if last := len(events) - 1; last >= reported {
			events[last].ResumeToken = token
		}
	}
	return events
}
