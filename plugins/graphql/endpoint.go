package graphql

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// maxHeaderBytes bounds what a server can send before its body.
const maxHeaderBytes = 1 << 20

// endpoint is where a server is, and how a request proves who sends it.
type endpoint struct {
	URL            string            `json:"url" doc:"Address of the GraphQL endpoint, http or https; for subscriptions ws and wss too." example:"http://127.0.0.1:7071/graphql" minLength:"1"`
	Headers        map[string]any    `json:"headers,omitempty" doc:"Headers of the request; a list sends a header several times, null takes a default one away."`
	Auth           *auth             `json:"auth,omitempty" doc:"How the request proves who sends it."`
	TLS            *tlsclient.Config `json:"tls,omitempty" doc:"TLS settings."`
	Proxy          string            `json:"proxy,omitempty" doc:"Proxy URL: http, https or socks5. Without it there is none."`
	ConnectTimeout time.Duration     `json:"connect_timeout" doc:"Limit of the connection with its name resolution, and again of the TLS handshake." default:"10s"`
	Traceparent    bool              `json:"traceparent" doc:"Whether a W3C traceparent header is sent." default:"true"`
}

type auth struct {
	Type     string            `json:"type" doc:"none, where a folder gives one; basic (RFC 7617), bearer (RFC 6750), or a key in a header, query parameter or cookie." enum:"none|basic|bearer|api_key"`
	Username string            `json:"username,omitempty" doc:"User name of basic."`
	Password plugin.SecretText `json:"password,omitempty" doc:"Password of basic."`
	Token    plugin.SecretText `json:"token,omitempty" doc:"Token of bearer, without the word Bearer."`
	Name     string            `json:"name,omitempty" doc:"Name of the header, query parameter or cookie of api_key."`
	Value    plugin.SecretText `json:"value,omitempty" doc:"The key of api_key."`
	Location string            `json:"location" doc:"Where the key of api_key is sent." enum:"header|query|cookie" default:"header"`
}

// target is an endpoint that was checked.
type target struct {
	url    *url.URL // without user and password; https for wss
	header http.Header
	config *endpoint
	began  time.Time // when the step did
	*connections
}

// connections are those of a run to one host with one set of settings.
type connections struct {
	client    *http.Client
	transport *http.Transport
	secure    *tls.Config // of a WebSocket, which has no transport
}

// String is the address in messages: without a query, which may hold a key.
func (t *target) String() string {
	return (&url.URL{Scheme: t.url.Scheme, Host: t.url.Host, Path: t.url.Path}).String()
}

// open checks the endpoint, and gives it with the connections of the run.
func (e *endpoint) open(ctx context.Context, call *plugin.Call) (*target, error) {
	u, err := e.parseURL()
	if err != nil {
		return nil, err
	}
	t := &target{url: u, header: http.Header{}, config: e, began: time.Now()}
	if e.Traceparent && call.TraceParent() != "" {
		t.header.Set("traceparent", call.TraceParent())
	}
	t.header.Set("User-Agent", "TestMesh/"+call.Host().Version)
	if u.User != nil { // the flow's own headers win over the address
		password, _ := u.User.Password()
		call.AddSecret("url.password", password)
		t.basic(u.User.Username(), password)
		u.User = nil
	}
	if err := e.setHeaders(t.header); err != nil {
		return nil, err
	}
	if err := e.prove(t); err != nil {
		return nil, err
	}
	t.connections, err = e.connect(ctx, call, u)
	return t, err
}

func (e *endpoint) parseURL() (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(e.URL))
	if err != nil {
		return nil, plugin.Definitionf("url", "it is not a URL").WithHint("write it as http://host:port/graphql")
	}
	switch u.Scheme {
	case "http", "https":
	case "ws", "wss":
		u.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	default:
		return nil, plugin.Definitionf("url", "%q is not an http or https URL", u.Redacted()).WithHint("write http:// or https:// before the host")
	}
	if u.Hostname() == "" {
		return nil, plugin.Definitionf("url", "%q has no host", u.Redacted())
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// setHeaders takes texts, numbers, true and false, and lists of them.
func (e *endpoint) setHeaders(h http.Header) error {
	for name, value := range e.Headers {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		if !isToken(name) {
			return plugin.Definitionf("headers", "%q is not the name of a header", name)
		}
		h.Del(name)
		for _, one := range list {
			switch one := one.(type) {
			case nil:
				if strings.EqualFold(name, "User-Agent") {
					h[http.CanonicalHeaderKey(name)] = nil // net/http would send its own
				}
				continue
			case map[string]any, []any:
				return plugin.Definitionf("headers."+name, "must be a text, a number, true or false, or a list of them")
			default:
				text := fmt.Sprint(one)
				if strings.ContainsAny(text, "\r\n\x00") {
					return plugin.Definitionf("headers."+name, "holds a line break").WithHint("look for it in the value that it is made of")
				}
				h.Add(name, text)
			}
		}
	}
	return nil
}

// isToken is the grammar of header names (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func (t *target) basic(username, password string) {
	r := http.Request{Header: t.header}
	r.SetBasicAuth(username, password)
}

