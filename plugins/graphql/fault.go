package graphql

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// trace takes the time of the phases of one request.
type trace struct {
	started time.Time

	mu    sync.Mutex // the transport may still dial when it has found another connection
	last  string     // what is under way, for messages
	began map[string]time.Time
	took  map[string]float64
}

func newTrace() *trace {
	return &trace{started: time.Now(), last: "before it could connect", began: map[string]time.Time{}, took: map[string]float64{}}
}

func (t *trace) begin(phase, words string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began[phase], t.last = time.Now(), words
}

func (t *trace) end(phase string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if began, ok := t.began[phase]; ok {
		t.took[phase] = ms(time.Since(began))
	}
}

func (t *trace) now(words string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = words
}

func (t *trace) attach(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { t.begin("dns", "while the name was resolved") },
		DNSDone:              func(httptrace.DNSDoneInfo) { t.end("dns") },
		ConnectStart:         func(string, string) { t.begin("connect", "while connecting") },
		ConnectDone:          func(string, string, error) { t.end("connect") },
		TLSHandshakeStart:    func() { t.begin("tls", "during the TLS handshake") },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { t.end("tls") },
		GotConn:              func(httptrace.GotConnInfo) { t.now("while the request was sent") },
		WroteRequest:         func(httptrace.WroteRequestInfo) { t.now("while waiting for the answer") },
		GotFirstResponseByte: t.onFirstByte,
	})
}

func (t *trace) onFirstByte() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = "while the answer was read"
	t.took["first_byte"] = ms(time.Since(t.started))
}

func (t *trace) timings() map[string]float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]float64{"total": ms(time.Since(t.started))}
	for phase, took := range t.took {
		out[phase] = took
	}
	return out
}

func (t *trace) phase() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// fault gives a request that got no answer its words.
func (x *exchange) fault(ctx context.Context, err error) error {
	host := x.target.url.Host
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err() // the engine knows why, and says so
	case ctx.Err() != nil, isTimeout(err):
		return x.late(ctx, err)
	}
	if e := tlsclient.Fault(err, host); e != nil {
		return e
	}
	switch what := err.Error(); {
	case strings.Contains(what, "server gave HTTP response to HTTPS client"):
		return plugin.Errorf(plugin.CodeTLS, "%s does not speak TLS on this port", host).WithHint("write http:// instead of https://, or use the TLS port")
	case strings.Contains(what, `malformed HTTP response "\x15\x03`):
		return plugin.Errorf(plugin.CodeTLS, "%s speaks TLS on this port, and the request was not", host).WithHint("write https:// instead of http:// in url")
	case strings.Contains(what, "malformed HTTP"):
		return plugin.Errorf(plugin.CodeProtocol, "%s did not answer in HTTP", host).WithHint("check that the port speaks HTTP, and http or https in url")
	case strings.Contains(what, "response headers exceeded"):
		return plugin.Errorf(plugin.CodeProtocol, "the headers of %s's answer are over %s", host, size(maxHeaderBytes))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), strings.Contains(what, "server closed idle connection"):
		return plugin.Errorf(plugin.CodeConn, "%s closed the connection before it answered", host).
			WithHint("look into the service's log: it accepted the connection and dropped it")
	}
	return plugin.NetError(err, host)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// late says which limit was reached, and where.
func (x *exchange) late(ctx context.Context, err error) *plugin.Error {
	limit, hint := x.target.config.ConnectTimeout, "raise connect_timeout, or find out why the service does not take connections"
	if ctx.Err() != nil {
		deadline, _ := ctx.Deadline()
		limit, hint = deadline.Sub(x.target.began), "raise the step's timeout, or find out why the service is slow"
	}
	e := plugin.Errorf(plugin.CodeTimeout, "no answer from %s within %s: the time ran out %s", x.target.url.Host, rounded(limit), x.trace.phase()).
		WithHint("%s", hint)
	e.Cause = err
	return e
}

func rounded(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// bodyFault gives an answer that did not come to its end its words.
func (x *exchange) bodyFault(ctx context.Context, res *http.Response, err error) error {
	host := x.target.url.Host
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil, isTimeout(err):
		return x.late(ctx, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		e := plugin.Errorf(plugin.CodeBody, "the answer of %s ended early, after %d bytes", host, x.read)
		if res.ContentLength > 0 {
			e = plugin.Errorf(plugin.CodeBody, "the answer of %s ended after %d of the %d bytes that it announced", host, x.read, res.ContentLength)
		}
		return e.WithHint("the service, or a proxy before it, closed the connection early")
	}
	return plugin.Errorf(plugin.CodeBody, "the answer of %s cannot be read: %w", host, err)
}
