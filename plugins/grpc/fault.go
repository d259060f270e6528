package grpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// fault gives words to a call that ended without a status of the server: nothing
// can be judged. what is being called ("shop.v1.ShopService/GetProduct").
func (r *rpc) fault(ctx context.Context, err error, seen traced, what string) error {
	st := status.Convert(err)
	switch {
	case r.parent.Err() != nil && !errors.Is(context.Cause(r.parent), context.DeadlineExceeded):
		return context.Cause(r.parent) // the run was ended
	case ctx.Err() != nil || st.Code() == codes.DeadlineExceeded: // the server may notice first
		return r.late(err, seen, what)
	case seen.sent.IsZero():
		return r.unreachable(st)
	}
	return r.broken(st, seen, what)
}

// late is a call that its time limit ended.
func (r *rpc) late(cause error, seen traced, what string) *plugin.Error {
	hint := "raise the step's timeout, or find out why the service is slow"
	limit := time.Since(r.began)
	if r.parent.Err() == nil && r.in.Deadline > 0 {
		limit, hint = r.in.Deadline, "raise deadline, or find out why the service is slow"
	}
	within := rounded(limit).String()
	var e *plugin.Error
	switch {
	case seen.sent.IsZero():
		if e = r.connection(); e != nil && e.Code != plugin.CodeTimeout {
			e.Message = fmt.Sprintf("no connection within %s: %s", within, e.Message)
			return e
		}
		e = plugin.Errorf(plugin.CodeTimeout, "no connection to %s within %s: %s", r.peer.address, within, r.stage())
	case seen.headers.IsZero():
		e = plugin.Errorf(plugin.CodeTimeout, "%s of %s did not answer within %s", what, r.peer.address, within)
	default:
		e = plugin.Errorf(plugin.CodeTimeout, "%s of %s did not end its answer within %s", what, r.peer.address, within)
	}
	e.Cause = cause
	return e.WithHint("%s", hint)
}

func rounded(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Millisecond)
}

// stage says what was under way when the time was over.
func (r *rpc) stage() string {
	s, _, _ := r.link.met.what()
	switch s {
	case dialling:
		return "nothing has accepted it"
	case securing:
		return "the TLS handshake has not ended"
	case greeting:
		return "the server accepted it and said nothing"
	}
	return "none was made"
}

// unreachable is a connection that could not be made.
func (r *rpc) unreachable(st *status.Status) *plugin.Error {
	if e := r.connection(); e != nil {
		return e
	}
	if s, _, _ := r.link.met.what(); s != connected && time.Since(r.began) >= r.peer.connect {
		return plugin.Errorf(plugin.CodeTimeout, "no connection to %s within %s: %s", r.peer.address, rounded(r.peer.connect), r.stage()).
			WithHint("is it a gRPC server? if it is only slow, raise connect_timeout")
	}
	return plugin.Errorf(plugin.CodeConn, "%s: %s", r.peer.address, st.Message())
}

// connection gives words to what the newest connection met, nil where it met
// nothing.
func (r *rpc) connection() *plugin.Error {
	at, first, err := r.link.met.what()
	target := r.peer.address
	switch {
	case at == greeting && len(first) > 0:
		return r.otherProtocol(first)
	case err == nil:
		return nil
	case at == greeting && r.peer.tls == nil && isEnd(err):
		return worded(err, plugin.CodeConn, "%s accepted the connection and closed it without a word", target).
			WithHint("does this port want TLS? write grpcs://%s; else look into the service's log", target)
	case at == securing && isEnd(err):
		return worded(err, plugin.CodeTLS, "%s closed the connection in the TLS handshake", target).
			WithHint("does this port speak TLS? write grpc://%s if not", target)
	case at == securing && strings.Contains(err.Error(), "no application protocol"):
		return worded(err, plugin.CodeTLS, "%s does not offer HTTP/2, which gRPC needs, over TLS", target).WithHint("is it the port of the gRPC service?")
	case errors.As(err, new(tls.RecordHeaderError)):
		return worded(err, plugin.CodeTLS, "%s does not speak TLS on this port", target).WithHint("write grpc://%s", target)
	case isTimeout(err):
		e := worded(err, plugin.CodeTimeout, "no connection to %s within %s: %s", target, rounded(r.peer.connect), r.stage())
		return e.WithHint("raise connect_timeout, or find out why the service is slow")
	}
	if e := tlsclient.Fault(err, target); e != nil {
		return e
	}
	var known *plugin.Error
	if errors.As(plugin.NetError(err, target), &known) {
		return known
	}
	return nil
}

