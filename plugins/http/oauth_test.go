package http

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// issuer is an authorization server and the API behind it: at /token it gives
// tokens t1, t2, …; everything else wants a token that it has not revoked.
type issuer struct {
	*recordingServer
	life    int  // seconds; 0: not said
	rotates bool // gives refresh tokens r1, r2, …, each good for once

	mu      sync.Mutex
	issued  int
	revoked map[string]bool
	forms   []url.Values
	clients []string // how each client proved itself
}

func newIssuer(t *testing.T, life int) *issuer {
	t.Helper()
	s := &issuer{life: life, revoked: map[string]bool{}}
	s.recordingServer = record(t, s.serve)
	return s
}

func (s *issuer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path != "/token" {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !strings.HasPrefix(token, "t") || s.revoked[token] {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, token)
		return
	}
	form, _ := url.ParseQuery(s.list[len(s.list)-1].Body)
	s.forms = append(s.forms, form)
	user, password, _ := r.BasicAuth()
	s.clients = append(s.clients, user+":"+password)
	if password == "wrong" || form.Get("client_secret") == "wrong" || s.revoked[form.Get("refresh_token")] {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error": "invalid_client", "error_description": "no such client"}`)
		return
	}
	s.issued++
	answer := m{"access_token": fmt.Sprintf("t%d", s.issued), "token_type": "bearer", "id_token": fmt.Sprintf("id%d", s.issued)}
	if s.life > 0 {
		answer["expires_in"] = s.life
	}
	if s.rotates {
		answer["refresh_token"] = fmt.Sprintf("r%d", s.issued)
		s.revoked[form.Get("refresh_token")] = form.Get("refresh_token") != ""
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *issuer) revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked[token] = true
}

func (s *issuer) asked() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.forms...)
}

func (s *issuer) step(pairs ...any) m {
	auth := m{"type": "oauth2", "token_url": s.URL + "/token", "client_id": "shop", "client_secret": "s&cret"}
	for i := 0; i < len(pairs); i += 2 {
		auth[pairs[i].(string)] = pairs[i+1]
	}
	return m{"url": s.URL + "/api", "auth": auth}
}

func TestGrantsAskAsTheRFCSays(t *testing.T) {
	tests := map[string]struct {
		auth   []any
		form   url.Values
		client string
	}{
		"client credentials": {nil, url.Values{"grant_type": {"client_credentials"}}, "shop:s%26cret"},
		"password": {
			[]any{"grant_type", "password", "username", "ada", "password", "pw", "scope", l{"read", "write"}, "audience", "api"},
			url.Values{"grant_type": {"password"}, "username": {"ada"}, "password": {"pw"}, "scope": {"read write"}, "audience": {"api"}},
			"shop:s%26cret",
		},
		"refresh token": {
			[]any{"grant_type", "refresh_token", "refresh_token", "r0", "scope", "read"},
			url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r0"}, "scope": {"read"}},
			"shop:s%26cret",
		},
		"the client in the body, and more": {
			[]any{"client_auth", "body", "params", m{"resource": "x", "n": 1}},
			url.Values{"grant_type": {"client_credentials"}, "client_id": {"shop"}, "client_secret": {"s&cret"}, "resource": {"x"}, "n": {"1"}},
			":",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newIssuer(t, 0)
			c := newCaller(t, Config{})
			res, err := c.try(t.Context(), s.step(test.auth...))
			if err != nil {
				t.Fatal(err)
			}
			if got := result(t, res)["body"]; got != "t1" {
				t.Errorf("the API got token %v, want t1", got)
			}
			if diff := cmp.Diff([]url.Values{test.form}, s.asked()); diff != "" || s.clients[0] != test.client {
				t.Errorf("client %q, forms (-want +got):\n%s", s.clients[0], diff)
			}
			want := []plugin.Secret{{Name: "id_token", Value: "id1"}, {Name: "access_token", Value: "t1"}}
			if diff := cmp.Diff(want, res.Secrets); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATokenIsObtainedOnceARun(t *testing.T) {
	s := newIssuer(t, 3600)
	c := newCaller(t, Config{})
	c.req.WantExchange = false
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if got := c.do(s.step())["body"]; got != "t1" {
				t.Errorf("got %v, want t1", got)
			}
		})
	}
	wait.Wait()
	if got := len(s.asked()); got != 1 {
		t.Errorf("%d tokens were asked for by one run, want 1", got)
	}
	res, err := c.try(t.Context(), s.step())
	if err != nil || len(res.Secrets) == 0 {
		t.Errorf("a cached token is not named as a secret: %v, %v", res, err)
	}
	c.req.RunID = "run-2"
	c.do(s.step())
	c.do(s.step("client_secret", "another"))
	c.do(s.step("scope", "read"))
	if got := len(s.asked()); got != 4 {
		t.Errorf("%d tokens after another run, secret and scope, want 4", got)
	}
}

