package demo

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func TestLoginGivesATokenForMe(t *testing.T) {
	t.Parallel()
	s := start(t)
	token := s.want("POST /login", `{"user":"ada","password":"correct-horse"}`, 200, map[string]any{"token_type": "Bearer"}).get(t, "access_token").(string)
	s.want("GET /me", "", 200, map[string]any{"user": "ada", "roles": []any{"admin"}}, "Authorization", "bearer "+token)
	s.want("POST /users", `{"name":"Bob","email":"bob@example.com","password":"hunter2"}`, 201, nil)
	token = s.want("POST /login", `{"email":"BOB@example.com","password":"hunter2"}`, 200, nil).get(t, "access_token").(string)
	s.want("GET /me", "", 200, map[string]any{"user": "bob@example.com", "roles": []any{"customer"}}, "Authorization", "Bearer "+token)
	for _, body := range []string{`{"user":"ada","password":"wrong"}`, `{"user":"bob@example.com","password":""}`, `{"user":"no"}`, `{}`} {
		s.want("POST /login", body, 401, map[string]any{"error.code": "unauthorized"})
	}
	for header, challenge := range map[string]string{
		"":                      `Bearer realm="demo"`,
		"Basic x":               `Bearer realm="demo"`,
		"Bearer ":               `Bearer realm="demo"`,
		"Bearer " + token + "x": `Bearer realm="demo", error="invalid_token"`,
	} {
		if got := s.want("GET /me", "", 401, nil, "Authorization", header).header.Get("WWW-Authenticate"); got != challenge {
			t.Errorf("%q: got the challenge %q, want %q", header, got, challenge)
		}
	}
}

func TestBasicAndKeyAuthentication(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.want("GET /auth/basic", "", 200, map[string]any{"user": "ada"}, "Authorization", basic(Username, Password))
	for _, header := range []string{"", "Basic !", basic(Username, "wrong"), basic("bob", Password)} {
		if got := s.want("GET /auth/basic", "", 401, nil, "Authorization", header).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic ") {
			t.Errorf("%q: got the challenge %q, want Basic", header, got)
		}
	}
	s.want("GET /auth/key", "", 200, map[string]any{"in": "header"}, "X-API-Key", APIKey)
	s.want("GET /auth/key?api_key="+APIKey, "", 200, map[string]any{"in": "query"})
	s.want("GET /auth/key?api_key=wrong", "", 401, nil)
	s.want("GET /auth/key", "", 401, nil)
}

// digest answers a challenge as RFC 7616 section 3.4 says.
func digest(challenge, algorithm, password, uri string) string {
	given := parameters(strings.TrimPrefix(challenge, "Digest "))
	sum := func(s string) string {
		if strings.HasPrefix(algorithm, "MD5") {
			return fmt.Sprintf("%x", md5.Sum([]byte(s)))
		}
		return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))
	}
	ha1 := sum("ada:demo:" + password)
	if strings.HasSuffix(algorithm, "-sess") {
		ha1 = sum(ha1 + ":" + given["nonce"] + ":c")
	}
	response := sum(strings.Join([]string{ha1, given["nonce"], "00000001", "c", "auth", sum("GET:" + uri)}, ":"))
	return fmt.Sprintf(`Digest username="ada", realm="demo", nonce=%q, uri=%q, algorithm=%s, qop=auth, nc=00000001, cnonce="c", response=%q, opaque="demo"`,
		given["nonce"], uri, algorithm, response)
}

func TestDigestAuthentication(t *testing.T) {
	t.Parallel()
	s := start(t)
	challenges := s.want("GET /auth/digest", "", 401, nil).header.Values("WWW-Authenticate")
	if len(challenges) != 2 || !strings.Contains(challenges[0], "algorithm=SHA-256") || !strings.Contains(challenges[1], "algorithm=MD5") {
		t.Fatalf("got the challenges %q, want SHA-256 and then MD5", challenges)
	}
	for _, algorithm := range []string{"SHA-256", "MD5", "SHA-256-sess", "MD5-sess"} {
		s.want("GET /auth/digest", "", 200, map[string]any{"user": "ada"}, "Authorization", digest(challenges[0], algorithm, Password, "/auth/digest"))
		s.want("GET /auth/digest?x=1", "", 200, nil, "Authorization", digest(challenges[0], algorithm, Password, "/auth/digest?x=1"))
	}
	good := digest(challenges[0], "MD5", Password, "/auth/digest")
	for name, test := range map[string]struct{ header, why string }{
		"another password":  {digest(challenges[0], "MD5", "wrong", "/auth/digest"), "the response does not fit the password"},
		"another address":   {digest(challenges[0], "MD5", Password, "/auth"), "username, realm, qop, uri or cnonce is not what the challenge asked for"},
		"a made-up nonce":   {digest(`Digest nonce="1.abc"`, "MD5", Password, "/auth/digest"), "the nonce was not issued here"},
		"a later nonce":     {digest(`Digest nonce="999.abc"`, "MD5", Password, "/auth/digest"), "the nonce was not issued here"},
		"another algorithm": {strings.ReplaceAll(good, "algorithm=MD5", "algorithm=SHA-512"), "the algorithm was not offered"},
		"another scheme":    {basic(Username, Password), "digest authentication as ada is needed"},
		"an open quote":     {`Digest nonce="1.`, "the nonce was not issued here"},
		"nothing":           {"Digest", "the nonce was not issued here"},
	} {
		if got := s.want("GET /auth/digest", "", 401, nil, "Authorization", test.header).get(t, "error.message"); got != test.why {
			t.Errorf("%s: got %q, want %q", name, got, test.why)
		}
	}
	only := s.want("GET /auth/digest?algorithm=MD5", "", 401, nil, "Authorization", digest(challenges[0], "SHA-256", Password, "/auth/digest?algorithm=MD5"))
	if got := only.header.Values("WWW-Authenticate"); len(got) != 1 || !strings.Contains(got[0], "algorithm=MD5") {
		t.Errorf("?algorithm=MD5: got the challenges %q, want one", got)
	}
	s.want("GET /auth/digest?algorithm=SHA-1", "", 400, nil)
}

