package hfgateway

import (
	"cmp"
	"context"
	"io"
	"iter"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Client is a connection to a gateway. It is safe for concurrent use. Create one with [New], and close it with
// [Client.Close].
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
	onRetry     func(*Error, time.Duration)
	timers      timers
	open        context.Context // until Close
	end         context.CancelFunc
}

// New returns a client of the gateway at address. An empty address means the environment variable HFGATEWAY_ADDRESS, or
// [DefaultAddress] if that is empty too. It connects on the first call, and reconnects if the connection is lost; see
// [Client.Check]. New returns an error if an option or the address is invalid.
func New(address string, options ...Option) (*Client, error) {
	config := settings{timeout: defaultTimeout, timers: realTimers, key: os.Getenv("HFGATEWAY_API_KEY")}
	for _, option := range options {
		if err := option(&config); err != nil {
			return nil, err
		}
	}
	conn, err := config.connect(cmp.Or(address, os.Getenv("HFGATEWAY_ADDRESS"), DefaultAddress))
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
		onRetry:     config.onRetry,
		timers:      config.timers,
		open:        open,
		end:         end,
	}, nil
}

// Close closes the connection. Calls in progress and later calls fail with [ErrClosed].
func (c *Client) Close() error {
	c.end()
	return c.conn.Close()
}

// Check returns nil if the gateway is ready for calls with the client's key. Otherwise it returns an error with the cause
// and the address: at once, because it makes one call of at most 10 s and does not retry it. A watch token may not make
// this call.
func (c *Client) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := c.generations.ListGenerations(ctx, &pb.ListGenerationsRequest{PageSize: 1}); err != nil {
		return c.errorOf(ctx, err)
	}
	return nil
}

// Must returns the value, and panics if err is not nil. Use it in examples and in programs that cannot recover.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Adopt adopts a request that was made without this gateway, by its id at Higgsfield. From then on it is a generation
// like any other; nothing is submitted or charged. Adopting it again returns the same generation. It returns
// [ErrNotFound] if Higgsfield knows no such request of the gateway's account, or another tenant has it.
func (c *Client) Adopt(ctx context.Context, adoption *Adoption) (*Adopted, error) {
	return unary(ctx, c, c.generations.AdoptGeneration, adoption, 0)
}

// Get returns the generation as it is now, with its input. It returns [ErrNotFound] if the tenant has no generation
// with this id.
func (c *Client) Get(ctx context.Context, id string) (*Generation, error) {
	response, err := unary(ctx, c, c.generations.GetGeneration, &pb.GetGenerationRequest{Id: id}, 0)
	return response.GetGeneration(), err
}

// List yields the generations that match the filter, newest first. A nil filter matches all. It fetches pages on demand
// and ends after an error.
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

// Cancel cancels the generation and returns it. It returns [ErrNotCancelable] if it is too late to cancel.
func (c *Client) Cancel(ctx context.Context, id string) (*Generation, error) {
	response, err := unary(ctx, c, c.generations.CancelGeneration, &pb.CancelGenerationRequest{Id: id}, 0)
	return response.GetGeneration(), err
}

// Delete deletes a generation that has ended. It returns whether Higgsfield has removed the input and the outputs too.
// If the generation has not ended, the error is [ErrNotDone].
func (c *Client) Delete(ctx context.Context, id string) (bool, error) {
	response, err := unary(ctx, c, c.generations.DeleteGeneration, &pb.DeleteGenerationRequest{Id: id}, 0)
	return response.GetRemovedUpstream(), err
}

// Estimate returns the price of the input, and validates it as [Client.Submit] does. It charges nothing.
func (c *Client) Estimate(ctx context.Context, input *Input) (*Price, error) {
	return unary(ctx, c, c.generations.EstimateGeneration, &pb.EstimateGenerationRequest{Input: input}, 0)
}

// Explain returns the history of the generation, oldest event first: every change, and every call to Higgsfield.
func (c *Client) Explain(ctx context.Context, id string) (*Story, error) {
	return unary(ctx, c, c.generations.ExplainGeneration, &pb.ExplainGenerationRequest{Id: id}, 0)
}

// CreateUpload returns a URL for an upload that does not pass through the gateway: PUT the bytes to UploadUrl with all
// of UploadHeaders. The content type is a media type such as "image/png".
func (c *Client) CreateUpload(ctx context.Context, contentType string) (*PreparedUpload, error) {
	return unary(ctx, c, c.uploads.CreateUpload, &pb.CreateUploadRequest{ContentType: contentType}, 0)
}

// CreateWatchToken creates a token with which a browser can watch the generations that match the filter. The client
// sends it in place of an API key. The filter must have ids or labels. The lifetime is 1 s to 1 hour; 0 means 15
// minutes. With [WithInput], the token allows reading inputs too.
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

// pause sleeps for delay. It returns an error if the context is done or the client is closed first.
func (c *Client) pause(ctx context.Context, delay time.Duration) error {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.open, cancel)()
	if err := c.timers.sleep(both, delay); err != nil {
		return c.errorOf(ctx, err)
	}
	return nil
}

// orAll returns filter, or an empty filter if it is nil, which matches all generations.
func orAll(filter *Filter) *Filter {
	if filter == nil {
		return &Filter{}
	}
	return filter
}

// unary makes a call, and retries it if that is safe, until the client's timeout or the context's deadline. extra is
// added to the timeout: it is the time that the gateway may wait before it responds.
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

// follow opens a stream, and opens it again if it breaks with a retryable error. It passes each message to take. It
// returns nil when take returns false, or when the gateway ends the stream.
func follow[Message any](
	ctx context.Context,
	c *Client,
	open func(context.Context) (grpc.ServerStreamingClient[Message], error),
	take func(*Message) bool,
) error {
	trouble := outage{client: c, patience: c.policy.ResumeWatchesFor, deadline: c.timers.deadline(ctx)}
	for {
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
}

// receive passes the messages of one stream to take until take returns false, and then cancels the stream.
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
