// Code generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT.

package hfgateway

import (
	"errors"

	"google.golang.org/grpc/codes"
)

// Errors to match with errors.Is: one for each gRPC code, followed by those of the gateway's reasons with that code. An
// error that matches its reason also matches its code.
var (
	// ErrInvalidInput is INVALID_ARGUMENT. The gateway's validation refused the request. [Error.FieldViolations] names
	// the fields.
	ErrInvalidInput = errors.New("invalid input")
	// ErrInputRefused: Higgsfield refused the input. [Error.FieldViolations] names the fields if Higgsfield did.
	ErrInputRefused = errors.New("input refused")
	// ErrInvalidCredentials is UNAUTHENTICATED. The API key or watch token is missing, wrong, expired or revoked.
	ErrInvalidCredentials = errors.New("invalid credentials")
	// ErrNotAllowed is PERMISSION_DENIED. The API key or watch token may not make this call, or a limit does not allow
	// the model.
	ErrNotAllowed = errors.New("not allowed")
	// ErrFeatureNotEnabled: The Higgsfield account does not have this feature.
	ErrFeatureNotEnabled = errors.New("feature not enabled")
	// ErrNotFound is NOT_FOUND. The resource does not exist, or belongs to another tenant.
	ErrNotFound = errors.New("not found")
	// ErrModelUnknown: Higgsfield does not know the model.
	ErrModelUnknown = errors.New("model unknown")
	// ErrPreconditionFailed is FAILED_PRECONDITION. The state of the resource does not allow the call.
	ErrPreconditionFailed = errors.New("precondition failed")
	// ErrModelUnavailable: Higgsfield has disabled or blocked the model.
	ErrModelUnavailable = errors.New("model unavailable")
	// ErrKeyReused: The idempotency key was used with a different input, or its resource was deleted.
	ErrKeyReused = errors.New("key reused")
	// ErrNotCancelable: It is too late to cancel, or Higgsfield cannot. Metadata["state"] names the state.
	ErrNotCancelable = errors.New("not cancelable")
	// ErrNotDone: The resource has not reached its final state. Metadata["state"] names the state.
	ErrNotDone = errors.New("not done")
	// ErrPriceUnknown: A budget applies, and the price of the submission is not known. Nothing was submitted. Either
	// Higgsfield and the gateway's settings have no price for the model, which the operator of the gateway can set, or
	// the input does not say how many outputs it makes. The message says which.
	ErrPriceUnknown = errors.New("price unknown")
	// ErrResourceExhausted is RESOURCE_EXHAUSTED. A limit was reached, or something is overloaded.
	ErrResourceExhausted = errors.New("resource exhausted")
	// ErrQuotaExceeded: A limit of the tenant, the API key, a label or a callback is reached. The call had no effect.
	// Metadata["limit"] names it. The metadata of a submission has the "limit" ("submissions_per_minute", "in_flight"),
	// its "subject" ("tenant", "key:ID", "label:NAME=VALUE"), what is "allowed", "used" and "left", and when it
	// "resets_at". [Error.RetryDelay] is set if waiting helps.
	ErrQuotaExceeded = errors.New("quota exceeded")
	// ErrInsufficientCredits: The Higgsfield account does not have enough credits.
	ErrInsufficientCredits = errors.New("insufficient credits")
	// ErrUpstreamSaturated: Higgsfield, or the part of it that the tenant may use, is full, and the call does not
	// queue. The message says which. [Error.RetryDelay] has the delay. As the delay of a generation: it waits for its
	// turn.
	ErrUpstreamSaturated = errors.New("upstream saturated")
	// ErrGatewayOverloaded: The gateway is overloaded, or its queue is full. The call had no effect. [Error.RetryDelay]
	// has the delay.
	ErrGatewayOverloaded = errors.New("gateway overloaded")
	// ErrBudgetExceeded: A budget of the tenant, the API key or a label does not have enough credits left, and nothing
	// was submitted. Metadata["limit"] names it. The metadata is that of QUOTA_EXCEEDED, in credits, with the limit
	// "credits_per_day" or "credits_per_month" and what is "needed". A retry makes sense only after "resets_at", or
	// once generations have failed.
	ErrBudgetExceeded = errors.New("budget exceeded")
	// ErrUnavailable is UNAVAILABLE. The gateway or Higgsfield is not available, or a response was lost. The client
	// retries the call.
	ErrUnavailable = errors.New("unavailable")
	// ErrUpstreamUnavailable: Higgsfield sent no usable response. [Error.RetryDelay] has the delay.
	ErrUpstreamUnavailable = errors.New("upstream unavailable")
	// ErrGatewayUnavailable: The gateway is shutting down, its store is not available, or none of its replicas leads at
	// the moment. Or the API key, or the token of the issuer, has expired during the call. [Error.RetryDelay] has the
	// delay.
	ErrGatewayUnavailable = errors.New("gateway unavailable")
	// ErrAborted is ABORTED. The call was aborted.
	ErrAborted = errors.New("aborted")
	// ErrSubmissionUnresolved: The request was sent to Higgsfield without a usable response, so it may have been
	// executed and charged. The same call with the same idempotency key looks again, and never sends it twice. As the
	// failure of a generation: its outcome could not be found in time.
	ErrSubmissionUnresolved = errors.New("submission unresolved")
	// ErrSessionBusy: The session of the agent is busy with another turn. The message was not sent.
	ErrSessionBusy = errors.New("session busy")
	// ErrInternal is INTERNAL. A defect of the gateway. The "incident" in the metadata is its number in the gateway's
	// log.
	ErrInternal = errors.New("internal error")
	// ErrUpstreamCredentialsRefused: Higgsfield refuses the gateway's credentials. The operator of the gateway must
	// correct them.
	ErrUpstreamCredentialsRefused = errors.New("upstream credentials refused")
	// ErrDeadlineExceeded is DEADLINE_EXCEEDED. The call timed out. A submitted generation continues.
	ErrDeadlineExceeded = errors.New("deadline exceeded")
)

