package http

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// answer serves one body with its headers.
func answerWith(t *testing.T, body string, headers ...string) string {
	t.Helper()
	return record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // no guess of net/http's
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		_, _ = io.WriteString(w, body)
	}).URL
}

func TestBodiesAreReadByWhatTheyAre(t *testing.T) {
	const latin = "na\xefve \x80"
	tests := map[string]struct {
		kind, body string
		config     m
		want       m // of body, body_encoding, body_error, xml, content_type
	}{
		"JSON":                            {"application/json", ` {"a": [1, 2.50]} `, nil, m{"body": m{"a": l{1.0, 2.5}}, "content_type": "application/json"}},
		"JSON by its suffix":              {"application/problem+json; charset=utf-8", `[]`, nil, m{"body": l{}, "content_type": "application/problem+json"}},
		"JSON with a byte order mark":     {"application/json", "\xef\xbb\xbf{}", nil, m{"body": m{}, "content_type": "application/json"}},
		"JSON that nobody announced":      {"", `{"a":1}`, nil, m{"body": m{"a": 1.0}}},
		"a number that nobody announced":  {"", `12`, nil, m{"body": "12"}},
		"duplicate keys: the last wins":   {"application/json", `{"a":1,"a":2}`, nil, m{"body": m{"a": 2.0}, "content_type": "application/json"}},
		"JSON that is none":               {"application/json", `{"a":}`, nil, m{"body": `{"a":}`, "body_error": "the body is not JSON: missing value after object name at byte 5", "content_type": "application/json"}},
		"JSON that ends early":            {"application/json", `{"a":`, nil, m{"body": `{"a":`, "body_error": "the body is not JSON: it ends early, at byte 5", "content_type": "application/json"}},
		"JSON and more":                   {"application/json", `{} {}`, nil, m{"body": `{} {}`, "body_error": "the body is not JSON: more text follows it, from byte 2 on", "content_type": "application/json"}},
		"an error page for JSON":          {"application/json", `<html>`, nil, m{"body": `<html>`, "body_error": "the body is not JSON: invalid character '<' at start of value at byte 0", "content_type": "application/json"}},
		"an empty body":                   {"application/json", "", nil, m{"body": nil, "content_type": "application/json"}},
		"text that is asked for as JSON":  {"text/plain", `{"a":1}`, m{"response": "json"}, m{"body": m{"a": 1.0}, "content_type": "text/plain"}},
		"JSON that is asked for as text":  {"application/json", `{"a":1}`, m{"response": "text"}, m{"body": `{"a":1}`, "content_type": "application/json"}},
		"JSON that is asked for as bytes": {"application/json", `{}`, m{"response": "bytes"}, m{"body": "e30=", "body_encoding": "base64", "content_type": "application/json"}},
		"text":                            {"text/plain; charset=utf-8", "ü", nil, m{"body": "ü", "content_type": "text/plain"}},
		"a type that nobody can parse":    {"text/html; charset=", "x", nil, m{"body": "x", "content_type": "text/html"}},
		"text in Latin 1":                 {"text/plain; charset=ISO-8859-1", latin, nil, m{"body": "naïve €", "content_type": "text/plain"}},
		"text in UTF-16":                  {"text/plain; charset=utf-16", "\xff\xfeh\x00i\x00", nil, m{"body": "hi", "content_type": "text/plain"}},
		"text in Cyrillic":                {"text/plain; charset=windows-1251", "\xcf\xf0", nil, m{"body": "Пр", "content_type": "text/plain"}},
		"text in a charset of no table":   {"text/plain; charset=shift_jis", "\x82\xa0", nil, m{"body": "\ufffd\ufffd", "body_error": `the charset "shift_jis" of the body is not supported`, "content_type": "text/plain"}},
		"text that is not UTF-8":          {"text/plain", "a\xff", nil, m{"body": "a\ufffd", "body_error": "the body is not valid UTF-8", "content_type": "text/plain"}},
		"JSON that is not UTF-8":          {"application/json", "\"\xff\"", nil, m{"body": "Iv8i", "body_encoding": "base64", "body_error": "the body is not valid UTF-8", "content_type": "application/json"}},
		"YAML is text":                    {"application/yaml", "a: 1", nil, m{"body": "a: 1", "content_type": "application/yaml"}},
		"an unknown type that is text":    {"application/x-thing", "a: 1", nil, m{"body": "a: 1", "content_type": "application/x-thing"}},
		"an unknown type that is not":     {"application/x-thing", "a\x00", nil, m{"body": "YQA=", "body_encoding": "base64", "content_type": "application/x-thing"}},
		"an image":                        {"image/png", "\x89PNG", nil, m{"body": "iVBORw==", "body_encoding": "base64", "content_type": "image/png"}},
		"XML": {
			"application/xml", `<?xml version="1.0"?><r a="1"><i>x</i><i>y</i>t</r>`, nil,
			m{"body": `<?xml version="1.0"?><r a="1"><i>x</i><i>y</i>t</r>`, "xml": m{"r": m{"@a": "1", "i": l{"x", "y"}, "#text": "t"}}, "content_type": "application/xml"},
		},
		"XML that says its charset": {
			"text/xml", "<?xml version='1.0' encoding='ISO-8859-1'?><r>\xe9</r>", nil,
			m{"body": "<?xml version='1.0' encoding='ISO-8859-1'?><r>é</r>", "xml": m{"r": "é"}, "content_type": "text/xml"},
		},
		"XML that is none":    {"text/xml", "<a>", nil, m{"body": "<a>", "body_error": "the body is not XML: XML syntax error on line 1: unexpected EOF", "content_type": "text/xml"}},
		"text asked for XML":  {"text/plain", "<a/>", m{"response": "xml"}, m{"body": "<a/>", "xml": m{"a": ""}, "content_type": "text/plain"}},
		"a page in XHTML":     {"application/xhtml+xml", "<p>a&nbsp;b</p>", nil, m{"body": "<p>a&nbsp;b</p>", "xml": m{"p": "a\u00a0b"}, "content_type": "application/xhtml+xml"}},
		"an entity of a bomb": {"text/xml", `<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>`, nil, m{"body": `<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>`, "body_error": "the body is not XML: XML syntax error on line 1: invalid character entity &a;", "content_type": "text/xml"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := m{"url": answerWith(t, test.body, "Content-Type", test.kind)}
			for k, v := range test.config {
				config[k] = v
			}
			if test.kind == "" {
				config["url"] = answerWith(t, test.body)
			}
			got := newCaller(t, Config{}).do(config)
			shown := m{}
			for _, key := range []string{"body", "body_encoding", "body_error", "xml", "content_type"} {
				if v, ok := got[key]; ok {
					shown[key] = v
				}
			}
			if diff := cmp.Diff(test.want, shown); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestJSONPastTheLanguagesBoundsIsShownAsText(t *testing.T) {
	tests := map[string]string{
		"nested too deep":    strings.Repeat("[", 1000) + strings.Repeat("]", 1000),
		"a number too long":  strings.Repeat("1", 5000),
		"a fraction too":     "0." + strings.Repeat("1", 5000),
		"an exponent":        `{"a": 1e99999}`,
		"a small one":        `[1E-99999]`,
		"deep in maps":       strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000),
		"deep beyond decode": strings.Repeat("[", 20000) + strings.Repeat("]", 20000),
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			got := newCaller(t, Config{}).do(m{"url": answerWith(t, body, "Content-Type", "application/json")})
			if got["body"] != body || got["body_error"] == nil {
				t.Errorf("got body of %T and body_error %v, want the text and a reason", got["body"], got["body_error"])
			}
		})
	}
	fine := `{"e":"1e99999 [[[","deep":` + strings.Repeat("[", 800) + strings.Repeat("]", 800) + `,"n":[1e-307,1E+10,123456789012345678901234567890,true,false]}`
	if got := newCaller(t, Config{}).do(m{"url": answerWith(t, fine, "Content-Type", "application/json")}); got["body_error"] != nil {
		t.Errorf("got %v for a document within the bounds", got["body_error"])
	}
}

// pack returns text in an encoding.
func pack(t *testing.T, encoding string, text []byte) string {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "zlib":
		w = zlib.NewWriter(&buf)
	case "flate":
		w, err = flate.NewWriter(&buf, -1)
	case "br":
		w = brotli.NewWriter(&buf)
	case "zstd":
		w, err = zstd.NewWriter(&buf)
	}
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func TestPackedBodiesAreUnpacked(t *testing.T) {
	text := []byte(strings.Repeat("0123456789", 1000))
	tests := map[string]struct {
		encoding string
		packed   string
	}{
		"gzip":                   {"gzip", pack(t, "gzip", text)},
		"two members of gzip":    {"gzip", pack(t, "gzip", text[:10]) + pack(t, "gzip", text[10:])},
		"x-gzip":                 {"X-GZIP", pack(t, "gzip", text)},
		"br":                     {"br", pack(t, "br", text)},
		"zstd":                   {"zstd", pack(t, "zstd", text)},
		"deflate as the RFC has": {"deflate", pack(t, "zlib", text)},
		"deflate as servers do":  {"deflate", pack(t, "flate", text)},
		"identity":               {"identity", string(text)},
		"one in the other":       {"br, gzip", pack(t, "gzip", []byte(pack(t, "br", text)))},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, Config{})
			url := answerWith(t, test.packed, "Content-Type", "text/plain", "Content-Encoding", test.encoding)
			for range 3 { // decoders are used again
				got := c.do(m{"url": url})
				if got["body"] != string(text) || got["size"] != 10000.0 {
					t.Errorf("got %v bytes, body_error %v", got["size"], got["body_error"])
				}
			}
		})
	}
}

