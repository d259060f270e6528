// Package probe asks once whether something answers at a URL, for wait_for:
// http, https, tcp and grpc. It never waits and never judges more than that an
// answer came and is one.
package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// timeout bounds one probe, so that a server that accepts and is silent does
// not use up the whole wait.
const timeout = 5 * time.Second

// Prober asks. It may be used concurrently.
type Prober struct {
	rules *plugin.Egress
	web   *http.Client
	grpc  *http.Client // HTTP/2 without TLS, with prior knowledge
}

// New makes a Prober.
func New() *Prober { return Within(nil) }

// Within makes a Prober that keeps to the rules of the machine; nil: there are none.
func Within(rules *plugin.Egress) *Prober {
	var cleartext http.Protocols
	cleartext.SetUnencryptedHTTP2(true)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Prober{
		rules: rules,
		web: &http.Client{
			Transport:     &http.Transport{DialContext: rules.DialContext(&net.Dialer{}), Proxy: guarded(rules), DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
			CheckRedirect: stay,
		},
		grpc: &http.Client{Transport: &http.Transport{DialContext: rules.DialContext(&net.Dialer{}), Protocols: &cleartext, DisableKeepAlives: true}, CheckRedirect: stay},
	}
}

// Probe returns nil where something answers: http and https with a status below
// 500, tcp with a connection, grpc with a health check of SERVING, or without
// a health service at all.
func (p *Prober) Probe(ctx context.Context, target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return plugin.Definitionf("url", "is no URL: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	switch u.Scheme {
	case "http", "https":
		return p.http(ctx, target)
	case "tcp":
		return p.dial(ctx, u)
	case "grpc":
		return p.health(ctx, u)
	}
	return plugin.Definitionf("url", "%q is not http://, https://, tcp:// or grpc://", target)
}

func (p *Prober) http(ctx context.Context, target string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := p.web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%s answers %s", target, resp.Status)
	}
	return nil
}

func (p *Prober) dial(ctx context.Context, u *url.URL) error {
	if u.Port() == "" {
		return plugin.Definitionf("url", "%s has no port", u.Redacted())
	}
	conn, err := p.rules.Dial(ctx, &net.Dialer{}, "tcp", u.Host)
	if err != nil {
		return err
	}
	return conn.Close()
}

// guarded is the environment's proxy, asked for what the rules let through only.
func guarded(rules *plugin.Egress) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		through, err := http.ProxyFromEnvironment(req)
		if err == nil && through != nil {
			err = rules.BeyondURL(req.Context(), req.URL)
		}
		return through, err
	}
}
