package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// idlePerHost keeps connections for as many runs as go side by side against
	// one service; the default of 2 would reconnect all the time.
	idlePerHost = 512
	idleTimeout = 30 * time.Second
	// maxTransports bounds the pools of connections: a flow that makes a client
	// certificate for each iteration must not keep them all.
	maxTransports = 64
	// maxHeaderBytes bounds what a server can send before its body.
	maxHeaderBytes = 1 << 20
	maxPEMBytes    = 1 << 20
	// continueTimeout is how long a body waits for 100 (Continue), where the
	// flow sends Expect; RFC 9110 section 10.1.1 leaves it to the client.
	continueTimeout = time.Second
)

// transportKey is all that makes two requests need different connections.
type transportKey struct {
	version, proxy, serverName, minVersion string
	insecure                               bool
	ca, cert, key                          string // PEM
	connect                                time.Duration
}

// transports shares connections between the runs of a process: a flow does not
// pay for a handshake that the one before it made.
type transports struct {
	proxy  func(*http.Request) (*url.URL, error)
	egress *plugin.Egress

	mu    sync.Mutex
	byKey map[transportKey]*pooled
	turn  int // counts requests, for pooled.used
	// The one used last: most runs use one all the time.
	lastKey transportKey
	last    *pooled
}

type pooled struct {
	*http.Transport
	used int
}

func newTransports(proxy func(*http.Request) (*url.URL, error)) *transports {
	return &transports{proxy: proxy, byKey: make(map[transportKey]*pooled)}
}

func (t *transports) get(key transportKey) (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn++
	if t.last != nil && t.lastKey == key {
		t.last.used = t.turn
		return t.last.Transport, nil
	}
	if tr, ok := t.byKey[key]; ok {
		tr.used = t.turn
		t.lastKey, t.last = key, tr
		return tr.Transport, nil
	}
	tr, err := t.make(key)
	if err != nil {
		return nil, err
	}
	if len(t.byKey) >= maxTransports {
		t.dropOldest()
	}
	t.byKey[key] = &pooled{tr, t.turn}
	t.lastKey, t.last = key, t.byKey[key]
	return tr, nil
}

func (t *transports) dropOldest() {
	var oldest transportKey
	least := t.turn
	for key, tr := range t.byKey {
		if tr.used < least {
			oldest, least = key, tr.used
		}
	}
	t.byKey[oldest].CloseIdleConnections()
	delete(t.byKey, oldest)
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range t.byKey {
		tr.CloseIdleConnections()
	}
	clear(t.byKey)
	t.last = nil
}

func (t *transports) make(key transportKey) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: key.connect, KeepAlive: 30 * time.Second}
	tr := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := t.egress.Dial(attachDial(ctx), dialer, network, address)
			if err != nil {
				return nil, err
			}
			return newConn(c), nil
		},
		TLSHandshakeTimeout:    key.connect,
		ExpectContinueTimeout:  continueTimeout,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // the body's encodings are decoded by us, with limits
		Proxy:                  t.proxy,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode == http.StatusOK {
				return nil
			}
			return &proxyRefusal{proxy: proxy.Host, status: res.Status, code: res.StatusCode}
		},
		Protocols: protocols(key.version),
	}
	var err error
	if tr.Proxy, err = key.chooseProxy(t.proxy); err != nil {
		return nil, err
	}
	tr.Proxy = t.guarded(tr.Proxy)
	tr.TLSClientConfig, err = key.tls()
	return tr, err
}

// guarded judges what a proxy is asked for as if it were dialled from here.
func (t *transports) guarded(choose func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	if t.egress == nil || choose == nil {
		return choose
	}
	return func(req *http.Request) (*url.URL, error) {
		through, err := choose(req)
		if err == nil && through != nil {
			err = t.egress.BeyondURL(req.Context(), req.URL)
		}
		return through, err
	}
}

// proxyRefusal is a CONNECT that the proxy did not grant.
type proxyRefusal struct {
	proxy, status string
	code          int
}

func (e *proxyRefusal) Error() string { return "the proxy answered " + e.status }

func protocols(version string) *http.Protocols {
	p := new(http.Protocols)
	switch version {
	case "1.1":
		p.SetHTTP1(true)
	case "2":
		p.SetHTTP2(true)
		p.SetUnencryptedHTTP2(true)
	default:
		p.SetHTTP1(true)
		p.SetHTTP2(true)
	}
	return p
}

