package http

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// follow sends the request and follows its redirects as far as the flow allows.
func (x *exchange) follow(ctx context.Context, hr *http.Request) (*http.Response, error) {
	limit := DefaultMaxRedirects
	if x.config.MaxRedirects != nil {
		limit = *x.config.MaxRedirects
	}
	for {
		res, err := x.ask(ctx, hr)
		if err != nil || !isTrue(x.config.FollowRedirects) {
			return res, err
		}
		method, keepsBody, redirected := redirectedMethod(res.StatusCode, hr.Method)
		location := first(res.Header["Location"])
		if !redirected || location == "" {
			return res, nil
		}
		drain(res)
		x.redirects = append(x.redirects, hr.URL.String())
		next, err := redirectTarget(hr.URL, location, res.StatusCode)
		if err != nil {
			return nil, err
		}
		if len(x.redirects) > limit {
			return nil, x.tooManyRedirects(limit, next)
		}
		hr = x.redirect(hr, next, method, keepsBody)
	}
}

// redirectedMethod is what a redirect makes of a method (RFC 9110 section
// 15.4, and what browsers do): 307 and 308 repeat the request, the others ask
// for the new place.
func redirectedMethod(status int, method string) (next string, keepsBody, redirected bool) {
	switch status {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return method, true, true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		if method == http.MethodHead {
			return method, false, true
		}
		return http.MethodGet, false, true
	}
	return "", false, false // 300 and 304 name no place to go on to
}

func redirectTarget(from *url.URL, location string, status int) (*url.URL, error) {
	const hint = "stop at the redirect with follow_redirects: false, and read headers.Location"
	fault := func(format string, args ...any) error {
		return &plugin.Error{Code: plugin.CodeProtocol, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	// As browsers do: a Location with a space, or past ASCII, is meant.
	next, err := from.Parse(escapePath(escape(location, " ")))
	if err != nil {
		return nil, fault("%s answered %d with a Location that is not a URL: %q", from.Host, status, clip(location))
	}
	if next.Scheme != "http" && next.Scheme != "https" {
		return nil, fault("%s redirects to %q, which is not http or https", from.Host, clip(location))
	}
	if next.Hostname() == "" {
		return nil, fault("%s answered %d with a Location without a host: %q", from.Host, status, clip(location))
	}
	next.User, next.Fragment, next.RawFragment = nil, "", ""
	next.RawQuery = escape(next.RawQuery, `"<>`)
	return next, nil
}

func (x *exchange) tooManyRedirects(limit int, next *url.URL) error {
	e := &plugin.Error{
		Code:    plugin.CodeProtocol,
		Message: fmt.Sprintf("more than %d redirects, the last to %s", limit, clip(next.String())),
		Hint:    "raise config.max_redirects, or stop at the first with follow_redirects: false",
	}
	const shown = 4
	for _, u := range x.redirects[max(0, len(x.redirects)-shown):] {
		e.Details = append(e.Details, "redirected by "+clip(u))
	}
	return e
}

// redirect makes the request for the place that a redirect names.
func (x *exchange) redirect(hr *http.Request, next *url.URL, method string, keepsBody bool) *http.Request {
	out := copyRequest(hr)
	out.URL, out.Method = next, method
	out.Header.Del("Cookie")
	if !sameOrigin(hr.URL, next) {
		x.left = true
		out.Host = ""
		for _, name := range [...]string{"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token", "X-Csrf-Token"} {
			out.Header.Del(name)
		}
	}
	if !keepsBody {
		out.GetBody, out.ContentLength, out.TransferEncoding = nil, 0, nil
		for _, name := range [...]string{"Content-Type", "Content-Encoding", "Content-Language", "Content-Location"} {
			out.Header.Del(name)
		}
	}
	return out
}

// sameOrigin tells whether credentials may go along: to the same scheme, host
// and port, or from http to https on their usual ports. Once another origin was
// reached they stay behind, also on the way back.
func sameOrigin(from, to *url.URL) bool {
	if !strings.EqualFold(from.Hostname(), to.Hostname()) {
		return false
	}
	if from.Scheme == to.Scheme {
		return portOf(from) == portOf(to)
	}
	return from.Scheme == "http" && portOf(from) == "80" && portOf(to) == "443"
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
