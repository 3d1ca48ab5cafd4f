package hfgateway

import (
	"context"
	"iter"

	"google.golang.org/grpc"
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
	response, err := unary(ctx, c, c.characters.CreateCharacter, request, 0)
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
		return nil, trainingError(character, created.IdempotencyKey)
	}
	return character, nil
}

// GetCharacter returns the character as it is now. It returns [ErrNotFound] if the character does not exist.
func (c *Client) GetCharacter(ctx context.Context, id string) (*Character, error) {
	response, err := unary(ctx, c, c.characters.GetCharacter, &pb.GetCharacterRequest{Id: id}, 0)
	return response.GetCharacter(), err
}

// ListCharacters yields all characters, newest first. It fetches pages on demand and ends after an error.
func (c *Client) ListCharacters(ctx context.Context, query *CharacterQuery) iter.Seq2[*Character, error] {
	return sequence(func(token string) ([]*Character, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.characters.ListCharacters, request, 0)
		return page.GetCharacters(), page.GetNextPageToken(), err
	})
}

// DeleteCharacter deletes the character at Higgsfield. Deleting a deleted character succeeds.
func (c *Client) DeleteCharacter(ctx context.Context, id string) error {
	_, err := unary(ctx, c, c.characters.DeleteCharacter, &pb.DeleteCharacterRequest{Id: id}, 0)
	return err
}

// WatchCharacter yields the character as it is, and then every change until its training has ended. It opens the stream
// again if it breaks, and ends after an error. Each range over the sequence opens a new watch.
func (c *Client) WatchCharacter(ctx context.Context, id string) iter.Seq2[*Character, error] {
	return func(yield func(*Character, error) bool) {
		var last *Character
		err := follow(ctx, c,
			func(ctx context.Context) (grpc.ServerStreamingClient[pb.WatchCharacterResponse], error) {
				return c.characters.WatchCharacter(ctx, &pb.WatchCharacterRequest{Id: id})
			},
			func(message *pb.WatchCharacterResponse) bool {
				character := message.GetCharacter()
				if character == nil || proto.Equal(character, last) {
					return true
				}
				last = character
				return yield(character, nil) && !character.GetDone()
			})
		if err != nil {
			yield(nil, err)
		}
	}
}
