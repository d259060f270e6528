package http

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// result prints the response as the step's result. A JSON body stands in it as
// it came, its numbers verbatim.
func (x *exchange) result(res *http.Response, a *answer, total time.Duration) []byte {
	const rest = 1024 // of a usual answer, its headers twice
	out := make([]byte, 0, len(a.data)+len(a.data)/8+rest)
	out = append(out, `{"status":`...)
	out = strconv.AppendInt(out, int64(res.StatusCode), 10)
	out = appendKey(out, "status_text", reason(res))
	out = appendKey(out, "protocol", res.Proto)
	out = appendKey(out, "url", x.url.String())
	out = append(out, `,"headers":`...)
	out = appendHeaders(out, res.Header)
	out = append(out, `,"header_values":`...)
	out = appendHeaderLists(out, res.Header)
	if len(res.Trailer) > 0 {
		out = append(out, `,"trailers":`...)
		out = appendHeaders(out, res.Trailer)
	}
	out = append(out, `,"cookies":{`...)
	for i, cookie := range x.cookies {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, cookie.Name), ':')
		out = appendString(out, cookie.Value)
	}
	out = append(out, '}')
	out = appendBody(out, x.config.Response, a)
	if a.mediaType != "" {
		out = appendKey(out, "content_type", a.mediaType)
	}
	out = append(out, `,"size":`...)
	out = strconv.AppendInt(out, int64(len(a.data)), 10)
	out = x.timings(total).append(out)
	out = append(out, `,"redirects":[`...)
	for i, u := range x.redirects {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, u)
	}
	return append(out, "]}"...)
}

func reason(res *http.Response) string {
	if _, text, ok := strings.Cut(res.Status, " "); ok && text != "" {
		return text
	}
	return http.StatusText(res.StatusCode)
}

func appendHeaders(out []byte, h http.Header) []byte {
	out = append(out, '{')
	for i, name := range sortedKeys(h) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, name), ':')
		if values := h[name]; len(values) == 1 {
			out = appendString(out, values[0])
		} else {
			out = appendString(out, strings.Join(values, ", "))
		}
	}
	return append(out, '}')
}

func appendHeaderLists(out []byte, h http.Header) []byte {
	out = append(out, '{')
	first := true
	for name, values := range h { // in any order: a map has none
		if !first {
			out = append(out, ',')
		}
		first = false
		out = append(appendString(out, name), ':', '[')
		for j, v := range values {
			if j > 0 {
				out = append(out, ',')
			}
			out = appendString(out, v)
		}
		out = append(out, ']')
	}
	return append(out, '}')
}

// append prints time and timings as keys of the result.
func (t timings) append(out []byte) []byte {
	number := func(key string, ms float64) {
		out = append(out, key...)
		out = strconv.AppendFloat(out, ms, 'f', -1, 64)
	}
	number(`,"time":`, t.total)
	number(`,"timings":{"dns":`, t.dns)
	number(`,"connect":`, t.connect)
	number(`,"tls":`, t.tls)
	number(`,"first_byte":`, t.firstByte)
	number(`,"total":`, t.total)
	return append(out, '}')
}

// appendBody prints body and what explains it.
func appendBody(out []byte, as string, a *answer) []byte {
	if a.packed != "" {
		out = appendBytes(out, a.data)
		return appendKey(out, "body_error", "the body is packed as "+clip(a.packed))
	}
	data, fault := toUTF8(a)
	if as == "" || as == "auto" {
		as = kindOf(a.mediaType, data)
	}
	switch {
	case as == "bytes":
		return appendBytes(out, a.data)
	case fault != "" && as != "text":
		return appendKey(appendBytes(out, a.data), "body_error", fault)
	case len(data) == 0:
		return append(out, `,"body":null`...)
	case as == "json" && a.limited == "":
		return appendJSON(out, data)
	}
	out = appendKey(out, "body", string(data))
	switch {
	case fault != "":
		return appendKey(out, "body_error", fault)
	case as == "xml" && a.limited == "":
		parsed, err := parseXML(data)
		if err != nil {
			return appendKey(out, "body_error", "the body is not XML: "+err.Error())
		}
		out = append(append(out, `,"xml":`...), parsed...)
	}
	return out
}

func appendBytes(out, data []byte) []byte {
	out = append(out, `,"body":"`...)
	out = base64.StdEncoding.AppendEncode(out, data)
	return append(out, `","body_encoding":"base64"`...)
}

func appendJSON(out, data []byte) []byte {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return append(out, `,"body":null`...)
	}
	if err := checkJSON(data); err != nil {
		out = appendKey(out, "body", string(data))
		return appendKey(out, "body_error", "the body is not JSON: "+err.Error())
	}
	return append(append(out, `,"body":`...), data...)
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

func appendKey(out []byte, key, text string) []byte {
	out = append(out, ',', '"')
	out = append(append(out, key...), '"', ':')
	return appendString(out, text)
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