// Errors of generations and trainings that ended without success. [ErrGenerationFailed] matches every
// [*GenerationError], and [ErrTrainingFailed] every [*TrainingError].
var (
	// ErrGenerationFailed: A generation ended without output.
	ErrGenerationFailed = errors.New("generation failed")
	// ErrGenerationRefused: A generation failed before Higgsfield accepted it. It was not charged, and its key can be
	// used again.
	ErrGenerationRefused = errors.New("generation refused")
	// ErrGenerationModerated: Higgsfield's moderation refused a generation. It was not charged.
	ErrGenerationModerated = errors.New("generation moderated")
	// ErrGenerationCanceled: A caller canceled a generation, or the gateway did; see the reason. It was not charged.
	ErrGenerationCanceled = errors.New("generation canceled")
	// ErrGenerationLost: The outcome of a generation cannot be determined. It may have been charged.
	ErrGenerationLost = errors.New("generation lost")
	// ErrTrainingFailed: The training of a character failed.
	ErrTrainingFailed = errors.New("training failed")
)

var byCode = map[codes.Code]error{
	codes.InvalidArgument:    ErrInvalidInput,
	codes.Unauthenticated:    ErrInvalidCredentials,
	codes.PermissionDenied:   ErrNotAllowed,
	codes.NotFound:           ErrNotFound,
	codes.FailedPrecondition: ErrPreconditionFailed,
	codes.ResourceExhausted:  ErrResourceExhausted,
	codes.Unavailable:        ErrUnavailable,
	codes.Aborted:            ErrAborted,
	codes.Internal:           ErrInternal,
	codes.DeadlineExceeded:   ErrDeadlineExceeded,
	codes.Canceled:           ErrUnavailable,
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
	"PRICE_UNKNOWN":                ErrPriceUnknown,
	"QUOTA_EXCEEDED":               ErrQuotaExceeded,
	"INSUFFICIENT_CREDITS":         ErrInsufficientCredits,
	"UPSTREAM_SATURATED":           ErrUpstreamSaturated,
	"GATEWAY_OVERLOADED":           ErrGatewayOverloaded,
	"BUDGET_EXCEEDED":              ErrBudgetExceeded,
	"UPSTREAM_UNAVAILABLE":         ErrUpstreamUnavailable,
	"GATEWAY_UNAVAILABLE":          ErrGatewayUnavailable,
	"SUBMISSION_UNRESOLVED":        ErrSubmissionUnresolved,
	"SESSION_BUSY":                 ErrSessionBusy,
	"INTERNAL":                     ErrInternal,
	"UPSTREAM_CREDENTIALS_REFUSED": ErrUpstreamCredentialsRefused,
}
