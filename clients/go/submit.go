package hfgateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

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

// Submit submits a generation. By default it returns when Higgsfield has accepted it. Retries use the same idempotency
// key, so that it is charged once: that of the request, or a new UUID. An [*Error] contains the key.
func (c *Client) Submit(ctx context.Context, input *Input, set ...func(*SubmitRequest)) (*Submission, error) {
	request := with(&SubmitRequest{Input: input, IdempotencyKey: NewIdempotencyKey()}, set)
	key := request.GetIdempotencyKey()
	response, err := c.Generations.SubmitGeneration(ctx, request)
	if err != nil {
		return nil, withKey(err, key)
	}
	return &Submission{response.GetGeneration(), key, response.GetReplayed(), response.GetWarnings()}, nil
}

// Generate submits a generation, watches it until it ends, and returns it COMPLETED. Any other end is a
// [*GenerationError]. It never submits a second generation. If the context ends, the generation continues, and the
// [*Error] contains the key.
//
// It calls progress, which may be nil, with the stored generation, with every change, and with newer forecasts at the
// same revision; see [WithForecasts]. For warnings about the input see [WithOnWarning]. WaitFor and WaitTimeout of the
// request are ignored.
func (c *Client) Generate(
	ctx context.Context, input *Input, progress func(*Generation), set ...func(*SubmitRequest),
) (*Generation, error) {
	stored := func(r *SubmitRequest) { r.WaitFor, r.WaitTimeout = pb.WaitFor_WAIT_FOR_STORED, nil }
	submission, err := c.Submit(ctx, input, append(set[:len(set):len(set)], stored)...)
	if err != nil {
		return nil, err
	}
	var forecasts *durationpb.Duration
	if progress == nil {
		progress = func(*Generation) {}
	} else if c.forecasts > 0 {
		forecasts = durationpb.New(c.forecasts)
	}
	if c.onWarning != nil {
		for _, warning := range submission.Warnings {
			c.onWarning(warning)
		}
	}
	generation := submission.Generation
	progress(generation)
	if !generation.GetDone() {
		for changed, err := range c.watchFrom(ctx, generation, func(r *WatchRequest) { r.ForecastInterval = forecasts }) {
			if err != nil {
				return nil, withKey(err, submission.IdempotencyKey)
			}
			generation = changed
			progress(generation)
		}
	}
	if generation.GetState() != StateCompleted {
		ending := endingOf(generation.GetFailure(), StateName(generation), generation.GetIdempotencyKey())
		return nil, &GenerationError{generation, ending}
	}
	return generation, nil
}

// NewIdempotencyKey returns a random UUID (version 4) to use as an idempotency key. Keep it for as long as you may need
// to retry.
func NewIdempotencyKey() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// withKey sets the idempotency key of the call in its error.
func withKey(err error, key string) error {
	var failed *Error
	if errors.As(err, &failed) {
		failed.IdempotencyKey = key
	}
	return err
}
