package hfgateway

import (
	"crypto/rand"
	"errors"
	"fmt"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// KeyOption is what [WithIdempotencyKey] returns.
type KeyOption string

// WithIdempotencyKey submits, or creates, under a key of the caller's own: one for each thing that is meant, such as the
// number of an order.
func WithIdempotencyKey(key string) KeyOption { return KeyOption(key) }

func (o KeyOption) submit(r *pb.SubmitGenerationRequest)         { r.IdempotencyKey = string(o) }
func (o KeyOption) generate(f *following)                        { f.submit = append(f.submit, o) }
func (o KeyOption) createCharacter(r *pb.CreateCharacterRequest) { r.IdempotencyKey = string(o) }
func (o KeyOption) createCallback(r *pb.CreateCallbackRequest)   { r.IdempotencyKey = string(o) }

// NewIdempotencyKey returns a UUID, a key for one thing that is meant, such as a generation. Keep it for as long as you might ask again.
func NewIdempotencyKey() string {
	var id [16]byte
	rand.Read(id[:])
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// withKey puts the key that a call was made under into its error.
func withKey(err error, key string) error {
	var failed *Error
	if errors.As(err, &failed) {
		failed.IdempotencyKey = key
	}
	return err
}
