package hfgateway

import (
	"context"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// pages yields the items of all pages of a list, and fetches each page when it is needed. The query may be nil; its page
// token is ignored.
func pages[Request, Page, Item any, Query interface {
	*Request
	proto.Message
}, Response interface {
	*Page
	GetNextPageToken() string
}](
	ctx context.Context,
	list func(context.Context, Query, ...grpc.CallOption) (Response, error),
	query Query,
	items func(Response) []Item,
) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		request := Query(new(Request))
		proto.Merge(request, query)
		fields := request.ProtoReflect()
		field := fields.Descriptor().Fields().ByName("page_token")
		fields.Clear(field)
		for {
			page, err := list(ctx, request)
			if err != nil {
				yield(*new(Item), err)
				return
			}
			for _, item := range items(page) {
				if !yield(item, nil) {
					return
				}
			}
			if page.GetNextPageToken() == "" {
				return
			}
			fields.Set(field, protoreflect.ValueOfString(page.GetNextPageToken()))
		}
	}
}

// errCutOff is the status of a stream that ended with OK, but without its last message. The gateway ends none like this.
var errCutOff = status.Error(codes.Internal, "the watch ended without its last message")

// watch yields the items of a watch. It opens the stream again if it breaks with a retryable error. Each range over the
// sequence starts a new watch: start returns the request of the next stream, and two functions. The first one updates the
// request, and returns the items of a message, and whether more messages follow. If the stream ends with OK although more
// follow, the second one returns whether the gateway may have ended it. Otherwise a proxy has cut it off.
func watch[Request, Message, Item any](
	ctx context.Context,
	calls *calls,
	open func(context.Context, *Request, ...grpc.CallOption) (grpc.ServerStreamingClient[Message], error),
	start func() (request *Request, received func(*Message) (items []Item, more bool), ended func() bool),
) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		request, received, ended := start()
		trouble := calls.outage(ctx, calls.policy.ResumeWatchesFor)
		take := func(message *Message) bool {
			trouble.failures = 0
			items, more := received(message)
			for _, item := range items {
				if !yield(item, nil) {
					return false
				}
			}
			return more
		}
		for {
			err := receive(ctx, open, request, take)
			if err == nil || err == io.EOF && ended() {
				return
			}
			failed, broken := err.(*Error)
			if !broken { // io.EOF
				failed = calls.errorOf(ctx, errCutOff)
			}
			if err := trouble.endure(ctx, failed); err != nil {
				yield(*new(Item), err)
				return
			}
		}
	}
}

// never is the second function of a watch whose stream the gateway ends only after a message that nothing follows.
func never() bool { return false }

// receive passes the messages of one stream to take until take returns false, and then cancels the stream. It returns
// [io.EOF] if the stream ends with OK before.
func receive[Request, Message any](
	ctx context.Context,
	open func(context.Context, *Request, ...grpc.CallOption) (grpc.ServerStreamingClient[Message], error),
	request *Request,
	take func(*Message) bool,
) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	stream, err := open(ctx, request)
	for err == nil {
		var message *Message
		if message, err = stream.Recv(); err == nil && !take(message) {
			return nil
		}
	}
	return err
}
