package hfgateway

import (
	"cmp"
	"context"
	"iter"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// waitStep is the timeout of one WaitGeneration call: shorter than the usual idle timeouts of proxies.
const waitStep = 50 * time.Second

// Wait waits until the generation has ended, and returns it. At the timeout it returns the generation as it is, without
// an error: at once if the timeout is negative. With a timeout of 0 only the context limits the wait, and its end is an
// error.
func (c *Client) Wait(ctx context.Context, id string, timeout time.Duration) (*Generation, error) {
	now := c.calls.timers.now
	stub := pb.NewGenerationServiceClient(c.calls.conn)
	deadline := now().Add(timeout)
	for {
		asked, step := now(), waitStep
		if timeout != 0 {
			step = min(step, max(deadline.Sub(asked), 0))
		}
		var response *pb.WaitGenerationResponse
		err := c.calls.repeat(ctx, step, func(ctx context.Context) (err error) {
			// An attempt after a lost connection waits for the rest of the step.
			left := max(step-now().Sub(asked), 0)
			response, err = stub.WaitGeneration(ctx, &pb.WaitGenerationRequest{Id: id, Timeout: durationpb.New(left)})
			return err
		})
		if err != nil {
			return nil, err
		}
		if response.GetGeneration().GetDone() || (timeout != 0 && !now().Before(deadline)) {
			return response.GetGeneration(), nil
		}
		if now().Sub(asked) < step/2 { // a gateway that shuts down responds early: back off
			if err := c.calls.pause(ctx, c.calls.policy.FirstDelay); err != nil {
				return nil, err
			}
		}
	}
}

// Watch yields every change of a generation, exactly once and in order, and ends after the final one. It resumes if the
// stream breaks, and ends after an error. Each range over the sequence opens a new watch. With a ForecastInterval in the
// request, it yields the last generation again, at the same revision, with each newer forecast.
func (c *Client) Watch(ctx context.Context, id string, set ...func(*WatchRequest)) iter.Seq2[*Generation, error] {
	return c.watchFrom(ctx, &Generation{Id: id}, set...)
}

// watchFrom is Watch after a generation that is known already. Without a revision it is not: then forecasts before the
// first change belong to nothing, and are left out.
func (c *Client) watchFrom(ctx context.Context, last *Generation, set ...func(*WatchRequest)) iter.Seq2[*Generation, error] {
	type response = pb.WatchGenerationResponse
	return watch(ctx, c.calls, c.Generations.WatchGeneration,
		func() (*WatchRequest, func(*response) ([]*Generation, bool), func() bool) {
			last := last
			request := with(&WatchRequest{Id: last.GetId(), AfterRevision: last.GetRevision()}, set)
			// If the given revision is the last one, the gateway ends the stream without a message.
			mayBeLast := last.GetRevision() == 0 && request.AfterRevision > 0
			return request, func(message *response) ([]*Generation, bool) {
				mayBeLast = false
				generation := message.GetGeneration()
				switch {
				case generation.GetRevision() > request.AfterRevision:
					request.AfterRevision = generation.GetRevision()
				case request.ForecastInterval != nil && message.GetForecast() != nil && last.GetRevision() > 0:
					generation = proto.CloneOf(last)
					generation.Forecast = message.GetForecast()
				default:
					return nil, true
				}
				last = generation
				return []*Generation{generation}, !generation.GetDone()
			}, func() bool { return mayBeLast }
		})
}

// WatchMany yields the events of all generations that match the filter, including ones created later. A nil filter
// matches all. With filter.Ids the watch includes generations that have already ended, and ends when all have. With
// other filters it begins with generations that have not ended, and never ends. The sequence resumes if the stream
// breaks, and ends after an error. Each range over the sequence opens a new watch.
func (c *Client) WatchMany(ctx context.Context, filter *Filter, set ...func(*WatchManyRequest)) iter.Seq2[Event, error] {
	type response = pb.WatchGenerationsResponse
	return watch(ctx, c.calls, c.Generations.WatchGenerations,
		func() (*WatchManyRequest, func(*response) ([]Event, bool), func() bool) {
			request := with(&WatchManyRequest{Filter: cmp.Or(filter, &Filter{})}, set)
			position := &cursor{token: request.ResumeToken}
			return request, func(message *response) ([]Event, bool) {
				events := position.received(message)
				request.ResumeToken = position.token
				return events, true
			}, func() bool { return len(request.GetFilter().GetIds()) > 0 }
		})
}

// WatchCharacter yields the character as it is, and then every change until its training has ended. It opens the stream
// again if it breaks, and ends after an error. Each range over the sequence opens a new watch.
func (c *Client) WatchCharacter(ctx context.Context, id string) iter.Seq2[*Character, error] {
	type response = pb.WatchCharacterResponse
	return watch(ctx, c.calls, c.Characters.WatchCharacter,
		func() (*pb.WatchCharacterRequest, func(*response) ([]*Character, bool), func() bool) {
			var last *Character
			return &pb.WatchCharacterRequest{Id: id}, func(message *response) ([]*Character, bool) {
				character := message.GetCharacter()
				if character == nil || proto.Equal(character, last) {
					return nil, true // each stream begins with the current state
				}
				last = character
				return []*Character{character}, !character.GetDone()
			}, never
		})
}

// WatchModels yields changes of Higgsfield's list of models: models that are new, changed or gone. It starts after the
// change with the revision of the request; 0 is before the first change, and a nil request or revision yields only future
// changes. It opens the stream again if it breaks, and ends after an error.
func (c *Client) WatchModels(ctx context.Context, request *pb.WatchModelsRequest) iter.Seq2[*pb.WatchModelsResponse, error] {
	type change = pb.WatchModelsResponse
	return watch(ctx, c.calls, c.Catalogs.WatchModels,
		func() (*pb.WatchModelsRequest, func(*change) ([]*change, bool), func() bool) {
			next := &pb.WatchModelsRequest{}
			proto.Merge(next, request)
			return next, func(message *change) ([]*change, bool) {
				next.AfterRevision = proto.Int64(message.GetRevision())
				if message.GetModel() == nil {
					return nil, true
				}
				return []*change{message}, true
			}, never
		})
}
