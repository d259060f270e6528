package http

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// members is the response as the step's result, whose members are made when
// somebody reads them. A JSON body stands in it as it came, its numbers verbatim.
type members struct {
	code                            int
	reason, protocol, url, mimeType string
	header, trailer                 http.Header
	cookies                         []*http.Cookie
	redirects                       []string
	content                         content
	size                            int
	timings                         timings
}

// content is the body with what explains it.
type content struct {
	body     any // a text, json.RawMessage, or nil
	encoding string
	fault    string
	xml      map[string]any // nil: it is none
}

func (x *exchange) result(res *http.Response, a *answer, total time.Duration) *members {
	return &members{
		code: res.StatusCode, reason: reason(res), protocol: res.Proto, url: x.address(), mimeType: a.mediaType,
		header: res.Header, trailer: res.Trailer, cookies: x.cookies, redirects: x.redirects,
		content: contentOf(x.config.Response, a), size: len(a.data), timings: x.timings(total),
	}
}

// always are the members that every result has.
var always = [...]string{
	"status", "status_text", "protocol", "url", "headers", "header_values", "cookies", "redirects", "body", "size", "time", "timings",
}

// Names implements plugin.Members.
func (r *members) Names() []string {
	names := always[:len(always):len(always)]
	for _, name := range [...]string{"trailers", "content_type", "body_encoding", "body_error", "xml"} {
		if _, ok := r.Member(name); ok {
			names = append(names, name)
		}
	}
	return names
}

// Member implements plugin.Members.
func (r *members) Member(name string) (v any, ok bool) {
	switch name {
	case "status":
		return int64(r.code), true
	case "status_text":
		return valid(r.reason), true
	case "protocol":
		return r.protocol, true
	case "url":
		return valid(r.url), true
	case "headers":
		return joined(r.header), true
	case "header_values":
		return lists(r.header), true
	case "trailers":
		return joined(r.trailer), len(r.trailer) > 0
	case "cookies":
		return r.cookieValues(), true
	case "redirects":
		return texts(r.redirects), true
	case "body":
		return r.content.body, true
	case "body_encoding":
		return r.content.encoding, r.content.encoding != ""
	case "body_error":
		return valid(r.content.fault), r.content.fault != ""
	case "xml":
		return r.content.xml, r.content.xml != nil
	case "content_type":
		return valid(r.mimeType), r.mimeType != ""
	case "size":
		return int64(r.size), true
	case "time":
		return r.timings.total, true
	case "timings":
		return r.timings.values(), true
	}
	return nil, false
}

// Size implements plugin.Members. What is not counted has some hundred bytes.
func (r *members) Size() int {
	n := 0
	switch body := r.content.body.(type) {
	case string:
		n += len(body)
	case json.RawMessage:
		n += len(body)
	}
	if r.content.xml != nil {
		n += n // about as much again
	}
	for _, h := range [...]http.Header{r.header, r.trailer} {
		for name, values := range h {
			for _, v := range values {
				n += 2 * (len(name) + len(v)) // they stand in two members
			}
		}
	}
	return n
}

func (r *members) cookieValues() map[string]any {
	out := make(map[string]any, len(r.cookies))
	for _, cookie := range r.cookies {
		out[valid(cookie.Name)] = valid(cookie.Value)
	}
	return out
}

func (t *timings) values() map[string]any {
	return map[string]any{"dns": t.dns, "connect": t.connect, "tls": t.tls, "first_byte": t.firstByte, "total": t.total}
}

// address is where the answer came from.
func (x *exchange) address() string {
	if x.url == x.config.target && x.config.printed != "" {
		return x.config.printed
	}
	return x.url.String()
}

// valid is a text of the wire as JSON holds it: each byte that is not UTF-8 is
// U+FFFD.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func reason(res *http.Response) string {
	if _, text, ok := strings.Cut(res.Status, " "); ok && text != "" {
		return text
	}
	return http.StatusText(res.StatusCode)
}

// joined are the values of a header, each as one text.
func joined(h http.Header) map[string]any {
	out := make(map[string]any, len(h))
	for name, values := range h {
		out[valid(name)] = valid(strings.Join(values, ", "))
	}
	return out
}

// lists are the values of a header as they came.
func lists(h http.Header) map[string]any {
	out := make(map[string]any, len(h))
	for name, values := range h {
		out[valid(name)] = texts(values)
	}
	return out
}

func texts(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = valid(v)
	}
	return out
}

// contentOf makes of the body what the flow asks for, else what it is.
func contentOf(as string, a *answer) content {
	if a.packed != "" {
		return content{body: base64.StdEncoding.EncodeToString(a.data), encoding: "base64", fault: "the body is packed as " + clip(a.packed)}
	}
	data, fault := toUTF8(a)
	if as == "" || as == "auto" {
		as = kindOf(a.mediaType, data)
	}
	switch {
	case as == "bytes":
		return content{body: base64.StdEncoding.EncodeToString(a.data), encoding: "base64"}
	case fault != "" && as != "text":
		return content{body: base64.StdEncoding.EncodeToString(a.data), encoding: "base64", fault: fault}
	case len(data) == 0:
		return content{}
	case as == "json" && a.limited == "":
		return jsonContent(data)
	}
	out := content{body: valid(string(data)), fault: fault}
	if fault == "" && as == "xml" && a.limited == "" {
		var err error
		if out.xml, err = parseXML(data); err != nil {
			out.fault = "the body is not XML: " + err.Error()
		}
	}
	return out
}

func jsonContent(data []byte) content {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return content{}
	}
	if err := checkJSON(data); err != nil {
		return content{body: valid(string(data)), fault: "the body is not JSON: " + err.Error()}
	}
	return content{body: json.RawMessage(bytes.Clone(data))} // the buffer serves the next answer
}

// kindOf reads the Content-Type; without one a body that is a JSON map or list
// is JSON.
func kindOf(kind string, data []byte) string {
	switch {
	case kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/json":
		return "json"
	case kind == "application/xml" || kind == "text/xml" || strings.HasSuffix(kind, "+xml") && kind != "image/svg+xml":
		return "xml"
	case strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "yaml") || strings.HasSuffix(kind, "javascript"):
		return "text"
	case kind == "":
		if b := bytes.TrimSpace(data); len(b) > 0 && (b[0] == '{' || b[0] == '[') && checkJSON(b) == nil {
			return "json"
		}
	case strings.HasPrefix(kind, "image/") && kind != "image/svg+xml" || strings.HasPrefix(kind, "audio/") || strings.HasPrefix(kind, "video/") ||
		kind == "application/octet-stream" || kind == "application/zip" || kind == "application/gzip" || kind == "application/pdf":
		return "bytes"
	}
	if utf8.Valid(data) && bytes.IndexByte(data, 0) < 0 {
		return "text"
	}
	return "bytes"
}

func appendString(out []byte, s string) []byte {
	// The only error is of invalid UTF-8, which was replaced by U+FFFD then.
	quoted, _ := jsontext.AppendQuote(out, s)
	return quoted
}

// jsonText prints what was made of strings, maps and lists alone.
func jsonText(out []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(out, v)
	case []any:
		out = append(out, '[')
		for i, e := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = jsonText(out, e)
		}
		return append(out, ']')
	case map[string]any:
		out = append(out, '{')
		for i, name := range sortedKeys(v) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendString(out, name), ':')
			out = jsonText(out, v[name])
		}
		return append(out, '}')
	case int:
		return strconv.AppendInt(out, int64(v), 10)
	case nil:
		return append(out, "null"...)
	}
	panic(fmt.Sprintf("http: print %T", v))
}
