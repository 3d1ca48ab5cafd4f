package hfgateway

import (
	"strconv"
	"strings"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Messages of the API. The comments of the generated types specify them.
type (
	Generation      = pb.Generation
	Output          = pb.Output
	Forecast        = pb.Forecast
	Failure         = pb.Failure
	FieldViolation  = pb.FieldViolation
	Filter          = pb.GenerationFilter
	State           = pb.GenerationState
	Input           = pb.GenerationInput
	SoulInput       = pb.SoulInput
	DopInput        = pb.DopInput
	SpeakInput      = pb.SpeakInput
	ModelInput      = pb.ModelInput
	APIVersion      = pb.ApiVersion
	Adoption        = pb.AdoptGenerationRequest
	Adopted         = pb.AdoptGenerationResponse
	Price           = pb.EstimateGenerationResponse
	Story           = pb.ExplainGenerationResponse
	StoredMedia     = pb.UploadMediaResponse
	GenerationEvent = pb.GenerationEvent

	CatalogModel = pb.Model
	Motion       = pb.Motion
	SoulStyle    = pb.SoulStyle
	Preset       = pb.Preset
	SoulVersion  = pb.SoulVersion

	Character      = pb.SoulCharacter
	CharacterState = pb.CharacterState

	Callback = pb.Callback
	Delivery = pb.Delivery
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

// Conditions for [WithWaitFor].
const (
	UntilStored   = pb.WaitFor_WAIT_FOR_STORED
	UntilAccepted = pb.WaitFor_WAIT_FOR_ACCEPTED
	UntilDone     = pb.WaitFor_WAIT_FOR_DONE
)

// Versions of Higgsfield's API, for [Model] and an [Adoption].
const (
	APIV1 = pb.ApiVersion_API_VERSION_V1
	APIV2 = pb.ApiVersion_API_VERSION_V2
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
	return shortName(pb.GenerationState_name, int32(generation.GetState()), "GENERATION_STATE_", "STATE_")
}

func reasonName(failure *Failure) string {
	if failure.GetReason() == pb.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return shortName(pb.ErrorReason_name, int32(failure.GetReason()), "ERROR_REASON_", "REASON_")
}

func shortName(names map[int32]string, value int32, prefix, unknown string) string {
	if name, ok := names[value]; ok {
		return strings.TrimPrefix(name, prefix)
	}
	return unknown + strconv.Itoa(int(value))
}
