package http

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestBodiesAreCutAtTheirLimitAndItIsSaid(t *testing.T) {
	long := strings.Repeat("x", 100)
	tests := map[string]struct {
		config   m
		encoding string
		body     string
		size     int
		limited  string
	}{
		"one byte over":       {m{"max_body": 99}, "identity", long, 99, "body over 99 bytes (config.max_body)"},
		"at its limit":        {m{"max_body": 100}, "identity", long, 100, ""},
		"of a kibibyte":       {m{"max_body": 1024}, "identity", strings.Repeat("x", 2000), 1024, "body over 1 KiB (config.max_body)"},
		"nothing at all":      {m{"max_body": 0}, "identity", long, 0, "body over 0 bytes (config.max_body)"},
		"a bomb of gzip":      {m{"max_body": 64 << 10}, "gzip", pack(t, "gzip", make([]byte, 2<<20)), 64 << 10, "body over 64 KiB (config.max_body)"},
		"a bomb of br":        {m{"max_body": 64 << 10}, "br", pack(t, "br", make([]byte, 2<<20)), 64 << 10, "body over 64 KiB (config.max_body)"},
		"a bomb of zstd":      {m{"max_body": 64 << 10}, "zstd", pack(t, "zstd", make([]byte, 2<<20)), 64 << 10, "body over 64 KiB (config.max_body)"},
		"JSON is not parsed":  {m{"max_body": 5, "response": "json"}, "identity", `{"a":1}`, 5, "body over 5 bytes (config.max_body)"},
		"through a character": {m{"max_body": 2, "response": "auto"}, "identity", "aü", 2, "body over 2 bytes (config.max_body)"},
		"XML is not parsed":   {m{"max_body": 5, "response": "xml"}, "identity", `<a></a>`, 5, "body over 5 bytes (config.max_body)"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["url"] = answerWith(t, test.body, "Content-Encoding", test.encoding)
			c := newCaller(t, Config{})
			res, err := c.try(context.Background(), test.config)
			if err != nil {
				t.Fatal(err)
			}
			got := result(t, res)
			if res.Limited != test.limited || got["size"] != float64(test.size) || got["body_error"] != nil {
				t.Errorf("got %v bytes, limited %q, body_error %v, want %d bytes, %q", got["size"], res.Limited, got["body_error"], test.size, test.limited)
			}
		})
	}
}

func TestWithoutALimitTheLimitIsTenMebibytes(t *testing.T) {
	c := newCaller(t, Config{})
	c.req.WantExchange = false
	body := strings.Repeat("x", DefaultMaxBody)
	for extra, want := range map[string]string{"": "", "x": "body over 10 MiB (config.max_body)"} {
		res, err := c.try(t.Context(), m{"url": answerWith(t, body+extra, "Content-Type", "text/plain")})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := res.Members.Member("body")
		if n := len(body.(string)); res.Limited != want || n != DefaultMaxBody {
			t.Errorf("got %d bytes, limited %q, want %q", n, res.Limited, want)
		}
	}
}

