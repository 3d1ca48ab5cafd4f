package hfgateway

// Event is what [Client.WatchMany] yields: one of [Changed], [CaughtUp], [Reset], [Missing] and [Forecasts].
type Event interface {
	// Token resumes a later WatchMany with the same filter after this event. It may tell once more what was told just
	// before it, and leaves nothing out. Empty until there is one.
	Token() string
	event()
}

// Position is where an event stands.
type Position struct {
	ResumeToken string
}

// Token returns the resume token.
func (p Position) Token() string { return p.ResumeToken }

func (Position) event() {}

// Changed is a generation as it is now: at first its present state, then every change.
type Changed struct {
	Position
	Generation *Generation
}

// CaughtUp says that all that had happened before has been told; what follows is news. Once, and once more after each
// [Reset].
type CaughtUp struct{ Position }

// Reset says that changes are missing: forget what you hold, or read it again. Everything is told anew from here.
type Reset struct{ Position }

// Missing are those of the ids asked for that do not exist.
type Missing struct {
	Position
	IDs []string
}

// Forecasts are newer forecasts, by generation id, of generations that have not changed otherwise.
type Forecasts struct {
	Position
	ByID map[string]*Forecast
}
