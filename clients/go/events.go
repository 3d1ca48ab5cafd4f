package hfgateway

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
