package http

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// redirecting answers /STATUS with a redirect to ?to= and everything else with 200.
func redirecting(w http.ResponseWriter, r *http.Request) {
	if status, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/")); err == nil {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Location", to)
		}
		w.Header().Set("Set-Cookie", "hop=1")
		w.WriteHeader(status)
	}
}

func TestRedirectsRepeatTheRequestOrAskForThePlace(t *testing.T) {
	tests := map[string]struct {
		status           int
		method           string
		wantMethod, body string
	}{
		"301 of GET":    {301, "GET", "GET", ""},
		"301 of POST":   {301, "POST", "GET", ""},
		"302 of POST":   {302, "POST", "GET", ""},
		"302 of HEAD":   {302, "HEAD", "HEAD", ""},
		"303 of PUT":    {303, "PUT", "GET", ""},
		"307 of POST":   {307, "POST", "POST", `{"a":1}`},
		"308 of DELETE": {308, "DELETE", "DELETE", `{"a":1}`},
	}
	server := record(t, redirecting)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := m{"method": test.method, "url": fmt.Sprintf("%s/%d?to=/there?q%%3D1", server.URL, test.status), "headers": m{"X-Own": "kept"}}
			if test.method != "GET" && test.method != "HEAD" {
				config["json"] = m{"a": 1}
			}
			got := newCaller(t, Config{}).do(config)
			last := server.last(t)
			want := seen{Method: test.wantMethod, URI: "/there?q=1", Body: test.body}
			if last.Method != want.Method || last.URI != want.URI || last.Body != want.Body || last.Header.Get("X-Own") != "kept" {
				t.Errorf("got %s %s with %q, want %s %s with %q", last.Method, last.URI, last.Body, want.Method, want.URI, want.Body)
			}
			if kept := last.Header.Get("Content-Type") != ""; kept != (test.body != "") {
				t.Errorf("got Content-Type %q for a body %q", last.Header.Get("Content-Type"), test.body)
			}
			if diff := cmp.Diff(l{config["url"]}, got["redirects"]); diff != "" {
				t.Errorf("redirects (-want +got):\n%s", diff)
			}
			if got["url"] != server.URL+"/there?q=1" || got["status"] != 200.0 || got["cookies"].(m)["hop"] != "1" {
				t.Errorf("got %v of %v with cookies %v", got["status"], got["url"], got["cookies"])
			}
		})
	}
}

func TestRedirectsThatAreNotFollowed(t *testing.T) {
	server := record(t, redirecting)
	tests := map[string]m{
		"because the flow says so":   {"url": server.URL + "/302?to=/x", "follow_redirects": false},
		"because they name no place": {"url": server.URL + "/302"},
		"because 300 offers several": {"url": server.URL + "/300?to=/x"},
		"because 304 is no redirect": {"url": server.URL + "/304?to=/x"},
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			got := newCaller(t, Config{}).do(config)
			if got["status"].(float64) < 300 || len(got["redirects"].(l)) > 0 {
				t.Errorf("got %v after %v", got["status"], got["redirects"])
			}
		})
	}
}

func TestRedirectsWithoutEndAndToNowhere(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/loop") {
			http.Redirect(w, r, "/loop"+strconv.Itoa(len(r.URL.Path)), http.StatusFound)
			return
		}
		redirecting(w, r)
	})
	tests := map[string]struct {
		config m
		want   string
	}{
		"a loop":              {m{"url": server.URL + "/loop"}, "more than 10 redirects, the last to " + server.URL + "/loop"},
		"a shorter leash":     {m{"url": server.URL + "/loop", "max_redirects": 2}, "more than 2 redirects"},
		"none allowed":        {m{"url": server.URL + "/loop", "max_redirects": 0}, "more than 0 redirects"},
		"to an app":           {m{"url": server.URL + "/302?to=myapp://callback"}, `redirects to "myapp://callback", which is not http or https`},
		"to a broken place":   {m{"url": server.URL + "/302?to=http://[::1"}, "a Location that is not a URL"},
		"to nobody":           {m{"url": server.URL + "/302?to=http:///x"}, "a Location without a host"},
		"to a place of files": {m{"url": server.URL + "/302?to=file:///etc/passwd"}, "which is not http or https"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := newCaller(t, Config{}).fail(test.config)
			if err.Code != plugin.CodeProtocol || err.Hint == "" {
				t.Errorf("got code %s and hint %q, want E-PROTOCOL and what to do", err.Code, err.Hint)
			}
			contains(t, err.Message, test.want)
		})
	}
	c := newCaller(t, Config{})
	before := len(server.all())
	err := c.fail(m{"url": server.URL + "/loop", "max_redirects": 3})
	if got := len(server.all()) - before; got != 4 || len(err.Details) != 4 {
		t.Errorf("the server got %d requests, want 4, told as %v", got, err.Details)
	}
}

