package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// fault turns a request that got no answer into words. parent is the step's
// context, ctx that of the request, which config.timeout bounds.
func (x *exchange) fault(parent, ctx context.Context, err error) error {
	var known *plugin.Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(parent.Err(), context.Canceled) {
		return parent.Err() // the engine knows why, and says so
	}
	return x.describe(parent, ctx, err, x.url.Host)
}

// describe finds the words for what happened between here and target.
func (x *exchange) describe(parent, ctx context.Context, err error, target string) *plugin.Error {
	if ctx.Err() != nil || isTimeout(err) {
		return x.timeout(parent, ctx, err, target)
	}
	e := &plugin.Error{Code: plugin.CodeConn, Cause: err}
	var dns *net.DNSError
	var refusal *proxyRefusal
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		e.Code = plugin.CodeDNS
		e.Message = fmt.Sprintf("the name %q does not resolve", dns.Name)
		e.Hint = "check the host in config.url, and that this machine can resolve it"
		e.Details = []string{dns.Err}
	case errors.As(err, &refusal):
		e.Message = fmt.Sprintf("the proxy %s refused to connect to %s: %s", refusal.proxy, target, refusal.status)
		e.Hint = "ask its operator, or go past it with config.proxy: none"
		if refusal.code == http.StatusProxyAuthRequired {
			e.Hint = "give it a user in config.proxy: http://user:password@host:port"
		}
	case errors.As(err, &op) && op.Op == "proxyconnect":
		e.Message = fmt.Sprintf("the proxy cannot be reached: %s", cause(err))
		e.Details = dialled(x.trace)
		e.Hint = "check config.proxy or HTTP_PROXY, or go past it with config.proxy: none"
	case x.trace.wasAskedWho() && x.describeRefusal(e, err, target), describeTLS(e, err, target):
		e.Code = plugin.CodeTLS
	case errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED):
		e.Message = fmt.Sprintf("%s: %s", cause(err), target)
		e.Details = dialled(x.trace)
		e.Hint = startedHint(target)
	case isClosed(err):
		e.Message = fmt.Sprintf("%s closed the connection before it answered (%s)", target, cause(err))
		e.Hint = "look into the service's log: it accepted the connection and dropped it"
		if x.trace.wasReused() {
			e.Hint = "the connection had been used before, and the service may or may not have processed the request: look into its log"
		}
	default:
		describeProtocol(e, err, target)
	}
	return e
}

func dialled(t *trace) []string {
	if list := t.addresses(); len(list) > 0 {
		return []string{"dialled " + strings.Join(list, " · ")}
	}
	return nil
}

func startedHint(target string) string {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		host = strings.Trim(target, "[]")
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return fmt.Sprintf("%q is the machine that runs the flow: is the service started there, on this port?", host)
	}
	return "is the service started, and may this machine reach it?"
}

func isClosed(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errClosedIdle) ||
		strings.Contains(err.Error(), "server closed idle connection") // net/http does not export it
}

// describeProtocol is about an answer that is not HTTP. net/http has no types
// for these, so that their text decides.
func describeProtocol(e *plugin.Error, err error, target string) {
	what := cause(err)
	e.Code = plugin.CodeProtocol
	e.Message = fmt.Sprintf("%s did not answer in HTTP: %s", target, strings.TrimPrefix(clip(what), "net/http: "))
	e.Hint = "check that the port speaks HTTP, and http or https in config.url"
	switch {
	case strings.Contains(what, "response headers exceeded") || strings.Contains(what, "header list too large") || strings.Contains(what, "header list was too long"):
		e.Message = fmt.Sprintf("the headers of %s's answer, informational ones counted, are over %s", target, size(maxHeaderBytes))
		e.Hint = ""
	case strings.Contains(what, `malformed HTTP response "\x15\x03`):
		e.Message = fmt.Sprintf("%s speaks TLS on this port, and the request was not", target)
		e.Hint = "write https:// instead of http:// in config.url"
	case strings.Contains(what, "http2: "):
		e.Message = fmt.Sprintf("%s did not answer in HTTP/2: %s", target, clip(strings.TrimPrefix(what, "http2: ")))
		e.Hint = "leave config.http_version out if the service speaks HTTP/1.1"
	}
}

// timeout says which limit was reached and where.
func (x *exchange) timeout(parent, ctx context.Context, err error, target string) *plugin.Error {
	limit, name, hint := x.config.connectTimeout(), " (config.connect_timeout)", "raise config.connect_timeout, or find out why the service does not take connections"
	if ctx.Err() != nil {
		limit, name, hint = x.limit(ctx), "", "raise the step's timeout, or find out why the service is slow"
		if parent.Err() == nil {
			name, hint = " (config.timeout)", "raise config.timeout, or find out why the service is slow"
		}
	}
	e := &plugin.Error{
		Code: plugin.CodeTimeout, Cause: err, Hint: hint, Details: dialled(x.trace),
		Message: fmt.Sprintf("no answer from %s within %s%s: the time ran out %s", target, limit, name, x.trace.phase()),
	}
	if x.wire.read > 0 {
		e.Message = fmt.Sprintf("the answer of %s did not end within %s%s: the time ran out while the body was read", target, limit, name)
		e.Details = append(e.Details, strconv.FormatInt(x.wire.read, 10)+" bytes of the body had come")
	}
	return e
}

// limit is the time that ctx gave the request, as a person would write it.
func (x *exchange) limit(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline()
	d := deadline.Sub(x.started)
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

func (c *config) connectTimeout() time.Duration {
	if c.ConnectTimeout > 0 {
		return time.Duration(c.ConnectTimeout)
	}
	return DefaultConnectTimeout
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// bodyFault turns a body that could not be read to its end into words.
func (x *exchange) bodyFault(parent, ctx context.Context, res *http.Response, err error) error {
	if errors.Is(parent.Err(), context.Canceled) {
		return parent.Err()
	}
	target := x.url.Host
	if ctx.Err() != nil || isTimeout(err) {
		return x.timeout(parent, ctx, err, target)
	}
	e := &plugin.Error{Code: plugin.CodeBody, Cause: err}
	var enc *encodingError
	switch {
	case errors.As(err, &enc):
		e.Message = enc.Error()
		e.Hint = "see what comes with compressed: false and response: bytes"
	case errors.Is(err, syscall.ECONNRESET):
		e.Code = plugin.CodeConn
		e.Message = fmt.Sprintf("%s reset the connection in the middle of the body, after %d bytes", target, x.wire.read)
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		e.Message = fmt.Sprintf("the body ended early, after %d bytes", x.wire.read)
		if res.ContentLength > 0 {
			e.Message = fmt.Sprintf("the body ended after %d of the %d bytes that Content-Length announced", x.wire.read, res.ContentLength)
		}
		e.Hint = "the service, or a proxy before it, closed the connection early"
	case strings.Contains(err.Error(), "chunk"):
		e.Message = fmt.Sprintf("the chunks of the body are broken: %s", strings.TrimPrefix(cause(err), "http: "))
	default:
		e.Message = "the body could not be read: " + clip(cause(err))
	}
	return e
}

// cause is the innermost error's text, without the chain of operations that
// led to it.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
