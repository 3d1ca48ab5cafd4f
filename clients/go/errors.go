package hfgateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// For each gRPC code, an error to match with errors.Is, and below it those of the gateway's reasons with that code. What
// matches a reason's matches its code's.
var (
	// ErrInvalidInput: the gateway's own check refused the request; [Error.FieldViolations] names the fields.
	ErrInvalidInput = errors.New("invalid input")
	// ErrInputRefused: Higgsfield's check refused the input.
	ErrInputRefused = errors.New("input refused")

	// ErrInvalidCredentials: no API key or token, or one that is wrong, expired or revoked.
	ErrInvalidCredentials = errors.New("invalid credentials")

	// ErrNotAllowed: the key or token may not do this.
	ErrNotAllowed = errors.New("not allowed")
	// ErrFeatureNotEnabled: the Higgsfield account does not have this feature.
	ErrFeatureNotEnabled = errors.New("feature not enabled")

	// ErrNotFound: does not exist, or belongs to another tenant.
	ErrNotFound = errors.New("not found")
	// ErrModelUnknown: Higgsfield does not know the model.
	ErrModelUnknown = errors.New("model unknown")

	// ErrPreconditionFailed: not in the state that it is in.
	ErrPreconditionFailed = errors.New("precondition failed")
	// ErrKeyReused: the idempotency key stands for a different input, or for a deleted generation.
	ErrKeyReused = errors.New("idempotency key reused")
	// ErrNotCancelable: too late to cancel, or Higgsfield cannot; Metadata["state"] names the state.
	ErrNotCancelable = errors.New("not cancelable")
	// ErrNotDone: has not ended yet.
	ErrNotDone = errors.New("not done")
	// ErrModelUnavailable: the model is disabled or blocked at Higgsfield.
	ErrModelUnavailable = errors.New("model unavailable")

	// ErrResourceExhausted: a limit was reached.
	ErrResourceExhausted = errors.New("resource exhausted")
	// ErrQuotaExceeded: the tenant's own limit; RetryDelay is set where time helps.
	ErrQuotaExceeded = errors.New("quota exceeded")
	// ErrInsufficientCredits: the Higgsfield account has no credits left.
	ErrInsufficientCredits = errors.New("insufficient credits")
	// ErrUpstreamSaturated: Higgsfield is full, and the caller asked not to queue.
	ErrUpstreamSaturated = errors.New("upstream saturated")
	// ErrGatewayOverloaded: the gateway sheds load, or its queue is full; nothing was done.
	ErrGatewayOverloaded = errors.New("gateway overloaded")

	// ErrUnavailable: not reachable, or not now. The same call may be repeated as it is. What was canceled, and not by the
	// caller, is that too: a gateway that ends makes it of calls that it has not taken up.
	ErrUnavailable = errors.New("unavailable")
	// ErrUpstreamUnavailable: Higgsfield does not answer, or not sensibly.
	ErrUpstreamUnavailable = errors.New("upstream unavailable")
	// ErrGatewayUnavailable: the gateway is draining, or its store is away.
	ErrGatewayUnavailable = errors.New("gateway unavailable")

	// ErrAborted: given up half way.
	ErrAborted = errors.New("aborted")
	// ErrSubmissionUnresolved: sent, and no answer came. The same submission under the same key finds out, and never does
	// it twice.
	ErrSubmissionUnresolved = errors.New("submission unresolved")
	// ErrSessionBusy: an agent's session is busy with another turn.
	ErrSessionBusy = errors.New("session busy")

	// ErrInternal: a defect of the gateway; the message names the incident.
	ErrInternal = errors.New("internal error")
	// ErrUpstreamCredentialsRefused: Higgsfield refuses the gateway's credentials; its operator must act.
	ErrUpstreamCredentialsRefused = errors.New("upstream credentials refused")

	// ErrDeadlineExceeded: the call's own time ran out; what it was about goes on. It is context.DeadlineExceeded too.
	ErrDeadlineExceeded = errors.New("deadline exceeded")
)

// ErrClosed is matched by the errors of calls that [Client.Close] ended, or came before.
var ErrClosed = errors.New("client closed")

// The ends of a generation that [Client.Generate] makes errors of; they match a [*GenerationError].
var (
	// ErrGenerationFailed: every end without output.
	ErrGenerationFailed = errors.New("generation failed")
	// ErrGenerationRefused: Higgsfield never accepted it. Nothing was charged, and its key may be used again.
	ErrGenerationRefused = errors.New("generation refused")
	// ErrGenerationModerated: refused by Higgsfield's moderation; not charged.
	ErrGenerationModerated = errors.New("generation moderated")
	// ErrGenerationCanceled: canceled, by a caller or (see the reason) by the gateway; not charged.
	ErrGenerationCanceled = errors.New("generation canceled")
	// ErrGenerationLost: it cannot be told what became of it. It may have been charged.
	ErrGenerationLost = errors.New("generation lost")
)

