package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// timeoutFault says which limit was reached: the config's own, or the step's.
func timeoutFault(ctx context.Context, err error, format, target string, limit time.Duration, key string) error {
	if ctx.Err() != nil {
		return ctx.Err() // the step's own limit, which the caller has words for
	}
	e := plugin.Errorf(plugin.CodeTimeout, format, target, limit).WithHint("raise %s, or find out why the service is slow", key)
	e.Cause = err
	return e
}

// connectFault says why no connection came about.
func (t *target) connectFault(ctx, limited context.Context, err error, a *address) error {
	var through *proxyError
	var refusal *proxyRefusal
	var record tls.RecordHeaderError
	late := limited.Err() != nil || isTimeout(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &refusal) && errors.As(err, &through):
		hint := "ask its operator, or go past it with proxy: none"
		if refusal.code == http.StatusProxyAuthRequired {
			hint = "give it a user in proxy: http://user:password@host:port"
		}
		return plugin.Errorf(plugin.CodeConn, "the proxy %s refused to connect to %s: %s", through.proxy, a.hostPort(), refusal.status).WithHint("%s", hint)
	case errors.As(err, &through) && !late:
		e := plugin.Errorf(plugin.CodeConn, "the way through the proxy %s failed: %s", through.proxy, innermost(err)).
			WithHint("check proxy or HTTP_PROXY and HTTPS_PROXY, or go past it with proxy: none")
		e.Cause = err
		return e
	case late:
		return timeoutFault(ctx, err, "there was no connection to %s within %s", a.hostPort(), t.ConnectTimeout, "connect_timeout")
	case errors.As(err, &record):
		e := plugin.Errorf(plugin.CodeTLS, "%s does not speak TLS on this port", a.hostPort()).WithHint("write ws:// instead of wss://, or use the TLS port")
		e.Cause = err
		return e
	case isClosed(err):
		e := plugin.Errorf(plugin.CodeConn, "%s closed the connection during the TLS handshake", a.hostPort()).
			WithHint("does this port speak TLS? write ws:// where it does not")
		e.Cause = err
		return e
	}
	if e := tlsclient.Fault(err, a.hostPort()); e != nil {
		return e
	}
	return plugin.NetError(err, a.hostPort())
}

// answerFault is about an answer to the handshake that is not HTTP, or that did
// not come.
func answerFault(err error, a *address) error {
	var e *plugin.Error
	switch text := innermost(err); {
	case errors.Is(err, errTooMuch):
		e = plugin.Errorf(plugin.CodeProtocol, "the headers of %s's answer are over 1 MiB", a.shown)
	case strings.Contains(text, `malformed HTTP response "\x15\x03`):
		return tlsWanted(a)
	case isClosed(err):
		e = plugin.Errorf(plugin.CodeConn, "%s closed the connection before it answered the handshake", a.shown).
			WithHint("look into the service's log: it accepted the connection and dropped it")
	default:
		e = plugin.Errorf(plugin.CodeProtocol, "%s did not answer in HTTP: %s", a.shown, clip(text)).
			WithHint("check that a WebSocket server listens on this port, and ws or wss in url")
	}
	e.Cause = err
	return e
}

func tlsWanted(a *address) error {
	return plugin.Errorf(plugin.CodeTLS, "%s speaks TLS on this port, and the handshake was not", a.hostPort()).
		WithHint("write wss:// instead of ws:// in url")
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// innermost is the text of the error that began a chain.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprint(err)
		}
		err = inner
	}
}
