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
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Errors to match with errors.Is: one for each gRPC code, followed by those of the gateway's reasons with that code. An
// error that matches its reason also matches its code.
var (
	// ErrInvalidInput: the gateway's validation refused the request. [Error.FieldViolations] has the fields.
	ErrInvalidInput = errors.New("invalid input")
	// ErrInputRefused: Higgsfield refused the input.
	ErrInputRefused = errors.New("input refused")

	// ErrInvalidCredentials: the API key or watch token is missing, wrong, expired or revoked.
	ErrInvalidCredentials = errors.New("invalid credentials")

	// ErrNotAllowed: the key or token may not make this call.
	ErrNotAllowed = errors.New("not allowed")
	// ErrFeatureNotEnabled: the Higgsfield account does not have this feature.
	ErrFeatureNotEnabled = errors.New("feature not enabled")

	// ErrNotFound: the object does not exist, or belongs to another tenant.
	ErrNotFound = errors.New("not found")
	// ErrModelUnknown: Higgsfield, or the catalog, does not know the model.
	ErrModelUnknown = errors.New("model unknown")

	// ErrPreconditionFailed: the state of the object does not allow the call.
	ErrPreconditionFailed = errors.New("precondition failed")
	// ErrKeyReused: the idempotency key belongs to another input, or to a deleted generation.
	ErrKeyReused = errors.New("idempotency key reused")
	// ErrNotCancelable: it is too late to cancel, or Higgsfield cannot. Metadata["state"] has the state.
	ErrNotCancelable = errors.New("not cancelable")
	// ErrNotDone: the generation has not ended.
	ErrNotDone = errors.New("not done")
	// ErrModelUnavailable: Higgsfield has disabled or blocked the model.
	ErrModelUnavailable = errors.New("model unavailable")

	// ErrResourceExhausted: a limit was reached.
	ErrResourceExhausted = errors.New("resource exhausted")
	// ErrQuotaExceeded: the tenant has reached a limit. RetryDelay is set if waiting helps.
	ErrQuotaExceeded = errors.New("quota exceeded")
	// ErrInsufficientCredits: the Higgsfield account has not enough credits.
	ErrInsufficientCredits = errors.New("insufficient credits")
	// ErrUpstreamSaturated: Higgsfield is saturated, and the caller set [FailWhenSaturated].
	ErrUpstreamSaturated = errors.New("upstream saturated")
	// ErrGatewayOverloaded: the gateway is overloaded, or its queue is full. The call had no effect.
	ErrGatewayOverloaded = errors.New("gateway overloaded")

	// ErrUnavailable: the gateway, or something it needs, is not available. The call can be retried unchanged.
	// CANCELLED matches too if the caller did not cancel: a gateway that shuts down returns it for calls that it has
	// not started.
	ErrUnavailable = errors.New("unavailable")
	// ErrUpstreamUnavailable: Higgsfield sent no usable response.
	ErrUpstreamUnavailable = errors.New("upstream unavailable")
	// ErrGatewayUnavailable: the gateway is shutting down, or its store is not available.
	ErrGatewayUnavailable = errors.New("gateway unavailable")

	// ErrAborted: the call was aborted.
	ErrAborted = errors.New("aborted")
	// ErrSubmissionUnresolved: the request was sent, but its outcome is unknown. Repeating it with the same key finds
	// the outcome, and never has a second effect.
	ErrSubmissionUnresolved = errors.New("submission unresolved")
	// ErrSessionBusy: an agent's session is busy with another turn.
	ErrSessionBusy = errors.New("session busy")

	// ErrInternal: a defect of the gateway. The message has the id of the incident.
	ErrInternal = errors.New("internal error")
	// ErrUpstreamCredentialsRefused: Higgsfield refuses the gateway's credentials. The operator of the gateway must
	// act.
	ErrUpstreamCredentialsRefused = errors.New("upstream credentials refused")

	// ErrDeadlineExceeded: the deadline of the call passed. The generation, if any, continues. Such errors match
	// context.DeadlineExceeded too.
	ErrDeadlineExceeded = errors.New("deadline exceeded")
)

// ErrClosed is matched by errors of calls that [Client.Close] ended, and of calls on a closed client.
var ErrClosed = errors.New("client closed")

// Errors of [Client.Generate] for generations that ended without output. They match a [*GenerationError].
var (
	// ErrGenerationFailed matches every [*GenerationError].
	ErrGenerationFailed = errors.New("generation failed")
	// ErrGenerationRefused: the generation failed before Higgsfield accepted it. It was not charged, and its key can be
	// used again.
	ErrGenerationRefused = errors.New("generation refused")
	// ErrGenerationModerated: Higgsfield's moderation refused the generation. It was not charged.
	ErrGenerationModerated = errors.New("generation moderated")
	// ErrGenerationCanceled: a caller canceled the generation, or the gateway did; see the reason. It was not charged.
	ErrGenerationCanceled = errors.New("generation canceled")
	// ErrGenerationLost: the outcome of the generation cannot be determined. It may have been charged.
	ErrGenerationLost = errors.New("generation lost")
)

// ErrTrainingFailed matches every [*TrainingError].
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

