package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/net/proxy"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// maxHandshake bounds what a server may send before a connection is open: an
// answer's headers have no other end.
const maxHandshake = 1 << 20

// wire is an open connection below the protocol: it counts what comes, and is
// cut off at once, whatever TLS would like to say first.
type wire struct {
	net.Conn
	raw  net.Conn // below TLS
	came atomic.Int64
	most atomic.Int64 // that may come; 0: any
	// broken tells an end of the connection from one of what is packed in a message.
	broken atomic.Bool
}

// errTooMuch ends the reading of a handshake's answer.
var errTooMuch = errors.New("the answer is over its limit")

// Read counts.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if err != nil {
		w.broken.Store(true)
	}
	if most := w.most.Load(); w.came.Add(int64(n)) > most && most > 0 {
		return 0, errTooMuch
	}
	return n, err
}

// Close cuts the connection off.
func (w *wire) Close() error { return w.raw.Close() }

// open connects to the address: by TCP, through a proxy where there is one, and
// with TLS where it is wss.
func (t *target) open(ctx context.Context, call *plugin.Call, a *address) (*wire, error) {
	settings := t.TLS
	if settings == nil {
		settings = tlsclient.Default()
	}
	secure, err := settings.Client(call, "tls", a.host)
	if err != nil {
		return nil, err
	}
	through, err := t.chooseProxy(a)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, t.ConnectTimeout)
	defer cancel()
	raw, err := dial(limited, a, through, call.Host().Egress)
	if err != nil {
		return nil, t.connectFault(ctx, limited, err, a)
	}
	w := &wire{Conn: raw, raw: raw}
	w.most.Store(maxHandshake)
	if !a.secure() {
		return w, nil
	}
	shaken := tls.Client(raw, secure)
	if err := shaken.HandshakeContext(limited); err != nil {
		_ = raw.Close()
		return nil, t.connectFault(ctx, limited, err, a)
	}
	w.Conn = shaken
	return w, nil
}

// chooseProxy gives the proxy to go through; nil: none.
func (t *target) chooseProxy(a *address) (*url.URL, error) {
	switch t.Proxy {
	case "":
		scheme := "http"
		if a.secure() {
			scheme = "https"
		}
		through, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: scheme, Host: a.hostPort()}})
		if err != nil {
			return nil, plugin.Agentf("the proxy that HTTP_PROXY or HTTPS_PROXY names is no URL").WithHint("write it as http://host:port, or go past it with proxy: none")
		}
		return through, nil
	case "none":
		return nil, nil
	}
	const hint = "write it as http://host:port, https://host:port or socks5://host:port"
	through, err := url.Parse(string(t.Proxy))
	if err != nil || through.Hostname() == "" { // the text may hold a password
		return nil, plugin.Definitionf("proxy", "is not a URL").WithHint(hint)
	}
	switch through.Scheme {
	case "http", "https", "socks5", "socks5h":
		return through, nil
	}
	return nil, plugin.Definitionf("proxy", "%q is not a kind of proxy", clip(through.Scheme)).WithHint(hint)
}

// dial gives a connection to the address, through a proxy where there is one.
func dial(ctx context.Context, a *address, through *url.URL, rules *plugin.Egress) (net.Conn, error) {
	d := guarded{rules}
	if through == nil {
		return d.DialContext(ctx, "tcp", a.hostPort())
	}
	host, port, err := net.SplitHostPort(a.hostPort())
	if err == nil {
		err = rules.Beyond(ctx, host, port)
	}
	if err != nil {
		return nil, err
	}
	conn, err := dialProxy(ctx, d, a, through)
	if err != nil {
		return nil, &proxyError{proxy: through.Host, err: err}
	}
	return conn, nil
}

// guarded dials what the machine's rules let through.
type guarded struct{ rules *plugin.Egress }

func (g guarded) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return g.rules.Dial(ctx, &net.Dialer{}, network, address)
}

func (g guarded) Dial(network, address string) (net.Conn, error) {
	return g.DialContext(context.Background(), network, address)
}

// proxyError is a fault of the way through a proxy.
type proxyError struct {
	proxy string
	err   error
}

func (e *proxyError) Error() string { return "proxy " + e.proxy + ": " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// proxyRefusal is a CONNECT that the proxy did not grant.
type proxyRefusal struct {
	status string
	code   int
}

func (e *proxyRefusal) Error() string { return "the proxy answered " + e.status }

func dialProxy(ctx context.Context, d guarded, a *address, through *url.URL) (net.Conn, error) {
	port := through.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[through.Scheme]
	}
	if port == "" {
		port = "1080"
	}
	at := joinHost(through.Hostname(), port)
	if through.Scheme == "socks5" || through.Scheme == "socks5h" {
		var auth *proxy.Auth
		if through.User != nil {
			password, _ := through.User.Password()
			auth = &proxy.Auth{User: through.User.Username(), Password: password}
		}
		socks, err := proxy.SOCKS5("tcp", at, auth, d)
		if err != nil {
			return nil, err
		}
		return socks.(proxy.ContextDialer).DialContext(ctx, "tcp", a.hostPort())
	}
	conn, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	raw := conn
	// Nothing else ends a write or read of it early.
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	if through.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: through.Hostname(), MinVersion: tls.VersionTLS12})
	}
	if err := tunnel(conn, a, through); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn, nil
}

// tunnel asks a proxy for a way to the address (RFC 9110 section 9.3.6).
func tunnel(conn net.Conn, a *address, through *url.URL) error {
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: a.hostPort()}, Host: a.hostPort(), Header: http.Header{}}
	if u := through.User; u != nil {
		password, _ := u.Password()
		ask.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(u.Username()+":"+password)))
	}
	if err := ask.Write(conn); err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	limited := &wire{Conn: conn, raw: conn}
	limited.most.Store(maxHandshake)
	// What the buffer holds past the answer is nothing: the server beyond speaks
	// when it is spoken to.
	res, err := http.ReadResponse(bufio.NewReader(limited), ask)
	if err != nil {
		return fmt.Errorf("read the proxy's answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return &proxyRefusal{status: res.Status, code: res.StatusCode}
	}
	return nil
}
