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
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// idlePerHost keeps connections for as many runs as go side by side against
	// one service; the default of 2 would reconnect all the time.
	idlePerHost = 512
	idleTimeout = 30 * time.Second
	// maxHeaderBytes bounds what a server can send before its body.
	maxHeaderBytes = 1 << 20
	maxPEMBytes    = 1 << 20
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
	mu    sync.Mutex
	byKey map[transportKey]*http.Transport
	proxy func(*http.Request) (*url.URL, error)
}

func (t *transports) get(key transportKey) (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr, ok := t.byKey[key]; ok {
		return tr, nil
	}
	tr, err := t.make(key)
	if err != nil {
		return nil, err
	}
	t.byKey[key] = tr
	return tr, nil
}

func (t *transports) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, tr := range t.byKey {
		tr.CloseIdleConnections()
	}
	clear(t.byKey)
}

func (t *transports) make(key transportKey) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: key.connect, KeepAlive: 30 * time.Second}
	tr := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		TLSHandshakeTimeout:    key.connect,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // the body's encodings are decoded by us, with limits
		Proxy:                  t.proxy,
	}
	protocols := new(http.Protocols)
	switch key.version {
	case "1.1":
		protocols.SetHTTP1(true)
	case "2":
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(true)
	default:
		protocols.SetHTTP1(true)
		protocols.SetHTTP2(true)
	}
	tr.Protocols = protocols
	switch key.proxy {
	case "":
	case "none":
		tr.Proxy = nil
	default:
		u, err := url.Parse(key.proxy)
		if err != nil || u.Host == "" {
			return nil, configError("proxy", "write it as http://host:port", "config.proxy %q is not a URL", key.proxy)
		}
		tr.Proxy = http.ProxyURL(u)
	}
	var err error
	tr.TLSClientConfig, err = key.tls()
	return tr, err
}

var tlsVersions = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func (k transportKey) tls() (*tls.Config, error) {
	c := &tls.Config{ServerName: k.serverName, MinVersion: tls.VersionTLS12, InsecureSkipVerify: k.insecure} //nolint:gosec // asked for by the flow
	if k.minVersion != "" {
		v, ok := tlsVersions[k.minVersion]
		if !ok {
			return nil, configError("tls.min_version", "1.0, 1.1, 1.2 or 1.3", "config.tls.min_version %q is not a TLS version", k.minVersion)
		}
		c.MinVersion = v
	}
	if k.ca != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(k.ca)) {
			return nil, configError("tls.ca", "it begins with -----BEGIN CERTIFICATE-----", "config.tls.ca holds no PEM certificate")
		}
	}
	if k.cert != "" || k.key != "" {
		pair, err := tls.X509KeyPair([]byte(k.cert), []byte(k.key))
		if err != nil {
			return nil, configError("tls.cert", "certificate and key are PEM and belong together", "client certificate: %s", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// transportFor reads the files that the TLS settings name and gives the
// connections that fit.
func (p *Plugin) transportFor(c *config, req *plugin.Request) (*http.Transport, error) {
	key := transportKey{
		version: c.HTTPVersion, proxy: c.Proxy, serverName: c.TLS.ServerName, minVersion: c.TLS.MinVersion,
		insecure: !isTrue(c.TLS.Verify), ca: c.TLS.CA, cert: c.TLS.Cert, key: c.TLS.Key,
		connect: DefaultConnectTimeout,
	}
	if c.ConnectTimeout > 0 {
		key.connect = time.Duration(c.ConnectTimeout)
	}
	for _, f := range []struct {
		field, name string
		into        *string
	}{{"tls.ca_file", c.TLS.CAFile, &key.ca}, {"tls.cert_file", c.TLS.CertFile, &key.cert}, {"tls.key_file", c.TLS.KeyFile, &key.key}} {
		if f.name == "" {
			continue
		}
		data, err := readFile(req, f.field, f.name, maxPEMBytes)
		if err != nil {
			return nil, err
		}
		*f.into = string(data)
	}
	return p.transports.get(key)
}

func readFile(req *plugin.Request, field, name string, limit int64) ([]byte, error) {
	data, err := req.ReadFile(name, limit)
	var known *plugin.Error
	if err != nil && !errors.As(err, &known) {
		return nil, configError(field, "paths are relative to the flow file and stay in the project", "config.%s: %s", field, fileReason(name, err))
	}
	return data, err
}

func fileReason(name string, err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("read %q: %s", name, err)
		}
		err = inner
	}
}