func TestPackedBodiesThatAreNotWhatTheySay(t *testing.T) {
	gz := pack(t, "gzip", []byte(strings.Repeat("abc", 5000)))
	tests := map[string]struct{ encoding, body, want string }{
		"not gzip":          {"gzip", "plain text", "the body is not the gzip that its Content-Encoding says: gzip: invalid header"},
		"gzip that is cut":  {"gzip", gz[:len(gz)-12], "it ends early"},
		"gzip damaged":      {"gzip", gz[:len(gz)-8] + "12345678", "gzip: invalid checksum"},
		"not br":            {"br", "plain text, and some more of it", "the body is not the br"},
		"not zstd":          {"zstd", "plain text", "the body is not the zstd"},
		"not deflate":       {"deflate", "\xff\xff\xff", "the body is not the deflate"},
		"zstd of 1 GiB":     {"zstd", "\x28\xb5\x2f\xfd\x00\xa0" + "\x01\x00\x00", "window size exceeded"},
		"a letter of zlib":  {"deflate", "x", "it ends early"},
		"gzip of half head": {"gzip", gz[:5], "it ends early"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := newCaller(t, Config{}).fail(m{"url": answerWith(t, test.body, "Content-Encoding", test.encoding)})
			if err.Code != plugin.CodeBody {
				t.Errorf("got code %s, want E-BODY", err.Code)
			}
			contains(t, err.Message, test.want)
		})
	}
}

