package tlsclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// Fault gives a handshake with target ("db:5432") that failed its words; nil: err
// is about something else, and NetError knows what.
func Fault(err error, target string) *plugin.Error {
	if e := certificateFault(err, target); e != nil {
		return e
	}
	what := strings.TrimPrefix(innermost(err), "tls: ")
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &record):
		return fault(err, "go on without TLS, or use the TLS port", "%s does not speak TLS on this port", target)
	case strings.Contains(what, "protocol version"):
		return fault(err, "lower tls.min_version, 1.2 by default, if the service is meant to be that old", "%s and tls.min_version have no version of TLS in common", target)
	case errors.As(err, &op) && op.Op == "remote error" && strings.Contains(what, "certificate required"):
		return fault(err, "give tls.cert_file and tls.key_file", "%s asks for a client certificate, and got none", target)
	case errors.As(err, &op) && op.Op == "remote error":
		return fault(err, "does it want another client certificate (tls.cert_file and tls.key_file), server name or TLS version?", "%s refused the TLS handshake: %s", target, what)
	case strings.HasPrefix(innermost(err), "tls: "):
		return fault(err, "does this port speak TLS? see tls.min_version, too", "TLS with %s failed: %s", target, what)
	}
	return nil
}

func fault(err error, hint, format string, args ...any) *plugin.Error {
	e := plugin.Errorf(plugin.CodeTLS, format, args...).WithHint("%s", hint)
	e.Cause = err
	return e
}

func certificateFault(err error, target string) *plugin.Error {
	const off = "switch the check off with tls: {verify: false}"
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	switch {
	case errors.As(err, &host):
		return fault(err, "use the name in the certificate, or set tls.server_name", "the certificate of %s is for another name: %s", target, strings.TrimPrefix(host.Error(), "x509: "))
	case errors.As(err, &unknown):
		return fault(err, "name the authority with tls.ca_file, or "+off, "the certificate of %s is signed by an authority that is not trusted", target)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault(err, "renew it, check the clock of this machine, or "+off, "the certificate of %s is not valid now: it holds from %s to %s", target, day(invalid.Cert, false), day(invalid.Cert, true))
	case errors.As(err, &verify):
		return fault(err, off, "the certificate of %s could not be checked: %s", target, strings.TrimPrefix(innermost(verify.Err), "x509: "))
	}
	return nil
}

func day(cert *x509.Certificate, end bool) string {
	at := cert.NotBefore
	if end {
		at = cert.NotAfter
	}
	return at.UTC().Format("2006-01-02 15:04:05")
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