// ErrTrainingFailed matches a [*TrainingError].
var ErrTrainingFailed = errors.New("training failed")

var byCode = map[codes.Code]error{
	codes.InvalidArgument:    ErrInvalidInput,
	codes.Unauthenticated:    ErrInvalidCredentials,
	codes.PermissionDenied:   ErrNotAllowed,
	codes.NotFound:           ErrNotFound,
	codes.FailedPrecondition: ErrPreconditionFailed,
	codes.ResourceExhausted:  ErrResourceExhausted,
	codes.Unavailable:        ErrUnavailable,
	codes.Canceled:           ErrUnavailable,
	codes.Aborted:            ErrAborted,
	codes.Internal:           ErrInternal,
	codes.DeadlineExceeded:   ErrDeadlineExceeded,
}

var byReason = map[string]error{
	"INVALID_INPUT":                ErrInvalidInput,
	"INPUT_REFUSED":                ErrInputRefused,
	"INVALID_CREDENTIALS":          ErrInvalidCredentials,
	"NOT_ALLOWED":                  ErrNotAllowed,
	"FEATURE_NOT_ENABLED":          ErrFeatureNotEnabled,
	"NOT_FOUND":                    ErrNotFound,
	"MODEL_UNKNOWN":                ErrModelUnknown,
	"MODEL_UNAVAILABLE":            ErrModelUnavailable,
	"IDEMPOTENCY_KEY_REUSED":       ErrKeyReused,
	"NOT_CANCELABLE":               ErrNotCancelable,
	"NOT_DONE":                     ErrNotDone,
	"QUOTA_EXCEEDED":               ErrQuotaExceeded,
	"INSUFFICIENT_CREDITS":         ErrInsufficientCredits,
	"UPSTREAM_SATURATED":           ErrUpstreamSaturated,
	"GATEWAY_OVERLOADED":           ErrGatewayOverloaded,
	"UPSTREAM_UNAVAILABLE":         ErrUpstreamUnavailable,
	"GATEWAY_UNAVAILABLE":          ErrGatewayUnavailable,
	"UPSTREAM_CREDENTIALS_REFUSED": ErrUpstreamCredentialsRefused,
	"INTERNAL":                     ErrInternal,
	"SUBMISSION_UNRESOLVED":        ErrSubmissionUnresolved,
	"SESSION_BUSY":                 ErrSessionBusy,
}

var byEnd = map[State]error{
	StateNSFW:     ErrGenerationModerated,
	StateCanceled: ErrGenerationCanceled,
	StateLost:     ErrGenerationLost,
}

// Error is a call that the gateway, or the way to it, did not carry out.
type Error struct {
	Code codes.Code
	// Reason is the gateway's word for it, such as "QUOTA_EXCEEDED"; empty for an error of the transport.
	Reason string
	// Message is for people and may change: decide by the reason.
	Message string
	// FieldViolations are the fields that were refused.
	FieldViolations []*FieldViolation
	// Retryable: the same input may succeed later.
	Retryable bool
	// RetryDelay is how long to wait before that; 0 where that is not known.
	RetryDelay time.Duration
	// Metadata holds the variable parts of the message, such as "generation_id" and "limit".
	Metadata map[string]string
	// IdempotencyKey is that of a submission or creation that failed: do it under this key again, and nothing is done twice.
	IdempotencyKey string

	status *status.Status
	ended  error // what the caller ended the call by, where he did: the context's error, or ErrClosed
}

// Error names reason or code, the message, and the fields that the message does not speak of.
func (e *Error) Error() string {
	label := e.Reason
	if label == "" {
		label = codeName(e.Code)
	}
	var fields []string
	for _, violation := range e.FieldViolations {
		if !strings.Contains(e.Message, violation.GetDescription()) {
			fields = append(fields, violation.GetField()+": "+violation.GetDescription())
		}
	}
	if len(fields) == 0 {
		return fmt.Sprintf("hfgateway: %s: %s", label, e.Message)
	}
	return fmt.Sprintf("hfgateway: %s: %s (%s)", label, e.Message, strings.Join(fields, "; "))
}

// Is matches the error of its reason and that of its code.
func (e *Error) Is(target error) bool {
	if e.Code == codes.Canceled && e.ended != nil {
		return false
	}
	return target == byReason[e.Reason] || target == byCode[e.Code]
}

// Unwrap returns the context's error where that, or the client's time-out, ended the call, and [ErrClosed] where Close did.
func (e *Error) Unwrap() error {
	return e.ended
}

// GRPCStatus is the status of the call as it came, for the functions of google.golang.org/grpc/status.
func (e *Error) GRPCStatus() *status.Status {
	return e.status
}