func TestABodyThatNeverEndsIsCutAndTheConnectionGivenUp(t *testing.T) {
	url := rawServer(t, func(c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
		block := bytes.Repeat([]byte("x"), 64<<10)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	c := newCaller(t, Config{})
	within(t, 20*time.Second, func() {
		for range 2 {
			res, err := c.try(context.Background(), m{"url": url, "max_body": 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if res.Limited == "" || result(t, res)["size"] != float64(1<<20) {
				t.Errorf("got limited %q", res.Limited)
			}
		}
	})
}

func TestNothingRunsOnAfterClose(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("requests of all kinds", func(t *testing.T) {
		text := make([]byte, 64<<10)
		c := newCaller(t, Config{})
		for _, encoding := range []string{"gzip", "br", "zstd"} {
			url := answerWith(t, pack(t, encoding, text), "Content-Encoding", encoding)
			c.do(m{"url": url, "max_body": 1000, "response": "bytes"})
			c.do(m{"url": url, "max_body": 64 << 10, "response": "bytes"})
		}
		silent := rawServer(t, func(c net.Conn) { hold(c) })
		for _, config := range []m{{"url": silent, "timeout": "20ms"}, {"url": silent, "timeout": "20ms", "http_version": "2"}} {
			if err := c.fail(config); err.Code != plugin.CodeTimeout {
				t.Errorf("got %s, want E-TIMEOUT", err.Code)
			}
		}
		ca := newAuthority(t)
		c.do(m{"url": ca.serveTLS(t, "127.0.0.1", time.Now().Add(time.Hour), nil).URL, "tls": m{"ca": ca.pem}})
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func TestTypesOfFiles(t *testing.T) {
	for name, want := range map[string]string{
		"a.json": "application/json", "a.XML": "application/xml", "a.yml": "application/yaml", "a.txt": "text/plain; charset=utf-8",
		"a.csv": "text/csv; charset=utf-8", "a.html": "text/html; charset=utf-8", "a.md": "text/markdown; charset=utf-8",
		"a.js": "text/javascript; charset=utf-8", "a.css": "text/css; charset=utf-8", "a.png": "image/png", "a.jpeg": "image/jpeg",
		"a.gif": "image/gif", "a.webp": "image/webp", "a.svg": "image/svg+xml", "a.pdf": "application/pdf", "a.zip": "application/zip",
		"a.tar.gz": "application/gzip", "a.mp4": "video/mp4", "a": "application/octet-stream", "a.unknown": "application/octet-stream",
	} {
		if got := typeOf(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestCharsets(t *testing.T) {
	for name, bytes := range map[string]string{
		"UTF-8": "ä", "us-ascii": "ä", "latin1": "\xe4", "CP1252": "\xe4", "iso-8859-2": "\xe4", "ISO-8859-15": "\xe4",
		"windows-1250": "\xe4", "utf-16le": "\xe4\x00", "utf-16be": "\x00\xe4",
	} {
		if got, fault := toUTF8(&answer{data: []byte(bytes), charset: name}); string(got) != "ä" || fault != "" {
			t.Errorf("%s: got %q, %s, want ä", name, got, fault)
		}
	}
	if got, fault := toUTF8(&answer{data: []byte("\xc4"), charset: "KOI8-R"}); string(got) != "д" || fault != "" {
		t.Errorf("KOI8-R: got %q, %s, want д", got, fault)
	}
	for text, want := range map[string]string{
		`<?xml version="1.0" encoding="iso-8859-2"?>`: "iso-8859-2", `<?xml encoding='a'?>`: "a", `<?xml version="1.0"?>`: "",
		`<a encoding="x"?>`: "", `<?xml encoding=`: "", `<?xml encoding=?>`: "", `<?xml encoding="?>`: "",
	} {
		if got := declaredCharset([]byte(text)); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// FuzzBody: whatever a system answers, the result is JSON that a host can read.
func FuzzBody(f *testing.F) {
	for _, kind := range []string{"", "application/json", "application/xml", "text/plain; charset=utf-16", "text/html; charset=latin1", "image/png"} {
		for _, body := range []string{"", `{"a":[1,2.5e3,"x\u0000"]}`, `<?xml version="1.0" encoding="x"?><a b="c">d<e/></a>`, "\xff\xfe\x00", "[[[[", "\"\xed\xa0\x80\""} {
			f.Add(kind, body, 3)
		}
	}
	f.Fuzz(func(t *testing.T, kind, body string, cut int) {
		for _, as := range []string{"", "json", "xml", "text", "bytes"} {
			a := &answer{data: []byte(body)}
			a.mediaType, a.charset = mediaType(kind)
			if cut >= 0 && cut < len(body) {
				a.data, a.limited = a.data[:cut], "cut"
			}
			text, err := (&plugin.Response{Members: &members{content: contentOf(as, a)}}).JSON()
			if err != nil || !json.Valid(text) {
				t.Fatalf("%q of %q as %q: %v\n%s", body, kind, as, err, text)
			}
		}
	})
}

// FuzzConfig: no config is too odd to be refused with words, and none panics.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		`{"url":"http://h/"}`, `{"url":"http://[::1]:80/a%2fü?q=ö#x","query":{"a":[1,null]}}`, `{"url":"http://u:p@h","auth":{"type":"basic","username":"a"}}`,
		`{"url":"http://h","multipart":[{"name":"a","value":{}}]}`, `{"url":"http://h","body":"x","headers":{"Host":null}}`, `[]`, `{"timeout":"1h"}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c config
		if err := c.parse(json.RawMessage(text)); err != nil {
			if err.Error() == "" {
				t.Errorf("%q is refused without a word", text)
			}
			return
		}
		req := &plugin.Request{Config: json.RawMessage(text)}
		body, err := c.buildBody(req)
		if err != nil {
			return
		}
		x := &exchange{plugin: New(Config{}), config: c, body: body, run: &run{}}
		hr, err := x.newRequest(req)
		if err != nil {
			return
		}
		x.first, x.url = hr, hr.URL
		x.addCookies(hr)
		if line := x.command(); line == "" || hr.URL.Host == "" {
			t.Errorf("%q gives the line %q", text, line)
		}
	})
}
