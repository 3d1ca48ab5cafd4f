package hfgateway_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

func TestKeyStaysOffPlaintext(t *testing.T) {
	key := hfgateway.WithAPIKey("hfg_secret")
	for address, options := range map[string][]hfgateway.Option{
		"":                        {key},
		"localhost:1":             {key},
		"127.8.9.1:1":             {key},
		"[::1]:1":                 {key},
		"localhost":               {key},
		"[::1]":                   {key},
		"dns:localhost:1":         {key},
		"dns:///localhost:1":      {key},
		"passthrough:///[::1]:1":  {key},
		"unix:/run/gateway":       {key},
		"unix-abstract:gateway":   {key},
		"gateway.example:1":       {key, hfgateway.WithInsecure()},
		"gateway.example:2":       {key, nil, hfgateway.WithTLS(nil)},
		"dns:///gateway.example:": {},
	} {
		client, err := hfgateway.New(address, options...)
		if err != nil {
			t.Errorf("%q: %v", address, err)
			continue
		}
		client.Close()
	}
	for _, address := range []string{
		"gateway.example:443", "localhost.example:443", "10.0.0.1:443", "[::2]:443", "dns:///gateway.example:443",
		"dns://resolver.example/localhost:443",
	} {
		_, err := hfgateway.New(address, key)
		if err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "WithInsecure") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestKeyStaysOffAConnectionThatADialOptionMakesPlaintext(t *testing.T) {
	plaintext := hfgateway.WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))
	_, err := hfgateway.New("gateway.example:1", hfgateway.WithAPIKey("hfg_secret"), hfgateway.WithTLS(nil), plaintext)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestURLIsNoAddress(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:8080", "https://gateway.example", "grpc://gateway.example:443"} {
		if _, err := hfgateway.New(address); err == nil || !strings.Contains(err.Error(), "must be HOST:PORT") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestEnvironmentHasDefaults(t *testing.T) {
	g := newGateway(t)
	answer := respond(&pb.GetGenerationResponse{})
	g.on("GetGeneration", answer, answer)
	t.Setenv("HFGATEWAY_ADDRESS", g.address())
	t.Setenv("HFGATEWAY_API_KEY", "hfg_environment")
	for _, options := range [][]hfgateway.Option{nil, {hfgateway.WithAPIKey("")}} {
		client, _ := newClient(t, "", options...)
		if _, err := client.Get(within(t), "g1"); err != nil {
			t.Fatal(err)
		}
	}
	calls := g.received("GetGeneration")
	if got := calls[0].metadata.Get("authorization"); len(got) != 1 || got[0] != "Bearer hfg_environment" {
		t.Errorf("authorization %q", got)
	}
	if got := calls[1].metadata.Get("authorization"); len(got) != 0 {
		t.Errorf("authorization %q of a client with an empty key", got)
	}
}
