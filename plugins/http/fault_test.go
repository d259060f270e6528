package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// reset closes a connection by RST.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestServersThatMisbehaveAreNamedInASentence(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			readHead(c)
			_, _ = io.WriteString(c, text)
		}
	}
	tests := map[string]struct {
		serve func(net.Conn)
		code  string
		want  string
	}{
		"it accepts and closes":                {func(net.Conn) {}, plugin.CodeConn, "closed the connection before it answered"},
		"it closes after the request":          {say(""), plugin.CodeConn, "closed the connection before it answered"},
		"it resets after the request":          {func(c net.Conn) { readHead(c); reset(c) }, plugin.CodeConn, "closed the connection before it answered (connection reset by peer)"},
		"it closes within the head":            {say(ok + "Content-Type: text/plain\r\n"), plugin.CodeConn, "closed the connection before it answered"},
		"it speaks another protocol":           {say("SSH-2.0-OpenSSH_9.2\r\n"), plugin.CodeProtocol, "did not answer in HTTP: malformed HTTP response"},
		"it speaks TLS":                        {say("\x15\x03\x01\x00\x02\x02\x16"), plugin.CodeProtocol, "speaks TLS on this port"},
		"a status that is none":                {say("HTTP/1.1 abc OK\r\n\r\n"), plugin.CodeProtocol, "malformed HTTP status code"},
		"a header without a colon":             {say(ok + "nonsense\r\n\r\n"), plugin.CodeProtocol, "malformed MIME header"},
		"headers without end":                  {endlessHeaders, plugin.CodeProtocol, "informational ones counted, are over 1 MiB"},
		"informational answers without end":    {endlessHints, plugin.CodeProtocol, "informational ones counted, are over 1 MiB"},
		"two lengths":                          {say(ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), plugin.CodeProtocol, "did not answer in HTTP"},
		"a body shorter than its length":       {say(ok + "Content-Length: 10\r\n\r\nabc"), plugin.CodeBody, "the body ended after 3 of the 10 bytes that Content-Length announced"},
		"a body that is reset":                 {resetInBody, plugin.CodeConn, "reset the connection in the middle of the body"},
		"chunks that are garbage":              {say(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"), plugin.CodeBody, "the chunks of the body are broken: invalid byte in chunk length"},
		"a chunk past all lengths":             {say(ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nabc\r\n"), plugin.CodeBody, "the chunks of the body are broken"},
		"chunks that end early":                {say(ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"), plugin.CodeBody, "the body ended early, after 3 bytes"},
		"an encoding of transfer nobody knows": {say(ok + "Transfer-Encoding: gzip\r\n\r\nabc"), plugin.CodeProtocol, "unsupported transfer encoding"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url := rawServer(t, test.serve)
			within(t, 10*time.Second, func() {
				err := newCaller(t, Config{}).fail(m{"url": url})
				if err.Code != test.code || err.Blame == plugin.BlameDefinition {
					t.Errorf("got %s (blame %q), want %s", err.Code, err.Blame, test.code)
				}
				contains(t, err.Message, test.want)
				if strings.HasSuffix(err.Message, ".") || strings.Contains(err.Message, "\n") {
					t.Errorf("%q is not one sentence without a full stop", err.Message)
				}
			})
		})
	}
}

// resetInBody sends more than the buffers of both sides hold, so that the client
// has read the head when the connection ends.
func resetInBody(c net.Conn) {
	readHead(c)
	_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", 8<<20))
	reset(c)
}

func endlessHeaders(c net.Conn) {
	readHead(c)
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
	line := "X-Long: " + strings.Repeat("x", 8000) + "\r\n"
	for {
		if _, err := io.WriteString(c, line); err != nil {
			return
		}
	}
}

func endlessHints(c net.Conn) {
	readHead(c)
	for {
		if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n"); err != nil {
			return
		}
	}
}

func TestABodyLongerThanItsLengthIsCutThere(t *testing.T) {
	url := rawServer(t, func(c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabcdef")
	})
	if got := newCaller(t, Config{}).do(m{"url": url})["body"]; got != "abc" {
		t.Errorf("got %v, want abc", got)
	}
}

func TestConnectionsThatCannotBeMade(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	closed.Close()
	_, port, _ := net.SplitHostPort(address)
	tests := map[string]struct {
		url, code, message, hint, detail string
	}{
		"nobody listens":        {"http://" + address + "/x", plugin.CodeConn, "connection refused: " + address, `"127.0.0.1" is the machine that runs the flow`, "dialled " + address + " connection refused"},
		"nobody at localhost":   {"http://localhost:" + port, plugin.CodeConn, "connection refused: localhost:" + port, `"localhost" is the machine that runs the flow`, "127.0.0.1:" + port + " connection refused"},
		"nobody at IPv6":        {"http://[::1]:" + port, plugin.CodeConn, "[::1]:" + port, "", ""},
		"a name of nobody":      {"http://nobody.invalid/", plugin.CodeDNS, `the name "nobody.invalid" does not resolve`, "config.url", ""},
		"a name with no letter": {"http://-.-/", plugin.CodeDNS, "does not resolve", "config.url", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := newCaller(t, Config{}).fail(m{"url": test.url})
			if err.Code != test.code {
				t.Errorf("got code %s (%s), want %s", err.Code, err.Message, test.code)
			}
			contains(t, err.Message, test.message)
			contains(t, err.Hint, test.hint)
			contains(t, strings.Join(err.Details, "\n"), test.detail)
		})
	}
}

func TestTimeLimitsNameThePhase(t *testing.T) {
	silent := rawServer(t, func(c net.Conn) { hold(c) })
	drip := rawServer(t, func(c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nabc")
		hold(c)
	})
	full, secure := fullBacklog(t), strings.Replace(silent, "http:", "https:", 1)
	deaf := rawServer(t, func(net.Conn) { <-t.Context().Done() })
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "large"), make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		limit  string // the key of the limit; empty: the step's own timeout
		config m
		want   string // %s is the limit
		hint   string
	}{
		"waiting for an answer":         {"timeout", m{"url": silent}, "within %s (config.timeout): the time ran out while waiting for the first byte of the answer", "raise config.timeout"},
		"by the step's timeout":         {"", m{"url": silent}, "within %s: the time ran out while waiting for the first byte", "raise the step's timeout"},
		"while the body comes":          {"timeout", m{"url": drip}, "did not end within %s (config.timeout): the time ran out while the body was read", "raise config.timeout"},
		"in the TLS handshake":          {"timeout", m{"url": secure}, "within %s (config.timeout): the time ran out during the TLS handshake", "raise config.timeout"},
		"in the handshake, by its own":  {"connect_timeout", m{"url": secure}, "within %s (config.connect_timeout): the time ran out during the TLS handshake", "raise config.connect_timeout"},
		"while connecting":              {"timeout", m{"url": full}, "within %s (config.timeout): the time ran out while connecting", "raise config.timeout"},
		"while connecting, by its own":  {"connect_timeout", m{"url": full}, "within %s (config.connect_timeout): the time ran out while connecting", "raise config.connect_timeout"},
		"while the request is sent":     {"timeout", m{"url": deaf, "method": "POST", "body_file": "large"}, "within %s (config.timeout): the time ran out while the request was sent", "raise config.timeout"},
		"while connecting to the proxy": {"timeout", m{"url": silent, "proxy": full}, "within %s (config.timeout): the time ran out while connecting", "raise config.timeout"},
	}
	// On a busy machine the time may run out in a phase before the one that is
	// meant: then it is tried with more. What names a wrong phase does so each time.
	limits := []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 5 * time.Second}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var err *plugin.Error
			var want string
			for _, limit := range limits {
				want = fmt.Sprintf(test.want, limit)
				err = timedOut(t, root, test.limit, limit, test.config)
				if strings.Contains(err.Message, want) {
					break
				}
			}
			if err.Code != plugin.CodeTimeout {
				t.Errorf("got code %s (%s), want E-TIMEOUT", err.Code, err.Message)
			}
			contains(t, err.Message, want)
			contains(t, err.Hint, test.hint)
		})
	}
}

