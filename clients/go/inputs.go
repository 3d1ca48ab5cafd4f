package hfgateway

import (
	"encoding/json"
	"fmt"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// Soul returns an input for text to image with Soul. Set optional fields in functions; fields that are not set use the
// model's defaults:
//
//	hfgateway.Soul("a lighthouse", func(in *hfgateway.SoulInput) { in.AspectRatio = "16:9" })
func Soul(prompt string, set ...func(*SoulInput)) *Input {
	return &Input{Kind: &pb.GenerationInput_Soul{Soul: with(&SoulInput{Prompt: prompt}, set)}}
}

// Dop returns an input for image to video with the Director of Photography model, from one or more image URLs.
func Dop(prompt string, imageURLs []string, set ...func(*DopInput)) *Input {
	return &Input{Kind: &pb.GenerationInput_Dop{Dop: with(&DopInput{Prompt: prompt, ImageUrls: imageURLs}, set)}}
}

// Speak returns an input for speech to video. The URLs are those of an image and of a WAV file.
func Speak(imageURL, audioURL, prompt string, set ...func(*SpeakInput)) *Input {
	return &Input{Kind: &pb.GenerationInput_Speak{Speak: with(&SpeakInput{ImageUrl: imageURL, AudioUrl: audioURL, Prompt: prompt}, set)}}
}

// Model returns an input for any Higgsfield model by its id, or for an endpoint by its path. It encodes the parameters
// with [encoding/json] to a JSON object, which the gateway sends unchanged. It returns an error if the parameters cannot
// be encoded or are not an object. Endpoints of Higgsfield's v1 API need the ApiVersion.
func Model(id string, parameters any, set ...func(*ModelInput)) (*Input, error) {
	text, err := json.Marshal(parameters)
	if err != nil {
		return nil, fmt.Errorf("hfgateway: parameters of %s: %w", id, err)
	}
	body := &structpb.Struct{}
	if err := body.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("hfgateway: parameters of %s: %w", id, err)
	}
	input := with(&ModelInput{ModelId: id, Parameters: body}, set)
	return &Input{Kind: &pb.GenerationInput_Model{Model: input}}, nil
}