func TestALocationWithASpaceIsUnderstood(t *testing.T) {
	server := record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			w.Header()["Location"] = []string{"/b c?d=e f#x"}
			w.WriteHeader(http.StatusFound)
		}
	})
	newCaller(t, Config{}).do(m{"url": server.URL + "/a"})
	if got := server.last(t).URI; got != "/b%20c?d=e%20f" {
		t.Errorf("got %q, want /b%%20c?d=e%%20f", got)
	}
}

func TestCredentialsStayWithTheirOrigin(t *testing.T) {
	elsewhere := record(t, redirecting)
	home := record(t, redirecting)
	away := home.URL + "/307?to=" + elsewhere.URL + "/x"
	proofs := map[string]m{
		"bearer":               {"auth": m{"type": "bearer", "token": "hunter2"}},
		"basic":                {"auth": m{"type": "basic", "username": "a", "password": "hunter2"}},
		"a key in a header":    {"auth": m{"type": "api_key", "name": "X-Key", "value": "hunter2"}},
		"a key in the query":   {"auth": m{"type": "api_key", "name": "k", "value": "hunter2", "location": "query"}},
		"a key in a cookie":    {"auth": m{"type": "api_key", "name": "k", "value": "hunter2", "location": "cookie"}},
		"signed":               {"auth": m{"type": "aws_sigv4", "access_key": "hunter2", "secret_key": "s", "region": "r", "service": "s"}},
		"a header of the flow": {"headers": m{"authorization": "hunter2", "x-api-key": "hunter2"}},
		"a cookie of the flow": {"cookies": m{"session": "hunter2"}},
		"a header of cookies":  {"headers": m{"Cookie": "session=hunter2"}},
		"a user in the URL":    {"url": strings.Replace(away, "http://", "http://a:hunter2@", 1)},
		"and on the way back":  {"auth": m{"type": "bearer", "token": "hunter2"}, "url": home.URL + "/307?to=" + elsewhere.URL + "/307%3Fto%3D" + home.URL + "/back"},
	}
	for name, config := range proofs {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, Config{})
			if config["url"] == nil {
				config["url"] = away
			}
			before := len(home.all())
			c.do(config)
			if first := home.all()[before]; !strings.Contains(fmt.Sprint(first), "hunter2") && !strings.Contains(fmt.Sprint(first.Header), "Basic") {
				t.Errorf("the first request has no credentials: %v", first)
			}
			last := elsewhere.last(t)
			if strings.Contains(name, "way back") {
				last = home.last(t)
				if last.URI != "/back" {
					t.Fatalf("the last request went to %s", last.URI)
				}
			}
			for _, h := range []string{"Authorization", "X-Key", "X-Api-Key", "X-Amz-Date"} {
				if last.Header.Get(h) != "" {
					t.Errorf("%s went along: %s", h, last.Header.Get(h))
				}
			}
			if strings.Contains(fmt.Sprint(last), "hunter2") {
				t.Errorf("the secret went along: %v", last)
			}
		})
	}
}

func TestCredentialsGoAlongWithinAnOrigin(t *testing.T) {
	server := record(t, redirecting)
	c := newCaller(t, Config{})
	c.do(m{"url": server.URL + "/302?to=/x", "auth": m{"type": "bearer", "token": "t"}, "cookies": m{"a": "1"}, "headers": m{"Host": "shop.test"}})
	last := server.last(t)
	if last.Header.Get("Authorization") != "Bearer t" || last.Header.Get("Cookie") != "a=1; hop=1" || last.Host != "shop.test" {
		t.Errorf("got %v for %s", last.Header, last.Host)
	}
}

func TestWhatAnOriginIs(t *testing.T) {
	tests := map[string]struct {
		from, to string
		want     bool
	}{
		"the same":                 {"http://h/a", "http://H/b", true},
		"the usual port, said":     {"https://h/a", "https://h:443/b", true},
		"another port":             {"http://h:80/a", "http://h:81/b", false},
		"another host":             {"http://h/a", "http://g/b", false},
		"a host below":             {"http://h/a", "http://api.h/b", false},
		"from http to https":       {"http://h/a", "https://h/b", true},
		"to https on another port": {"http://h:8080/a", "https://h:8443/b", false},
		"from https to http":       {"https://h/a", "http://h/b", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			from, to := mustURL(t, test.from), mustURL(t, test.to)
			if got := sameOrigin(from, to); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
