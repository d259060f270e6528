package http

import (
	"encoding/base64"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// runHeader names the attempt of an agent: see plugin.Request.Lease.
const runHeader = "X-Testmesh-Run"

// newRequest makes the request without its cookies, its authentication and its
// body, which every sending adds anew.
func (x *exchange) newRequest(req *plugin.Request) (*http.Request, error) {
	c, body, hr := &x.config, &x.body, &x.request
	*hr = http.Request{
		Method: c.Method, URL: c.target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 6+len(c.Headers)), ContentLength: int64(len(body.data)), GetBody: body.open,
	}
	h := hr.Header
	if body.contentType != "" {
		h["Content-Type"] = jsonType
		if body.contentType != jsonType[0] {
			h["Content-Type"] = []string{body.contentType}
		}
	}
	h["User-Agent"] = x.plugin.agentHeader
	h["Accept"] = anything
	if isTrue(c.Compressed) {
		h["Accept-Encoding"] = encodings
	}
	if req.TraceParent != "" && isTrue(c.TraceParent) {
		h["Traceparent"] = []string{req.TraceParent}
	}
	if req.Lease != "" {
		h[runHeader] = []string{req.Lease}
	}
	if c.user != nil {
		password, _ := c.user.Password()
		h["Authorization"] = []string{basic(c.user.Username(), password)}
	}
	for _, name := range sortedKeys(c.Headers) {
		if strings.EqualFold(name, "Cookie") {
			c.cookieHeader = c.Headers[name] // addCookies joins it with the others
		}
		if err := setHeader(hr, name, c.Headers[name]); err != nil {
			return nil, err
		}
	}
	for name, value := range c.Cookies {
		if !isToken(name) {
			return nil, configError("cookies", "", "%q is not the name of a cookie", clip(name))
		}
		if !isFieldValue(string(value)) || strings.Contains(string(value), ";") {
			return nil, configError("cookies."+name, "encode it, as with url_encode()", "it holds a semicolon, a line break or a control character")
		}
	}
	return hr, nil
}

// Headers that many requests share; nobody changes them.
var (
	anything  = []string{"*/*"}
	encodings = []string{"gzip, br, zstd"}
	jsonType  = []string{"application/json"}
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// setHeader puts a header of the flow in place of a default one; no value takes
// the default away.
func setHeader(hr *http.Request, name string, values []string) error {
	field := "headers." + name
	if !isToken(name) {
		return configError("headers", "", "%q is not the name of a header", clip(name))
	}
	for _, v := range values {
		if !isFieldValue(v) {
			return configError(field, "", "it holds a line break or a control character")
		}
	}
	switch canonical := textproto.CanonicalMIMEHeaderKey(name); canonical {
	case "Host":
		if len(values) > 0 {
			hr.Host = values[0]
		}
	case "Content-Length":
		if len(values) > 0 && values[0] != strconv.FormatInt(hr.ContentLength, 10) {
			return configError(field, "leave it out: it is computed", "the body has %d bytes, not %s", hr.ContentLength, clip(values[0]))
		}
	case "Transfer-Encoding":
		if !slices.Equal(values, []string{"chunked"}) {
			return configError(field, "", "only chunked can be sent")
		}
		hr.TransferEncoding = values
		hr.ContentLength = -1
	case "Cookie":
	case "Trailer", "Keep-Alive", "Proxy-Connection":
		return configError(field, "", "it belongs to the connection and cannot be set")
	case "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Traceparent", runHeader, "Authorization":
		hr.Header[canonical] = values
		if len(values) == 0 && canonical != "User-Agent" { // net/http's own way of sending none of its own
			delete(hr.Header, canonical)
		}
	default:
		if len(values) > 0 {
			hr.Header[canonical] = append(hr.Header[canonical], values...)
		}
	}
	return nil
}

// isFieldValue refuses what would end the line or the header (RFC 9110 section
// 5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