func TestALimitMayBeTooShortForAnything(t *testing.T) {
	err := timedOut(t, t.TempDir(), "timeout", time.Millisecond, m{"url": "http://127.0.0.1:1", "proxy": fullBacklog(t)})
	if err.Code != plugin.CodeTimeout {
		t.Errorf("got code %s (%s), want E-TIMEOUT", err.Code, err.Message)
	}
	contains(t, err.Message, "the time ran out")
	contains(t, err.Hint, "raise config.timeout")
}

// timedOut is the fault of a request that one limit ends, where every other is
// far off.
func timedOut(t *testing.T, root, key string, limit time.Duration, config m) *plugin.Error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config = maps.Clone(config)
	if key == "" {
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	} else {
		config[key] = limit.String()
	}
	var err *plugin.Error
	within(t, limit+20*time.Second, func() { // a busy machine reads the file for seconds
		c := newCaller(t, Config{})
		c.req.Root = root
		err = c.failIn(ctx, config)
	})
	return err
}

// fullBacklog listens and never accepts, with a queue that is full: a further
// connection gets no answer at all.
func fullBacklog(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	for range 16 { // until the queue takes no more
		c, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
		if err != nil {
			return "http://" + address
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue did not fill")
	return ""
}

func TestACancelledStepEndsAtOnce(t *testing.T) {
	silent := rawServer(t, func(c net.Conn) { hold(c) })
	drip := rawServer(t, func(c net.Conn) {
		readHead(c)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nabc")
		hold(c)
	})
	for name, config := range map[string]m{
		"while it waits":       {"url": silent},
		"while the body comes": {"url": drip},
		"while it connects":    {"url": fullBacklog(t)},
		"while it gets a token": {"url": silent, "auth": m{
			"type": "oauth2", "token_url": silent, "client_id": "a",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			timer := time.AfterFunc(20*time.Millisecond, cancel)
			defer timer.Stop()
			within(t, 2*time.Second, func() {
				_, err := newCaller(t, Config{}).try(ctx, config)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled", err)
				}
			})
		})
	}
}

func TestAfterAFaultTheNextRequestGetsThrough(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
	})
	c := newCaller(t, Config{})
	for range 3 {
		if err := c.fail(m{"url": server.URL + "/abort", "method": "POST"}); err.Code != plugin.CodeConn {
			t.Errorf("got %s, want E-CONN", err.Code)
		}
		if got := c.do(m{"url": server.URL + "/"})["status"]; got != 200.0 {
			t.Errorf("got %v after a fault, want 200", got)
		}
	}
}

func TestAFaultIsReportedAsAnExchange(t *testing.T) {
	c := newCaller(t, Config{})
	fault := c.fail(m{"url": rawServer(t, func(net.Conn) {}), "method": "POST", "body": "x"})
	e := c.lastExchange()
	if e.Response != nil || e.Protocol != "HTTP" || e.Curl == "" {
		t.Errorf("got %+v for %v, want an exchange without response", e, fault)
	}
	contains(t, string(e.Request), `"body":"x"`)
}
