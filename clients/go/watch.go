package hfgateway

import (
	"context"
	"iter"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// waitStep is the timeout of one WaitGeneration call: short enough for proxies with idle timeouts, and long enough to
// be cheap.
const waitStep = 50 * time.Second

// ListOption configures [Client.List]: [WithInput], [WithPageSize].
type ListOption interface {
	list(*pb.ListGenerationsRequest)
}

// WatchOption configures [Client.Watch]: [WithInput], [AfterRevision], [WithForecasts].
type WatchOption interface {
	watch(*pb.WatchGenerationRequest)
}

// WatchManyOption configures [Client.WatchMany]: [WithInput], [FromToken], [WithForecasts].
type WatchManyOption interface {
	watchMany(*pb.WatchGenerationsRequest)
}

// InputOption is the type of [WithInput].
type InputOption struct{}

// WithInput includes the inputs of generations. By default lists and watches leave them out.
func WithInput() InputOption { return InputOption{} }

func (InputOption) list(r *pb.ListGenerationsRequest)       { r.IncludeInput = true }
func (InputOption) watch(r *pb.WatchGenerationRequest)      { r.IncludeInput = true }
func (InputOption) watchMany(r *pb.WatchGenerationsRequest) { r.IncludeInput = true }

type listOption func(*pb.ListGenerationsRequest)

func (o listOption) list(r *pb.ListGenerationsRequest) { o(r) }

// WithPageSize sets the number of generations in a page, at most 500. Default: 50.
func WithPageSize(size int32) ListOption {
	return listOption(func(r *pb.ListGenerationsRequest) { r.PageSize = size })
}

type watchOption func(*pb.WatchGenerationRequest)

func (o watchOption) watch(r *pb.WatchGenerationRequest) { o(r) }

// AfterRevision starts a watch after this revision. Default: 0, which returns all changes.
func AfterRevision(revision int32) WatchOption {
	return watchOption(func(r *pb.WatchGenerationRequest) { r.AfterRevision = revision })
}

type watchManyOption func(*pb.WatchGenerationsRequest)

func (o watchManyOption) watchMany(r *pb.WatchGenerationsRequest) { o(r) }

// FromToken resumes a watch after the event with this resume token. The watch must have the same filter as the one that
// returned the token.
func FromToken(token string) WatchManyOption {
	return watchManyOption(func(r *pb.WatchGenerationsRequest) { r.ResumeToken = token })
}

// ForecastOption is the type of [WithForecasts].
type ForecastOption time.Duration

// WithForecasts reports newer forecasts when nothing else was reported for the interval, which is at least 1 s.
// [Client.WatchMany] yields [Forecasts]. [Client.Watch] yields the last generation again, at the same revision and with
// the newer forecast, and [Client.Generate] passes it to [WithProgress]. Default: 2 s for Generate, which 0 disables,
// and none for watches or without WithProgress.
func WithForecasts(interval time.Duration) ForecastOption { return ForecastOption(interval) }

func (o ForecastOption) duration() *durationpb.Duration {
	if o == 0 {
		return nil
	}
	return durationpb.New(time.Duration(o))
}

func (o ForecastOption) generate(f *following)                   { f.forecasts = o }
func (o ForecastOption) watch(r *pb.WatchGenerationRequest)      { r.ForecastInterval = o.duration() }
func (o ForecastOption) watchMany(r *pb.WatchGenerationsRequest) { r.ForecastInterval = o.duration() }

// Wait waits until the generation has ended, and returns it. At the timeout it returns the generation as it is, without
// an error. With a timeout of 0 only the context limits the wait, and its end is an error.
func (c *Client) Wait(ctx context.Context, id string, timeout time.Duration) (*Generation, error) {
	now := c.calls.timers.now
	deadline := now().Add(timeout)
	for {
		asked, step := now(), waitStep
		if timeout > 0 {
			step = min(step, max(deadline.Sub(asked), 0))
		}
		request := &pb.WaitGenerationRequest{Id: id, Timeout: durationpb.New(step)}
		response, err := c.Generations.WaitGeneration(ctx, request)
		if err != nil {
			return nil, err
		}
		if response.GetGeneration().GetDone() || (timeout > 0 && !now().Before(deadline)) {
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
// stream breaks, and ends after an error. Each range over the sequence opens a new watch.
func (c *Client) Watch(ctx context.Context, id string, options ...WatchOption) iter.Seq2[*Generation, error] {
	return c.watchFrom(ctx, &Generation{Id: id}, options...)
}

// watchFrom is Watch after a generation that is known already. Without a revision it is not: then forecasts before the
// first change belong to nothing, and are left out.
func (c *Client) watchFrom(ctx context.Context, last *Generation, options ...WatchOption) iter.Seq2[*Generation, error] {
	type response = pb.WatchGenerationResponse
	return watch(ctx, c.calls, c.Generations.WatchGeneration,
		func() (*pb.WatchGenerationRequest, func(*response) ([]*Generation, bool)) {
			last := last
			request := &pb.WatchGenerationRequest{Id: last.GetId(), AfterRevision: last.GetRevision()}
			for _, option := range options {
				option.watch(request)
			}
			return request, func(message *response) ([]*Generation, bool) {
				generation := message.GetGeneration()
				switch {
				case generation != nil && generation.GetRevision() > request.AfterRevision:
					request.AfterRevision = generation.GetRevision()
				case request.ForecastInterval != nil && message.GetForecast() != nil && last.GetRevision() > 0:
					generation = proto.CloneOf(last)
					generation.Forecast = message.GetForecast()
				default:
					return nil, true
				}
				last = generation
				return []*Generation{generation}, !generation.GetDone()
			}
		})
}

// WatchMany yields the events of all generations that match the filter, including ones created later. A nil filter
// matches all. The sequence ends when all generations in filter.Ids have ended, and never for other filters. It resumes
// if the stream breaks, and ends after an error. Each range over the sequence opens a new watch.
func (c *Client) WatchMany(ctx context.Context, filter *Filter, options ...WatchManyOption) iter.Seq2[Event, error] {
	type response = pb.WatchGenerationsResponse
	return watch(ctx, c.calls, c.Generations.WatchGenerations,
		func() (*pb.WatchGenerationsRequest, func(*response) ([]Event, bool)) {
			request := &pb.WatchGenerationsRequest{Filter: orAll(filter)}
			for _, option := range options {
				option.watchMany(request)
			}
			position := &cursor{token: request.ResumeToken}
			return request, func(message *response) ([]Event, bool) {
				events := position.received(message)
				request.ResumeToken = position.token
				return events, true
			}
		})
}
