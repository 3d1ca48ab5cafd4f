package hfgateway

import (
	"context"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// CreatedCharacter is the result of [Client.CreateCharacter].
type CreatedCharacter struct {
	Character *Character
	// IdempotencyKey is the key of the creation. Creating again with this key returns the same character.
	IdempotencyKey string
	// Replayed reports that the key had been used before, so that the call started and charged nothing.
	Replayed bool
}

// CreateCharacter starts the training of a character from the images at imageURLs. Training costs credits; retries use
// the same idempotency key, so that it is charged once. An [*Error] contains the key.
func (c *Client) CreateCharacter(
	ctx context.Context, name string, imageURLs []string, set ...func(*CreateCharacterRequest),
) (*CreatedCharacter, error) {
	own := &CreateCharacterRequest{Name: name, ImageUrls: imageURLs, IdempotencyKey: NewIdempotencyKey()}
	request := with(own, set)
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
	ctx context.Context, name string, imageURLs []string, set ...func(*CreateCharacterRequest),
) (*Character, error) {
	created, err := c.CreateCharacter(ctx, name, imageURLs, set...)
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
		state := shortName(character.GetState().String(), "CHARACTER_STATE_", "STATE_")
		return nil, &TrainingError{character, endingOf(character.GetFailure(), state, created.IdempotencyKey)}
	}
	return character, nil
}

// CreatedCallback is the result of [Client.CreateCallback].
type CreatedCallback struct {
	Callback *Callback
	// Secret is the key with which the gateway signs deliveries. It is returned only once: it is empty if an earlier
	// call with the same key created the callback. Callbacks.RotateCallbackSecret returns a new one then.
	Secret string
	// IdempotencyKey is the key of the creation. Creating again with this key returns the same callback.
	IdempotencyKey string
	// Replayed reports that the key had been used before, so that the call created nothing.
	Replayed bool
}

// String returns the id of the callback, without its secret.
func (c CreatedCallback) String() string { return "callback " + c.Callback.GetId() }

// GoString returns the same, for %#v.
func (c CreatedCallback) GoString() string { return c.String() }

// CreateCallback creates a callback: the gateway delivers later events of generations to url by HTTP POST, by default
// only the end of each generation. An [*Error] contains the idempotency key. If the response is lost, and the secret with
// it, it creates another secret; but not with a key in the request, because another caller may have the secret then.
func (c *Client) CreateCallback(
	ctx context.Context, url string, set ...func(*CreateCallbackRequest),
) (*CreatedCallback, error) {
	own := NewIdempotencyKey()
	request := with(&CreateCallbackRequest{Url: url, IdempotencyKey: own}, set)
	key := request.GetIdempotencyKey()
	response, err := c.Callbacks.CreateCallback(ctx, request)
	if err != nil {
		return nil, withKey(err, key)
	}
	created := &CreatedCallback{response.GetCallback(), response.GetSecret(), key, response.GetReplayed()}
	if created.Replayed && key == own {
		again := &pb.RotateCallbackSecretRequest{Id: created.Callback.GetId()}
		rotated, err := c.Callbacks.RotateCallbackSecret(ctx, again)
		if err != nil {
			return nil, withKey(err, key)
		}
		created.Secret = rotated.GetSecret()
	}
	return created, nil
}
