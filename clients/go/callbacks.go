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
	// call with [WithIdempotencyKey] created the callback. Call [Client.RotateCallbackSecret] for a new one then.
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

// CallbackChange changes a callback: [WithFilter], [EveryChange], [Paused].
type CallbackChange interface {
	updateCallback(*pb.UpdateCallbackRequest)
}

// FilterOption is the type of [WithFilter].
type FilterOption struct{ filter *Filter }

// WithFilter restricts a callback to generations that match the labels, model ids and states of the filter. Default,
// and nil: all generations.
func WithFilter(filter *Filter) FilterOption { return FilterOption{orAll(filter)} }

func (o FilterOption) createCallback(r *pb.CreateCallbackRequest) { r.Filter = o.filter }
func (o FilterOption) updateCallback(r *pb.UpdateCallbackRequest) { r.Filter = o.filter }

// ChangesOption is the type of [EveryChange].
type ChangesOption bool

// EveryChange makes a callback deliver every change. Default, and false: only the end of each generation.
func EveryChange(every bool) ChangesOption { return ChangesOption(every) }

func (o ChangesOption) createCallback(r *pb.CreateCallbackRequest) { r.EveryChange = bool(o) }
func (o ChangesOption) updateCallback(r *pb.UpdateCallbackRequest) { r.EveryChange = (*bool)(&o) }

type pausedOption bool

func (o pausedOption) updateCallback(r *pb.UpdateCallbackRequest) { r.Paused = (*bool)(&o) }

// Paused pauses deliveries, or with false resumes them, whatever paused them.
func Paused(paused bool) CallbackChange { return pausedOption(paused) }

// CreateCallback creates a callback: the gateway delivers later events of generations to url by HTTP POST. An [*Error]
// contains the idempotency key. If the response is lost, and the secret with it, it creates another secret; but not with
// [WithIdempotencyKey], because another caller may have the secret then.
func (c *Client) CreateCallback(ctx context.Context, url string, options ...CallbackOption) (*CreatedCallback, error) {
	own := NewIdempotencyKey()
	request := &pb.CreateCallbackRequest{Url: url, IdempotencyKey: own}
	for _, option := range options {
		option.createCallback(request)
	}
	response, err := unary(ctx, c, c.callbacks.CreateCallback, request, 0)
	if err != nil {
		return nil, withKey(err, request.GetIdempotencyKey())
	}
	created := &CreatedCallback{
		response.GetCallback(), response.GetSecret(), request.GetIdempotencyKey(), response.GetReplayed(),
	}
	if created.Replayed && created.IdempotencyKey == own {
		rotated, err := c.RotateCallbackSecret(ctx, created.Callback.GetId())
		if err != nil {
			return nil, withKey(err, own)
		}
		created.Secret = rotated.GetSecret()
	}
	return created, nil
}

// GetCallback returns the callback as it is now. It returns [ErrNotFound] if the callback does not exist.
func (c *Client) GetCallback(ctx context.Context, id string) (*Callback, error) {
	response, err := unary(ctx, c, c.callbacks.GetCallback, &pb.GetCallbackRequest{Id: id}, 0)
	return response.GetCallback(), err
}

// ListCallbacks yields all callbacks, newest first. A nil query has the gateway's default page size. It fetches pages
// on demand and ends after an error.
func (c *Client) ListCallbacks(ctx context.Context, query *CallbackQuery) iter.Seq2[*Callback, error] {
	return sequence(func(token string) ([]*Callback, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.callbacks.ListCallbacks, request, 0)
		return page.GetCallbacks(), page.GetNextPageToken(), err
	})
}

// UpdateCallback applies the changes and returns the callback. Everything else stays as it is.
func (c *Client) UpdateCallback(ctx context.Context, id string, changes ...CallbackChange) (*Callback, error) {
	request := &pb.UpdateCallbackRequest{Id: id}
	for _, change := range changes {
		change.updateCallback(request)
	}
	response, err := unary(ctx, c, c.callbacks.UpdateCallback, request, 0)
	return response.GetCallback(), err
}

// DeleteCallback deletes the callback, its deliveries and its secrets. Deleting a deleted callback succeeds.
func (c *Client) DeleteCallback(ctx context.Context, id string) error {
	_, err := unary(ctx, c, c.callbacks.DeleteCallback, &pb.DeleteCallbackRequest{Id: id}, 0)
	return err
}

// RotateCallbackSecret creates a new secret. Deliveries are also signed with the earlier ones for 24 hours, until
// Callback.OldSecretsExpireTime. It returns [ErrQuotaExceeded] if four secrets are active.
func (c *Client) RotateCallbackSecret(ctx context.Context, id string) (*RotatedSecret, error) {
	return unary(ctx, c, c.callbacks.RotateCallbackSecret, &pb.RotateCallbackSecretRequest{Id: id}, 0)
}

// TestCallback sends a delivery of type "callback.test" now, and returns its outcome. A failed delivery is not an
// error.
func (c *Client) TestCallback(ctx context.Context, id string) (*Delivery, error) {
	response, err := unary(ctx, c, c.callbacks.TestCallback, &pb.TestCallbackRequest{Id: id}, 0)
	return response.GetDelivery(), err
}

// ListDeliveries yields the deliveries of a callback that match the query, newest first: those that are pending, and
// recent ones that were delivered or failed. It fetches pages on demand and ends after an error.
func (c *Client) ListDeliveries(ctx context.Context, query *DeliveryQuery) iter.Seq2[*Delivery, error] {
	return sequence(func(token string) ([]*Delivery, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.callbacks.ListDeliveries, request, 0)
		return page.GetDeliveries(), page.GetNextPageToken(), err
	})
}

// Redeliver repeats a delivery, with the same id and a new series of attempts.
func (c *Client) Redeliver(ctx context.Context, id string) (*Delivery, error) {
	response, err := unary(ctx, c, c.callbacks.RedeliverDelivery, &pb.RedeliverDeliveryRequest{Id: id}, 0)
	return response.GetDelivery(), err
}
