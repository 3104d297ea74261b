package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/apiserver-network-proxy/konnectivity-client/pkg/client"
)

// dialer opens connections through a tunnel server.
type dialer struct {
	mode         string
	uds          string
	server       string
	ca           string
	cert         string
	key          string
	endpoint     string
	startWithin  time.Duration
	certificates *tls.Config
}

// dialerFlags registers what names the server and the endpoint.
func dialerFlags(flags *flag.FlagSet) *dialer {
	d := &dialer{}
	flags.StringVar(&d.mode, "mode", "grpc", "protocol of the server's frontend: grpc or http-connect")
	flags.StringVar(&d.uds, "uds", "", "unix socket of the server")
	flags.StringVar(&d.server, "server", "", "host:port of the server, without --uds")
	flags.StringVar(&d.ca, "ca", "", "with --server: authority of its certificate")
	flags.StringVar(&d.cert, "cert", "", "with --server: certificate of the client")
	flags.StringVar(&d.key, "key", "", "with --server: key of that certificate")
	flags.StringVar(&d.endpoint, "to", "", "host:port to connect to through the tunnel")
	flags.DurationVar(&d.startWithin, "start-within", 30*time.Second, "longest wait for a connection")
	return d
}

// prepare reads the certificates of a server that is not on a unix socket.
func (d *dialer) prepare() error {
	if d.uds != "" {
		return nil
	}
	ca, err := os.ReadFile(d.ca)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(d.cert, d.key)
	if err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(d.server)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	d.certificates = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, ServerName: host}
	return nil
}

// dial opens one connection to the endpoint.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.startWithin)
	defer cancel()
	if d.mode == "grpc" {
		return d.dialGRPC(ctx)
	}
	return d.dialConnect(ctx)
}

// dialGRPC is what kube-apiserver does in GRPC mode: a tunnel, and with it an HTTP/2 session, for each connection.
func (d *dialer) dialGRPC(ctx context.Context) (net.Conn, error) {
	options := []grpc.DialOption{grpc.WithBlock(), grpc.WithReturnConnectionError()}
	address := d.server
	if d.uds != "" {
		address = d.uds
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", path)
			}))
	} else {
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(d.certificates)))
	}
	tunnel, err := client.CreateSingleUseGrpcTunnelWithContext(ctx, context.Background(), address, options...)
	if err != nil {
		return nil, err
	}
	return tunnel.DialContext(ctx, "tcp", d.endpoint)
}

// dialConnect is what kube-apiserver does in HTTPConnect mode, and as strict about bytes that follow the reply.
func (d *dialer) dialConnect(ctx context.Context) (net.Conn, error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	reader := bufio.NewReader(conn)
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", d.endpoint); err != nil {
		conn.Close()
		return nil, err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("no reply to CONNECT: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		conn.Close()
		return nil, fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	if reader.Buffered() > 0 {
		conn.Close()
		return nil, fmt.Errorf("%d bytes follow the reply", reader.Buffered())
	}
	return conn, nil
}

func (d *dialer) connect(ctx context.Context) (net.Conn, error) {
	if d.uds != "" {
		return new(net.Dialer).DialContext(ctx, "unix", d.uds)
	}
	return (&tls.Dialer{Config: d.certificates}).DialContext(ctx, "tcp", d.server)
}

// closed closes a connection. Upstream's client waits for the answer to its CLOSE_REQ and for the end of its tunnel at
// once; when both have come it reports either, "tunnel closed" as an error. The connection is closed in both cases.
func closed(conn net.Conn) error {
	if err := conn.Close(); err != nil && err.Error() != "tunnel closed" {
		return err
	}
	return nil
}

// open dials and tells the endpoint what to do.
func (d *dialer) open(ctx context.Context, command string) (net.Conn, error) {
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "%s\n", command); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
