package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// send builds the request, sends it, and reads the answer.
func (p *Plugin) send(ctx context.Context, c *config, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.Timeout))
		defer cancel()
	}
	tr, err := p.transportFor(c, req)
	if err != nil {
		return nil, err
	}
	body, err := c.buildBody(req)
	if err != nil {
		return nil, err
	}
	x := &exchange{config: c, run: p.run(req.RunID), transport: tr, body: body, trace: newTrace()}
	ctx = x.trace.attach(ctx)
	hr, err := p.newRequest(ctx, c, body, req)
	if err != nil {
		return nil, err
	}
	res, err := x.do(hr)
	if err != nil {
		x.report(out, req, hr, nil, nil)
		return nil, x.fault(ctx, err)
	}
	defer res.Body.Close()
	answer, err := readAnswer(c, res)
	if err != nil {
		x.report(out, req, hr, res, answer)
		return nil, x.bodyFault(ctx, err)
	}
	x.trace.finish()
	x.report(out, req, hr, res, answer)
	result, err := x.result(res, answer)
	if err != nil {
		return nil, err
	}
	return &plugin.Response{Result: result, Secrets: x.secrets, Limited: answer.limited}, nil
}

// newRequest makes the request without its authentication.
func (p *Plugin) newRequest(ctx context.Context, c *config, body *requestBody, req *plugin.Request) (*http.Request, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, configError("url", "", "config.url %q is not a URL", c.URL)
	}
	if err := addQuery(u, c.Query); err != nil {
		return nil, err
	}
	reader, err := body.open()
	if err != nil {
		return nil, err
	}
	hr, err := http.NewRequestWithContext(ctx, c.Method, u.String(), reader)
	if err != nil {
		return nil, configError("method", "", "config.method: %s", err)
	}
	hr.ContentLength = body.size
	if body.size == 0 {
		hr.Body = http.NoBody
	}
	hr.GetBody = body.open
	if body.contentType != "" {
		hr.Header.Set("Content-Type", body.contentType)
	}
	hr.Header.Set("User-Agent", p.userAgent)
	hr.Header.Set("Accept", "*/*")
	if isTrue(c.Compressed) {
		hr.Header.Set("Accept-Encoding", acceptEncoding)
	}
	if req.TraceParent != "" && isTrue(c.TraceParent) {
		hr.Header.Set("Traceparent", req.TraceParent)
	}
	if err := setHeaders(hr, c.Headers); err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(c.Cookies) {
		v, err := scalar(c.Cookies[name])
		if err != nil {
			return nil, configError("cookies."+name, "", "config.cookies.%s: %s", name, err)
		}
		hr.AddCookie(&http.Cookie{Name: name, Value: v})
	}
	return hr, nil
}

func addQuery(u *url.URL, query map[string]json.RawMessage) error {
	if len(query) == 0 {
		return nil
	}
	var parts []string
	if u.RawQuery != "" {
		parts = append(parts, u.RawQuery)
	}
	for _, name := range sortedKeys(query) {
		list, err := values(query[name])
		if err != nil {
			return configError("query."+name, "", "config.query.%s: %s", name, err)
		}
		for _, v := range list {
			parts = append(parts, url.QueryEscape(name)+"="+url.QueryEscape(v))
		}
	}
	u.RawQuery = strings.Join(parts, "&")
	return nil
}

func setHeaders(hr *http.Request, headers map[string]json.RawMessage) error {
	for _, name := range sortedKeys(headers) {
		list, err := values(headers[name])
		if err != nil {
			return configError("headers."+name, "", "config.headers.%s: %s", name, err)
		}
		if strings.ContainsAny(name, "\r\n\x00") || slices.ContainsFunc(list, func(v string) bool { return strings.ContainsAny(v, "\r\n\x00") }) {
			return configError("headers."+name, "", "config.headers.%s holds a line break", name)
		}
		if strings.EqualFold(name, "host") {
			if len(list) > 0 {
				hr.Host = list[0]
			}
			continue
		}
		hr.Header.Del(name)
		if len(list) == 0 && strings.EqualFold(name, "User-Agent") {
			hr.Header["User-Agent"] = nil // net/http's own way of sending none
		}
		for _, v := range list {
			hr.Header.Add(name, v)
		}
	}
	return nil
}

// exchange is one request under way, with its redirects.
type exchange struct {
	config    *config
	run       *run
	transport *http.Transport
	body      *requestBody
	trace     *trace
	redirects []string
	secrets   []plugin.Secret
	curl      string
}

// do sends the request with its authentication, and once more where the server
// rejected a cached token.
func (x *exchange) do(hr *http.Request) (*http.Response, error) {
	prove, err := x.authorizer()
	if err != nil {
		return nil, err
	}
	res, err := x.follow(hr, prove)
	if err != nil || res.StatusCode != http.StatusUnauthorized || prove == nil || !prove.renew(hr.Context(), res) {
		return res, err
	}
	drain(res)
	x.redirects = nil
	again := hr.Clone(hr.Context())
	if again.Body, err = x.body.open(); err != nil {
		return nil, err
	}
	return x.follow(again, prove)
}

var errTooManyRedirects = errors.New("too many redirects")

// follow sends the request and follows its redirects.
func (x *exchange) follow(hr *http.Request, prove authorizer) (*http.Response, error) {
	limit := DefaultMaxRedirects
	if x.config.MaxRedirects != nil {
		limit = *x.config.MaxRedirects
	}
	client := &http.Client{
		Transport: &authorizing{next: x.transport, prove: prove, host: hr.URL.Host, sent: x},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if !isTrue(x.config.FollowRedirects) {
				return http.ErrUseLastResponse
			}
			if len(via) > limit {
				return errTooManyRedirects
			}
			x.redirects = append(x.redirects, via[len(via)-1].URL.String())
			return nil
		},
	}
	if isTrue(x.config.CookieJar) {
		client.Jar = x.run.jar
	}
	return client.Do(hr)
}

// authorizing adds the proof to every request that goes to the host that the
// flow named, and to no other: a redirect elsewhere must not carry credentials.
type authorizing struct {
	next  http.RoundTripper
	prove authorizer
	host  string
	sent  *exchange
}

// RoundTrip implements http.RoundTripper.
func (a *authorizing) RoundTrip(hr *http.Request) (*http.Response, error) {
	if a.prove == nil || hr.URL.Host != a.host {
		return a.next.RoundTrip(hr)
	}
	return a.prove.roundTrip(a.next, hr)
}

// drain lets the connection be used again, reading no more than a little.
func drain(res *http.Response) {
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10)
	res.Body.Close()
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	return sorted(keys)
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func jsonText(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage(fmt.Sprintf("%q", err))
	}
	return text
}
