package http

import (
	"net/http"
	"net/url"
	"testing"
)

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// login sets a cookie at /login.
func login(cookie string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			w.Header().Add("Set-Cookie", cookie)
		}
	}
}

func TestCookiesOfARunAreItsOwn(t *testing.T) {
	server := record(t, login("session=abc; Path=/; HttpOnly"))
	c := newCaller(t, Config{})
	sent := func(config m) string {
		t.Helper()
		config["url"] = server.URL + "/x"
		c.do(config)
		return server.last(t).Header.Get("Cookie")
	}
	if got := c.do(m{"url": server.URL + "/login"})["cookies"].(m)["session"]; got != "abc" {
		t.Errorf("the result has session %v, want abc", got)
	}
	tests := []struct {
		name   string
		config m
		want   string
	}{
		{"the next request sends them", m{}, "session=abc"},
		{"beside its own", m{"cookies": m{"a": 1}}, "a=1; session=abc"},
		{"its own win", m{"cookies": m{"session": "mine"}}, "session=mine"},
		{"the jar can be left out", m{"cookie_jar": false}, ""},
	}
	for _, test := range tests {
		if got := sent(test.config); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	c.req.RunID = "run-2"
	if got := sent(m{}); got != "" {
		t.Errorf("another run sent %q", got)
	}
	c.req.RunID = "run-1"
	c.plugin.EndRun("run-1")
	if got := sent(m{}); got != "" {
		t.Errorf("after the run's end %q was sent", got)
	}
	c.do(m{"url": server.URL + "/login", "cookie_jar": false})
	if got := sent(m{}); got != "" {
		t.Errorf("a response without jar left %q", got)
	}
}

func TestSecureCookiesWorkOnTheMachineItself(t *testing.T) {
	server := record(t, login("s=1; Secure; Path=/"))
	c := newCaller(t, Config{})
	c.do(m{"url": server.URL + "/login"})
	c.do(m{"url": server.URL + "/x"})
	if got := server.last(t).Header.Get("Cookie"); got != "s=1" {
		t.Errorf("got %q, want the Secure cookie on loopback", got)
	}
	for host, want := range map[string]string{
		"http://localhost/": "https", "http://app.localhost/": "https", "http://[::1]:80/": "https", "http://127.9.9.9/": "https",
		"http://example.com/": "http", "http://10.0.0.1/": "http", "https://example.com/": "https",
	} {
		if got := secureView(mustURL(t, host)).Scheme; got != want {
			t.Errorf("%s: got %s, want %s", host, got, want)
		}
	}
}

func TestACookieForAWholeRegistryIsRefused(t *testing.T) {
	proxy := record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			w.Header().Add("Set-Cookie", "bad=1; Domain=co.uk")
			w.Header().Add("Set-Cookie", "good=1; Domain=shop.co.uk")
		}
	})
	c := newCaller(t, Config{})
	c.do(m{"url": "http://www.shop.co.uk/login", "proxy": proxy.URL})
	c.do(m{"url": "http://api.shop.co.uk/x", "proxy": proxy.URL})
	if got := proxy.last(t).Header.Get("Cookie"); got != "good=1" {
		t.Errorf("the sibling got %q, want good=1", got)
	}
	c.do(m{"url": "http://other.co.uk/x", "proxy": proxy.URL})
	if got := proxy.last(t).Header.Get("Cookie"); got != "" {
		t.Errorf("a stranger got %q", got)
	}
}

func TestACookieIsEndedByTheServer(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/login":
			http.SetCookie(w, &http.Cookie{Name: "s", Value: "1"})
		case "/logout":
			http.SetCookie(w, &http.Cookie{Name: "s", MaxAge: -1})
		}
	})
	c := newCaller(t, Config{})
	for _, path := range []string{"/login", "/logout", "/x"} {
		c.do(m{"url": server.URL + path})
	}
	if got := server.last(t).Header.Get("Cookie"); got != "" {
		t.Errorf("got %q after the logout", got)
	}
}