func (k *transportKey) chooseProxy(otherwise func(*http.Request) (*url.URL, error)) (func(*http.Request) (*url.URL, error), error) {
	switch k.proxy {
	case "":
		return otherwise, nil
	case "none":
		return nil, nil
	}
	const hint = "write it as http://host:port, https://host:port or socks5://host:port"
	u, err := url.Parse(k.proxy)
	if err != nil || u.Hostname() == "" { // the text may hold a password
		return nil, configError("proxy", hint, "it is not a URL")
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return http.ProxyURL(u), nil
	}
	return nil, configError("proxy", hint, "%q is not a kind of proxy", clip(u.Scheme))
}

func (k *transportKey) tls() (*tls.Config, error) {
	c := &tls.Config{ServerName: k.serverName, MinVersion: tls.VersionTLS12, InsecureSkipVerify: k.insecure} //nolint:gosec // asked for by the flow
	switch k.minVersion {
	case "", "1.2":
	case "1.0", "1":
		c.MinVersion = tls.VersionTLS10
	case "1.1":
		c.MinVersion = tls.VersionTLS11
	case "1.3":
		c.MinVersion = tls.VersionTLS13
	default:
		return nil, configError("tls.min_version", "1.0, 1.1, 1.2 or 1.3", "%q is not a version of TLS", clip(k.minVersion))
	}
	if k.ca != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(k.ca)) {
			return nil, configError("tls", "it begins with -----BEGIN CERTIFICATE-----", "ca holds no certificate in PEM")
		}
	}
	if k.cert == "" && k.key == "" {
		c.GetClientCertificate = clientCertificate(&tls.Certificate{})
		return c, nil
	}
	if k.cert == "" || k.key == "" {
		return nil, configError("tls", "give cert_file and key_file, or cert and key", "a client certificate needs both, the certificate and its key")
	}
	pair, err := tls.X509KeyPair([]byte(k.cert), []byte(k.key))
	if err != nil {
		return nil, configError("tls", "both are PEM, and belong together", "the client certificate or its key: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	// Given in any case: the default sends none where the server's list of
	// authorities does not name the issuer, and the flow asked for this one.
	c.GetClientCertificate = clientCertificate(&pair)
	return c, nil
}

// transportFor reads the files that the TLS settings name and gives the
// connections that fit.
func (p *Plugin) transportFor(c *config, req *plugin.Request) (*http.Transport, error) {
	key := transportKey{
		version: string(c.HTTPVersion), proxy: c.Proxy, serverName: c.TLS.ServerName, minVersion: string(c.TLS.MinVersion),
		insecure: !isTrue(c.TLS.Verify), ca: c.TLS.CA, cert: c.TLS.Cert, key: c.TLS.Key,
		connect: DefaultConnectTimeout,
	}
	if c.ConnectTimeout > 0 {
		key.connect = time.Duration(c.ConnectTimeout)
	}
	var err error
	if key.ca, err = readPEM(req, "ca", c.TLS.CAFile, key.ca); err != nil {
		return nil, err
	}
	if key.cert, err = readPEM(req, "cert", c.TLS.CertFile, key.cert); err != nil {
		return nil, err
	}
	if key.key, err = readPEM(req, "key", c.TLS.KeyFile, key.key); err != nil {
		return nil, err
	}
	return p.transports.get(key)
}

// readPEM reads tls.<name>_file in place of tls.<name>, if it is given.
func readPEM(req *plugin.Request, name, file, given string) (string, error) {
	if file == "" {
		return given, nil
	}
	field := "tls." + name + "_file"
	if given != "" {
		return "", configError(field, "keep one of them", "tls.%s is given too", name)
	}
	data, err := readFile(req, field, file, maxPEMBytes)
	return string(data), err
}

func readFile(req *plugin.Request, field, name string, limit int64) ([]byte, error) {
	data, err := req.ReadFile(name, limit)
	if err == nil {
		return data, nil
	}
	var known *plugin.Error
	if errors.As(err, &known) {
		at := *known
		at.Field = field
		return nil, &at
	}
	return nil, configError(field, "paths are relative to the flow file and stay in the project", "%s", fmt.Sprintf("read %q: %s", clip(name), cause(err)))
}
