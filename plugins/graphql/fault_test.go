package graphql

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// reads takes the request, so that closing afterwards is no reset.
func reads(c net.Conn) { _, _ = c.Read(make([]byte, 64<<10)) }

func TestConnectionsThatFail(t *testing.T) {
	secure := httptest.NewTLSServer(says(200, "application/json", `{"data":{"a":1}}`))
	t.Cleanup(secure.Close)
	secure.Config.ErrorLog = nil
	plain := answers(t, says(200, "application/json", `{"data":{"a":1}}`))
	silent := listens(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	head := listens(t, func(c net.Conn) {
		reads(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"data\":")
		_, _ = io.Copy(io.Discard, c)
	})
	address := func(address string) string { return "http://" + address + "/graphql" }
	tests := map[string]struct {
		url     string
		more    m
		timeout time.Duration
		code    string
		words   string
		hint    string
	}{
		"nobody there":           {url: address(nobody(t)), code: plugin.CodeConn, words: "connection refused: 127.0.0.1:", hint: "is the service started"},
		"a name that is none":    {url: "http://nowhere.invalid/graphql", code: plugin.CodeDNS, words: `the name "nowhere.invalid" does not resolve`, hint: "check the host"},
		"TLS to a plain port":    {url: strings.Replace(plain, "http", "https", 1), code: plugin.CodeTLS, words: "does not speak TLS on this port", hint: "http"},
		"plain to a TLS port":    {url: strings.Replace(secure.URL, "https", "http", 1), code: "", words: "", hint: ""},
		"an unknown authority":   {url: secure.URL, code: plugin.CodeTLS, words: "is signed by an authority that is not trusted", hint: "tls.ca_file"},
		"another name":           {url: strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), more: m{"tls": m{"ca_file": "ca.pem"}}, code: plugin.CodeTLS, words: "is for another name", hint: "tls.server_name"},
		"a version that is old":  {url: secure.URL, more: m{"tls": m{"ca": "no"}}, code: plugin.CodeConfig, words: "holds no certificate in PEM"},
		"bytes that are no HTTP": {url: address(listens(t, func(c net.Conn) { reads(c); _, _ = io.WriteString(c, "SSH-2.0-x\r\n") })), code: plugin.CodeProtocol, words: "did not answer in HTTP", hint: "check that the port"},
		"closed at once":         {url: address(listens(t, func(c net.Conn) { reads(c) })), code: plugin.CodeConn, words: "closed the connection before it answered", hint: "log"},
		"headers without end": {url: address(listens(t, func(c net.Conn) {
			reads(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for line := "X-A: " + strings.Repeat("a", 1000) + "\r\n"; ; {
				if _, err := io.WriteString(c, line); err != nil {
					return
				}
			}
		})), code: plugin.CodeProtocol, words: "the headers of 127.0.0.1:"},
		"slow to begin the answer": {url: address(silent), timeout: 100 * time.Millisecond, code: plugin.CodeTimeout, words: "ms: the time ran out while waiting for the answer", hint: "raise the step's timeout"},
		"slow to end it":           {url: address(head), timeout: 100 * time.Millisecond, code: plugin.CodeTimeout, words: "the time ran out while the answer was read", hint: "raise the step's timeout"},
		"slow in the handshake":    {url: "https://" + silent + "/", more: m{"connect_timeout": "100ms"}, code: plugin.CodeTimeout, words: "within 100ms: the time ran out during the TLS handshake", hint: "raise connect_timeout"},
		"slow, all in all":         {url: "https://" + silent + "/", timeout: 100 * time.Millisecond, code: plugin.CodeTimeout, words: "during the TLS handshake", hint: "raise the step's timeout"},
		"an answer that ends early": {url: address(listens(t, func(c net.Conn) {
			reads(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"data\":")
		})), code: plugin.CodeBody, words: "ended after 8 of the 100 bytes that it announced", hint: "closed the connection early"},
		"an answer that is too large": {url: address(listens(t, func(c net.Conn) {
			reads(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n{\"data\":{\"a\":\"")
			for chunk := make([]byte, 1<<20); ; {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		})), code: plugin.CodeBody, words: "is over 10 MiB (max_body), with status 200", hint: "raise max_body"},
		"a proxy that is not there": {url: plain, more: m{"proxy": "http://" + nobody(t)}, code: plugin.CodeConn, words: "connection refused"},
	}
	root := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(filepath.Join(root, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t)
			r.req.Root = root
			config := m{"url": test.url, "query": "{a}"}
			for key, value := range test.more {
				config[key] = value
			}
			ctx := t.Context()
			if test.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.timeout)
				defer cancel()
			}
			got, _, err := r.doAs(ctx, "step", "query", config)
			if test.code == "" { // Go's TLS servers answer in HTTP that they do not speak it
				if err != nil || text(t, got["status"]) != "400" || got["body_error"] == nil {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			fault := faultOf(t, got, err)
			if fault.Code != test.code || !strings.Contains(fault.Message, test.words) || !strings.Contains(fault.Hint, test.hint) || fault.Failed {
				t.Errorf("got %s %s (%s), want %s %s (%s)", fault.Code, fault.Message, fault.Hint, test.code, test.words, test.hint)
			}
			// The next step is unharmed.
			r.must("query", m{"url": plain, "query": "{a}"})
		})
	}
	r := newRun(t)
	r.req.Root = root
	r.must("query", m{"url": secure.URL, "query": "{a}", "tls": m{"ca_file": "ca.pem"}})
	r.must("query", m{"url": secure.URL, "query": "{a}", "tls": m{"verify": false}})
	if got := r.fault("query", m{"url": secure.URL, "query": "{a}"}); got.Code != plugin.CodeTLS {
		t.Errorf("a connection with other settings is used: %+v", got)
	}
}

func TestAPackedBombIsBounded(t *testing.T) {
	url := answers(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipped(t, 64<<20))
	})
	if got := newRun(t).fault("query", m{"url": url, "query": "{a}"}); got.Code != plugin.CodeBody || !strings.Contains(got.Message, "over 10 MiB") {
		t.Errorf("got %+v", got)
	}
}

func TestACancelledQueryEndsAtOnce(t *testing.T) {
	began := make(chan struct{}, 1)
	url := "http://" + listens(t, func(c net.Conn) {
		began <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	start := time.Now()
	got, _, err := newRun(t).doAs(ctx, "step", "query", m{"url": url, "query": "{a}"})
	if fault := faultOf(t, got, err); fault.Blame == plugin.BlamePlugin || fault.Failed || time.Since(start) > 2*time.Second {
		t.Errorf("got %+v after %s", fault, time.Since(start))
	}
}

func TestRetryAfterIsPassedOn(t *testing.T) {
	url := answers(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		says(503, "text/plain", "busy")(w, r)
	})
	_, res, err := newRun(t).do("query", m{"url": url, "query": "{a}"})
	if err != nil || res.RetryAfter != 7*time.Second {
		t.Errorf("got %+v, %v", res, err)
	}
}

func TestSizesAreReadable(t *testing.T) {
	for n, want := range map[int]string{12: "12 bytes", 10 << 20: "10 MiB", 1<<20 + 1: "1048577 bytes"} {
		if got := size(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := fmt.Sprint(rounded(1234567 * time.Microsecond)); got != "1.2s" {
		t.Errorf("got %s", got)
	}
}
