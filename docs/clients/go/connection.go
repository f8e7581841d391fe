// Package maywe connects a program to maywe: servers in turn, retries, keep-alive and credentials.
package maywe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"flag"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // servers that are about to stop are not asked any more
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// Retries and balancing are the contract's: README.md says how the file gets here.
//
//go:embed v1/service_config.json
var serviceConfig string

// Arguments say where the servers are, and by what they know us.
type Arguments struct {
	Address, CAFile, CertificateFile, KeyFile, TokenFile string
}

// AddArguments takes them from the command line.
func AddArguments() *Arguments {
	given := &Arguments{}
	flag.StringVar(&given.Address, "address", "", "dns:///maywe-decision:7443, for one")
	flag.StringVar(&given.CAFile, "ca-file", "", "the servers' authority; makes it TLS")
	flag.StringVar(&given.CertificateFile, "certificate-file", "", "our certificate, for mutual TLS")
	flag.StringVar(&given.KeyFile, "key-file", "", "its key")
	flag.StringVar(&given.TokenFile, "token-file", "", "a bearer token; needs TLS")
	return given
}

// Open opens the one connection of a program: all its goroutines share it.
func Open(given *Arguments) (*grpc.ClientConn, error) {
	secured, err := transport(given)
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(), // the one above counts, whatever a name server says
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2,
				MaxDelay: 500 * time.Millisecond,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithResolvers(listed(given.Address)),
	}
	if given.TokenFile != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFromFile(given.TokenFile)))
	}
	return grpc.NewClient(given.Address, options...)
}

func transport(given *Arguments) (credentials.TransportCredentials, error) {
	if given.CAFile == "" {
		return insecure.NewCredentials(), nil
	}
	authority, err := os.ReadFile(given.CAFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !config.RootCAs.AppendCertsFromPEM(authority) {
		return nil, errors.New(given.CAFile + " holds no certificate")
	}
	if given.CertificateFile != "" {
		ours, err := tls.LoadX509KeyPair(given.CertificateFile, given.KeyFile)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{ours}
	}
	return credentials.NewTLS(config), nil
}

// tokenFromFile reads the token for every call: whoever renews it replaces the file.
type tokenFromFile string

func (file tokenFromFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(token))}, nil
}

func (tokenFromFile) RequireTransportSecurity() bool { return true }

// listed lets addresses be given one by one, ipv4:10.0.0.1:7443,10.0.0.2:7443, which other languages
// bring with them.
func listed(address string) resolver.Builder {
	builder := manual.NewBuilderWithScheme("ipv4")
	state := resolver.State{}
	for _, one := range strings.Split(strings.TrimPrefix(address, "ipv4:"), ",") {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: one})
	}
	builder.InitialState(state)
	return builder
}
