package http

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"
)

// trace takes the time of a request's phases. After redirects it holds those of
// the last request, and the total of all.
type trace struct {
	started time.Time
	total   time.Duration

	mu                                sync.Mutex // the transport may dial in another goroutine
	dnsStart, connectStart, tlsStart  time.Time
	dns, connect, tls, firstByte      time.Duration
	dialled                           []string
	reused                            bool
	gotConnection, wroteRequest, head bool
}

func newTrace() *trace { return &trace{started: time.Now()} }

func (t *trace) attach(ctx context.Context) context.Context {
	lap := func(from time.Time, into *time.Duration) {
		if !from.IsZero() {
			*into = time.Since(from)
		}
	}
	locked := func(f func()) {
		t.mu.Lock()
		defer t.mu.Unlock()
		f()
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:     func(httptrace.DNSStartInfo) { locked(func() { t.dnsStart = time.Now() }) },
		DNSDone:      func(httptrace.DNSDoneInfo) { locked(func() { lap(t.dnsStart, &t.dns) }) },
		ConnectStart: func(_, _ string) { locked(func() { t.connectStart = time.Now() }) },
		ConnectDone: func(_, address string, err error) {
			locked(func() {
				lap(t.connectStart, &t.connect)
				if err != nil && len(t.dialled) < 8 {
					t.dialled = append(t.dialled, address+" "+cause(err))
				}
			})
		},
		TLSHandshakeStart:    func() { locked(func() { t.tlsStart = time.Now() }) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { locked(func() { lap(t.tlsStart, &t.tls) }) },
		GotConn:              func(i httptrace.GotConnInfo) { locked(func() { t.reused, t.gotConnection = i.Reused, true }) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { locked(func() { t.wroteRequest = true }) },
		GotFirstResponseByte: func() { locked(func() { t.firstByte, t.head = time.Since(t.started), true }) },
	})
}

func (t *trace) finish() { t.total = time.Since(t.started) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// append prints time and timings as keys of the result.
func (t *trace) append(out []byte) []byte {
	out = append(out, `,"time":`...)
	out = strconv.AppendFloat(out, milliseconds(t.total), 'f', -1, 64)
	out = append(out, `,"timings":{`...)
	t.each(func(name string, ms float64) {
		if out[len(out)-1] != '{' {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), name...), '"', ':')
		out = strconv.AppendFloat(out, ms, 'f', -1, 64)
	})
	return append(out, '}')
}

// each gives the phases in their order; those that did not happen, as on a
// connection used again, are 0.
func (t *trace) each(f func(name string, ms float64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f("dns", milliseconds(t.dns))
	f("connect", milliseconds(t.connect))
	f("tls", milliseconds(t.tls))
	f("first_byte", milliseconds(t.firstByte))
	f("total", milliseconds(t.total))
}

// phase says how far the request got, for messages of time limits.
func (t *trace) phase() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.head:
		return "while the body was read"
	case t.wroteRequest:
		return "while waiting for the first byte of the answer"
	case t.gotConnection:
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
