package hfgateway

import (
	"context"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// CharacterQuery says how many characters to fetch at a time; nil is for the gateway's default.
type CharacterQuery = pb.ListCharactersRequest

// CreatedCharacter is the character that exists for a key.
type CreatedCharacter struct {
	Character *Character
	// IdempotencyKey: create under it again, and this character comes back.
	IdempotencyKey string
	// Replayed: the key was known; nothing new was started, nothing is charged twice.
	Replayed bool
}

// CharacterOption changes how a character is created: [WithIdempotencyKey], [WithSoulVersion].
type CharacterOption interface {
	createCharacter(*pb.CreateCharacterRequest)
}

type versionOption SoulVersion

func (o versionOption) createCharacter(r *pb.CreateCharacterRequest) { r.Version = SoulVersion(o) }

// WithSoulVersion says for which family of Soul a character is: for [SoulV1] unless told.
func WithSoulVersion(version SoulVersion) CharacterOption { return versionOption(version) }

// CreateCharacter starts the training of a character from images of it, which is paid: once, however often the answer gets
// lost. An error is an [*Error] that holds the key.
func (c *Client) CreateCharacter(
	ctx context.Context, name string, imageURLs []string, options ...CharacterOption,
) (*CreatedCharacter, error) {
	request := &pb.CreateCharacterRequest{Name: name, ImageUrls: imageURLs, IdempotencyKey: NewIdempotencyKey()}
	for _, option := range options {
		option.createCharacter(request)
	}
	response, err := unary(ctx, c, c.characters.CreateCharacter, request, 0)
	if err != nil {
		return nil, withKey(err, request.GetIdempotencyKey())
	}
	return &CreatedCharacter{response.GetCharacter(), request.GetIdempotencyKey(), response.GetReplayed()}, nil
}

// TrainCharacter creates a character, follows its training to the end, which takes minutes, and returns it COMPLETED. Every
// other end is a [*TrainingError]; nothing is ever created again. The context's end ends the following only: the [*Error]
// then holds the key.
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
		return nil, trainingError(character, created.IdempotencyKey)
	}
	return character, nil
}

// GetCharacter returns the character as it is now.
func (c *Client) GetCharacter(ctx context.Context, id string) (*Character, error) {
	response, err := unary(ctx, c, c.characters.GetCharacter, &pb.GetCharacterRequest{Id: id}, 0)
	return response.GetCharacter(), err
}

// ListCharacters yields all characters, newest first.
func (c *Client) ListCharacters(ctx context.Context, query *CharacterQuery) iter.Seq2[*Character, error] {
	return sequence(func(token string) ([]*Character, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.characters.ListCharacters, request, 0)
		return page.GetCharacters(), page.GetNextPageToken(), err
	})
}

// DeleteCharacter removes the character at Higgsfield; one that is deleted already is no error.
func (c *Client) DeleteCharacter(ctx context.Context, id string) error {
	_, err := unary(ctx, c, c.characters.DeleteCharacter, &pb.DeleteCharacterRequest{Id: id}, 0)
	return err
}

// WatchCharacter yields the character as it is and then every change, until its training has ended. A stream that breaks is
// opened again; an error is the last that comes. Each range over it is a watch of its own.
func (c *Client) WatchCharacter(ctx context.Context, id string) iter.Seq2[*Character, error] {
	return func(yield func(*Character, error) bool) {
		var told *Character
		err := follow(ctx, c,
			func() bool { return true },
			func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchCharacterResponse], error) {
				return c.characters.WatchCharacter(ctx, &pb.WatchCharacterRequest{Id: id})
			},
			func(message *pb.WatchCharacterResponse) bool {
				character := message.GetCharacter()
				if character == nil || proto.Equal(character, told) {
					return true
				}
				told = character
				return yield(character, nil) && !character.GetDone()
			})
		if err != nil {
			yield(nil, err)
		}
	}
}