// prove adds what auth says.
func (e *endpoint) prove(t *target) error {
	a := e.Auth
	if a == nil {
		return nil
	}
	given := map[string]bool{
		"username": a.Username != "", "password": a.Password != "", "token": a.Token != "", "name": a.Name != "", "value": a.Value != "",
	}
	wants := map[string][]string{"basic": {"username"}, "bearer": {"token"}, "api_key": {"name", "value"}}[a.Type]
	for _, key := range wants {
		if !given[key] {
			return plugin.Definitionf("auth."+key, "is missing, which %s needs", a.Type)
		}
		delete(given, key)
	}
	if a.Type == "basic" {
		delete(given, "password") // may be empty
	}
	for _, key := range []string{"username", "password", "token", "name", "value"} {
		if given[key] {
			return plugin.Definitionf("auth."+key, "is no key of %s", a.Type)
		}
	}
	switch {
	case a.Type == "basic":
		t.basic(a.Username, string(a.Password))
	case a.Type == "bearer":
		t.header.Set("Authorization", "Bearer "+string(a.Token))
	case a.Type == "api_key" && a.Location == "query":
		query := t.url.Query()
		query.Set(a.Name, string(a.Value))
		t.url.RawQuery = query.Encode()
	case a.Type == "api_key" && a.Location == "cookie":
		r := http.Request{Header: t.header}
		r.AddCookie(&http.Cookie{Name: a.Name, Value: string(a.Value)})
	case a.Type == "api_key" && !isToken(a.Name):
		return plugin.Definitionf("auth.name", "%q is not the name of a header", a.Name)
	case a.Type == "api_key":
		t.header.Set(a.Name, string(a.Value))
	}
	return nil
}

// connect gives the run's connections for these settings. They are used again by
// the steps of the run, and never by another.
func (e *endpoint) connect(ctx context.Context, call *plugin.Call, u *url.URL) (*connections, error) {
	settings, err := json.Marshal([]any{e.TLS, e.Proxy, e.ConnectTimeout, u.Host, call.Dir()})
	if err != nil {
		return nil, fmt.Errorf("name the connections: %w", err)
	}
	key := fmt.Sprintf("connections:%x", sha256.Sum256(settings)) // which hold private keys
	return plugin.Keep(ctx, call, key, func() (*connections, func() error, error) {
		c, err := e.newConnections(call, u)
		if err != nil {
			return nil, nil, err
		}
		return c, func() error {
			c.transport.CloseIdleConnections()
			return nil
		}, nil
	})
}

func (e *endpoint) newConnections(call *plugin.Call, u *url.URL) (*connections, error) {
	settings := e.TLS
	if settings == nil {
		settings = tlsclient.Default()
	}
	secure, err := settings.Client(call, "tls", u.Hostname())
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	transport := &http.Transport{
		DialContext:            call.Host().Egress.DialContext(&net.Dialer{Timeout: e.ConnectTimeout, KeepAlive: 30 * time.Second}),
		TLSClientConfig:        secure.Clone(),
		TLSHandshakeTimeout:    e.ConnectTimeout,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              protocols,
	}
	if e.Proxy != "" {
		proxy, err := url.Parse(e.Proxy)
		if err != nil || proxy.Hostname() == "" { // the text may hold a password
			return nil, plugin.Definitionf("proxy", "it is not a URL").WithHint("write it as http://host:port, https://host:port or socks5://host:port")
		}
		transport.Proxy = func(req *http.Request) (*url.URL, error) {
			return proxy, call.Host().Egress.BeyondURL(req.Context(), req.URL)
		}
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &connections{client, transport, secure}, nil
}

const (
	// idlePerHost keeps the connections of parallel steps.
	idlePerHost = 64
	idleTimeout = 30 * time.Second
)