func TestPackedBodiesThatStayPacked(t *testing.T) {
	packed := pack(t, "gzip", []byte("x"))
	tests := map[string]struct {
		encoding string
		config   m
	}{
		"because the flow says so":  {"gzip", m{"compressed": false}},
		"because nobody knows it":   {"lzma", m{}},
		"because they are too many": {"gzip, gzip, gzip, gzip, gzip", m{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["url"] = answerWith(t, packed, "Content-Type", "text/plain", "Content-Encoding", test.encoding)
			got := newCaller(t, Config{}).do(test.config)
			if got["body_encoding"] != "base64" || got["size"] != float64(len(packed)) {
				t.Errorf("got body %v, want it packed", got["body"])
			}
			contains(t, got["body_error"].(string), "packed as "+test.encoding)
		})
	}
}

func TestAnswersWithoutABody(t *testing.T) {
	tests := map[string]struct {
		method string
		status int
		want   any
	}{
		"HEAD":                {"HEAD", 200, nil},
		"204":                 {"GET", 204, nil},
		"304":                 {"GET", 304, nil},
		"205 with no content": {"GET", 205, nil},
		"an empty error":      {"POST", 500, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := record(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.Header().Set("Content-Type", "application/json")
				if test.method == "HEAD" {
					w.Header().Set("Content-Length", "1000")
				}
				w.WriteHeader(test.status)
			})
			got := newCaller(t, Config{}).do(m{"url": server.URL, "method": test.method})
			if got["status"] != float64(test.status) || got["body"] != nil || got["size"] != 0.0 {
				t.Errorf("got %v with body %v of %v bytes", got["status"], got["body"], got["size"])
			}
		})
	}
}

