package hfgateway

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Submission is the generation that exists for a key.
type Submission struct {
	Generation *Generation
	// IdempotencyKey: submit under it again, and this generation comes back.
	IdempotencyKey string
	// Replayed: the key was known; nothing new was started, nothing is charged twice.
	Replayed bool
}

// SubmitOption changes a submission; [Client.Generate] takes it too.
type SubmitOption interface {
	GenerateOption
	submit(*pb.SubmitGenerationRequest)
}

// GenerateOption is a [SubmitOption], or [WithProgress].
type GenerateOption interface{ generate(*following) }

type following struct {
	submit   []SubmitOption
	progress func(*Generation)
}

type submitOption func(*pb.SubmitGenerationRequest)

func (o submitOption) submit(r *pb.SubmitGenerationRequest) { o(r) }
func (o submitOption) generate(f *following)                { f.submit = append(f.submit, o) }

type progressOption func(*Generation)

func (o progressOption) generate(f *following) { f.progress = o }

// WithProgress calls the function with the generation as stored, and with every change, before Generate returns.
func WithProgress(progress func(*Generation)) GenerateOption {
	return progressOption(progress)
}

// WithLabels gives the generation labels, to list and watch by.
func WithLabels(labels map[string]string) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.Labels = labels })
}

// WithWaitFor says what to answer with, such as [UntilDone]; [UntilAccepted] unless told. Generate does not heed it.
func WithWaitFor(until pb.WaitFor) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.WaitFor = until })
}

// WithWaitTimeout says for how long to wait for that: 10 s unless told. Then the generation comes as it is, which is no
// error. Generate does not heed it.
func WithWaitTimeout(timeout time.Duration) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.WaitTimeout = durationpb.New(timeout) })
}

// WithStartTimeout has the gateway cancel the generation when it has not started by then.
func WithStartTimeout(timeout time.Duration) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.StartTimeout = durationpb.New(timeout) })
}

// FailWhenSaturated refuses with [ErrUpstreamSaturated] instead of queueing at the gateway.
func FailWhenSaturated() SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.FailWhenSaturated = true })
}

// WithOutputsTTL asks Higgsfield to delete the outputs earlier than the account's setting.
func WithOutputsTTL(ttl time.Duration) SubmitOption {
	return submitOption(func(r *pb.SubmitGenerationRequest) { r.OutputsTtl = durationpb.New(ttl) })
}

// Submit stores a generation and hands it to Higgsfield: once, however often the answer gets lost. An error is an [*Error]
// that holds the key.
func (c *Client) Submit(ctx context.Context, input *Input, options ...SubmitOption) (*Submission, error) {
	request := &pb.SubmitGenerationRequest{Input: input, IdempotencyKey: NewIdempotencyKey()}
	for _, option := range options {
		option.submit(request)
	}
	// The time-out would cut short a longer wait, so that comes on top.
	response, err := unary(ctx, c, c.generations.SubmitGeneration, request, request.GetWaitTimeout().AsDuration())
	if err != nil {
		return nil, withKey(err, request.GetIdempotencyKey())
	}
	return &Submission{response.GetGeneration(), request.GetIdempotencyKey(), response.GetReplayed()}, nil
}

// Generate submits, follows the generation to its end, and returns it COMPLETED. Every other end is a [*GenerationError];
// nothing is ever submitted again. The context's end ends the following only: the [*Error] then holds the key.
func (c *Client) Generate(ctx context.Context, input *Input, options ...GenerateOption) (*Generation, error) {
	f := following{progress: func(*Generation) {}}
	for _, option := range options {
		option.generate(&f)
	}
	submission, err := c.Submit(ctx, input, append(f.submit, submitOption(asStored))...)
	if err != nil {
		return nil, err
	}
	generation := submission.Generation
	f.progress(generation)
	if !generation.GetDone() {
		for changed, err := range c.Watch(ctx, generation.GetId(), AfterRevision(generation.GetRevision())) {
			if err != nil {
				return nil, withKey(err, submission.IdempotencyKey)
			}
			generation = changed
			f.progress(generation)
		}
	}
	if generation.GetState() != StateCompleted {
		return nil, generationError(generation)
	}
	return generation, nil
}

// asStored is how Generate submits: what comes after that, it sees on its watch.
func asStored(r *pb.SubmitGenerationRequest) { r.WaitFor, r.WaitTimeout = UntilStored, nil }
