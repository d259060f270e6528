package grpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	echov1 "github.com/testmesh/testmesh/examples/demo/proto/echo/v1"
)

// listening is a port of this machine.
func listening(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// counted counts the connections that come.
type counted struct {
	net.Listener
	n atomic.Int64
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

// serveOn serves until the test ends.
func serveOn(t testing.TB, l net.Listener, s *grpc.Server) string {
	t.Helper()
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.Stop()
		running.Wait()
	})
	return l.Addr().String()
}

// echoing is EchoService of the demo application, as far as tests here use it.
type echoing struct {
	echov1.UnimplementedEchoServiceServer
}

func (echoing) Echo(_ context.Context, in *echov1.EchoRequest) (*echov1.EchoResponse, error) {
	return &echov1.EchoResponse{Value: in.GetValue()}, nil
}

// echoServer has EchoService and, if wanted, reflection.
func echoServer(t testing.TB, reflecting bool, options ...grpc.ServerOption) string {
	t.Helper()
	s := grpc.NewServer(options...)
	echov1.RegisterEchoServiceServer(s, echoing{})
	if reflecting {
		reflection.Register(s)
	}
	return serveOn(t, listening(t), s)
}

// raw serves every method by a function that sees messages as bytes. Its steps
// know the methods by the .proto files of the demo application.
func raw(t testing.TB, handle func(grpc.ServerStream) error) *steps {
	t.Helper()
	s := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		return handle(stream)
	}))
	return byFiles(against(t, serveOn(t, listening(t), s)))
}

// byFiles makes steps know methods by the .proto files of the demo application.
func byFiles(s *steps) *steps {
	s.root = "../../examples/demo/proto"
	s.base["proto_file"] = "echo/v1/echo.proto"
	return s
}

// answering serves every connection by a function.
func answering(t testing.TB, answer func(net.Conn)) string {
	t.Helper()
	l := listening(t)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				answer(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// silent reads until the other side has gone.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// nobody is an address that nothing listens at.
func nobody(t testing.TB) string {
	t.Helper()
	l := listening(t)
	defer l.Close()
	return l.Addr().String()
}

// issued is a certificate with its key.
type issued struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	pair    tls.Certificate
	certPEM string
	keyPEM  string
}

// issue makes a certificate for this machine; by nil: an authority.
func issue(t testing.TB, by *issued, names ...string) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: names,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	parent, signer := template, key
	if by == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{
		cert: cert, key: key, pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		certPEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		keyPEM:  string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})),
	}
}
