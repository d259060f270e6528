package http

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Limits and defaults of a request.
const (
	DefaultMaxBody        = 10 << 20
	MaxMaxBody            = 1 << 30 // a result is held in memory
	DefaultMaxRedirects   = 10
	DefaultConnectTimeout = 10 * time.Second
	MaxFileBytes          = 256 << 20 // of a body or part read from a file
)

// config is the expanded config of http.request; config.schema.json describes
// each key.
type config struct {
	Method          string          `json:"method"`
	URL             string          `json:"url"`
	Query           map[string]list `json:"query"`
	Headers         map[string]list `json:"headers"`
	Cookies         map[string]text `json:"cookies"`
	CookieJar       *bool           `json:"cookie_jar"`
	Body            json.RawMessage `json:"body"`
	JSON            json.RawMessage `json:"json"`
	Form            map[string]list `json:"form"`
	Multipart       []part          `json:"multipart"`
	BodyFile        string          `json:"body_file"`
	BodyBase64      *string         `json:"body_base64"`
	Auth            *auth           `json:"auth"`
	FollowRedirects *bool           `json:"follow_redirects"`
	MaxRedirects    *int            `json:"max_redirects"`
	HTTPVersion     text            `json:"http_version"`
	TLS             tlsConfig       `json:"tls"`
	Proxy           string          `json:"proxy"`
	Timeout         duration        `json:"timeout"`
	ConnectTimeout  duration        `json:"connect_timeout"`
	Compressed      *bool           `json:"compressed"`
	Response        string          `json:"response"`
	MaxBody         *int64          `json:"max_body"`
	TraceParent     *bool           `json:"traceparent"`

	target       *url.URL // URL with Query, without user and fragment
	printed      string   // target as a text, where that is known already
	user         *url.Userinfo
	cookieHeader []string // what Headers has for Cookie
}

type part struct {
	Name        string          `json:"name"`
	Value       json.RawMessage `json:"value"`
	File        string          `json:"file"`
	Filename    string          `json:"filename"`
	ContentType string          `json:"content_type"`
}

type tlsConfig struct {
	Verify     *bool  `json:"verify"`
	CAFile     string `json:"ca_file"`
	CA         string `json:"ca"`
	CertFile   string `json:"cert_file"`
	KeyFile    string `json:"key_file"`
	Cert       string `json:"cert"`
	Key        string `json:"key"`
	ServerName string `json:"server_name"`
	MinVersion text   `json:"min_version"`
}

// configError is a fault of config.<field>; the host puts that before the
// message.
func configError(field, hint, format string, args ...any) *plugin.Error {
	return &plugin.Error{
		Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Field: field,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	}
}

// parse fills in an empty config.
func (c *config) parse(text json.RawMessage) error {
	if !c.readPlain(text) {
		*c = config{}
		if err := c.readJSON(text); err != nil {
			return err
		}
	}
	return c.check()
}

func (c *config) readJSON(text json.RawMessage) error {
	if err := jsonv2.Unmarshal(text, c, jsonv2.RejectUnknownMembers(true)); err != nil {
		return decodeError(err)
	}
	return nil
}

func decodeError(err error) *plugin.Error {
	var semantic *jsonv2.SemanticError
	if !errors.As(err, &semantic) {
		return configError("", "", "config: %s", err)
	}
	field := fieldOf(semantic.JSONPointer)
	switch {
	case errors.Is(err, jsonv2.ErrUnknownName):
		return configError(field, "", "http.request has no such key")
	case semantic.Err != nil:
		return configError(field, "", "%s", semantic.Err)
	}
	return configError(field, "", "a %s does not fit", semantic.JSONKind)
}

// fieldOf writes a JSON pointer as the path of a config key: multipart[0].name.
func fieldOf(pointer jsontext.Pointer) string {
	var out strings.Builder
	for name := range pointer.Tokens() {
		if _, err := strconv.Atoi(name); err == nil && out.Len() > 0 {
			out.WriteString("[" + name + "]")
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('.')
		}
		out.WriteString(name)
	}
	return out.String()
}

// check refuses what no request can be made of.
func (c *config) check() error {
	if c.Method == "" {
		c.Method = "GET"
	}
	c.Method = strings.ToUpper(c.Method)
	if c.Method != "GET" && c.Method != "POST" && !isToken(c.Method) {
		return configError("method", "", "%q is not a method", c.Method)
	}
	if err := c.oneBody(); err != nil {
		return err
	}
	for _, e := range [...]struct {
		field, value string
		allowed      string
	}{{"http_version", string(c.HTTPVersion), " auto 1.1 2 "}, {"response", c.Response, " auto json xml text bytes "}} {
		if e.value != "" && !strings.Contains(e.allowed, " "+e.value+" ") {
			return configError(e.field, "", "%q is not one of%s", e.value, strings.TrimRight(e.allowed, " "))
		}
	}
	if c.MaxBody != nil && (*c.MaxBody < 0 || *c.MaxBody > MaxMaxBody) {
		return configError("max_body", "", "%d is not between 0 and %d", *c.MaxBody, MaxMaxBody)
	}
	if c.Auth != nil {
		if err := c.Auth.check(); err != nil {
			return err
		}
	}
	return c.parseURL()
}