// Error is the error of a failed call: a status that the gateway returned, or an error of the transport.
type Error struct {
	Code codes.Code
	// Reason is the gateway's reason, such as "QUOTA_EXCEEDED". It is empty for errors of the transport.
	Reason string
	// Message is a text for people, which may change. Use Reason to make decisions.
	Message string
	// FieldViolations has the fields that were refused.
	FieldViolations []*FieldViolation
	// Retryable reports that the same input may succeed later.
	Retryable bool
	// RetryDelay is how long to wait before a retry, or 0 if that is not known.
	RetryDelay time.Duration
	// Metadata has the variable parts of the message, such as "generation_id" and "limit".
	Metadata map[string]string
	// UpstreamResponse is the JSON of Higgsfield's response that is the reason of the error, or nil.
	UpstreamResponse *structpb.Value
	// IdempotencyKey is the key of a failed submission or creation. Retrying with this key never has a second effect.
	IdempotencyKey string

	address string // of the gateway, in errors of the connection
	status  *status.Status
	ended   error // the context's error or ErrClosed, if the caller ended the call
}

// Error returns the reason or code, the message, the field violations that the message does not contain, and in errors
// of the connection the gateway's address.
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
	if e.address != "" {
		fields = append(fields, "gateway at "+e.address)
	}
	if len(fields) == 0 {
		return fmt.Sprintf("hfgateway: %s: %s", label, e.Message)
	}
	return fmt.Sprintf("hfgateway: %s: %s (%s)", label, e.Message, strings.Join(fields, "; "))
}

// Is reports whether target is the error of e's reason or code.
func (e *Error) Is(target error) bool {
	if e.Code == codes.Canceled && e.ended != nil {
		return false
	}
	return target == byReason[e.Reason] || target == byCode[e.Code]
}

// Unwrap returns the context's error if the context or the client's timeout ended the call, [ErrClosed] if Close did,
// and nil otherwise.
func (e *Error) Unwrap() error {
	return e.ended
}

// GRPCStatus returns the status of the call, for the functions of google.golang.org/grpc/status.
func (e *Error) GRPCStatus() *status.Status {
	return e.status
}

// GenerationError is the error of [Client.Generate] for a generation that ended without output. The calls themselves
// succeeded.
type GenerationError struct {
	// Generation is the generation in its final state.
	Generation *Generation
	// Reason is the reason of the end, such as "MODERATED". It is empty if none is known.
	Reason string
	// Message is a text for people, which may change.
	Message string
	// Retryable reports that the same input may succeed later, with a new key.
	Retryable bool
	// IdempotencyKey is the key of the submission.
	IdempotencyKey string
}

func (e *GenerationError) Error() string {
	label := e.Reason
	if label == "" {
		label = StateName(e.Generation)
	}
	return fmt.Sprintf("hfgateway: generation %s: %s: %s", e.Generation.GetId(), label, e.Message)
}

// Is reports whether target is [ErrGenerationFailed] or the error of the generation's final state.
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

// TrainingError is the error of [Client.TrainCharacter] for a character whose training failed. The calls themselves
// succeeded.
type TrainingError struct {
	// Character is the character in its final state.
	Character *Character
	// Reason is the reason of the failure. It is empty if none is known.
	Reason string
	// Message is a text for people, which may change.
	Message string
	// Retryable reports that the same images may succeed later, with a new key.
	Retryable bool
	// IdempotencyKey is the key of the creation.
	IdempotencyKey string
}

func (e *TrainingError) Error() string {
	return fmt.Sprintf("hfgateway: training of character %s: %s", e.Character.GetId(), e.Message)
}

// Is reports whether target is [ErrTrainingFailed].
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

// errorOf returns the error of a failed call, from its status and the details of the status.
func (c *Client) errorOf(ctx context.Context, err error) *Error {
	received := status.Convert(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		received = status.FromContextError(err)
	}
	failure, reason := readDetails(received)
	e := &Error{
		Code:             received.Code(),
		Reason:           reason,
		Message:          failure.GetMessage(),
		FieldViolations:  failure.GetFieldViolations(),
		Retryable:        failure.GetRetryable(),
		RetryDelay:       failure.GetRetryDelay().AsDuration(),
		Metadata:         failure.GetMetadata(),
		UpstreamResponse: failure.GetUpstreamResponse(),
		status:           received,
	}
	if e.Message == "" {
		e.Message = received.Message()
	}
	if e.Message == "" {
		e.Message = strings.ToLower(strings.ReplaceAll(codeName(e.Code), "_", " "))
	}
	switch {
	case e.Code == codes.DeadlineExceeded:
		e.ended = context.DeadlineExceeded // the gateway may report it before the context ends
	case e.Code == codes.Canceled && ctx.Err() != nil:
		e.ended = ctx.Err()
	case e.Code == codes.Canceled && c.open.Err() != nil:
		e.ended = ErrClosed
	}
	if reason == "" && (e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded) {
		e.address = c.conn.Target()
	}
	e.Retryable = e.Retryable || errors.Is(e, ErrUnavailable)
	return e
}

// codeName returns the name of a code as protos and the other clients write it, such as "INVALID_ARGUMENT".
func codeName(number codes.Code) string {
	return rpccode.Code(number).String()
}

// readDetails returns the failure and the name of its reason. ErrorInfo takes precedence for the name, because it also
// has reasons that are newer than the stubs. If there is no Failure, it is built from the standard details.
func readDetails(received *status.Status) (*Failure, string) {
	var failure *Failure
	standard := &Failure{}
	reason := ""
	for _, detail := range received.Details() {
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