func TestDigestParametersAreRead(t *testing.T) {
	t.Parallel()
	got := parameters(` a=1, B="two, \"three\" \\",c = x ,d="", e="open`)
	want := map[string]string{"a": "1", "b": `two, "three" \`, "c": "x", "d": "", "e": "open"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const form = "application/x-www-form-urlencoded"

func (s *server) token(body string, headers ...string) answer {
	s.t.Helper()
	return s.do("POST /oauth/token", body, append([]string{"Content-Type", form, "Authorization", basic(ClientID, ClientSecret)}, headers...)...)
}

func TestOAuthGrants(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.token("grant_type=client_credentials&scope=read")
	if diff := cmp.Diff([]any{200, "Bearer", "3600", "read", nil, "no-store"}, []any{
		first.status, first.get(t, "token_type"), first.get(t, "expires_in"), first.get(t, "scope"), first.get(t, "refresh_token"), first.header.Get("Cache-Control"),
	}); diff != "" {
		t.Errorf("client_credentials (-want +got):\n%s", diff)
	}
	s.want("GET /oauth/resource", "", 200, map[string]any{"grant": "client_credentials", "scope": "read", "token_number": "1", "user": nil},
		"Authorization", "Bearer "+first.get(t, "access_token").(string))

	second := s.token("grant_type=password&username=ada&password=correct-horse&client_id=demo-client&client_secret=demo-secret", "Authorization", "")
	refresh := second.get(t, "refresh_token").(string)
	third := s.token("grant_type=refresh_token&refresh_token=" + refresh)
	s.want("GET /oauth/resource", "", 200, map[string]any{"grant": "refresh_token", "user": "ada", "token_number": "3"},
		"Authorization", "Bearer "+third.get(t, "access_token").(string))
	if third.get(t, "refresh_token") == refresh {
		t.Error("a refresh token is given twice")
	}
	s.want("GET /oauth/issued", "", 200, map[string]any{"client_credentials": "1", "password": "1", "refresh_token": "1", "total": "3"})

	for _, test := range []struct {
		name, body, header string
		status             int
		want               string
	}{
		{"a refresh token used before", "grant_type=refresh_token&refresh_token=" + refresh, basic(ClientID, ClientSecret), 400, "invalid_grant"},
		{"a wrong password", "grant_type=password&username=ada&password=x", basic(ClientID, ClientSecret), 400, "invalid_grant"},
		{"another grant", "grant_type=implicit", basic(ClientID, ClientSecret), 400, "unsupported_grant_type"},
		{"no grant", "", basic(ClientID, ClientSecret), 400, "invalid_request"},
		{"a bad form", "grant_type=%zz", basic(ClientID, ClientSecret), 400, "invalid_request"},
		{"a bad lifetime", "grant_type=client_credentials&expires_in=-1", basic(ClientID, ClientSecret), 400, "invalid_request"},
		{"a wrong secret", "grant_type=client_credentials", basic(ClientID, "x"), 401, "invalid_client"},
		{"no client", "grant_type=client_credentials", "", 401, "invalid_client"},
	} {
		if a := s.token(test.body, "Authorization", test.header); a.status != test.status || a.get(t, "error") != test.want {
			t.Errorf("%s: got %d %s, want %d %s", test.name, a.status, a.body, test.status, test.want)
		}
	}
	if a := s.do("POST /oauth/token", `{"grant_type":"client_credentials"}`); a.status != 400 || a.get(t, "error") != "invalid_request" {
		t.Errorf("JSON: got %d %s, want 400 invalid_request", a.status, a.body)
	}
}

func TestOAuthTokensExpireAndAreRevoked(t *testing.T) {
	t.Parallel()
	s := start(t)
	header := func(a answer) string { return "Bearer " + a.get(t, "access_token").(string) }
	short := header(s.token("grant_type=client_credentials&expires_in=10"))
	s.clock.now = s.clock.now.Add(10*time.Second - 1)
	s.want("GET /oauth/resource", "", 200, nil, "Authorization", short)
	s.clock.now = s.clock.now.Add(1)
	expired := s.want("GET /oauth/resource", "", 401, nil, "Authorization", short)
	if got, want := expired.header.Get("WWW-Authenticate"), `Bearer realm="demo", error="invalid_token", error_description="the token expired"`; got != want {
		t.Errorf("expired: got the challenge %s, want %s", got, want)
	}
	dead := s.do("POST /oauth/token?expires_in=0", "grant_type=client_credentials", "Content-Type", form, "Authorization", basic(ClientID, ClientSecret))
	s.want("GET /oauth/resource", "", 401, nil, "Authorization", header(dead))

	long := header(s.token("grant_type=client_credentials"))
	s.want("POST /oauth/revoke_all", "", 200, map[string]any{"revoked": "3"})
	s.want("POST /oauth/revoke_all", "", 200, map[string]any{"revoked": "0"})
	s.want("GET /oauth/resource", "", 401, map[string]any{"error.message": "the token was revoked"}, "Authorization", long)
	s.want("GET /oauth/resource", "", 401, map[string]any{"error.message": "the token is not known"}, "Authorization", "Bearer x")
	s.want("GET /oauth/resource", "", 401, nil)
	s.want("GET /oauth/resource", "", 200, nil, "Authorization", header(s.token("grant_type=client_credentials")))
}
