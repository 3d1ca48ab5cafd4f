package hfgateway

import (
	"context"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Client is a gateway, for as many calls at a time as you like.
type Client struct {
	conn        *grpc.ClientConn
	generations pb.GenerationServiceClient
	uploads     pb.UploadServiceClient
	tokens      pb.TokenServiceClient
	catalogs    pb.CatalogServiceClient
	characters  pb.CharacterServiceClient
	callbacks   pb.CallbackServiceClient
	timeout     time.Duration
	policy      RetryPolicy
	timers      timers
	open        context.Context // until Close
	end         context.CancelFunc
}

// New returns a client of the gateway at an address, [DefaultAddress] where that is empty. It connects when it is first
// used, and again whenever the connection is lost.
func New(address string, options ...Option) (*Client, error) {
	config := settings{timeout: 30 * time.Second, timers: realTimers}
	for _, option := range options {
		if err := option(&config); err != nil {
			return nil, err
		}
	}
	if address == "" {
		address = DefaultAddress
	}
	conn, err := grpc.NewClient(address, config.dialOptions()...)
	if err != nil {
		return nil, err
	}
	open, end := context.WithCancel(context.Background())
	return &Client{
		conn:        conn,
		generations: pb.NewGenerationServiceClient(conn),
		uploads:     pb.NewUploadServiceClient(conn),
		tokens:      pb.NewTokenServiceClient(conn),
		catalogs:    pb.NewCatalogServiceClient(conn),
		characters:  pb.NewCharacterServiceClient(conn),
		callbacks:   pb.NewCallbackServiceClient(conn),
		timeout:     config.timeout,
		policy:      config.policy.withDefaults(),
		timers:      config.timers,
		open:        open,
		end:         end,
	}, nil
}

// Close ends all calls with [ErrClosed], and closes the connection.
func (c *Client) Close() error {
	c.end()
	return c.conn.Close()
}

// Must returns the value and panics on an error: for examples, and programs that have nothing better to do then.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Get returns the generation as it is now, with its input.
func (c *Client) Get(ctx context.Context, id string) (*Generation, error) {
	response, err := unary(ctx, c, c.generations.GetGeneration, &pb.GetGenerationRequest{Id: id}, 0)
	return response.GetGeneration(), err
}

// List yields all that match the filter (nil: all there are), newest first. Pages are fetched as they are needed; an error
// is the last that comes.
func (c *Client) List(ctx context.Context, filter *Filter, options ...ListOption) iter.Seq2[*Generation, error] {
	return sequence(func(token string) ([]*Generation, string, error) {
		request := &pb.ListGenerationsRequest{Filter: orAll(filter), PageToken: token}
		for _, option := range options {
			option.list(request)
		}
		page, err := unary(ctx, c, c.generations.ListGenerations, request, 0)
		return page.GetGenerations(), page.GetNextPageToken(), err
	})
}

// Cancel cancels the generation; [ErrNotCancelable] where it is too late.
func (c *Client) Cancel(ctx context.Context, id string) (*Generation, error) {
	response, err := unary(ctx, c, c.generations.CancelGeneration, &pb.CancelGenerationRequest{Id: id}, 0)
	return response.GetGeneration(), err
}

// Delete removes a generation that is done; true when Higgsfield has removed its input and files as well.
func (c *Client) Delete(ctx context.Context, id string) (bool, error) {
	response, err := unary(ctx, c, c.generations.DeleteGeneration, &pb.DeleteGenerationRequest{Id: id}, 0)
	return response.GetRemovedUpstream(), err
}

// Estimate says what the input would cost, and checks it as [Client.Submit] does.
func (c *Client) Estimate(ctx context.Context, input *Input) (*Price, error) {
	return unary(ctx, c, c.generations.EstimateGeneration, &pb.EstimateGenerationRequest{Input: input}, 0)
}

// Explain tells all that happened to the generation and for it, oldest first: every change, every call to Higgsfield.
func (c *Client) Explain(ctx context.Context, id string) (*Story, error) {
	return unary(ctx, c, c.generations.ExplainGeneration, &pb.ExplainGenerationRequest{Id: id}, 0)
}

// CreateUpload prepares an upload past the gateway: PUT the bytes to UploadUrl with all UploadHeaders.
func (c *Client) CreateUpload(ctx context.Context, contentType string) (*PreparedUpload, error) {
	return unary(ctx, c, c.uploads.CreateUpload, &pb.CreateUploadRequest{ContentType: contentType}, 0)
}

// CreateWatchToken makes a token that goes where an API key goes and allows to look at what the filter matches, for so
// long (0: 15 minutes): for backends that serve browsers. Of the options, [WithInput] shows inputs too.
func (c *Client) CreateWatchToken(
	ctx context.Context, filter *Filter, lifetime time.Duration, options ...TokenOption,
) (*WatchToken, error) {
	request := &pb.CreateWatchTokenRequest{Filter: filter}
	if lifetime != 0 {
		request.Ttl = durationpb.New(lifetime)
	}
	for _, option := range options {
		option.token(request)
	}
	return unary(ctx, c, c.tokens.CreateWatchToken, request, 0)
}

// pause lets time pass, unless the context or the client ends: that is the error then.
func (c *Client) pause(ctx context.Context, delay time.Duration) error {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.open, cancel)()
	if err := c.timers.sleep(both, delay); err != nil {
		return c.errorOf(ctx, err)
	}
	return nil
}

// orAll makes the filter that matches all there are out of none.
func orAll(filter *Filter) *Filter {
	if filter == nil {
		return &Filter{}
	}
	return filter
}

// unary makes a call, and makes it again where that is safe, until the client's time-out or the context's end. extra is the
// time that the gateway was asked to take over its answer.
func unary[Request, Response any](
	ctx context.Context,
	c *Client,
	call func(context.Context, *Request, ...grpc.CallOption) (*Response, error),
	request *Request,
	extra time.Duration,
) (*Response, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout+extra)
		defer cancel()
	}
	trouble := outage{client: c, patience: c.policy.RepeatCallsFor, deadline: c.timers.deadline(ctx)}
	for {
		response, err := call(ctx, request)
		if err == nil {
			return response, nil
		}
		if err := trouble.endure(ctx, c.errorOf(ctx, err)); err != nil {
			return nil, err
		}
	}
}

// follow opens a stream, again where it breaks and resuming may help, and gives each message to take until that returns
// false. It returns nil when take did, or the gateway ended the stream. begin is called before each stream is opened; false
// ends it too.
func follow[Message any](
	ctx context.Context,
	c *Client,
	begin func() bool,
	open func(context.Context) (grpc.ServerStreamingClient[Message], error),
	take func(*Message) bool,
) error {
	trouble := outage{client: c, patience: c.policy.ResumeWatchesFor, deadline: c.timers.deadline(ctx)}
	for begin() {
		err := receive(ctx, open, func(message *Message) bool {
			trouble.over()
			return take(message)
		})
		if err == nil {
			return nil
		}
		if err := trouble.endure(ctx, c.errorOf(ctx, err)); err != nil {
			return err
		}
	}
	return nil
}

// receive gives the messages of one stream to take until that returns false; leaving it ends the call.
func receive[Message any](
	ctx context.Context,
	open func(context.Context) (grpc.ServerStreamingClient[Message], error),
	take func(*Message) bool,
) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	stream, err := open(ctx)
	if err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if !take(message) {
			return nil
		}
	}
}
