package hfgateway

import (
	"crypto/rand"
	"errors"
	"fmt"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// KeyOption is the type of [WithIdempotencyKey]. It is a [SubmitOption], a [CharacterOption] and a [CallbackOption].
type KeyOption string

// WithIdempotencyKey sets the idempotency key of a submission or creation, instead of a new UUID. Use one key for each
// thing to create, such as an order number, and the same key for every retry.
func WithIdempotencyKey(key string) KeyOption { return KeyOption(key) }

func (o KeyOption) submit(r *pb.SubmitGenerationRequest)         { r.IdempotencyKey = string(o) }
func (o KeyOption) generate(f *following)                        { f.submit = append(f.submit, o) }
func (o KeyOption) createCharacter(r *pb.CreateCharacterRequest) { r.IdempotencyKey = string(o) }
func (o KeyOption) createCallback(r *pb.CreateCallbackRequest)   { r.IdempotencyKey = string(o) }

// NewIdempotencyKey returns a random UUID (version 4) to use as an idempotency key. Keep it for as long as you may need
// to retry.
func NewIdempotencyKey() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// withKey sets the idempotency key of the call in its error.
func withKey(err error, key string) error {
	var failed *Error
	if errors.As(err, &failed) {
		failed.IdempotencyKey = key
	}
	return err
}
