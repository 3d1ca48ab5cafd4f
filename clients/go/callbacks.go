package hfgateway

import (
	"context"
	"iter"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// What to list of callbacks, and how much at a time. Page tokens are the sequence's own. A DeliveryQuery needs the id of a
// callback.
type (
	CallbackQuery = pb.ListCallbacksRequest
	DeliveryQuery = pb.ListDeliveriesRequest
)

// CreatedCallback is the callback that exists for a key.
type CreatedCallback struct {
	Callback *Callback
	// Secret is what its deliveries are signed with. It is told once: empty where Replayed, also after an answer that was
	// lost on its way here. [Client.RotateCallbackSecret] makes another then.
	Secret string
	// IdempotencyKey: create under it again, and this callback comes back.
	IdempotencyKey string
	// Replayed: the key was known; nothing new was created.
	Replayed bool
}

// CallbackOption changes how a callback is created: [WithIdempotencyKey], and what is a [CallbackChange] too.
type CallbackOption interface {
	createCallback(*pb.CreateCallbackRequest)
}

// CallbackChange changes a callback: [WithFilter], [EveryChange], [Paused].
type CallbackChange interface {
	updateCallback(*pb.UpdateCallbackRequest)
}

// FilterOption is what [WithFilter] returns.
type FilterOption struct{ filter *Filter }

// WithFilter has a callback told of what matches labels, model ids and states; all generations unless given, and for nil.
func WithFilter(filter *Filter) FilterOption { return FilterOption{orAll(filter)} }

func (o FilterOption) createCallback(r *pb.CreateCallbackRequest) { r.Filter = o.filter }
func (o FilterOption) updateCallback(r *pb.UpdateCallbackRequest) { r.Filter = o.filter }

// ChangesOption is what [EveryChange] returns.
type ChangesOption bool

// EveryChange has a callback told of every change, or (false, and unless given) only of ends.
func EveryChange(every bool) ChangesOption { return ChangesOption(every) }

func (o ChangesOption) createCallback(r *pb.CreateCallbackRequest) { r.EveryChange = bool(o) }
func (o ChangesOption) updateCallback(r *pb.UpdateCallbackRequest) { r.EveryChange = (*bool)(&o) }

type pausedOption bool

func (o pausedOption) updateCallback(r *pb.UpdateCallbackRequest) { r.Paused = (*bool)(&o) }

// Paused holds back deliveries; false lets them go on, whatever paused them.
func Paused(paused bool) CallbackChange { return pausedOption(paused) }

// CreateCallback has the gateway deliver what changes from now on to a URL. An error is an [*Error] that holds the key.
func (c *Client) CreateCallback(ctx context.Context, url string, options ...CallbackOption) (*CreatedCallback, error) {
	request := &pb.CreateCallbackRequest{Url: url, IdempotencyKey: NewIdempotencyKey()}
	for _, option := range options {
		option.createCallback(request)
	}
	response, err := unary(ctx, c, c.callbacks.CreateCallback, request, 0)
	if err != nil {
		return nil, withKey(err, request.GetIdempotencyKey())
	}
	return &CreatedCallback{
		response.GetCallback(), response.GetSecret(), request.GetIdempotencyKey(), response.GetReplayed(),
	}, nil
}

// GetCallback returns the callback as it is now.
func (c *Client) GetCallback(ctx context.Context, id string) (*Callback, error) {
	response, err := unary(ctx, c, c.callbacks.GetCallback, &pb.GetCallbackRequest{Id: id}, 0)
	return response.GetCallback(), err
}

// ListCallbacks yields all callbacks, newest first; a nil query is for the gateway's default.
func (c *Client) ListCallbacks(ctx context.Context, query *CallbackQuery) iter.Seq2[*Callback, error] {
	return sequence(func(token string) ([]*Callback, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.callbacks.ListCallbacks, request, 0)
		return page.GetCallbacks(), page.GetNextPageToken(), err
	})
}

// UpdateCallback changes what is given, and nothing else.
func (c *Client) UpdateCallback(ctx context.Context, id string, changes ...CallbackChange) (*Callback, error) {
	request := &pb.UpdateCallbackRequest{Id: id}
	for _, change := range changes {
		change.updateCallback(request)
	}
	response, err := unary(ctx, c, c.callbacks.UpdateCallback, request, 0)
	return response.GetCallback(), err
}

// DeleteCallback removes the callback with its deliveries and secrets; one that does not exist is no error.
func (c *Client) DeleteCallback(ctx context.Context, id string) error {
	_, err := unary(ctx, c, c.callbacks.DeleteCallback, &pb.DeleteCallbackRequest{Id: id}, 0)
	return err
}

// RotateCallbackSecret makes a new secret. The ones before sign too until Callback.OldSecretsExpireTime.
func (c *Client) RotateCallbackSecret(ctx context.Context, id string) (*RotatedSecret, error) {
	return unary(ctx, c, c.callbacks.RotateCallbackSecret, &pb.RotateCallbackSecretRequest{Id: id}, 0)
}

// TestCallback sends one delivery of type "callback.test" now and returns what became of it: that it failed is no error.
func (c *Client) TestCallback(ctx context.Context, id string) (*Delivery, error) {
	response, err := unary(ctx, c, c.callbacks.TestCallback, &pb.TestCallbackRequest{Id: id}, 0)
	return response.GetDelivery(), err
}

// ListDeliveries yields those of a callback that match the query, newest first: what waits, and what was delivered or given
// up of late.
func (c *Client) ListDeliveries(ctx context.Context, query *DeliveryQuery) iter.Seq2[*Delivery, error] {
	return sequence(func(token string) ([]*Delivery, string, error) {
		request := copyOf(query)
		request.PageToken = token
		page, err := unary(ctx, c, c.callbacks.ListDeliveries, request, 0)
		return page.GetDeliveries(), page.GetNextPageToken(), err
	})
}

// Redeliver has a delivery made again from now on, under the same id.
func (c *Client) Redeliver(ctx context.Context, id string) (*Delivery, error) {
	response, err := unary(ctx, c, c.callbacks.RedeliverDelivery, &pb.RedeliverDeliveryRequest{Id: id}, 0)
	return response.GetDelivery(), err
}
