package hfgateway

import (
	"cmp"
	"context"
	"os"
	"time"

	agents "github.com/hfgateway/hfgateway/generated/go/hfgateway/agents/v1alpha1"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// Client is a connection to a gateway. It is safe for concurrent use. Create one with [New], and close it with
// [Client.Close].
//
// The methods cover what needs more than one call, and the common calls of a generation. They take functions that set
// optional fields of the request, of which nil ones are left out. For everything else use the generated stubs in the
// fields. Their unary calls have the client's timeout and retries, and their errors are [*Error]; their streams are not
// resumed.
type Client struct {
	Generations pb.GenerationServiceClient
	Uploads     pb.UploadServiceClient
	Tokens      pb.TokenServiceClient
	Catalogs    pb.CatalogServiceClient
	Characters  pb.CharacterServiceClient
	Callbacks   pb.CallbackServiceClient
	// Agents is the stub of Higgsfield's agents. It uses the client's connection and API key, but gRPC's own errors, and
	// not the client's timeout and retries. The API is v1alpha1, so it may change between versions.
	Agents agents.AgentServiceClient

	calls     *calls
	onWarning func(*FieldViolation)
	forecasts time.Duration
	end       context.CancelFunc
}

// New returns a client of the gateway at address. An empty address means the environment variable HFGATEWAY_ADDRESS, or
// [DefaultAddress] if that is empty too. It connects on the first call, and reconnects if the connection is lost; see
// [Client.Check]. New returns an error if an option or the address is invalid.
func New(address string, options ...Option) (*Client, error) {
	config := settings{key: os.Getenv("HFGATEWAY_API_KEY"), forecasts: 2 * time.Second}
	config.timeout, config.timers = defaultTimeout, realTimers
	config.address = cmp.Or(address, os.Getenv("HFGATEWAY_ADDRESS"), DefaultAddress)
	for _, option := range options {
		if option != nil {
			option(&config)
		}
	}
	if err := config.connect(); err != nil {
		return nil, err
	}
	calls := &config.calls
	calls.policy = calls.policy.withDefaults()
	client := &Client{
		Generations: pb.NewGenerationServiceClient(calls),
		Uploads:     pb.NewUploadServiceClient(calls),
		Tokens:      pb.NewTokenServiceClient(calls),
		Catalogs:    pb.NewCatalogServiceClient(calls),
		Characters:  pb.NewCharacterServiceClient(calls),
		Callbacks:   pb.NewCallbackServiceClient(calls),
		Agents:      agents.NewAgentServiceClient(calls.conn),
		calls:       calls,
		onWarning:   config.onWarning,
		forecasts:   config.forecasts,
	}
	calls.open, client.end = context.WithCancel(context.Background())
	return client, nil
}

// Close closes the connection. Calls in progress and later calls fail with [ErrClosed].
func (c *Client) Close() error {
	c.end()
	return c.calls.conn.Close()
}

// Check returns nil if the gateway is ready for calls with the client's key. Otherwise it returns an error with the cause
// and the address: at once, because it makes one call of at most 10 s and does not retry it. The key needs the scope
// read.
func (c *Client) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := pb.NewGenerationServiceClient(c.calls.conn).ListGenerations(ctx, &ListRequest{PageSize: 1})
	c.calls.reached.CompareAndSwap(false, err == nil)
	return c.calls.typed(ctx, err)
}

// Must returns the value, and panics if err is not nil. Use it in examples and in programs that cannot recover.
func Must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// Get returns the generation as it is now, with its input. It returns [ErrNotFound] if the tenant has no generation
// with this id.
func (c *Client) Get(ctx context.Context, id string) (*Generation, error) {
	response, err := c.Generations.GetGeneration(ctx, &pb.GetGenerationRequest{Id: id})
	return response.GetGeneration(), err
}

// Cancel cancels the generation and returns it. It returns [ErrNotCancelable] if it is too late to cancel.
func (c *Client) Cancel(ctx context.Context, id string) (*Generation, error) {
	response, err := c.Generations.CancelGeneration(ctx, &pb.CancelGenerationRequest{Id: id})
	return response.GetGeneration(), err
}

// with returns the message after setting its optional fields. A nil function sets none.
func with[Message any](message *Message, set []func(*Message)) *Message {
	for _, apply := range set {
		if apply != nil {
			apply(message)
		}
	}
	return message
}