func worded(cause error, code, format string, args ...any) *plugin.Error {
	e := plugin.Errorf(code, format, args...)
	e.Cause = cause
	return e
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// otherProtocol is a server that speaks something else.
func (r *rpc) otherProtocol(first []byte) *plugin.Error {
	target := r.peer.address
	switch {
	case bytes.HasPrefix(first, []byte("HTTP/1")):
		return plugin.Errorf(plugin.CodeProtocol, "%s speaks HTTP/1, and gRPC needs HTTP/2", target).
			WithHint("is it the port of the gRPC service? REST has http.request").WithDetails("it answered " + firstLine(first))
	case first[0] == 0x15 || first[0] == 0x16: // a TLS record: alert, handshake
		return plugin.Errorf(plugin.CodeTLS, "%s speaks TLS on this port", target).WithHint("write grpcs://%s", target)
	}
	return plugin.Errorf(plugin.CodeProtocol, "%s does not speak HTTP/2", target).
		WithHint("is it the port of the gRPC service?").WithDetails(fmt.Sprintf("it sent %q", first))
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\r\n"))
	return fmt.Sprintf("%q", line)
}

var (
	httpStatus = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`unexpected HTTP status code received from server: (\d+) ?\(?([^)]*)\)?`)
	})
	resetCode = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`stream terminated by RST_STREAM with error code: (\w+)`)
	})
	tooLarge = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^grpc: (?:received )?message (?:after decompression )?larger than max (?:\((\d+) vs)?`)
	})
)

// broken is a call that had a connection, and got no status.
func (r *rpc) broken(st *status.Status, seen traced, what string) *plugin.Error {
	target, message := r.peer.address, st.Message()
	if m := httpStatus().FindStringSubmatch(message); m != nil {
		_, data, _ := strings.Cut(message, "\n")
		e := plugin.Errorf(plugin.CodeProtocol, "%s answered HTTP %s %s, which is not gRPC", target, m[1], m[2]).
			WithHint("is it the port of the gRPC service, and does what stands before it (proxy, load balancer) let gRPC through?")
		if data != "" {
			e = e.WithDetails(strings.TrimPrefix(data, "data: "))
		}
		return e
	}
	if m := tooLarge().FindStringSubmatch(message); m != nil {
		size := ""
		if m[1] != "" {
			size = " of " + m[1] + " bytes"
		}
		return plugin.Errorf(plugin.CodeBody, "a message%s from %s of %s is over max_message, which is %d bytes", size, what, target, r.in.MaxMessage).
			WithHint("raise max_message if it is meant to be that large")
	}
	if m := resetCode().FindStringSubmatch(message); m != nil {
		return plugin.Errorf(plugin.CodeConn, "%s reset the call of %s: %s", target, what, m[1]).WithHint("look into the service's log")
	}
	if at, _, err := r.link.met.what(); at == connected && err != nil && st.Code() == codes.Unavailable {
		const hint = "look into the service's log: did it crash, or does something before it limit connections?"
		e := worded(err, plugin.CodeConn, "%s closed the connection during %s", target, what).WithHint(hint)
		if errors.Is(err, syscall.ECONNRESET) {
			e.Message = fmt.Sprintf("%s reset the connection during %s", target, what)
		}
		if _, goaway, ok := strings.Cut(message, "received prior goaway: "); ok {
			e = e.WithDetails("it said before: " + goaway)
		}
		return e
	}
	e := plugin.Errorf(plugin.CodeProtocol, "the answer of %s to %s cannot be read: %s", target, what, message)
	if seen.headers.IsZero() && st.Code() == codes.Unavailable {
		e.Code = plugin.CodeConn
	}
	return e.WithHint("look into the service's log, and that of what stands before it")
}
