package hfgateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// ErrClosed is matched by errors of calls that [Client.Close] ended, and of calls on a closed client.
var ErrClosed = errors.New("client closed")

var byEnd = map[State]error{
	StateNSFW:     ErrGenerationModerated,
	StateCanceled: ErrGenerationCanceled,
	StateLost:     ErrGenerationLost,
}

// Error is the error of a failed call: a status that the gateway returned, or an error of the transport.
type Error struct {
	Code codes.Code
	// Reason is the gateway's reason, such as "QUOTA_EXCEEDED". It is empty for errors of the transport.
	Reason          string
	Message         string            // a text for people, which may change
	FieldViolations []*FieldViolation // the fields that were refused
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
	mistake bool   // a retry cannot change the cause
	broken  bool   // the connection or a proxy failed, and gRPC reports another code than UNAVAILABLE
	status  *status.Status
	ended   error // the context's error or ErrClosed, if the caller ended the call
}

// mistakes has the causes of failed connections that a retry cannot change: an unknown name, an untrusted certificate or
// one for another name, and a gateway without TLS. A refused connection is none, because the gateway may be starting.
var mistakes = regexp.MustCompile(
	"no such host|resolver error: produced zero addresses" +
		"|failed to verify certificate|first record does not look like a TLS handshake")

// Error returns the reason or code, the message, the field violations that the message does not contain, and in errors
// of the connection the gateway's address.
func (e *Error) Error() string {
	var fields []string
	for _, violation := range e.FieldViolations {
		if !strings.Contains(e.Message, violation.GetDescription()) {
			fields = append(fields, violation.GetField()+": "+violation.GetDescription())
		}
	}
	if e.address != "" {
		fields = append(fields, "gateway at "+e.address)
	}
	text := fmt.Sprintf("hfgateway: %s: %s", cmp.Or(e.Reason, codeName(e.Code)), e.Message)
	if len(fields) == 0 {
		return text
	}
	return fmt.Sprintf("%s (%s)", text, strings.Join(fields, "; "))
}

// Is reports whether target is the error of e's reason or code.
func (e *Error) Is(target error) bool {
	if e.Code == codes.Canceled && e.ended != nil || e.ended == ErrClosed {
		return false
	}
	if e.broken {
		return target == ErrUnavailable
	}
	return target == byReason[e.Reason] || target == byCode[e.Code]
}

// Unwrap returns the context's error if the context or the client's timeout ended the call, [ErrClosed] if Close did,
// and nil otherwise.
func (e *Error) Unwrap() error { return e.ended }

// GRPCStatus returns the status of the call, for the functions of google.golang.org/grpc/status.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Ending says why a generation ended without output, or a training failed.
type Ending struct {
	// Reason is the reason, such as "MODERATED". It is empty if none is known.
	Reason  string
	Message string // a text for people, which may change
	// Retryable reports that the same input may succeed later, with a new key.
	Retryable bool
	// IdempotencyKey is the key of the submission or creation.
	IdempotencyKey string
}

// endingOf returns the ending of a generation or training in the state.
func endingOf(failure *Failure, state, key string) Ending {
	return Ending{reasonName(failure), cmp.Or(failure.GetMessage(), "ended as "+state), failure.GetRetryable(), key}
}

// GenerationError is the error of [Client.Generate] for a generation that ended without output. No call failed.
type GenerationError struct {
	Generation *Generation // in its final state
	Ending
}

func (e *GenerationError) Error() string {
	label := cmp.Or(e.Reason, StateName(e.Generation))
	return fmt.Sprintf("hfgateway: generation %s: %s: %s", e.Generation.GetId(), label, e.Message)
}

// Is reports whether target is [ErrGenerationFailed] or the error of the generation's final state.
func (e *GenerationError) Is(target error) bool {
	if target == ErrGenerationRefused {
		return e.Generation.GetState() == StateFailed && e.Generation.GetAcceptTime() == nil
	}
	return target == ErrGenerationFailed || target == byEnd[e.Generation.GetState()]
}

// TrainingError is the error of [Client.TrainCharacter] for a character whose training failed. No call failed.
type TrainingError struct {
	Character *Character // in its final state
	Ending
}

func (e *TrainingError) Error() string {
	return fmt.Sprintf("hfgateway: training of character %s: %s", e.Character.GetId(), e.Message)
}

// Is reports whether target is [ErrTrainingFailed].
func (e *TrainingError) Is(target error) bool { return target == ErrTrainingFailed }

// errorOf returns the error of a failed call, from its status and the details of the status.
func (c *calls) errorOf(ctx context.Context, err error) *Error {
	received := status.Convert(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		received = status.FromContextError(err)
	}
	code := received.Code()
	codeText := strings.ToLower(strings.ReplaceAll(codeName(code), "_", " "))
	failure, reason := readDetails(received)
	e := &Error{
		Code:             code,
		Reason:           reason,
		Message:          cmp.Or(failure.GetMessage(), received.Message(), codeText),
		FieldViolations:  failure.GetFieldViolations(),
		RetryDelay:       failure.GetRetryDelay().AsDuration(),
		Metadata:         failure.GetMetadata(),
		UpstreamResponse: failure.GetUpstreamResponse(),
		status:           received,
	}
	switch {
	case code == codes.DeadlineExceeded:
		e.ended = context.DeadlineExceeded // the gateway may report it before the context ends
	case code == codes.Canceled && ctx.Err() != nil:
		e.ended = ctx.Err()
	case (code == codes.Canceled || code == codes.Unavailable && reason == "") && c.open.Err() != nil:
		// After a GOAWAY, gRPC ends the calls of a closed connection with UNAVAILABLE.
		e.Code, e.Message, e.ended = codes.Canceled, "the client is closed", ErrClosed
		e.status = status.New(e.Code, e.Message)
	}
	if reason != "" {
		c.reached.Store(true)
	} else if e.broken = isBroken(err); e.broken || e.Code == codes.Unavailable || e.Code == codes.DeadlineExceeded {
		e.address = c.address
		e.mistake = !c.reached.Load() && mistakes.MatchString(e.Message)
	}
	e.Retryable = failure.GetRetryable() || errors.Is(e, ErrUnavailable) && !e.mistake
	return e
}

// isBroken reports whether an error without a reason of the gateway is of gRPC or a proxy: a stream was reset, or ended
// without a status, or with one that has no meaning. A message that cannot be encoded is not, and neither is an error of
// an interceptor without a status.
func isBroken(err error) bool {
	received, isStatus := status.FromError(err)
	code := received.Code()
	return isStatus && (code == codes.Internal || code == codes.Unknown || code > codes.Unauthenticated) &&
		!strings.Contains(received.Message(), "error while marshaling")
}

// codeName returns the name of a code as protos and the other clients write it, such as "INVALID_ARGUMENT".
func codeName(number codes.Code) string { return rpccode.Code(number).String() }

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
			if detail.GetDomain() == "hfgateway" {
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
