package hfgateway

import (
	"slices"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// cursor is where a watch of many generations stands: it makes events of the messages of one watch, over all its streams,
// and knows what a broken one must send to go on. It does no I/O.
//
// The gateway's tokens resume without a gap right behind their message; only where a stream begins with the present, for want
// of a token or after a reset, a token from before caught_up starts over. A stream that broke there is opened without one; the
// generations that ended meanwhile would go missing in silence, so Reset is told first.
type cursor struct {
	token        string // to open the next stream with
	fromPresent  bool   // the stream begins with the present, and has not caught up
	toldSome     bool   // of what there is, since the last reset
	toldCaughtUp bool
	toldMissing  []string
}

// opened returns what to tell before the first message of a stream.
func (c *cursor) opened() []Event {
	c.fromPresent = c.token == ""
	if c.fromPresent && c.toldSome {
		return []Event{c.reset()}
	}
	return nil
}

// received returns what a message tells. The last event is the first to carry its token: with another one the rest would be
// skipped.
func (c *cursor) received(message *pb.WatchGenerationsResponse) []Event {
	var events []Event
	if message.GetReset_() {
		c.token, c.fromPresent = "", true
		events = append(events, c.reset())
	}
	before, after := Position{c.token}, Position{c.after(message)}
	at := func(last bool) Position {
		if last {
			return after
		}
		return before
	}
	if missing := message.GetMissingIds(); len(missing) > 0 && !slices.Equal(missing, c.toldMissing) {
		c.toldMissing = missing
		events = append(events, Missing{before, missing})
	}
	generation, forecasts := message.GetGeneration(), message.GetForecasts()
	caughtUp := message.GetCaughtUp() && !c.toldCaughtUp
	if generation != nil {
		c.toldSome = true
		events = append(events, Changed{at(len(forecasts) == 0 && !caughtUp), generation})
	}
	if len(forecasts) > 0 {
		events = append(events, Forecasts{at(!caughtUp), forecasts})
	}
	if caughtUp {
		c.toldCaughtUp = true
		events = append(events, CaughtUp{after})
	}

	c.token = after.ResumeToken
	c.fromPresent = c.fromPresent && !message.GetCaughtUp()
	return events
}

// after is the token to resume with once the message has been told.
func (c *cursor) after(message *pb.WatchGenerationsResponse) string {
	if message.GetResumeToken() == "" || (c.fromPresent && !message.GetCaughtUp()) {
		return c.token
	}
	return message.GetResumeToken()
}

func (c *cursor) reset() Event {
	c.toldSome, c.toldCaughtUp, c.toldMissing = false, false, nil
	return Reset{Position{c.token}}
}
