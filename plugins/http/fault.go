package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// fault turns a request that got no answer into words.
func (x *exchange) fault(ctx context.Context, err error) error {
	var known *plugin.Error
	if errors.As(err, &known) {
		return known
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	target := x.config.URL
	if u, perr := url.Parse(target); perr == nil {
		target = u.Host
	}
	if ctx.Err() != nil || isTimeout(err) {
		return x.timeout(ctx, err, target)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return &plugin.Error{
			Code: plugin.CodeDNS, Cause: err,
			Message: fmt.Sprintf("the name %q does not resolve", dns.Name),
			Hint:    "check the host in config.url, and that this machine can resolve it",
			Details: []string{dns.Err},
		}
	}
	if e := tlsFault(err, target); e != nil {
		return e
	}
	if errors.Is(err, errTooManyRedirects) {
		return &plugin.Error{
			Code: plugin.CodeProtocol, Cause: err,
			Message: fmt.Sprintf("more than %d redirects, the last to %s", len(x.redirects), last(x.redirects)),
			Hint:    "raise config.max_redirects, or stop at the first with follow_redirects: false",
		}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED) {
		return x.dialFault(err, target)
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &plugin.Error{
			Code: plugin.CodeConn, Cause: err,
			Message: fmt.Sprintf("%s closed the connection before it answered (%s)", target, cause(err)),
			Hint:    "look into the service's log: it accepted the connection and dropped it",
		}
	}
	return &plugin.Error{
		Code: plugin.CodeProtocol, Cause: err,
		Message: fmt.Sprintf("%s did not answer in HTTP: %s", target, cause(err)),
		Hint:    "check that the port speaks HTTP, and http or https in config.url",
	}
}

func (x *exchange) dialFault(err error, target string) error {
	what := cause(err)
	e := &plugin.Error{Code: plugin.CodeConn, Cause: err, Message: fmt.Sprintf("%s: %s", what, target)}
	if list := x.trace.addresses(); len(list) > 0 {
		e.Details = []string{"dialled " + strings.Join(list, " · ")}
	}
	host, _, splitErr := net.SplitHostPort(target)
	if splitErr != nil {
		host = target
	}
	switch ip := net.ParseIP(host); {
	case host == "localhost" || ip != nil && ip.IsLoopback():
		e.Hint = fmt.Sprintf("%q is the machine that runs the flow: is the service started there, on this port?", host)
	default:
		e.Hint = "is the service started, and may this machine reach it?"
	}
	return e
}

// timeout says which limit was reached and where; a cancelled step is the
// engine's to explain.
func (x *exchange) timeout(ctx context.Context, err error, target string) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return &plugin.Error{
		Code: plugin.CodeTimeout, Cause: err,
		Message: fmt.Sprintf("no answer from %s in time: it ran out %s", target, x.trace.phase()),
		Hint:    "raise the step's timeout, or find out why the service is slow",
		Details: x.trace.addresses(),
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

func tlsFault(err error, target string) error {
	e := &plugin.Error{Code: plugin.CodeTLS, Cause: err}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &host):
		e.Message = fmt.Sprintf("the certificate of %s is for another name: %s", target, host.Error())
		e.Hint = "use the name in the certificate, or set tls.server_name"
	case errors.As(err, &unknown):
		e.Message = fmt.Sprintf("the certificate of %s is signed by an authority that is not trusted", target)
		e.Hint = "name the authority with tls.ca_file, or switch the check off with tls: {verify: false}"
	case errors.As(err, &invalid):
		e.Message = fmt.Sprintf("the certificate of %s is not valid: %s", target, invalid.Error())
	case errors.As(err, &record):
		e.Message = fmt.Sprintf("%s does not speak TLS on this port", target)
		e.Hint = "write http:// instead of https://, or use the TLS port"
	case errors.As(err, &alert):
		e.Message = fmt.Sprintf("%s refused the TLS handshake: %s", target, alert.Error())
		e.Hint = "does it ask for a client certificate (tls.cert_file and tls.key_file), or another TLS version?"
	case errors.As(err, &verify):
		e.Message = fmt.Sprintf("the certificate of %s could not be checked: %s", target, cause(verify.Err))
	case strings.HasPrefix(cause(err), "tls: ") || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.Message = fmt.Sprintf("TLS with %s failed: %s", target, strings.TrimPrefix(cause(err), "tls: "))
		e.Hint = "check http or https in config.url"
	default:
		return nil
	}
	return e
}

// bodyFault turns a body that could not be read to its end into words.
func (x *exchange) bodyFault(ctx context.Context, err error) error {
	if ctx.Err() != nil || isTimeout(err) {
		return x.timeout(ctx, err, x.config.URL)
	}
	e := &plugin.Error{Code: plugin.CodeBody, Cause: err}
	var enc *encodingError
	switch {
	case errors.As(err, &enc):
		e.Message = enc.Error()
	case errors.Is(err, syscall.ECONNRESET):
		e.Code, e.Message = plugin.CodeConn, "the connection was reset in the middle of the body"
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		e.Message = "the body ended before its announced length"
		e.Hint = "the service, or a proxy before it, closed the connection early"
	default:
		e.Message = "read the body: " + cause(err)
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

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}
