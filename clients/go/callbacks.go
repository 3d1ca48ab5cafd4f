package hfgateway

import (
	"context"
	"iter"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Queries of callbacks and deliveries: what to list, and the page size. Page tokens in queries are ignored. A
// DeliveryQuery must have the id of a callback.
type (
	CallbackQuery = pb.ListCallbacksRequest
	DeliveryQuery = pb.ListDeliveriesRequest
)

// CreatedCallback is the result of [Client.CreateCallback].
type CreatedCallback struct {
	Callback *Callback
	// Secret is the key with which the gateway signs deliveries. It is returned only once: it is empty if an earlier
	// call with [WithIdempotencyKey] created the callback. Callbacks.RotateCallbackSecret returns a new one then.
	Secret string
	// IdempotencyKey is the key of the creation. Creating again with this key returns the same callback.
	IdempotencyKey string
	// Replayed reports that the key had been used before, so that the call created nothing.
	Replayed bool
}

// CallbackOption configures the creation of a callback: [WithIdempotencyKey], [WithFilter], [EveryChange].
type CallbackOption interface {
	createCallback(*pb.CreateCallbackRequest)
}

type callbackOption func(*pb.CreateCallbackRequest)

func (o callbackOption) createCallback(r *pb.CreateCallbackRequest) { o(r) }

// WithFilter restricts a callback to generations that match the labels, model ids and states of the filter. Default,
// and nil: all generations.
func WithFilter(filter *Filter) CallbackOption {
	return callbackOption(func(r *pb.CreateCallbackRequest) { r.Filter = orAll(filter) })
}

// EveryChange makes a callback deliver every change. Default, and false: only the end of each generation.
func EveryChange(every bool) CallbackOption {
	return callbackOption(func(r *pb.CreateCallbackRequest) { r.EveryChange = every })
}

// CreateCallback creates a callback: the gateway delivers later events of generations to url by HTTP POST. An [*Error]
// contains the idempotency key. If the response is lost, and the secret with it, it creates another secret; but not with
// [WithIdempotencyKey], because another caller may have the secret then.
func (c *Client) CreateCallback(ctx context.Context, url string, options ...CallbackOption) (*CreatedCallback, error) {
	own := NewIdempotencyKey()
	request := &pb.CreateCallbackRequest{Url: url, IdempotencyKey: own}
	for _, option := range options {
		option.createCallback(request)
	}
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

// ListCallbacks yields all callbacks, newest first. A nil query has the gateway's default page size. It fetches pages
// on demand and ends after an error.
func (c *Client) ListCallbacks(ctx context.Context, query *CallbackQuery) iter.Seq2[*Callback, error] {
	return pages(ctx, c.Callbacks.ListCallbacks, query, (*pb.ListCallbacksResponse).GetCallbacks)
}

// ListDeliveries yields the deliveries of a callback that match the query, newest first: those that are pending, and
// recent ones that were delivered or failed. It fetches pages on demand and ends after an error.
func (c *Client) ListDeliveries(ctx context.Context, query *DeliveryQuery) iter.Seq2[*Delivery, error] {
	return pages(ctx, c.Callbacks.ListDeliveries, query, (*pb.ListDeliveriesResponse).GetDeliveries)
}
