package demo

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// token is an access or a refresh token of OAuth 2.0 (RFC 6749).
type token struct {
	number  int
	expires time.Time
	revoked bool
	grant   string
	scope   string
	user    string
}

// oauthError is section 5.2 of RFC 6749: not the form of this application's
// other errors.
func (c *call) oauthError(status int, code, description string) error {
	if status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Basic realm="demo"`)
	}
	return c.json(status, map[string]any{"error": code, "error_description": description})
}

// oauthToken is the token endpoint. expires_in, in the form or the query, is the
// lifetime in seconds: 0 gives a token that has expired already.
func oauthToken(c *call) error {
	c.w.Header().Set("Cache-Control", "no-store")
	if kind, _, _ := strings.Cut(c.r.Header.Get("Content-Type"), ";"); kind != "application/x-www-form-urlencoded" {
		return c.oauthError(http.StatusBadRequest, "invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxJSON)
	if err := c.r.ParseForm(); err != nil {
		return c.oauthError(http.StatusBadRequest, "invalid_request", "the form cannot be read")
	}
	form := c.r.PostForm
	if !c.isClient(form) {
		return c.oauthError(http.StatusUnauthorized, "invalid_client", "client id or secret is wrong")
	}
	lifetime, err := whole("expires_in=", c.r.Form.Get("expires_in"), 3600, 0, 86400)
	if err != nil {
		return c.oauthError(http.StatusBadRequest, "invalid_request", err.Error())
	}
	answer := map[string]any{}
	made := token{grant: form.Get("grant_type"), scope: form.Get("scope")}
	c.tenant.mu.Lock()
	code, description := c.tenant.checkGrant(form, &made)
	if code == "" {
		c.tenant.issue(made, c.app.config.Clock(), lifetime, answer)
	}
	c.tenant.mu.Unlock()
	if code != "" {
		return c.oauthError(http.StatusBadRequest, code, description)
	}
	return c.json(http.StatusOK, answer)
}

// isClient takes Basic, whose parts are form-encoded (RFC 6749 section 2.3.1), or
// the form.
func (c *call) isClient(form url.Values) bool {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if name, password, ok := c.r.BasicAuth(); ok {
		id, secret = name, password
		if plain, err := url.QueryUnescape(name); err == nil {
			id = plain
		}
		if plain, err := url.QueryUnescape(password); err == nil {
			secret = plain
		}
	}
	return id == ClientID && secret == ClientSecret
}

func (t *tenant) checkGrant(form url.Values, made *token) (code, description string) {
	switch made.grant {
	case "client_credentials":
	case "password":
		s, ok := t.passwordFits(form.Get("username"), form.Get("password"))
		if !ok {
			return "invalid_grant", "user name or password is wrong"
		}
		made.user = s.user
	case "refresh_token":
		before := t.refresh.get(form.Get("refresh_token"))
		if before == nil {
			return "invalid_grant", "the refresh token is not known, was used before or was revoked"
		}
		made.user = before.user
		if made.scope == "" {
			made.scope = before.scope
		}
		t.refresh.remove(form.Get("refresh_token"))
	case "":
		return "invalid_request", "grant_type is missing"
	default:
		return "unsupported_grant_type", "grant_type is client_credentials, password or refresh_token"
	}
	return "", ""
}

// issue stores an access token and, for a user, a refresh token that works once.
func (t *tenant) issue(made token, now time.Time, lifetime int, answer map[string]any) {
	if t.issued == nil {
		t.issued = map[string]int{}
	}
	t.issued[made.grant]++
	text := t.secretText("access")
	made.number, made.expires = t.counters["access"], now.Add(time.Duration(lifetime)*time.Second)
	t.access.put(text, made)
	answer["access_token"], answer["token_type"], answer["expires_in"] = text, "Bearer", lifetime
	if made.scope != "" {
		answer["scope"] = made.scope
	}
	if made.grant != "client_credentials" {
		refresh := t.secretText("refresh")
		t.refresh.put(refresh, made)
		answer["refresh_token"] = refresh
	}
}

func oauthResource(c *call) error {
	text, ok := c.bearer()
	if !ok {
		return c.unauthorized(`Bearer realm="demo"`, "a token of POST /oauth/token is needed")
	}
	var found token
	err := c.locked(func(t *tenant) error {
		why := ""
		switch at := t.access.get(text); {
		case at == nil:
			why = "the token is not known"
		case at.revoked:
			why = "the token was revoked"
		case !c.app.config.Clock().Before(at.expires):
			why = "the token expired"
		default:
			found = *at
			return nil
		}
		return c.unauthorized(`Bearer realm="demo", error="invalid_token", error_description="`+why+`"`, why)
	})
	if err != nil {
		return err
	}
	answer := map[string]any{"ok": true, "grant": found.grant, "scope": found.scope, "token_number": found.number, "user": nil}
	if found.user != "" {
		answer["user"] = found.user
	}
	return c.json(http.StatusOK, answer)
}

// oauthIssued counts since the last reset, so that a test sees how often a client
// asked.
func oauthIssued(c *call) error {
	answer := map[string]int{"client_credentials": 0, "password": 0, "refresh_token": 0, "total": 0}
	c.tenant.mu.Lock()
	for grant, n := range c.tenant.issued {
		answer[grant] = n
		answer["total"] += n
	}
	c.tenant.mu.Unlock()
	return c.json(http.StatusOK, answer)
}

// oauthRevokeAll makes every access token bad; refresh tokens stay good, as
// after a change of keys.
func oauthRevokeAll(c *call) error {
	revoked := 0
	c.tenant.mu.Lock()
	for _, at := range c.tenant.access.byKey {
		if !at.revoked {
			at.revoked = true
			revoked++
		}
	}
	c.tenant.mu.Unlock()
	return c.json(http.StatusOK, map[string]int{"revoked": revoked})
}
