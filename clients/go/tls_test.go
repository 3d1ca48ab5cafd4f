package hfgateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	hfgateway "github.com/hfgateway/hfgateway/clients/go"
	pb "github.com/hfgateway/hfgateway/generated/go/hfgateway/v1"
)

// certificate returns the PEM files of a self-signed certificate, for server and client.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", private)
}

func TestTLSWithCAAndClientCertificate(t *testing.T) {
	certFile, keyFile := certificate(t)
	own, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	text, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	trusted.AppendCertsFromPEM(text)
	g := newGateway(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
	})))
	g.on("GetGeneration", respond(&pb.GetGenerationResponse{Generation: generation(hfgateway.StateQueued, 1)}))

	client, _ := newClient(t, g.address(), hfgateway.WithTLSFiles(certFile, certFile, keyFile), hfgateway.WithAPIKey("hfg_1"))
	if _, err := client.Get(within(t), "g1"); err != nil {
		t.Fatal(err)
	}
	if got := g.received("GetGeneration")[0].metadata.Get("authorization"); len(got) != 1 {
		t.Errorf("authorization %q", got)
	}

	for name, option := range map[string]hfgateway.Option{
		"without a certificate":  hfgateway.WithTLSFiles(certFile, "", ""),
		"with no TLS whatsoever": hfgateway.WithTimeout(time.Second),
	} {
		stranger, _ := newClient(t, g.address(), option)
		if _, err := stranger.Get(within(t), "g1"); !errors.Is(err, hfgateway.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTLSRefusesUnknownCA(t *testing.T) {
	certFile, keyFile := certificate(t)
	otherFile, _ := certificate(t)
	own, err := credentials.NewServerTLSFromFile(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, grpc.Creds(own))

	for name, option := range map[string]hfgateway.Option{
		"the system's authorities": hfgateway.WithTLS(nil),
		"no files":                 hfgateway.WithTLSFiles("", "", ""),
		"another authority":        hfgateway.WithTLSFiles(otherFile, "", ""),
	} {
		client, _ := newClient(t, g.address(), option)
		if _, err := client.Get(within(t), "g1"); !errors.Is(err, hfgateway.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