func (c *config) oneBody() error {
	var bodies []string
	for _, b := range [...]struct {
		name string
		set  bool
	}{
		{"body", len(c.Body) > 0},
		{"body_base64", c.BodyBase64 != nil},
		{"body_file", c.BodyFile != ""},
		{"form", c.Form != nil},
		{"json", len(c.JSON) > 0},
		{"multipart", c.Multipart != nil},
	} {
		if b.set {
			bodies = append(bodies, b.name)
		}
	}
	if len(bodies) > 1 {
		return configError(bodies[1], "keep one of them", "there are %d bodies: %s", len(bodies), strings.Join(bodies, ", "))
	}
	return nil
}

// parseURL makes target of url and query. What a browser's address line would
// repair is an error here: the test would not say what is sent.
func (c *config) parseURL() error {
	const scheme = "write http:// or https:// before the host"
	if c.URL == "" {
		return configError("url", "", "it is empty")
	}
	if u := plainURL(c.URL); u != nil {
		c.printed = c.URL
		c.setTarget(u)
		return nil
	}
	if i := indexControl(c.URL); i >= 0 {
		what, hint := "a space", "write %20, wrap the value in url_encode(), or give it under query"
		if c.URL[i] != ' ' {
			what, hint = "a control character", "look for a line break in the value that it is made of"
		}
		return configError("url", hint, "%q has %s at character %d", clip(c.URL), what, len([]rune(c.URL[:i]))+1)
	}
	u, err := url.Parse(escapePath(c.URL))
	if err != nil {
		hint := ""
		if !strings.Contains(c.URL, "://") {
			hint = scheme
		}
		return configError("url", hint, "%q is not a URL: %s", clip(c.URL), errors.Unwrap(err))
	}
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Scheme != "http" && u.Scheme != "https" {
		return configError("url", scheme, "%q is not an http or https URL", clip(c.URL))
	}
	if u.Hostname() == "" {
		return configError("url", "", "%q has no host", clip(u.Redacted()))
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return configError("url", "", "%s is not a port", port)
		}
	}
	c.user, u.User = u.User, nil
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = escape(u.RawQuery, `"<>`)
	c.setTarget(u)
	return nil
}

func (c *config) setTarget(u *url.URL) {
	if len(c.Query) > 0 {
		u.RawQuery = string(appendPairs([]byte(u.RawQuery), c.Query))
		c.printed = ""
	}
	c.target = u
}

// indexControl finds the first space or control character of ASCII, -1: none.
func indexControl(s string) int {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return i
		}
	}
	return -1
}

// escapePath escapes what a path has no place for. net/url would do it too, but
// undo %2F and its like in the same path on the way.
func escapePath(s string) string {
	_, rest, found := strings.Cut(s, "://")
	begin := strings.IndexByte(rest, '/')
	if !found || begin < 0 {
		return s
	}
	begin += len(s) - len(rest)
	end := len(s)
	if i := strings.IndexAny(s[begin:], "?#"); i >= 0 {
		end = begin + i
	}
	path := escape(s[begin:end], "\"<>\\^`{|}")
	if len(path) == end-begin {
		return s
	}
	return s[:begin] + path + s[end:]
}

// escape writes bytes past ASCII, and the signs given, in percent signs, as
// browsers do, and leaves the rest as the flow wrote it.
func escape(s, signs string) string {
	bad := func(b byte) bool { return b >= 0x80 || strings.IndexByte(signs, b) >= 0 }
	first := 0
	for first < len(s) && !bad(s[first]) {
		first++
	}
	if first == len(s) {
		return s
	}
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(s) {
		if b := s[i]; bad(b) {
			out.Write([]byte{'%', hex[b>>4], hex[b&15]})
		} else {
			out.WriteByte(b)
		}
	}
	return out.String()
}

// appendPairs adds names and values as application/x-www-form-urlencoded, names
// in alphabetical order, since a map has none.
func appendPairs(out []byte, pairs map[string]list) []byte {
	for _, name := range sortedKeys(pairs) {
		for _, v := range pairs[name] {
			if len(out) > 0 {
				out = append(out, '&')
			}
			out = append(append(append(out, url.QueryEscape(name)...), '='), url.QueryEscape(v)...)
		}
	}
	return out
}

// isToken is the grammar of methods and header names (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func isTrue(b *bool) bool { return b == nil || *b }

// maxQuoted bounds what a message quotes.
const maxQuoted = 120

func clip(s string) string {
	if r := []rune(s); len(r) > maxQuoted {
		return string(r[:maxQuoted]) + "…"
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