func TestATokenIsRenewedBeforeItEnds(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, test := range map[string]struct {
		life   int
		after  time.Duration
		want   string
		reason string
	}{
		"well before":                  {3600, time.Hour - 11*time.Second, "t1", ""},
		"ten seconds before":           {3600, time.Hour - 10*time.Second, "t2", ""},
		"a short one":                  {10, 8 * time.Second, "t1", ""},
		"a short one, near":            {10, 9 * time.Second, "t2", ""},
		"one that never ends":          {0, 1000 * time.Hour, "t1", ""},
		"one that ends past all years": {1 << 40, 1000 * time.Hour, "t1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newIssuer(t, test.life)
			clock := now
			c := newCaller(t, Config{Now: func() time.Time { return clock }})
			c.do(s.step())
			clock = now.Add(test.after)
			if got := c.do(s.step())["body"]; got != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestA401RenewsTheTokenOnce(t *testing.T) {
	s := newIssuer(t, 3600)
	c := newCaller(t, Config{})
	c.do(s.step())
	s.revoke("t1")
	step := s.step()
	step["method"], step["body"] = "POST", "text"
	if got := c.do(step); got["body"] != "t2" || got["status"] != 200.0 || s.last(t).Body != "text" {
		t.Errorf("got %v with token %v, body %q", got["status"], got["body"], s.last(t).Body)
	}
	s.revoke("t2")
	s.revoke("t3")
	if got := c.do(s.step()); got["status"] != 401.0 || got["body"] != "t3" {
		t.Errorf("got %v with token %v, want the second 401 with t3", got["status"], got["body"])
	}
	if got := len(s.asked()); got != 3 {
		t.Errorf("%d tokens were asked for, want 3", got)
	}
}

func TestRefreshTokensAreUsedAndRotated(t *testing.T) {
	s := newIssuer(t, 3600)
	s.rotates = true
	c := newCaller(t, Config{})
	password := s.step("grant_type", "password", "username", "ada", "password", "pw")
	c.do(password)
	for _, token := range []string{"t1", "t2"} {
		s.revoke(token)
		c.do(password)
	}
	s.revoke("t3")
	s.revoke("r3") // the refresh token has ended too: the user's password again
	if got := c.do(password)["body"]; got != "t4" {
		t.Errorf("got %v, want t4", got)
	}
	var got []string
	for _, form := range s.asked() {
		got = append(got, form.Get("grant_type")+" "+form.Get("refresh_token"))
	}
	want := []string{"password ", "refresh_token r1", "refresh_token r2", "refresh_token r3", "password "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestARotatedTokenIsNotAskedForWithTheFirstAgain(t *testing.T) {
	s := newIssuer(t, 3600)
	s.rotates = true
	c := newCaller(t, Config{})
	step := s.step("grant_type", "refresh_token", "refresh_token", "r0")
	c.do(step)
	s.revoke("t1")
	s.revoke("r1")
	if err := c.fail(step); err.Code != plugin.CodeAuth {
		t.Errorf("got %s, want E-AUTH", err.Code)
	}
	if got := s.asked(); len(got) != 2 || got[1].Get("refresh_token") != "r1" {
		t.Errorf("asked %v, want r0 and r1 alone", got)
	}
}

func TestATokenThatCannotBeHad(t *testing.T) {
	api := record(t, nil)
	at := func(tokenURL string) m {
		return m{"url": api.URL, "auth": m{"type": "oauth2", "token_url": tokenURL, "client_id": "c"}}
	}
	page := func(status int, body string) m {
		return at(record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }).URL)
	}
	slow := at(rawServer(t, func(c net.Conn) { hold(c) }))
	slow["timeout"] = "50ms"
	tests := map[string]struct {
		config     m
		code, want string
	}{
		"a wrong secret":    {newIssuer(t, 0).step("client_secret", "wrong"), plugin.CodeAuth, "/token gave no token: 400, invalid_client no such client"},
		"nobody listens":    {at("http://127.0.0.1:1/token"), plugin.CodeConn, "no token: connection refused: 127.0.0.1:1"},
		"a name of nobody":  {at("http://nobody.invalid/token"), plugin.CodeDNS, "no token: the name"},
		"a page":            {page(200, "<html>log in</html>"), plugin.CodeAuth, "gave no token: 200, <html>log in</html>"},
		"an endless page":   {page(200, strings.Repeat("x", 3<<20)), plugin.CodeAuth, "gave no token: 200, xxx"},
		"nothing":           {page(500, ""), plugin.CodeAuth, "gave no token: 500, an empty answer"},
		"JSON without one":  {page(200, `{"token": "x"}`), plugin.CodeAuth, `gave no token: 200, {"token": "x"}`},
		"a redirect":        {page(302, ""), plugin.CodeAuth, "gave no token: 302"},
		"a token of lines":  {page(200, `{"access_token": "a\nb"}`), plugin.CodeAuth, "a token that no header can hold"},
		"it takes too long": {slow, plugin.CodeTimeout, "no token: no answer from"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := len(api.all())
			err := newCaller(t, Config{}).fail(test.config)
			if err.Code != test.code || err.Hint == "" || len(err.Message) > 400 {
				t.Errorf("got %s with hint %q: %s", err.Code, err.Hint, err.Message)
			}
			contains(t, err.Message, test.want)
			if len(api.all()) != before {
				t.Error("the request was sent without a token")
			}
		})
	}
}

func TestSecretsAreNamedAlsoWhenTheRequestFails(t *testing.T) {
	s := newIssuer(t, 0)
	step := s.step()
	step["url"] = "http://127.0.0.1:1/"
	res, err := newCaller(t, Config{}).try(context.Background(), step)
	if err == nil || res == nil || len(res.Secrets) == 0 || res.Members != nil {
		t.Errorf("got %+v with %v, want the token among the secrets, and an error", res, err)
	}
}

func TestAStepThatWaitsForAnothersTokenCanBeCancelled(t *testing.T) {
	asked := make(chan struct{}, 1)
	var requests atomic.Int64
	url := rawServer(t, func(c net.Conn) {
		requests.Add(1)
		asked <- struct{}{}
		hold(c)
	})
	config := m{"url": url, "auth": m{"type": "oauth2", "token_url": url, "client_id": "c"}}
	c := newCaller(t, Config{})
	c.req.WantExchange = false
	first, cancelFirst := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = c.try(first, config) })
	<-asked
	second, cancelSecond := context.WithCancel(context.Background())
	cancelSecond()
	within(t, 2*time.Second, func() {
		if _, err := c.try(second, config); err == nil {
			t.Error("a cancelled step got an answer")
		}
	})
	cancelFirst()
	wait.Wait()
	if requests.Load() != 1 {
		t.Errorf("%d token requests, want 1", requests.Load())
	}
}

func TestTokensOfARunAreBounded(t *testing.T) {
	s := newIssuer(t, 0)
	c := newCaller(t, Config{})
	c.req.WantExchange = false
	for i := range maxTokens + 5 {
		c.do(s.step("username", fmt.Sprint(i)))
	}
	if got := len(c.plugin.run("run-1").tokens.byKey); got > maxTokens {
		t.Errorf("the run keeps %d tokens, want at most %d", got, maxTokens)
	}
}
