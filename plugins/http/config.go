package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Limits and defaults of a request.
const (
	DefaultMaxBody        = 10 << 20
	DefaultMaxRedirects   = 10
	DefaultConnectTimeout = 10 * time.Second
	MaxFileBytes          = 256 << 20 // of a body or part read from a file
)

// config is the expanded config of http.request; config.schema.json describes
// each key.
type config struct {
	Method          string                     `json:"method"`
	URL             string                     `json:"url"`
	Query           map[string]json.RawMessage `json:"query"`
	Headers         map[string]json.RawMessage `json:"headers"`
	Cookies         map[string]json.RawMessage `json:"cookies"`
	CookieJar       *bool                      `json:"cookie_jar"`
	Body            json.RawMessage            `json:"body"`
	JSON            json.RawMessage            `json:"json"`
	Form            map[string]json.RawMessage `json:"form"`
	Multipart       []part                     `json:"multipart"`
	BodyFile        string                     `json:"body_file"`
	BodyBase64      string                     `json:"body_base64"`
	Auth            *auth                      `json:"auth"`
	FollowRedirects *bool                      `json:"follow_redirects"`
	MaxRedirects    *int                       `json:"max_redirects"`
	HTTPVersion     string                     `json:"http_version"`
	TLS             tlsConfig                  `json:"tls"`
	Proxy           string                     `json:"proxy"`
	Timeout         duration                   `json:"timeout"`
	ConnectTimeout  duration                   `json:"connect_timeout"`
	Compressed      *bool                      `json:"compressed"`
	Response        string                     `json:"response"`
	MaxBody         *int64                     `json:"max_body"`
	TraceParent     *bool                      `json:"traceparent"`
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
	MinVersion string `json:"min_version"`
}

// duration reads the language's durations: 500ms, 30s, 1m30s, 2h.
type duration time.Duration

// UnmarshalJSON reads a text; a bare number has no unit and is refused.
func (d *duration) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return errors.New(`a duration is a text with its unit: "30s"`)
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration: write 500ms, 30s, 5m or 1h", s)
	}
	*d = duration(v)
	return nil
}

func configError(field, hint, format string, args ...any) *plugin.Error {
	return &plugin.Error{
		Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Field: field,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	}
}

func parseConfig(text json.RawMessage) (*config, error) {
	c := new(config)
	if err := jsonv2.Unmarshal(text, c, jsonv2.RejectUnknownMembers(true)); err != nil {
		var semantic *jsonv2.SemanticError
		if errors.As(err, &semantic) {
			field := strings.ReplaceAll(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/", ".")
			reason := "does not fit"
			if semantic.Err != nil {
				reason = semantic.Err.Error()
			} else if semantic.GoType != nil {
				reason = fmt.Sprintf("a JSON %s does not fit", semantic.JSONKind)
			}
			return nil, configError(field, "", "config.%s: %s", field, reason)
		}
		return nil, configError("", "", "config: %s", err)
	}
	return c, c.check()
}

func (c *config) check() error {
	if c.Method == "" {
		c.Method = http.MethodGet
	}
	c.Method = strings.ToUpper(c.Method)
	var bodies []string
	for name, set := range map[string]bool{
		"body": len(c.Body) > 0, "json": len(c.JSON) > 0, "form": c.Form != nil, "multipart": c.Multipart != nil,
		"body_file": c.BodyFile != "", "body_base64": c.BodyBase64 != "",
	} {
		if set {
			bodies = append(bodies, name)
		}
	}
	if len(bodies) > 1 {
		return configError(bodies[0], "keep one of them", "config has %d bodies: %s", len(bodies), strings.Join(sorted(bodies), ", "))
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "":
		return configError("url", "", "config.url is empty")
	case err != nil:
		return configError("url", "", "config.url %q is not a URL: %s", c.URL, errors.Unwrap(err))
	case u.Scheme != "http" && u.Scheme != "https":
		return configError("url", "write http:// or https:// before the host", "config.url %q is not an http or https URL", c.URL)
	case u.Host == "":
		return configError("url", "", "config.url %q has no host", c.URL)
	}
	return nil
}

// values reads a query, form or header value: a scalar, a list, or null for
// none.
func values(raw json.RawMessage) ([]string, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] == '[':
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		var out []string
		for _, e := range list {
			s, err := scalar(e)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	}
	s, err := scalar(raw)
	return []string{s}, err
}

// scalar prints a JSON scalar: texts without quotes, numbers as they stand.
func scalar(raw json.RawMessage) (string, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return "", nil
	case raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case raw[0] == '{' || raw[0] == '[':
		return "", errors.New("a map or list has no place here")
	case string(raw) == "null":
		return "", errors.New("null has no place in a list")
	}
	return string(raw), nil
}

func isTrue(b *bool) bool { return b == nil || *b }