// GenerationError is a generation that ended without output. No call failed: only [Client.Generate] makes an error of it.
type GenerationError struct {
	// Generation holds all about it.
	Generation *Generation
	// Reason says why, such as "MODERATED"; empty where nobody said.
	Reason string
	// Message is for people and may change.
	Message string
	// Retryable: the same input may succeed later, under a new key.
	Retryable bool
	// IdempotencyKey is the one that it was submitted under.
	IdempotencyKey string
}

func (e *GenerationError) Error() string {
	label := e.Reason
	if label == "" {
		label = StateName(e.Generation)
	}
	return fmt.Sprintf("hfgateway: generation %s: %s: %s", e.Generation.GetId(), label, e.Message)
}

// Is matches [ErrGenerationFailed] and the error of its end.
func (e *GenerationError) Is(target error) bool {
	if target == ErrGenerationRefused {
		return e.Generation.GetState() == StateFailed && e.Generation.GetAcceptTime() == nil
	}
	return target == ErrGenerationFailed || target == byEnd[e.Generation.GetState()]
}

func generationError(generation *Generation) *GenerationError {
	failure := generation.GetFailure()
	message := failure.GetMessage()
	if message == "" {
		message = "ended as " + StateName(generation)
	}
	return &GenerationError{
		Generation:     generation,
		Reason:         reasonName(failure),
		Message:        message,
		Retryable:      failure.GetRetryable(),
		IdempotencyKey: generation.GetIdempotencyKey(),
	}
}

// TrainingError is a character whose training failed. No call failed: only [Client.TrainCharacter] makes an error of it.
type TrainingError struct {
	// Character holds all about it.
	Character *Character
	// Reason says why; empty where nobody said.
	Reason string
	// Message is for people and may change.
	Message string
	// Retryable: the same images may succeed later, under a new key.
	Retryable bool
	// IdempotencyKey is the one that it was created under.
	IdempotencyKey string
}

func (e *TrainingError) Error() string {
	return fmt.Sprintf("hfgateway: training of character %s: %s", e.Character.GetId(), e.Message)
}

// Is matches [ErrTrainingFailed].
func (e *TrainingError) Is(target error) bool { return target == ErrTrainingFailed }

func trainingError(character *Character, key string) *TrainingError {
	failure := character.GetFailure()
	message := failure.GetMessage()
	if message == "" {
		message = "ended as " + strings.TrimPrefix(character.GetState().String(), "CHARACTER_STATE_")
	}
	return &TrainingError{character, reasonName(failure), message, failure.GetRetryable(), key}
}

const errorDomain = "hfgateway"

// errorOf reads what a failed call says about itself.
func (c *Client) errorOf(ctx context.Context, err error) *Error {
	came := status.Convert(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		came = status.FromContextError(err)
	}
	failure, reason := readDetails(came)
	e := &Error{
		Code:            came.Code(),
		Reason:          reason,
		Message:         failure.GetMessage(),
		FieldViolations: failure.GetFieldViolations(),
		Retryable:       failure.GetRetryable(),
		RetryDelay:      failure.GetRetryDelay().AsDuration(),
		Metadata:        failure.GetMetadata(),
		status:          came,
	}
	if e.Message == "" {
		e.Message = came.Message()
	}
	if e.Message == "" {
		e.Message = strings.ToLower(strings.ReplaceAll(codeName(e.Code), "_", " "))
	}
	switch {
	case e.Code == codes.DeadlineExceeded:
		e.ended = context.DeadlineExceeded // the gateway may have been a moment faster than our own clock
	case e.Code == codes.Canceled && ctx.Err() != nil:
		e.ended = ctx.Err()
	case e.Code == codes.Canceled && c.open.Err() != nil:
		e.ended = ErrClosed
	}
	e.Retryable = e.Retryable || errors.Is(e, ErrUnavailable)
	return e
}

// codeName is "INVALID_ARGUMENT" and so on, as the protos and the other clients write it.
func codeName(number codes.Code) string {
	return rpccode.Code(number).String()
}

// readDetails returns the failure and the name of its reason. The name is ErrorInfo's where there is one: it is right for
// reasons, too, that these stubs do not know. A failure that is missing is put together from the standard details.
func readDetails(came *status.Status) (*Failure, string) {
	var failure *Failure
	standard := &Failure{}
	reason := ""
	for _, detail := range came.Details() {
		switch detail := detail.(type) {
		case *pb.Failure:
			failure = detail
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				reason = detail.GetReason()
				standard.Metadata = detail.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				standard.FieldViolations = append(standard.FieldViolations, &FieldViolation{
					Field: violation.GetField(), Description: violation.GetDescription(),
				})
			}
		case *errdetails.RetryInfo:
			standard.RetryDelay = detail.GetRetryDelay()
		}
	}
	if failure == nil {
		return standard, reason
	}
	if reason == "" {
		reason = reasonName(failure)
	}
	return failure, reason
}
