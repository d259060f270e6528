package http

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// trace takes the time of the phases of one request on the wire.
type trace struct {
	hooks   httptrace.ClientTrace
	context traced

	mu                                    sync.Mutex // the transport may still dial when it has found another connection
	dnsStart, connectStart, tlsStart      time.Time
	dns, connect, tls                     time.Duration
	firstByte                             time.Time
	dialled                               []string // addresses that could not be connected, with the reason
	connected, reused, wroteRequest, head bool
	askedWho                              bool  // the server wanted a client certificate
	conn                                  *conn // nil where it is not ours
	written                               int64 // bytes written on conn before this request
}

func (t *trace) attach(ctx context.Context) context.Context {
	t.hooks = httptrace.ClientTrace{
		TLSHandshakeStart:    t.onTLSStart,
		TLSHandshakeDone:     t.onTLSDone,
		GotConn:              t.onConn,
		WroteRequest:         t.onWrote,
		GotFirstResponseByte: t.onFirstByte,
	}
	t.context = traced{ctx, t}
	return httptrace.WithClientTrace(&t.context, &t.hooks)
}

// traced is the context of a request, which knows its trace.
type traced struct {
	context.Context
	trace *trace
}

// Value implements context.Context.
func (c *traced) Value(key any) any {
	if key == (traceKey{}) {
		return c.trace
	}
	return c.Context.Value(key)
}

type traceKey struct{}

// attachDial watches what net does for a new connection. Most requests are sent
// on one that is there, and are spared it.
func attachDial(ctx context.Context) context.Context {
	t, ok := ctx.Value(traceKey{}).(*trace)
	if !ok {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: t.onDNSStart, DNSDone: t.onDNSDone, ConnectStart: t.onConnectStart, ConnectDone: t.onConnectDone,
	})
}

// clientCertificate gives what a server asks for, or none, and keeps in mind
// that it was asked: in TLS 1.3 the server's refusal comes after the handshake,
// and not always through net/http.
func clientCertificate(own *tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if t, ok := info.Context().Value(traceKey{}).(*trace); ok {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.askedWho = true
		}
		return own, nil
	}
}

// wasAskedWho tells that the connection of this very request began with the
// server's wish for a client certificate.
func (t *trace) wasAskedWho() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.askedWho && !t.reused
}

func (t *trace) onDNSStart(httptrace.DNSStartInfo) { t.start(&t.dnsStart) }

func (t *trace) onDNSDone(httptrace.DNSDoneInfo) { t.end(&t.dnsStart, &t.dns) }

func (t *trace) onConnectStart(_, _ string) { t.start(&t.connectStart) }

func (t *trace) onConnectDone(_, address string, err error) {
	t.end(&t.connectStart, &t.connect)
	if err == nil {
		return
	}
	const most = 8
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dialled) < most {
		t.dialled = append(t.dialled, address+" "+cause(err))
	}
}

func (t *trace) onTLSStart() { t.start(&t.tlsStart) }

func (t *trace) onTLSDone(tls.ConnectionState, error) { t.end(&t.tlsStart, &t.tls) }

func (t *trace) start(at *time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at.IsZero() && !t.connected {
		*at = time.Now()
	}
}

func (t *trace) end(from *time.Time, took *time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.connected {
		*took = time.Since(*from)
	}
}

// onConn is told of the connection that is used. What was dialled meanwhile and
// is not used is no phase of this request.
func (t *trace) onConn(info httptrace.GotConnInfo) {
	c := ours(info.Conn)
	if c != nil && info.Reused {
		c.checkIdle()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connected, t.reused, t.conn = true, info.Reused, c
	if c != nil {
		t.written = c.written.Load()
	}
	if info.Reused {
		t.dns, t.connect, t.tls = 0, 0, 0
	}
}

func ours(nc net.Conn) *conn {
	for {
		switch c := nc.(type) {
		case *conn:
			return c
		case *tls.Conn:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

func (t *trace) onWrote(info httptrace.WroteRequestInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wroteRequest = info.Err == nil
}

func (t *trace) onFirstByte() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.firstByte, t.head = time.Now(), true
}

// unsent tells that the request met a connection that had been used before, and
// that not one byte of it was written there.
func (t *trace) unsent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reused && t.conn != nil && t.conn.written.Load() == t.written
}

func (t *trace) wasReused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.reused
}

// timings are milliseconds. DNS, connect and TLS are how long each took, 0 on a
// connection used again; firstByte and total count from the start of the step's
// request, redirects included.
type timings struct{ dns, connect, tls, firstByte, total float64 }

func (x *exchange) timings(total time.Duration) timings {
	t := x.trace
	t.mu.Lock()
	defer t.mu.Unlock()
	out := timings{dns: milliseconds(t.dns), connect: milliseconds(t.connect), tls: milliseconds(t.tls), total: milliseconds(total)}
	if !t.firstByte.IsZero() {
		out.firstByte = milliseconds(t.firstByte.Sub(x.started))
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// phase says how far the request got, for messages of time limits.
func (t *trace) phase() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.head:
		return "while the body was read"
	case t.wroteRequest:
		return "while waiting for the first byte of the answer"
	case t.connected:
		return "while the request was sent"
	case !t.tlsStart.IsZero():
		return "during the TLS handshake"
	case !t.connectStart.IsZero():
		return "while connecting"
	case !t.dnsStart.IsZero():
		return "while the name was resolved"
	}
	return "before it could connect"
}

func (t *trace) addresses() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.dialled...)
}
