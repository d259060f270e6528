package http

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// describeTLS fills in what went wrong in the handshake, if that is what err is
// about.
func describeTLS(e *plugin.Error, err error, target string) bool {
	if describeCertificate(e, err, target) {
		return true
	}
	what := strings.TrimPrefix(cause(err), "tls: ")
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &record) || strings.Contains(what, "server gave HTTP response to HTTPS client"):
		e.Message = fmt.Sprintf("%s does not speak TLS on this port", target)
		e.Hint = "write http:// instead of https://, or use the TLS port"
	case strings.Contains(what, "no application protocol") || strings.Contains(what, "unadvertised ALPN protocol"):
		e.Message = fmt.Sprintf("%s does not speak HTTP/2", target)
		e.Hint = "leave config.http_version out"
	case strings.Contains(what, "protocol version"):
		e.Message = fmt.Sprintf("%s and tls.min_version have no version of TLS in common", target)
		e.Hint = "lower tls.min_version, 1.2 by default, if the service is meant to be that old"
	case errors.As(err, &op) && op.Op == "remote error":
		e.Message = fmt.Sprintf("%s refused the TLS handshake: %s", target, what)
		e.Hint = "does it want another client certificate (tls.cert_file and tls.key_file), server name or TLS version?"
	case strings.HasPrefix(cause(err), "tls: "):
		e.Message = fmt.Sprintf("TLS with %s failed: %s", target, what)
		e.Hint = "check http or https in config.url, and tls.min_version"
	default:
		return false
	}
	return true
}

// describeRefusal is about a server that asked for a client certificate and did
// not like what it got.
func (x *exchange) describeRefusal(e *plugin.Error, err error, target string) bool {
	var op *net.OpError
	alert := errors.As(err, &op) && op.Op == "remote error"
	if !alert && !isClosed(err) && !strings.Contains(err.Error(), "could not be established") {
		return false
	}
	if c := x.config.TLS; c.Cert == "" && c.CertFile == "" {
		e.Message = fmt.Sprintf("%s asks for a client certificate, and got none", target)
		e.Hint = "give tls.cert_file and tls.key_file"
		return true
	}
	e.Message = fmt.Sprintf("%s refused the client certificate", target)
	if alert {
		e.Message += ": " + strings.TrimPrefix(cause(err), "tls: ")
	}
	e.Hint = "is it the right one, and does the service trust its issuer?"
	return true
}

func describeCertificate(e *plugin.Error, err error, target string) bool {
	const off = "switch the check off with tls: {verify: false}"
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &host):
		e.Message = fmt.Sprintf("the certificate of %s is for another name: %s", target, strings.TrimPrefix(host.Error(), "x509: "))
		e.Hint = "use the name in the certificate, or set tls.server_name"
	case errors.As(err, &unknown):
		e.Message = fmt.Sprintf("the certificate of %s is signed by an authority that is not trusted", target)
		e.Hint = "name the authority with tls.ca_file, or " + off
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		e.Message = fmt.Sprintf("the certificate of %s is not valid now: it holds from %s to %s", target,
			invalid.Cert.NotBefore.UTC().Format("2006-01-02 15:04:05"), invalid.Cert.NotAfter.UTC().Format("2006-01-02 15:04:05"))
		e.Hint = "renew it, check the clock of this machine, or " + off
	case errors.As(err, &invalid):
		e.Message = fmt.Sprintf("the certificate of %s is not valid: %s", target, strings.TrimPrefix(invalid.Error(), "x509: "))
		e.Hint = off
	case errors.As(err, &verify):
		e.Message = fmt.Sprintf("the certificate of %s could not be checked: %s", target, strings.TrimPrefix(cause(verify.Err), "x509: "))
		e.Hint = off
	default:
		return false
	}
	return true
}
