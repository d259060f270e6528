package http

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/andybalholm/brotli"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"
)

const acceptEncoding = "gzip, br, zstd"

// maxZstdWindow bounds the memory that a zstd frame may ask for.
const maxZstdWindow = 8 << 20

// answer is a response with its body read.
type answer struct {
	data      []byte
	mediaType string
	limited   string
}

// readAnswer reads the body up to its limit, decoding what it was packed in.
func readAnswer(c *config, res *http.Response) (*answer, error) {
	a := &answer{}
	a.mediaType, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	limit := int64(DefaultMaxBody)
	if c.MaxBody != nil {
		limit = *c.MaxBody
	}
	body, err := decoded(c, res)
	if err != nil {
		return a, err
	}
	var buf bytes.Buffer
	if n := res.ContentLength; n > 0 && n <= limit {
		buf.Grow(int(n) + bytes.MinRead)
	}
	_, err = buf.ReadFrom(io.LimitReader(body, limit+1))
	a.data = buf.Bytes()
	if int64(len(a.data)) > limit {
		a.data = a.data[:limit]
		a.limited = fmt.Sprintf("the body was cut at %d bytes (config.max_body)", limit)
		return a, nil
	}
	return a, err
}

// decoded unpacks the encodings that we offered. What the flow asked for by its
// own Accept-Encoding header with compressed: false stays packed.
func decoded(c *config, res *http.Response) (io.Reader, error) {
	if !isTrue(c.Compressed) || res.Body == http.NoBody || res.Request != nil && res.Request.Method == http.MethodHead {
		return res.Body, nil
	}
	r := io.Reader(res.Body)
	encodings := strings.Split(res.Header.Get("Content-Encoding"), ",")
	for i := len(encodings) - 1; i >= 0; i-- {
		var err error
		switch enc := strings.ToLower(strings.TrimSpace(encodings[i])); enc {
		case "", "identity":
		case "gzip", "x-gzip":
			r, err = gzip.NewReader(r)
		case "deflate":
			r = flate.NewReader(r)
		case "br":
			r = brotli.NewReader(r)
		case "zstd":
			var z *zstd.Decoder
			z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
			r = z
		default:
			return r, nil // not ours: the body stays as it came, as bytes
		}
		if errors.Is(err, io.EOF) {
			return strings.NewReader(""), nil // an empty body needs no frame
		}
		if err != nil {
			return nil, &encodingError{encodings[i], err}
		}
	}
	return r, nil
}

type encodingError struct {
	encoding string
	cause    error
}

func (e *encodingError) Error() string {
	return fmt.Sprintf("the body is not the %s that its Content-Encoding says: %s", e.encoding, e.cause)
}

func (e *encodingError) Unwrap() error { return e.cause }

// result prints the response as the step's result. A JSON body stands in it as
// it came, its numbers verbatim.
func (x *exchange) result(res *http.Response, a *answer) ([]byte, error) {
	out := make([]byte, 0, len(a.data)+512)
	out = append(out, `{"status":`...)
	out = strconv.AppendInt(out, int64(res.StatusCode), 10)
	out = appendKey(out, "status_text", reason(res))
	out = appendKey(out, "protocol", res.Proto)
	out = appendKey(out, "url", res.Request.URL.String())
	out = appendHeaders(out, res.Header)
	out = append(out, `,"cookies":{`...)
	for i, cookie := range res.Cookies() {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, cookie.Name), ':')
		out = appendString(out, cookie.Value)
	}
	out = append(out, '}')
	out = appendBody(out, x.config, a)
	if a.mediaType != "" {
		out = appendKey(out, "content_type", a.mediaType)
	}
	out = append(out, `,"size":`...)
	out = strconv.AppendInt(out, int64(len(a.data)), 10)
	out = x.trace.append(out)
	out = append(out, `,"redirects":[`...)
	for i, u := range x.redirects {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendString(out, u)
	}
	return append(out, "]}"...), nil
}

func reason(res *http.Response) string {
	if _, text, ok := strings.Cut(res.Status, " "); ok && text != "" {
		return text
	}
	return http.StatusText(res.StatusCode)
}

func appendHeaders(out []byte, h http.Header) []byte {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	sorted(names)
	out = append(out, `,"headers":{`...)
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, name), ':')
		out = appendString(out, strings.Join(h[name], ", "))
	}
	out = append(out, `},"header_values":{`...)
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendString(out, name), ':', '[')
		for j, v := range h[name] {
			if j > 0 {
				out = append(out, ',')
			}
			out = appendString(out, v)
		}
		out = append(out, ']')
	}
	return append(out, '}')
}

// appendBody prints body and what explains it.
func appendBody(out []byte, c *config, a *answer) []byte {
	as := c.Response
	if as == "" || as == "auto" {
		as = kindOf(a)
	}
	switch {
	case as == "bytes" || !utf8.Valid(a.data) && as != "text":
		return append(appendKey(out, "body", base64.StdEncoding.EncodeToString(a.data)), `,"body_encoding":"base64"`...)
	case as == "json" && a.limited == "" && len(bytes.TrimSpace(a.data)) > 0:
		if err := validJSON(a.data); err != nil {
			out = appendKey(out, "body", string(a.data))
			return appendKey(out, "body_error", "the body is not JSON: "+err.Error())
		}
		return append(append(out, `,"body":`...), bytes.TrimSpace(a.data)...)
	}
	if len(a.data) == 0 {
		return append(out, `,"body":null`...)
	}
	out = appendKey(out, "body", string(a.data))
	if as == "xml" && a.limited == "" {
		parsed, err := parseXML(a.data)
		if err != nil {
			return appendKey(out, "body_error", "the body is not XML: "+err.Error())
		}
		out = append(append(out, `,"xml":`...), parsed...)
	}
	return out
}

// kindOf reads the Content-Type; without one a body that looks like JSON is.
func kindOf(a *answer) string {
	t := a.mediaType
	switch {
	case t == "application/json" || strings.HasSuffix(t, "+json") || t == "text/json":
		return "json"
	case t == "application/xml" || t == "text/xml" || strings.HasSuffix(t, "+xml") && t != "image/svg+xml":
		return "xml"
	case t == "":
		if b := bytes.TrimSpace(a.data); len(b) > 0 && (b[0] == '{' || b[0] == '[') && validJSON(b) == nil {
			return "json"
		}
		if utf8.Valid(a.data) {
			return "text"
		}
		return "bytes"
	case strings.HasPrefix(t, "text/") || strings.Contains(t, "javascript") || t == "application/x-www-form-urlencoded" ||
		t == "application/graphql" || strings.HasSuffix(t, "yaml") || t == "image/svg+xml" || t == "application/x-ndjson":
		return "text"
	}
	if utf8.Valid(a.data) && !bytes.ContainsRune(a.data, 0) {
		return "text"
	}
	return "bytes"
}

// validJSON checks a document, of which duplicate keys are accepted as every
// client does; the last one wins where it is read.
func validJSON(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(bytes.TrimSpace(data)), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := dec.SkipValue(); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return fmt.Errorf("it ends early, at byte %d", len(data))
		}
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more text follows it at byte %d", dec.InputOffset())
	}
	return nil
}

func appendKey(out []byte, key, text string) []byte {
	out = append(out, ',', '"')
	out = append(append(out, key...), '"', ':')
	return appendString(out, text)
}

func appendString(out []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(out, s)
	if err != nil { // invalid UTF-8: AppendQuote replaced it and says so
		return quoted
	}
	return quoted
}
