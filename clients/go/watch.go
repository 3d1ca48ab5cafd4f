package hfgateway

import (
	"context"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// One WaitGeneration asks for so long: short enough for the proxies on the way, long enough to cost nothing.
const waitStep = 50 * time.Second

// ListOption changes what [Client.List] asks for.
type ListOption interface {
	list(*pb.ListGenerationsRequest)
}

// WatchOption changes what [Client.Watch] asks for.
type WatchOption interface {
	watch(*pb.WatchGenerationRequest)
}

// WatchManyOption changes what [Client.WatchMany] asks for.
type WatchManyOption interface {
	watchMany(*pb.WatchGenerationsRequest)
}

// TokenOption changes what [Client.CreateWatchToken] asks for.
type TokenOption interface {
	token(*pb.CreateWatchTokenRequest)
}

// InputOption is what [WithInput] returns.
type InputOption struct{}

// WithInput has the generations come with their inputs.
func WithInput() InputOption { return InputOption{} }

func (InputOption) list(r *pb.ListGenerationsRequest)       { r.IncludeInput = true }
func (InputOption) watch(r *pb.WatchGenerationRequest)      { r.IncludeInput = true }
func (InputOption) watchMany(r *pb.WatchGenerationsRequest) { r.IncludeInput = true }
func (InputOption) token(r *pb.CreateWatchTokenRequest)     { r.IncludeInput = true }

type listOption func(*pb.ListGenerationsRequest)

func (o listOption) list(r *pb.ListGenerationsRequest) { o(r) }

// WithPageSize sets how many generations are fetched at a time.
func WithPageSize(size int32) ListOption {
	return listOption(func(r *pb.ListGenerationsRequest) { r.PageSize = size })
}

type watchOption func(*pb.WatchGenerationRequest)

func (o watchOption) watch(r *pb.WatchGenerationRequest) { o(r) }

// AfterRevision begins after a revision that was seen.
func AfterRevision(revision int32) WatchOption {
	return watchOption(func(r *pb.WatchGenerationRequest) { r.AfterRevision = revision })
}

type watchManyOption func(*pb.WatchGenerationsRequest)

func (o watchManyOption) watchMany(r *pb.WatchGenerationsRequest) { o(r) }

// FromToken begins after the event with that resume token, which has to be from a watch of the same filter.
func FromToken(token string) WatchManyOption {
	return watchManyOption(func(r *pb.WatchGenerationsRequest) { r.ResumeToken = token })
}

// WithForecasts asks for [Forecasts], at most one in so long a time (at least 1 s).
func WithForecasts(interval time.Duration) WatchManyOption {
	return watchManyOption(func(r *pb.WatchGenerationsRequest) { r.ForecastInterval = durationpb.New(interval) })
}

// Wait returns the generation when it is done, or as it is when the time-out has passed; 0 is none but the context's, which
// is an error.
func (c *Client) Wait(ctx context.Context, id string, timeout time.Duration) (*Generation, error) {
	deadline := c.timers.now().Add(timeout)
	for {
		asked, step := c.timers.now(), waitStep
		if timeout > 0 {
			step = min(step, max(deadline.Sub(asked), 0))
		}
		request := &pb.WaitGenerationRequest{Id: id, Timeout: durationpb.New(step)}
		response, err := unary(ctx, c, c.generations.WaitGeneration, request, step)
		if err != nil {
			return nil, err
		}
		answered := c.timers.now()
		if response.GetGeneration().GetDone() || (timeout > 0 && !answered.Before(deadline)) {
			return response.GetGeneration(), nil
		}
		if answered.Sub(asked) < step/2 { // a gateway that drains answers early: do not press it
			if err := c.pause(ctx, c.policy.FirstDelay); err != nil {
				return nil, err
			}
		}
	}
}

// Watch yields every change of a generation, each once and in order, and ends after the one that is done. A stream that
// breaks is resumed; an error is the last that comes. Each range over it is a watch of its own.
func (c *Client) Watch(ctx context.Context, id string, options ...WatchOption) iter.Seq2[*Generation, error] {
	return func(yield func(*Generation, error) bool) {
		request := &pb.WatchGenerationRequest{Id: id}
		for _, option := range options {
			option.watch(request)
		}
		err := follow(ctx, c,
			func() bool { return true },
			func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchGenerationResponse], error) {
				return c.generations.WatchGeneration(ctx, request)
			},
			func(message *pb.WatchGenerationResponse) bool {
				generation := message.GetGeneration()
				if generation == nil || generation.GetRevision() <= request.AfterRevision {
					return true
				}
				request.AfterRevision = generation.GetRevision()
				return yield(generation, nil) && !generation.GetDone()
			})
		if err != nil {
			yield(nil, err)
		}
	}
}

// WatchMany yields the news of all generations that match the filter (nil: all there are), later ones included, until those
// of filter.Ids are done; with other filters without end. A stream that breaks is resumed; an error is the last that comes.
// Each range over it is a watch of its own.
func (c *Client) WatchMany(ctx context.Context, filter *Filter, options ...WatchManyOption) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		request := &pb.WatchGenerationsRequest{Filter: orAll(filter)}
		for _, option := range options {
			option.watchMany(request)
		}
		position := &cursor{token: request.ResumeToken}
		tell := func(events []Event) bool {
			for _, event := range events {
				if !yield(event, nil) {
					return false
				}
			}
			return true
		}
		err := follow(ctx, c,
			func() bool { return tell(position.opened()) },
			func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchGenerationsResponse], error) {
				request.ResumeToken = position.token
				return c.generations.WatchGenerations(ctx, request)
			},
			func(message *pb.WatchGenerationsResponse) bool { return tell(position.received(message)) })
		if err != nil {
			yield(nil, err)
		}
	}
}
