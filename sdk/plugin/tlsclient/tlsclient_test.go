package tlsclient

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	encpem "encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// issuer signs certificates for tests.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func text(kind string, der []byte) string {
	return string(encpem.EncodeToMemory(&encpem.Block{Type: kind, Bytes: der}))
}

// issue makes a certificate and its key as PEM, signed by by or, where that is
// nil, by itself.
func issue(t *testing.T, by *issuer, name string, until time.Duration) (made *issuer, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(until), BasicConstraintsValid: true,
		IsCA: by == nil, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert, key, text("CERTIFICATE", der)}, text("EC PRIVATE KEY", private)
}

// client is Config.Client as an action of a plugin reaches it.
func client(t *testing.T, root, config string) (*tls.Config, error) {
	t.Helper()
	type in struct {
		TLS *Config `json:"tls"`
	}
	type out struct{}
	var got *tls.Config
	p := plugin.New(plugin.Info{Name: "p", Version: "1.0.0", Summary: "For this test."},
		plugin.Action("dial", "Dial.", func(_ context.Context, call *plugin.Call, in in) (out, error) {
			if in.TLS == nil {
				in.TLS = Default()
			}
			var err error
			got, err = in.TLS.Client(call, "tls", "redis.test")
			return out{}, err
		}))
	_, err := p.Execute(t.Context(), &plugin.Request{Action: "p.dial", Config: json.RawMessage(config), Root: root}, nil)
	return got, err
}

// shake lets a client and a server with these settings talk, and gives what the
// client hears.
func shake(t *testing.T, server *tls.Config, client *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if server == nil {
			_, _ = c.Read(make([]byte, 1000))
			_, _ = c.Write([]byte("-ERR unknown command\r\n"))
			return
		}
		_, _ = tls.Server(c, server).Write([]byte("x"))
		_, _ = c.Read(make([]byte, 1000)) // until the client has gone: a reset would overtake the alert
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	secured := tls.Client(c, client)
	_, err = secured.Read(make([]byte, 1))
	secured.Close()
	<-served
	return err
}

func quoted(s string) string {
	out, _ := json.Marshal(s) //nolint:errchkjson // of a text it cannot fail
	return string(out)
}

