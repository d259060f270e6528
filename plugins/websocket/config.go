package websocket

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// target is where to connect, and how.
type target struct {
	URL          string            `json:"url" doc:"Address: ws, wss, http or https. A user and password in it are sent as basic authentication." example:"ws://127.0.0.1:7071/ws/echo" minLength:"1"`
	Query        map[string]string `json:"query,omitempty" doc:"Parameters to add to the address."`
	Headers      map[string]string `json:"headers,omitempty" doc:"Headers of the handshake. Values of Authorization, and of names such as X-Api-Key, access_token, session or password, are never shown."`
	Cookies      map[string]string `json:"cookies,omitempty" doc:"Cookies of the handshake."`
	Origin       string            `json:"origin,omitempty" doc:"The Origin header, as the browser of a page would send it; none by default."`
	Subprotocols []string          `json:"subprotocols,omitempty" doc:"Subprotocols to offer, the best first. The step is failed where the server chooses none of them."`
	Compression  bool              `json:"compression,omitempty" doc:"Whether to offer permessage-deflate, without context takeover."`

	TLS   *tlsclient.Config `json:"tls,omitempty" doc:"TLS settings of wss."`
	Proxy plugin.SecretText `json:"proxy,omitempty" doc:"Proxy URL (http, https, socks5); none ignores the environment's (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), which never holds for this machine itself."`

	ConnectTimeout   time.Duration `json:"connect_timeout" doc:"Limit of the connection: its name resolution, the proxy and TLS." default:"10s"`
	HandshakeTimeout time.Duration `json:"handshake_timeout" doc:"Limit of the server's answer to the handshake." default:"10s"`
	Keepalive        time.Duration `json:"keepalive" doc:"How often to ping the server. One from which nothing at all has come since the last ping is taken for dead; 0s pings never." default:"30s"`
	MaxMessage       int64         `json:"max_message" doc:"Bytes of one message, unpacked. The connection is closed with 1009 before a larger one is read." default:"10485760" min:"1" max:"67108864"`
	MaxMessages      int           `json:"max_messages" doc:"How many messages are kept for later steps; past it, or past 64 MiB, the oldest go, and who looks for them is told." default:"100000" min:"1" max:"1000000"`
}

// address is the URL of a target, checked. What a person sees of it has neither
// a password nor the query.
type address struct {
	full  *url.URL // ws or wss
	shown string
	user  *url.Userinfo
	host  string // without the port
	port  string
}

func (a *address) secure() bool { return a.full.Scheme == "wss" }

func (a *address) hostPort() string { return joinHost(a.host, a.port) }

func joinHost(host, port string) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + port
}

func (t *target) address() (*address, error) {
	const schemes = "write ws:// or wss:// before the host"
	if i := strings.IndexFunc(t.URL, func(r rune) bool { return r <= ' ' || r == 0x7f }); i >= 0 {
		return nil, plugin.Definitionf("url", "%q has a space or a control character at character %d", clip(t.URL), len([]rune(t.URL[:i]))+1).
			WithHint("write %%20, or give the value under query")
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		hint := ""
		if !strings.Contains(t.URL, "://") {
			hint = schemes
		}
		return nil, plugin.Definitionf("url", "%q is not a URL", clip(t.URL)).WithHint("%s", hint)
	}
	switch u.Scheme = strings.ToLower(u.Scheme); u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, plugin.Definitionf("url", "%q is not a ws, wss, http or https URL", clip(u.Redacted())).WithHint(schemes)
	}
	a := &address{full: u, user: u.User, host: u.Hostname(), port: u.Port()}
	if a.host == "" {
		return nil, plugin.Definitionf("url", "%q has no host", clip(u.Redacted()))
	}
	if a.port == "" {
		a.port = map[string]string{"ws": "80", "wss": "443"}[u.Scheme]
	} else if n, err := strconv.Atoi(a.port); err != nil || n < 1 || n > 65535 {
		return nil, plugin.Definitionf("url", "%s is not a port", clip(a.port))
	}
	u.User, u.Fragment, u.RawFragment = nil, "", "" // RFC 6455 section 3 has neither
	a.shown = (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	if len(t.Query) > 0 {
		query := url.Values{}
		for name, value := range t.Query {
			query.Set(name, value)
		}
		u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+query.Encode(), "&")
	}
	return a, nil
}

