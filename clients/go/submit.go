package hfgateway

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Submission is the result of [Client.Submit].
type Submission struct {
	Generation *Generation
	// IdempotencyKey is the key of the submission. Submitting again with this key returns the same generation.
	IdempotencyKey string
	// Replayed reports that the key had been used before, so that the call started and charged nothing.
	Replayed bool
	// Warnings name fields of the input that may be wrong.
	Warnings []*FieldViolation
}

// SubmitOption configures a submission. [Client.Generate] accepts it too.
type SubmitOption interface {
	GenerateOption
	submit(*pb.SubmitGenerationRequest)
}

// GenerateOption configures [Client.Generate]. It is a [SubmitOption], [WithProgress] or [WithForecasts].
type GenerateOption interface{ generate(*following) }

type following struct {
	submit    []SubmitOption
	progress  func(*Generation)
	forecasts ForecastOption
}

type submitOption func(*pb.SubmitGenerationRequest)

func (o submitOption) submit(r *pb.SubmitGenerationRequest) { o(r) }
func (o submitOption) generate(f *following)                { f.submit = append(f.submit, o) }

type progressOption func(*Generation)

func (o progressOption) generate(f *following) { f.progress = o }

// WithProgress calls progress with the stored generation, and then with every change and newer forecast, before Generate
// returns.
func WithProgress(progress func(*Generation)) GenerateOption {
	return progressOption(progress)
}

// WithLabels sets the labels of the generation, which lists and watches can filter by.
func WithLabels(labels map[string]string) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.Labels = labels })
}

// WithWaitFor sets when [Client.Submit] returns: [UntilStored], [UntilAccepted] or [UntilDone]. Default:
// [UntilAccepted]. Generate ignores it.
func WithWaitFor(until pb.WaitFor) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.WaitFor = until })
}

// WithWaitTimeout limits how long [Client.Submit] waits for that, up to 1 hour. Default: 10 s. At the timeout it
// returns the generation as it is, without an error. Generate ignores it.
func WithWaitTimeout(timeout time.Duration) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.WaitTimeout = durationpb.New(timeout) })
}

// WithStartTimeout makes the gateway cancel the generation if it has not started within timeout. Default: no limit.
func WithStartTimeout(timeout time.Duration) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.StartTimeout = durationpb.New(timeout) })
}

// FailWhenSaturated makes the submission fail with [ErrUpstreamSaturated] if Higgsfield is saturated, instead of
// queueing in the gateway.
func FailWhenSaturated() SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.FailWhenSaturated = true })
}

// WithOutputsTTL makes Higgsfield delete the outputs after ttl, which is at least 1 hour. Default: the setting of the
// Higgsfield account.
func WithOutputsTTL(ttl time.Duration) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.OutputsTtl = durationpb.New(ttl) })
}

// Submit submits a generation. By default it returns when Higgsfield has accepted it. Retries use the same idempotency
// key, so that it is charged once. An [*Error] contains the key.
func (c *Client) Submit(ctx context.Context, input *Input, options ...SubmitOption) (*Submission, error) {
	request := &pb.SubmitGenerationRequest{Input: input, IdempotencyKey: NewIdempotencyKey()}
	for _, option := range options {
		option.submit(request)
	}
	response, err := c.Generations.SubmitGeneration(ctx, request)
	if err != nil {
		return nil, withKey(err, request.GetIdempotencyKey())
	}
	return &Submission{
		response.GetGeneration(), request.GetIdempotencyKey(), response.GetReplayed(), response.GetWarnings(),
	}, nil
}

// Generate submits a generation, watches it until it ends, and returns it COMPLETED. Any other end is a
// [*GenerationError]. It never submits a second generation. If the context ends, the generation continues, and the
// [*Error] contains the key.
func (c *Client) Generate(ctx context.Context, input *Input, options ...GenerateOption) (*Generation, error) {
	f := following{forecasts: ForecastOption(2 * time.Second)}
	for _, option := range options {
		option.generate(&f)
	}
	if f.progress == nil {
		f.progress, f.forecasts = func(*Generation) {}, 0
	}
	submission, err := c.Submit(ctx, input, append(f.submit, submitOption(asStored))...)
	if err != nil {
		return nil, err
	}
	generation := submission.Generation
	f.progress(generation)
	if !generation.GetDone() {
		for changed, err := range c.watchFrom(ctx, generation, f.forecasts) {
			if err != nil {
				return nil, withKey(err, submission.IdempotencyKey)
			}
			generation = changed
			f.progress(generation)
		}
	}
	if generation.GetState() != StateCompleted {
		ending := endingOf(generation.GetFailure(), StateName(generation), generation.GetIdempotencyKey())
		return nil, &GenerationError{generation, ending}
	}
	return generation, nil
}

// asStored makes a submission return once it is stored: Generate sees later changes on its watch.
func asStored(r *pb.SubmitGenerationRequest) { r.WaitFor, r.WaitTimeout = UntilStored, nil }
