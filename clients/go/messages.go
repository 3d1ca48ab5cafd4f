package hfgateway

import (
	"strings"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Messages of the API. The comments of the generated types specify them.
type (
	Generation     = pb.Generation
	State          = pb.GenerationState
	Forecast       = pb.Forecast
	Failure        = pb.Failure
	FieldViolation = pb.FieldViolation
	Filter         = pb.GenerationFilter

	Input       = pb.GenerationInput
	SoulInput   = pb.SoulInput
	SoulVersion = pb.SoulVersion
	DopInput    = pb.DopInput
	SpeakInput  = pb.SpeakInput
	ModelInput  = pb.ModelInput

	SubmitRequest          = pb.SubmitGenerationRequest
	ListRequest            = pb.ListGenerationsRequest
	WatchRequest           = pb.WatchGenerationRequest
	WatchManyRequest       = pb.WatchGenerationsRequest
	CreateCharacterRequest = pb.CreateCharacterRequest
	CreateCallbackRequest  = pb.CreateCallbackRequest

	Character      = pb.SoulCharacter
	CharacterState = pb.CharacterState
	Callback       = pb.Callback
)

// States of a generation. Later versions may add values; [Generation.Done] reports whether a state is final.
const (
	StatePending    = pb.GenerationState_GENERATION_STATE_PENDING
	StateUncertain  = pb.GenerationState_GENERATION_STATE_UNCERTAIN
	StateQueued     = pb.GenerationState_GENERATION_STATE_QUEUED
	StateInProgress = pb.GenerationState_GENERATION_STATE_IN_PROGRESS
	StateCompleted  = pb.GenerationState_GENERATION_STATE_COMPLETED
	StateFailed     = pb.GenerationState_GENERATION_STATE_FAILED
	StateNSFW       = pb.GenerationState_GENERATION_STATE_NSFW
	StateCanceled   = pb.GenerationState_GENERATION_STATE_CANCELED
	StateLost       = pb.GenerationState_GENERATION_STATE_LOST
)

// Versions of Soul.
const (
	SoulV1     = pb.SoulVersion_SOUL_VERSION_V1
	SoulV2     = pb.SoulVersion_SOUL_VERSION_V2
	SoulCinema = pb.SoulVersion_SOUL_VERSION_CINEMA
)

// States of a character. Later versions may add values; [Character.Done] reports whether a state is final.
const (
	CharacterNotReady   = pb.CharacterState_CHARACTER_STATE_NOT_READY
	CharacterQueued     = pb.CharacterState_CHARACTER_STATE_QUEUED
	CharacterInProgress = pb.CharacterState_CHARACTER_STATE_IN_PROGRESS
	CharacterCompleted  = pb.CharacterState_CHARACTER_STATE_COMPLETED
	CharacterFailed     = pb.CharacterState_CHARACTER_STATE_FAILED
)

// StateName returns the name of a generation's state, such as "QUEUED", or "STATE_17" for a state that is newer than
// this client.
func StateName(generation *Generation) string {
	return shortName(generation.GetState().String(), "GENERATION_STATE_", "STATE_")
}

func reasonName(failure *Failure) string {
	if failure.GetReason() == pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return shortName(failure.GetReason().String(), "ERROR_REASON_", "REASON_")
}

// shortName returns the name of a value without its prefix. The name of an unknown value is its number.
func shortName(name, prefix, unknown string) string {
	if short, known := strings.CutPrefix(name, prefix); known {
		return short
	}
	return unknown + name
}
