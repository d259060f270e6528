package http

import (
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// newJar makes a run's cookie jar. Like a browser it refuses cookies for whole
// registries (co.uk), by the public suffix list.
func newJar() *cookiejar.Jar {
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil { // New has no way to fail
		panic(err)
	}
	return jar
}

// addCookies writes the Cookie header: the flow's own, which win, then those of
// the run's jar.
func (x *exchange) addCookies(hr *http.Request) {
	c := &x.config
	var out strings.Builder
	add := func(name, value string) {
		if out.Len() > 0 {
			out.WriteString("; ")
		}
		out.WriteString(name)
		out.WriteByte('=')
		out.WriteString(value)
	}
	if !x.left {
		out.WriteString(strings.Join(c.cookieHeader, "; "))
		for _, name := range sortedKeys(c.Cookies) {
			add(name, string(c.Cookies[name]))
		}
	}
	if isTrue(c.CookieJar) {
		for _, cookie := range x.run.cookies(hr.URL) {
			if _, own := c.Cookies[cookie.Name]; !own || x.left {
				add(cookie.Name, cookie.Value)
			}
		}
	}
	if out.Len() > 0 {
		hr.Header["Cookie"] = []string{out.String()}
	}
}

// takeCookies keeps what a response set, for the run and for the result.
func (x *exchange) takeCookies(u *url.URL, res *http.Response) {
	if len(res.Header["Set-Cookie"]) == 0 {
		return
	}
	cookies := res.Cookies()
	if isTrue(x.config.CookieJar) {
		x.run.setCookies(u, cookies)
	}
	for _, cookie := range cookies {
		x.cookies = slices.DeleteFunc(x.cookies, func(c *http.Cookie) bool { return c.Name == cookie.Name })
		x.cookies = append(x.cookies, cookie)
	}
}

// secureView is the URL by which the jar judges Secure cookies: on the machine
// itself plain http counts as secure, as in browsers, or no login that works in
// production could be tested there.
func secureView(u *url.URL) *url.URL {
	if u.Scheme != "http" {
		return u
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host != "localhost" && !strings.HasSuffix(host, ".localhost") && (ip == nil || !ip.IsLoopback()) {
		return u
	}
	out := *u
	out.Scheme = "https"
	return &out
}