// header is that of the handshake, without what the protocol itself adds. The
// secrets in it are told to the call.
func (t *target) header(call *plugin.Call, a *address) (http.Header, error) {
	h := http.Header{"User-Agent": {"TestMesh/" + call.Host().Version}}
	if trace := call.TraceParent(); trace != "" {
		h.Set("Traceparent", trace)
	}
	if t.Origin != "" {
		h.Set("Origin", t.Origin)
	}
	if a.user != nil {
		password, _ := a.user.Password()
		call.AddSecret("url.password", password)
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(a.user.Username()+":"+password))
		h.Set("Authorization", basic)
		hide(call, "url.password", "Authorization", basic)
	}
	for _, name := range sortedKeys(t.Headers) {
		if err := t.checkHeader(name); err != nil {
			return nil, err
		}
		h.Set(name, t.Headers[name])
		hide(call, "headers."+name, name, t.Headers[name])
	}
	for _, name := range sortedKeys(t.Cookies) {
		value := t.Cookies[name]
		if !isToken(name) || !isFieldValue(value) || strings.ContainsAny(value, "; ,") {
			return nil, plugin.Definitionf("cookies."+name, "holds what a cookie cannot: a space, comma, semicolon or control character").WithHint("encode it, as with url_encode()")
		}
		cookies := strings.TrimPrefix(h.Get("Cookie")+"; "+name+"="+value, "; ")
		h.Set("Cookie", cookies)
		hide(call, "cookies."+name, name, value)
	}
	for _, name := range sortedKeys(t.Query) {
		hide(call, "query."+name, name, t.Query[name])
	}
	for i, name := range t.Subprotocols {
		if !isToken(name) {
			return nil, plugin.Definitionf("subprotocols["+strconv.Itoa(i)+"]", "%q is not the name of a subprotocol", clip(name))
		}
	}
	return h, nil
}

func (t *target) checkHeader(name string) error {
	field := "headers." + name
	switch {
	case !isToken(name):
		return plugin.Definitionf("headers", "%q is not the name of a header", clip(name))
	case !isFieldValue(t.Headers[name]):
		return plugin.Definitionf(field, "holds a line break or a control character").WithHint("look for a line break at its end")
	}
	ours := map[string]string{
		"Sec-Websocket-Protocol": "give it as subprotocols", "Sec-Websocket-Extensions": "give it as compression",
		"Sec-Websocket-Key": "leave it out", "Sec-Websocket-Version": "leave it out", "Upgrade": "leave it out", "Connection": "leave it out",
	}
	if hint := ours[textproto.CanonicalMIMEHeaderKey(name)]; hint != "" {
		return plugin.Definitionf(field, "belongs to the handshake and cannot be set").WithHint("%s", hint)
	}
	return nil
}

// hide keeps a value out of what people see, where its name says that it is a
// secret.
func hide(call *plugin.Call, field, name, value string) {
	if !isSecret(name) {
		return
	}
	call.AddSecret(field, value)
	if _, token, found := strings.Cut(value, " "); found { // of "Bearer x" the server knows x
		call.AddSecret(field, token)
	}
}

// isSecret tells whether a name is that of a secret: X-Auth-Token, apiKey and
// session_id are, keyword is not.
func isSecret(name string) bool {
	for word := range strings.FieldsFuncSeq(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		switch word {
		case "auth", "authorization", "sid":
			return true
		}
		for _, end := range []string{"token", "key", "secret", "password", "session", "sessionid"} {
			if strings.HasSuffix(word, end) {
				return true
			}
		}
	}
	return false
}

// isToken is the grammar of the names of headers, cookies and subprotocols
// (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue refuses what would end the line of a header.
func isFieldValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// maxQuoted bounds what a message quotes.
const maxQuoted = 120

func clip(s string) string {
	if r := []rune(s); len(r) > maxQuoted {
		return string(r[:maxQuoted]) + "…"
	}
	return s
}

func cutPrefix(s, prefix string) string {
	rest, _ := strings.CutPrefix(s, prefix)
	return rest
}

// size is a number of bytes as people write it.
func size(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
