package hfgateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// DefaultAddress is where a gateway listens unless it is told otherwise.
const DefaultAddress = "127.0.0.1:50051"

// Option changes what [New] makes.
type Option func(*settings) error

type settings struct {
	timeout time.Duration
	policy  RetryPolicy
	timers  timers
	tls     *tls.Config
	dial    []grpc.DialOption
}

// WithAPIKey sends the key with every call: over TLS, or in plaintext where that is what the client was made with.
func WithAPIKey(key string) Option {
	return func(s *settings) error {
		for _, char := range []byte(key) {
			if char <= ' ' || char > '~' {
				return errors.New("hfgateway: the API key holds characters that no key has")
			}
		}
		if key != "" {
			s.dial = append(s.dial, grpc.WithPerRPCCredentials(bearer(func() string { return "Bearer " + key })))
		}
		return nil
	}
}

// WithTLS talks TLS; nil is for the system's authorities.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) error {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		s.tls = config
		return nil
	}
}

// WithTLSFiles talks TLS by PEM files: whom to trust (empty: the system's authorities), and, for mTLS, a certificate of our
// own with its key (both empty: none).
func WithTLSFiles(authorities, certificate, key string) Option {
	return func(s *settings) error {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if authorities != "" {
			text, err := os.ReadFile(authorities)
			if err != nil {
				return fmt.Errorf("hfgateway: %w", err)
			}
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(text) {
				return fmt.Errorf("hfgateway: no certificate in %s", authorities)
			}
		}
		if certificate != "" || key != "" {
			own, err := tls.LoadX509KeyPair(certificate, key)
			if err != nil {
				return fmt.Errorf("hfgateway: %w", err)
			}
			config.Certificates = []tls.Certificate{own}
		}
		s.tls = config
		return nil
	}
}

// WithTimeout limits every call that waits for one answer, its repeats included: 30 s unless told, 0 for the context's
// deadline alone. Where both are set, what ends first counts.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		s.timeout = timeout
		return nil
	}
}

// WithRetryPolicy says how patient the client is.
func WithRetryPolicy(policy RetryPolicy) Option {
	return func(s *settings) error {
		s.policy = policy
		return nil
	}
}

// WithDialOptions adds options of gRPC's own, such as interceptors.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.dial = append(s.dial, options...)
		return nil
	}
}

func (s *settings) dialOptions() []grpc.DialOption {
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	return append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithUserAgent("hfgateway-client-go/" + Version),
		// One mechanism repeats calls: see RetryPolicy. What gRPC does where nothing was sent stays on.
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		// The gateway accepts a ping every 10 s; more often ends the connection with "too many pings".
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		// A watch resumes when its gateway is back: gRPC alone would wait for up to two minutes before it even tries.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second,
			},
			MinConnectTimeout: 20 * time.Second,
		}),
	}, s.dial...)
}

// bearer puts the key on every call. It is a function so that printing what holds it does not print the key.
type bearer func() string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": b()}, nil
}

func (bearer) RequireTransportSecurity() bool {
	return false
}