func TestHeadersKeepWhatTheServerSent(t *testing.T) {
	url := rawServer(t, func(c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"+
			"HTTP/1.1 299 Fine So Far\r\nX-a: 1\r\nx-A: 2\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nSet-Cookie: a=1\r\nSet-Cookie: b=\"2\"; Path=/\r\nSet-Cookie: a=3\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")
	})
	got := newCaller(t, Config{}).do(m{"url": url})
	want := m{
		"status": 299.0, "status_text": "Fine So Far", "protocol": "HTTP/1.1", "body": "hi",
		"headers":       m{"X-A": "1, 2", "X-Empty": "", "Set-Cookie": `a=1, b="2"; Path=/, a=3`},
		"header_values": m{"X-A": l{"1", "2"}, "X-Empty": l{""}, "Set-Cookie": l{"a=1", `b="2"; Path=/`, "a=3"}},
		"trailers":      m{"X-Sum": "42"},
		"cookies":       m{"b": "2", "a": "3"},
		"redirects":     l{},
	}
	for key, v := range want {
		if diff := cmp.Diff(v, got[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

func TestSwitchedProtocolsAreNotReadAsABody(t *testing.T) {
	url := rawServer(t, func(c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		hold(c)
	})
	within(t, 5*time.Second, func() {
		got := newCaller(t, Config{}).do(m{"url": url, "headers": m{"Connection": "Upgrade", "Upgrade": "websocket"}})
		if got["status"] != 101.0 || got["body"] != nil {
			t.Errorf("got %v with body %v", got["status"], got["body"])
		}
	})
}

func TestTimingsAreOfThisRequest(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	c := newCaller(t, Config{})
	first, second := c.do(m{"url": server.URL}), c.do(m{"url": server.URL})
	if v := first["timings"].(m); v["connect"] == 0.0 || v["tls"] != 0.0 || v["first_byte"] == 0.0 || v["total"] != first["time"] || v["first_byte"].(float64) > v["total"].(float64) {
		t.Errorf("of a new connection: got %v of %v", v, first["time"])
	}
	if v := second["timings"].(m); v["connect"] != 0.0 || v["first_byte"] == 0.0 || v["total"] == 0.0 {
		t.Errorf("of a connection used again: got %v", v)
	}
	if diff := cmp.Diff(len(c.lastExchange().Timings), 5); diff != "" {
		t.Errorf("timings of the exchange: %v", c.lastExchange().Timings)
	}
}

func TestExpectContinueWaitsForTheWord(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strconv.FormatInt(r.ContentLength, 10))
	})
	got := newCaller(t, Config{}).do(m{"url": server.URL, "method": "POST", "body": "abc", "headers": m{"Expect": "100-continue"}})
	if got["body"] != "3" {
		t.Errorf("got %v, want the whole body to arrive", got["body"])
	}
	refusing := rawServer(t, func(c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
		hold(c)
	})
	if got := newCaller(t, Config{}).do(m{"url": refusing, "method": "POST", "body": "abc", "headers": m{"Expect": "100-continue"}}); got["status"] != 417.0 {
		t.Errorf("got %v, want 417", got["status"])
	}
}

func TestWhenToComeAgainIsPassedOn(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "99999999": 24 * time.Hour, "soon": 0, "-5": 0,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second, "Fri, 02 Jan 2025 03:04:35 GMT": 0,
	} {
		c := newCaller(t, Config{Now: func() time.Time { return now }})
		res, err := c.try(t.Context(), m{"url": answerWith(t, "", "Retry-After", header)})
		if err != nil {
			t.Fatal(err)
		}
		if res.RetryAfter != want {
			t.Errorf("Retry-After %q: got %s, want %s", header, res.RetryAfter, want)
		}
	}
}
