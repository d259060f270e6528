package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

const realm = "demo"

// session is what POST /login gives.
type session struct {
	user  string
	roles []string
}

// secretText is a token's text.
func (t *tenant) secretText(kind string) string {
	random := t.random(kind, t.next(kind))
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// passwordFits knows the built-in user and, by email, those created with a
// password. The caller holds the tenant.
func (t *tenant) passwordFits(name, password string) (session, bool) {
	if name == Username {
		return session{user: Username, roles: []string{"admin"}}, password == Password
	}
	u := t.userByEmail(name)
	if u == nil || u.password == nil || !u.Active {
		return session{}, false
	}
	return session{user: *u.Email, roles: u.Roles}, sha256.Sum256([]byte(password)) == *u.password
}

func login(c *call) error {
	var body struct{ User, Email, Password string }
	if err := c.read(&body); err != nil {
		return err
	}
	name := body.User
	if name == "" {
		name = body.Email
	}
	text, ok := c.logIn(name, body.Password)
	if !ok {
		return refuse(http.StatusUnauthorized, "unauthorized", "the user or the password is wrong")
	}
	c.w.Header().Set("Cache-Control", "no-store")
	return c.json(http.StatusOK, map[string]any{"access_token": text, "token_type": "Bearer"})
}

// logIn gives a token, or false where the password does not fit.
func (c *call) logIn(name, password string) (token string, fits bool) {
	c.tenant.mu.Lock()
	defer c.tenant.mu.Unlock()
	s, fits := c.tenant.passwordFits(name, password)
	if fits {
		token = c.tenant.secretText("session")
		c.tenant.sessions.put(token, s)
	}
	return token, fits
}

func me(c *call) error {
	text, ok := c.bearer()
	if !ok {
		return c.unauthorized(`Bearer realm="demo"`, "a bearer token is needed; POST /login gives one")
	}
	var found session
	err := c.locked(func(t *tenant) error {
		if s := t.sessions.get(text); s != nil {
			found = *s
			return nil
		}
		return c.unauthorized(`Bearer realm="demo", error="invalid_token"`, "the bearer token is not known")
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, map[string]any{"user": found.user, "roles": found.roles})
}

// bearer reads the token of RFC 6750 section 2.1.
func (c *call) bearer() (string, bool) {
	scheme, text, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(text), strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(text) != ""
}

// unauthorized is 401 with the challenge that RFC 9110 section 15.5.2 demands.
func (c *call) unauthorized(challenge, message string) error {
	c.w.Header().Set("WWW-Authenticate", challenge)
	return refuse(http.StatusUnauthorized, "unauthorized", "%s", message)
}

func authBasic(c *call) error {
	name, password, ok := c.r.BasicAuth()
	if !ok || name != Username || password != Password {
		return c.unauthorized(`Basic realm="demo", charset="UTF-8"`, "basic authentication as "+Username+" is needed")
	}
	return c.json(http.StatusOK, map[string]any{"authenticated": true, "user": name})
}

func authKey(c *call) error {
	in, key := "header", c.r.Header.Get("X-API-Key")
	if key == "" {
		in, key = "query", c.r.URL.Query().Get("api_key")
	}
	if key != APIKey {
		return c.unauthorized(`ApiKey realm="demo"`, "the API key is needed, as X-API-Key or ?api_key=")
	}
	return c.json(http.StatusOK, map[string]any{"authenticated": true, "in": in})
}