func TestHandshakes(t *testing.T) {
	ours, _ := issue(t, nil, "our authority", time.Hour)
	theirs, _ := issue(t, nil, "their authority", time.Hour)
	root := t.TempDir()
	mine, mineKey := issue(t, ours, "me", time.Hour)
	for name, content := range map[string]string{"ca.pem": ours.pem, "me.pem": mine.pem, "me.key": mineKey} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := func(by *issuer, name string, until time.Duration) *tls.Config {
		cert, key := issue(t, by, name, until)
		pair, err := tls.X509KeyPair([]byte(cert.pem), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10}
	}
	asking := server(ours, "redis.test", time.Hour)
	asking.ClientAuth, asking.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	asking.ClientCAs.AddCert(ours.cert)
	old := server(ours, "redis.test", time.Hour)
	old.MaxVersion = tls.VersionTLS11
	good, other, expired := server(ours, "redis.test", time.Hour), server(ours, "db.test", time.Hour), server(ours, "redis.test", -time.Hour)
	tests := map[string]struct {
		server        *tls.Config
		config        string
		message, hint string // of the fault; empty: it works
	}{
		"an authority of its own, from a file":    {server: good, config: `{"tls":{"ca_file":"ca.pem"}}`},
		"the same as text":                        {server: good, config: `{"tls":{"ca":` + quoted(ours.pem) + `}}`},
		"nobody looks":                            {server: server(theirs, "x", time.Hour), config: `{"tls":{"verify":false}}`},
		"another name than the host":              {server: other, config: `{"tls":{"ca_file":"ca.pem","server_name":"db.test"}}`},
		"a client certificate":                    {server: asking, config: `{"tls":{"ca_file":"ca.pem","cert_file":"me.pem","key_file":"me.key"}}`},
		"an old version, if that is wanted":       {server: old, config: `{"tls":{"ca_file":"ca.pem","min_version":"1.1"}}`},
		"left out, the system's authorities hold": {server: good, config: `{}`, message: "is signed by an authority that is not trusted", hint: "tls.ca_file"},
		"an empty map is no different":            {server: good, config: `{"tls":{}}`, message: "is signed by an authority that is not trusted", hint: "tls.ca_file"},
		"another authority":                       {server: server(theirs, "redis.test", time.Hour), config: `{"tls":{"ca_file":"ca.pem"}}`, message: "is signed by an authority that is not trusted", hint: "verify: false"},
		"another name":                            {server: other, config: `{"tls":{"ca_file":"ca.pem"}}`, message: "is for another name: certificate is valid for db.test, not redis.test", hint: "tls.server_name"},
		"out of date":                             {server: expired, config: `{"tls":{"ca_file":"ca.pem"}}`, message: "is not valid now: it holds from", hint: "clock"},
		"no client certificate":                   {server: asking, config: `{"tls":{"ca_file":"ca.pem"}}`, message: "asks for a client certificate, and got none", hint: "tls.cert_file"},
		"too old":                                 {server: old, config: `{"tls":{"ca_file":"ca.pem"}}`, message: "and tls.min_version have no version of TLS in common", hint: "lower tls.min_version"},
		"no TLS at all":                           {server: nil, config: `{"tls":{"ca_file":"ca.pem"}}`, message: "does not speak TLS on this port", hint: "without TLS"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, err := client(t, root, test.config)
			if err != nil {
				t.Fatal(err)
			}
			err = shake(t, test.server, config)
			if test.message == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			e := Fault(err, "redis.test:6380")
			if e == nil || e.Code != plugin.CodeTLS || e.Failed || !errors.Is(e, err) ||
				!strings.Contains(e.Message, "redis.test:6380") || !strings.Contains(e.Message, test.message) || !strings.Contains(e.Hint, test.hint) {
				t.Errorf("got %+v of %v, want %q, %q", e, err, test.message, test.hint)
			}
		})
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	cert, key := issue(t, nil, "me", time.Hour)
	_, otherKey := issue(t, nil, "other", time.Hour)
	tests := map[string]struct{ config, field, message string }{
		"no PEM":                       {`{"ca":"hello"}`, "tls.ca", "holds no certificate"},
		"a file and a text":            {`{"ca":"x","ca_file":"y"}`, "tls.ca", "given beside tls.ca_file"},
		"a certificate without a key":  {`{"cert":` + quoted(cert.pem) + `}`, "tls", "needs both"},
		"a key without a certificate":  {`{"key":` + quoted(key) + `}`, "tls", "needs both"},
		"a key of another certificate": {`{"cert":` + quoted(cert.pem) + `,"key":` + quoted(otherKey) + `}`, "tls", "private key does not match"},
		"a file that is not there":     {`{"ca_file":"none.pem"}`, "", "there is no file none.pem"},
		"a version that is none":       {`{"min_version":"1.4"}`, "tls.min_version", "must be 1.0, 1.1, 1.2 or 1.3"},
		"a key that nobody knows":      {`{"cafile":"x"}`, "tls.cafile", "has no such key"},
	}
	root := t.TempDir()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, root, `{"tls":`+test.config+`}`)
			var e *plugin.Error
			if !errors.As(err, &e) || e.Blame != plugin.BlameDefinition || e.Field != test.field || !strings.Contains(e.Message, test.message) {
				t.Errorf("got %+v, want %s at %s", err, test.message, test.field)
			}
		})
	}
}

func TestWhatIsNotOfTLS(t *testing.T) {
	for _, err := range []error{errors.New("boom"), context.DeadlineExceeded, &net.OpError{Op: "dial", Err: errors.New("connection refused")}} {
		if e := Fault(err, "x"); e != nil {
			t.Errorf("%v: got %s", err, e.Message)
		}
	}
}
