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

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Values that many results share; nobody changes them.
var (
	noMap  any = map[string]any{}
	noList any = []any{}
)

// result is the response as the step's result. A JSON body stands in it as it
// came, its numbers verbatim.
func (x *exchange) result(res *http.Response, a *answer, total time.Duration) map[string]any {
	const usual = 14 // keys
	out := make(map[string]any, usual)
	out["status"], out["status_text"] = status(res)
	out["protocol"] = http11
	if res.Proto != http11 {
		out["protocol"] = res.Proto
	}
	out["url"] = valid(x.address())
	joined, lists, size := headers(res.Header)
	out["headers"], out["header_values"] = joined, lists
	if size <= maxSmallHeader {
		out["headers"], out["header_values"] = plugin.Values(joined), plugin.Values(lists)
	}
	if len(res.Trailer) > 0 {
		out["trailers"], _, _ = headers(res.Trailer)
	}
	out["cookies"], out["redirects"] = noMap, noList
	if len(x.cookies) > 0 {
		cookies := make(map[string]any, len(x.cookies))
		for _, cookie := range x.cookies {
			cookies[valid(cookie.Name)] = valid(cookie.Value)
		}
		out["cookies"] = cookies
	}
	if len(x.redirects) > 0 {
		redirects := make([]any, len(x.redirects))
		for i, u := range x.redirects {
			redirects[i] = valid(u)
		}
		out["redirects"] = redirects
	}
	addBody(out, x.config.Response, a)
	switch a.mediaType {
	case "":
	case jsonMedia:
		out["content_type"] = jsonMedia
	default:
		out["content_type"] = valid(a.mediaType)
	}
	out["size"] = int64(len(a.data))
	t := x.timings(total)
	var whole any = t.total
	out["time"] = whole
	out["timings"] = plugin.Values{
		"dns": number(t.dns), "connect": number(t.connect), "tls": number(t.tls), "first_byte": number(t.firstByte), "total": number(t.total),
	}
	return out
}

// What most answers have is a constant, which takes no memory as a value.
const (
	http11    = "HTTP/1.1"
	jsonMedia = "application/json"
)

// status is the status of a response with its text.
func status(res *http.Response) (code, text any) {
	switch res.Status {
	case "200 OK":
		return int64(200), "OK"
	case "201 Created":
		return int64(201), "Created"
	case "204 No Content":
		return int64(204), "No Content"
	case "404 Not Found":
		return int64(404), "Not Found"
	}
	return int64(res.StatusCode), valid(reason(res))
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

// maxSmallHeader is up to what a header is no matter for the size of a result.
const maxSmallHeader = 2 << 10

// number is a value as JSON reads it: a whole number is an integer.
func number(ms float64) any {
	if whole := int64(ms); float64(whole) == ms {
		return whole
	}
	return ms
}

// headers are the values of a header as one text, and as lists, and how many
// bytes they have.
func headers(h http.Header) (joined, lists map[string]any, size int) {
	joined, lists = make(map[string]any, len(h)), make(map[string]any, len(h))
	all := make([]any, 0, len(h)) // one array for the lists of most headers
	for name, values := range h {
		name = valid(name)
		from := len(all)
		for _, v := range values {
			size += len(name) + len(v)
			all = append(all, valid(v))
		}
		lists[name] = all[from:len(all):len(all)]
		if len(values) == 1 {
			joined[name] = all[from]
		} else {
			joined[name] = valid(strings.Join(values, ", "))
		}
	}
	return joined, lists, size
}

// addBody sets body and what explains it.
func addBody(out map[string]any, as string, a *answer) {
	if a.packed != "" {
		addBytes(out, a.data)
		out["body_error"] = valid("the body is packed as " + clip(a.packed))
		return
	}
	data, fault := toUTF8(a)
	if as == "" || as == "auto" {
		as = kindOf(a.mediaType, data)
	}
	switch {
	case as == "bytes":
		addBytes(out, a.data)
	case fault != "" && as != "text":
		addBytes(out, a.data)
		out["body_error"] = valid(fault)
	case len(data) == 0:
		out["body"] = nil
	case as == "json" && a.limited == "":
		addJSON(out, data)
	default:
		out["body"] = valid(string(data))
		switch {
		case fault != "":
			out["body_error"] = valid(fault)
		case as == "xml" && a.limited == "":
			addXML(out, data)
		}
	}
}

func addBytes(out map[string]any, data []byte) {
	out["body"], out["body_encoding"] = base64.StdEncoding.EncodeToString(data), "base64"
}

func addJSON(out map[string]any, data []byte) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		out["body"] = nil
		return
	}
	if err := checkJSON(data); err != nil {
		out["body"], out["body_error"] = valid(string(data)), valid("the body is not JSON: "+err.Error())
		return
	}
	out["body"] = json.RawMessage(bytes.Clone(data)) // the buffer serves the next answer
}

func addXML(out map[string]any, data []byte) {
	parsed, err := parseXML(data)
	if err != nil {
		out["body_error"] = valid("the body is not XML: " + err.Error())
		return
	}
	out["xml"] = parsed
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
