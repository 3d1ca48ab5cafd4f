package hfgateway

import (
	"encoding/json"
	"fmt"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// Soul is text to image. More than the prompt is set by functions; what is left out is the model's own default:
//
//	hfgateway.Soul("a lighthouse", func(in *hfgateway.SoulInput) { in.AspectRatio = "16:9" })
func Soul(prompt string, set ...func(*SoulInput)) *Input {
	input := &SoulInput{Prompt: prompt}
	for _, apply := range set {
		apply(input)
	}
	return &Input{Kind: &pb.GenerationInput_Soul{Soul: input}}
}

// Dop is image to video with the Director of Photography model, from one image or more.
func Dop(prompt string, imageURLs []string, set ...func(*DopInput)) *Input {
	input := &DopInput{Prompt: prompt, ImageUrls: imageURLs}
	for _, apply := range set {
		apply(input)
	}
	return &Input{Kind: &pb.GenerationInput_Dop{Dop: input}}
}

// Speak is speech (a WAV file) to video.
func Speak(imageURL, audioURL, prompt string, set ...func(*SpeakInput)) *Input {
	input := &SpeakInput{ImageUrl: imageURL, AudioUrl: audioURL, Prompt: prompt}
	for _, apply := range set {
		apply(input)
	}
	return &Input{Kind: &pb.GenerationInput_Speak{Speak: input}}
}

// Model is any Higgsfield model by its id. The parameters are whatever [encoding/json] makes a JSON object of; they are
// sent as they stand.
func Model(id string, parameters any) (*Input, error) {
	text, err := json.Marshal(parameters)
	if err != nil {
		return nil, fmt.Errorf("hfgateway: parameters of %s: %w", id, err)
	}
	body := &structpb.Struct{}
	if err := body.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("hfgateway: parameters of %s: %w", id, err)
	}
	return &Input{Kind: &pb.GenerationInput_Model{Model: &pb.ModelInput{ModelId: id, Parameters: body}}}, nil
}
