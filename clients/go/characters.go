package hfgateway

import (
	"context"
	"iter"

	"google.golang.org/protobuf/proto"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// CharacterQuery sets the page size of [Client.ListCharacters]; nil means the gateway's default.
type CharacterQuery = pb.ListCharactersRequest

// CreatedCharacter is the result of [Client.CreateCharacter].
type CreatedCharacter struct {
	Character *Character
	// IdempotencyKey is the key of the creation. Creating again with this key returns the same character.
	IdempotencyKey string
	// Replayed reports that the key had been used before, so that the call started and charged nothing.
	Replayed bool
}

// CharacterOption configures the creation of a character: [WithIdempotencyKey], [WithSoulVersion].
type CharacterOption interface {
	createCharacter(*pb.CreateCharacterRequest)
}

type versionOption SoulVersion

func (o versionOption) createCharacter(r *pb.CreateCharacterRequest) { r.Version = SoulVersion(o) }

// WithSoulVersion sets the version of Soul for which a character is trained. Default: [SoulV1].
func WithSoulVersion(version SoulVersion) CharacterOption { return versionOption(version) }

// CreateCharacter starts the training of a character from the images at imageURLs. Training costs credits; retries use
// the same idempotency key, so that it is charged once. An [*Error] contains the key.
func (c *Client) CreateCharacter(
	ctx context.Context, name string, imageURLs []string, options ...CharacterOption,
) (*CreatedCharacter, error) {
	request := &pb.CreateCharacterRequest{Name: name, ImageUrls: imageURLs, IdempotencyKey: NewIdempotencyKey()}
	for _, option := range options {
		option.createCharacter(request)
	}
	response, err := c.Characters.CreateCharacter(ctx, request)
	if err != nil {
		return nil, withKey(err, request.GetIdempotencyKey())
	}
	return &CreatedCharacter{response.GetCharacter(), request.GetIdempotencyKey(), response.GetReplayed()}, nil
}

// TrainCharacter creates a character, watches its training, which takes minutes, and returns it COMPLETED. Any other
// end is a [*TrainingError]. It never creates a second character. If the context ends, the training continues, and the
// [*Error] contains the key.
func (c *Client) TrainCharacter(
	ctx context.Context, name string, imageURLs []string, options ...CharacterOption,
) (*Character, error) {
	created, err := c.CreateCharacter(ctx, name, imageURLs, options...)
	if err != nil {
		return nil, err
	}
	character := created.Character
	if !character.GetDone() {
		for changed, err := range c.WatchCharacter(ctx, character.GetId()) {
			if err != nil {
				return nil, withKey(err, created.IdempotencyKey)
			}
			character = changed
		}
	}
	if character.GetState() != CharacterCompleted {
		state := shortName(pb.CharacterState_name, int32(character.GetState()), "CHARACTER_STATE_", "STATE_")
		return nil, &TrainingError{character, endingOf(character.GetFailure(), state, created.IdempotencyKey)}
	}
	return character, nil
}

// ListCharacters yields all characters, newest first. It fetches pages on demand and ends after an error.
func (c *Client) ListCharacters(ctx context.Context, query *CharacterQuery) iter.Seq2[*Character, error] {
	return pages(ctx, c.Characters.ListCharacters, query, (*pb.ListCharactersResponse).GetCharacters)
}

// WatchCharacter yields the character as it is, and then every change until its training has ended. It opens the stream
// again if it breaks, and ends after an error. Each range over the sequence opens a new watch.
func (c *Client) WatchCharacter(ctx context.Context, id string) iter.Seq2[*Character, error] {
	type response = pb.WatchCharacterResponse
	return watch(ctx, c.calls, c.Characters.WatchCharacter,
		func() (*pb.WatchCharacterRequest, func(*response) ([]*Character, bool)) {
			var last *Character
			return &pb.WatchCharacterRequest{Id: id}, func(message *response) ([]*Character, bool) {
				character := message.GetCharacter()
				if character == nil || proto.Equal(character, last) {
					return nil, true // each stream begins with the current state
				}
				last = character
				return []*Character{character}, !character.GetDone()
			}
		})
}
