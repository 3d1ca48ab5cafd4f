package hfgateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// A connection is taken for dead pingAfter + pingTimeout after its last byte: early enough to repeat a call within the
// default timeout. The gateway accepts a ping every 10 s. It closes connections that ping more often ("too many pings").
const (
	defaultTimeout = 30 * time.Second
	pingAfter      = 11 * time.Second
	pingTimeout    = 5 * time.Second
)

// DefaultAddress is the address on which a gateway listens by default.
const DefaultAddress = "127.0.0.1:50051"

// Option configures a client; see [New].
type Option func(*settings)

type settings struct {
	calls
	key       string
	onWarning func(*FieldViolation)
	forecasts time.Duration
	exposed   bool // the key may be sent in plaintext to other machines
	tls       *tls.Config
	dial      []grpc.DialOption
	err       error // of a file
}

// WithAPIKey sends the API key with every call. Default: the environment variable HFGATEWAY_API_KEY; an empty key is
// none. [New] returns an error if the key contains characters other than visible ASCII, and if it would be sent without
// TLS to an address that is not a loopback address.
func WithAPIKey(key string) Option {
	return func(s *settings) { s.key = key }
}

// WithInsecure allows sending the API key in plaintext to an address that is not a loopback address.
func WithInsecure() Option {
	return func(s *settings) { s.exposed = true }
}

// WithTLS connects with TLS. A nil config trusts the system's root certificates and requires TLS 1.2 or newer.
func WithTLS(config *tls.Config) Option {
	if config == nil {
		config = &tls.Config{}
	}
	return func(s *settings) { s.tls = config }
}

// WithTLSFiles connects with TLS, configured by PEM files: the certificate authorities to trust (empty: the system's
// root certificates), and for mTLS the client's certificate and its key (both empty: none). [New] returns an error if a
// file cannot be read.
func WithTLSFiles(authorities, certificate, key string) Option {
	return func(s *settings) {
		s.tls = &tls.Config{}
		if authorities != "" {
			text, err := os.ReadFile(authorities)
			s.tls.RootCAs = x509.NewCertPool()
			if !s.tls.RootCAs.AppendCertsFromPEM(text) {
				s.err = cmp.Or(err, fmt.Errorf("no certificate in %s", authorities))
			}
		}
		if certificate != "" || key != "" {
			own, err := tls.LoadX509KeyPair(certificate, key)
			s.tls.Certificates, s.err = []tls.Certificate{own}, cmp.Or(s.err, err)
		}
	}
}

// WithTimeout limits each call that returns one response, including its retries. The default is 30 s; 0 means no limit
// but the context's deadline. If both are set, the earlier one applies. Watches and uploads are not limited.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.timeout = timeout }
}

// WithRetryPolicy sets when and for how long the client retries. Without it, the defaults of [RetryPolicy] apply.
func WithRetryPolicy(policy RetryPolicy) Option {
	return func(s *settings) { s.policy = policy }
}

// WithOnRetry calls hook before each retry of a call, and before a watch resumes, with the error and the delay: to log
// them, for example. It may be called concurrently.
func WithOnRetry(hook func(err *Error, delay time.Duration)) Option {
	return func(s *settings) { s.onRetry = hook }
}

// WithForecasts sets how often [Client.Generate] reports a newer forecast when nothing else was reported: at least 1 s, or
// 0 for never. Default: 2 s.
func WithForecasts(interval time.Duration) Option {
	return func(s *settings) { s.forecasts = interval }
}

// WithOnWarning calls hook with each warning about an input that [Client.Generate] has submitted; [Submission] describes
// them. It may be called concurrently.
func WithOnWarning(hook func(warning *FieldViolation)) Option {
	return func(s *settings) { s.onWarning = hook }
}

// WithDialOptions adds gRPC dial options, such as interceptors. They take precedence over the client's own.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

// connect creates the connection, which is opened by the first call.
func (s *settings) connect() error {
	if s.err != nil {
		return fmt.Errorf("hfgateway: %w", s.err)
	}
	for _, char := range []byte(s.key) {
		if char <= ' ' || char > '~' {
			return errors.New("hfgateway: the API key contains characters other than visible ASCII")
		}
	}
	if key, plaintext := s.key, s.exposed || isLoopback(s.address); key != "" {
		if s.tls == nil && !plaintext {
			return fmt.Errorf("hfgateway: %s: an API key needs WithTLS, or WithInsecure to allow plaintext", s.address)
		}
		s.dial = append(s.dial, grpc.WithPerRPCCredentials(bearer(func() (string, bool) { return key, plaintext })))
	}
	target := s.address
	if _, port, err := net.SplitHostPort(target); err == nil && strings.Trim(port, "0123456789") == "" {
		// Look the name up for each connection. gRPC's resolver does so at most every 30 s, so that a call might not find
		// a gateway that has moved.
		target = "passthrough:///" + target
	}
	var err error
	if s.conn, err = grpc.NewClient(target, s.dialOptions()...); err != nil {
		return fmt.Errorf("hfgateway: %s: %w", s.address, err)
	}
	scheme, _, found := strings.Cut(s.address, "://")
	if found && s.conn.CanonicalTarget() == "dns:///"+s.address {
		// gRPC has no resolver for the scheme: it takes the URL for a name, and fails with the first call.
		s.conn.Close()
		return fmt.Errorf("hfgateway: %s: the address must be HOST:PORT, without %s://", s.address, scheme)
	}
	return nil
}

// isLoopback returns whether only this machine can reach the address.
func isLoopback(address string) bool {
	if strings.HasPrefix(address, "unix:") || strings.HasPrefix(address, "unix-abstract:") {
		return true
	}
	for _, scheme := range []string{"dns:///", "passthrough:///", "dns:"} {
		address = strings.TrimPrefix(address, scheme)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

func (s *settings) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	return append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("hfgateway-client-go/" + Version),
		// gRPC's transparent retries, of calls that were not sent, stay on.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}),
		// gRPC's default backoff grows to 2 minutes. A watch must resume soon after the gateway is back.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second,
			},
			MinConnectTimeout: 20 * time.Second,
		}),
	}, s.dial...)
}

// bearer returns the API key to send with every call, and whether it may be sent without TLS. It is a function so that
// printing a value that contains it does not print the key.
type bearer func() (key string, plaintext bool)

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	key, _ := b()
	return map[string]string{"authorization": "Bearer " + key}, nil
}

func (b bearer) RequireTransportSecurity() bool {
	_, plaintext := b()
	return !plaintext
}
