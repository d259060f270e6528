package http

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pemText("CERTIFICATE", der)}
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// issue makes a certificate for a name, and its key, as PEM.
func (a *authority) issue(t *testing.T, name string, until time.Time) (cert, key string) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemText("CERTIFICATE", der), pemText("PRIVATE KEY", keyDER)
}

// serveTLS starts a server with a certificate of the authority; it answers with
// the protocol and the name in the client's certificate.
func (a *authority) serveTLS(t *testing.T, name string, until time.Time, change func(*httptest.Server)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = io.WriteString(w, r.Proto+" "+who)
	}))
	cert, key := a.issue(t, name, until)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if change != nil {
		change(server)
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestTLSServersAreTrustedByWhatTheFlowSays(t *testing.T) {
	ca := newAuthority(t)
	clientCert, clientKey := ca.issue(t, "ada", time.Now().Add(time.Hour))
	root := t.TempDir()
	for name, text := range map[string]string{"ca.pem": ca.pem, "client.pem": clientCert, "client.key": clientKey} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	plain := ca.serveTLS(t, "127.0.0.1", later, nil)
	named := ca.serveTLS(t, "shop.test", later, nil)
	ended := ca.serveTLS(t, "127.0.0.1", time.Now().Add(-time.Hour), nil)
	old := ca.serveTLS(t, "127.0.0.1", later, func(s *httptest.Server) {
		s.EnableHTTP2 = false
		s.TLS.MinVersion, s.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	})
	mutual := ca.serveTLS(t, "127.0.0.1", later, func(s *httptest.Server) {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		s.TLS.ClientCAs.AddCert(ca.cert)
	})
	mutual1 := ca.serveTLS(t, "127.0.0.1", later, func(s *httptest.Server) {
		s.TLS.ClientAuth, s.TLS.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
	})
	http1 := ca.serveTLS(t, "127.0.0.1", later, func(s *httptest.Server) { s.EnableHTTP2 = false })

	stranger, strangerKey := newAuthority(t).issue(t, "eve", later)
	trusted := m{"ca_file": "ca.pem"}
	with := func(pairs ...any) m {
		out := m{"ca": ca.pem}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i].(string)] = pairs[i+1]
		}
		return out
	}
	tests := map[string]struct {
		config  m
		body    string // what the server answered, or
		message string // what is said
		hint    string
	}{
		"an authority of the flow's":    {m{"url": plain.URL, "tls": trusted}, "HTTP/2.0 nobody", "", ""},
		"and as text":                   {m{"url": plain.URL, "tls": with()}, "HTTP/2.0 nobody", "", ""},
		"by HTTP/1.1":                   {m{"url": plain.URL, "tls": trusted, "http_version": 1.1}, "HTTP/1.1 nobody", "", ""},
		"by HTTP/2 alone":               {m{"url": plain.URL, "tls": trusted, "http_version": "2"}, "HTTP/2.0 nobody", "", ""},
		"by TLS 1.3 alone":              {m{"url": plain.URL, "tls": with("min_version", "1.3")}, "HTTP/2.0 nobody", "", ""},
		"nobody checks":                 {m{"url": plain.URL, "tls": m{"verify": false}}, "HTTP/2.0 nobody", "", ""},
		"nobody checks the name":        {m{"url": named.URL, "tls": m{"verify": false}}, "HTTP/2.0 nobody", "", ""},
		"the name is given":             {m{"url": named.URL, "tls": with("server_name", "shop.test")}, "HTTP/2.0 nobody", "", ""},
		"a client certificate":          {m{"url": mutual.URL, "tls": with("cert_file", "client.pem", "key_file", "client.key")}, "HTTP/2.0 ada", "", ""},
		"a client certificate as text":  {m{"url": mutual.URL, "tls": with("cert", clientCert, "key", clientKey)}, "HTTP/2.0 ada", "", ""},
		"an old server":                 {m{"url": old.URL, "tls": with("min_version", 1.0)}, "HTTP/1.1 nobody", "", ""},
		"an authority nobody knows":     {m{"url": plain.URL}, "", "signed by an authority that is not trusted", "tls.ca_file"},
		"another name":                  {m{"url": named.URL, "tls": trusted}, "", "is for another name", "tls.server_name"},
		"a certificate that has ended":  {m{"url": ended.URL, "tls": trusted}, "", "is not valid now: it holds from", "renew it"},
		"an old server, by default":     {m{"url": old.URL, "tls": trusted}, "", "no version of TLS in common", "tls.min_version"},
		"no client certificate":         {m{"url": mutual.URL, "tls": trusted}, "", "asks for a client certificate, and got none", "tls.cert_file"},
		"none, by TLS 1.2":              {m{"url": mutual1.URL, "tls": trusted}, "", "asks for a client certificate, and got none", "tls.cert_file"},
		"a stranger's certificate":      {m{"url": mutual.URL, "tls": with("cert", stranger, "key", strangerKey)}, "", "refused the client certificate", "its issuer"},
		"HTTP/2 with who has it not":    {m{"url": http1.URL, "tls": trusted, "http_version": 2}, "", "does not speak HTTP/2", "config.http_version"},
		"TLS to a port that has it not": {m{"url": strings.Replace(record(t, nil).URL, "http:", "https:", 1)}, "", "does not speak TLS on this port", "http://"},
		"no TLS to a port that has it":  {m{"url": strings.Replace(plain.URL, "https:", "http:", 1)}, "Client sent an HTTP request to an HTTPS server.\n", "", ""},
		"something else instead of TLS": {m{"url": strings.Replace(rawServer(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 smtp.test ESMTP\r\n") }), "http:", "https:", 1)}, "", "does not speak TLS on this port", "http://"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, Config{})
			c.req.Root = root
			if test.body != "" {
				if got := c.do(test.config)["body"]; got != test.body {
					t.Errorf("got %v, want %q", got, test.body)
				}
				return
			}
			err := c.fail(test.config)
			if err.Code != plugin.CodeTLS {
				t.Errorf("got code %s (%s), want E-TLS", err.Code, err.Message)
			}
			contains(t, err.Message, test.message)
			contains(t, err.Hint, test.hint)
		})
	}
}

func TestTLSIsTimed(t *testing.T) {
	ca := newAuthority(t)
	server := ca.serveTLS(t, "127.0.0.1", time.Now().Add(time.Hour), nil)
	c := newCaller(t, Config{})
	config := m{"url": server.URL, "tls": m{"ca": ca.pem}}
	if got := c.do(config)["timings"].(m); got["tls"] == 0.0 || got["connect"] == 0.0 {
		t.Errorf("got %v for a new connection", got)
	}
	if got := c.do(config)["timings"].(m); got["tls"] != 0.0 {
		t.Errorf("got %v for a connection used again", got)
	}
}

func TestHTTP2WithoutTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(append([]byte(r.Proto+" "), body...))
	}))
	server.Config.Protocols = protocols("2")
	server.Config.Protocols.SetHTTP1(true)
	server.Start()
	t.Cleanup(server.Close)
	c := newCaller(t, Config{})
	for version, want := range map[string]string{"2": "HTTP/2.0 abc", "1.1": "HTTP/1.1 abc", "auto": "HTTP/1.1 abc"} {
		if got := c.do(m{"url": server.URL, "http_version": version, "method": "POST", "body": "abc"})["body"]; got != want {
			t.Errorf("http_version %s: got %v, want %s", version, got, want)
		}
	}
	err := c.fail(m{"url": rawServer(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		hold(c)
	}), "http_version": "2", "timeout": "5s"})
	if err.Code != plugin.CodeProtocol {
		t.Errorf("got %s (%s), want E-PROTOCOL", err.Code, err.Message)
	}
	contains(t, err.Message, "did not answer in HTTP/2")
}

func TestCertificatesAreNotKeptWithoutEnd(t *testing.T) {
	server := record(t, nil)
	c := newCaller(t, Config{})
	for i := range maxTransports + 10 {
		c.do(m{"url": server.URL, "connect_timeout": (time.Duration(i+1) * time.Second).String()})
	}
	c.plugin.transports.mu.Lock()
	defer c.plugin.transports.mu.Unlock()
	if got := len(c.plugin.transports.byKey); got != maxTransports {
		t.Errorf("got %d pools of connections, want %d", got, maxTransports)
	}
}
