package http

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// renewBefore is how long before its end a token is renewed, so that none
	// expires on the way.
	renewBefore = 10 * time.Second
	// defaultJWTLife is the life of a self-made token.
	defaultJWTLife = 5 * time.Minute
)

// tokens are the OAuth 2.0 tokens of a run: one per client, endpoint, grant,
// user and scope.
type tokens struct {
	mu    sync.Mutex
	byKey map[string]*token
}

// token is one cached token; its lock is held while it is obtained, so that
// parallel steps ask once.
type token struct {
	mu      sync.Mutex
	access  string
	kind    string
	refresh string
	expires time.Time // zero: never
}

func (t *tokens) get(key string) *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey == nil {
		t.byKey = make(map[string]*token)
	}
	tok, ok := t.byKey[key]
	if !ok {
		tok = &token{}
		t.byKey[key] = tok
	}
	return tok
}

func (t *token) valid() bool {
	return t.access != "" && (t.expires.IsZero() || time.Until(t.expires) > 0)
}

// oauthProof sends a cached OAuth 2.0 token (RFC 6749) as bearer token.
type oauthProof struct {
	exchange *exchange
	used     string
}

func (p *oauthProof) key() string {
	a := p.exchange.config.Auth
	return strings.Join([]string{a.TokenURL, a.GrantType, a.ClientID, a.Username, a.RefreshToken, string(a.Scope), a.Audience}, "\x00")
}

func (p *oauthProof) roundTrip(next http.RoundTripper, hr *http.Request) (*http.Response, error) {
	tok := p.exchange.run.tokens.get(p.key())
	tok.mu.Lock()
	err := p.obtain(hr.Context(), tok)
	access, kind := tok.access, tok.kind
	tok.mu.Unlock()
	if err != nil {
		return nil, err
	}
	p.used = access
	hr = hr.Clone(hr.Context())
	hr.Header.Set("Authorization", kind+" "+access)
	return next.RoundTrip(hr)
}

// renew drops the token that a 401 met, unless another step has renewed it.
func (p *oauthProof) renew(context.Context, *http.Response) bool {
	tok := p.exchange.run.tokens.get(p.key())
	tok.mu.Lock()
	defer tok.mu.Unlock()
	if tok.access == p.used {
		tok.access = ""
	}
	return true
}

// obtain makes sure that tok is valid; its lock is held.
func (p *oauthProof) obtain(ctx context.Context, tok *token) error {
	if tok.valid() {
		return nil
	}
	a := p.exchange.config.Auth
	if tok.refresh != "" {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.refresh}}
		if err := p.ask(ctx, tok, form); err == nil {
			return nil
		}
		tok.refresh = "" // it may have expired as well: begin anew
	}
	form := url.Values{"grant_type": {a.GrantType}}
	switch a.GrantType {
	case "", "client_credentials":
		form.Set("grant_type", "client_credentials")
	case "password":
		form.Set("username", a.Username)
		form.Set("password", a.Password)
	case "refresh_token":
		form.Set("refresh_token", a.RefreshToken)
	default:
		return configError("auth.grant_type", "client_credentials, password or refresh_token", "config.auth.grant_type %q is not supported", a.GrantType)
	}
	return p.ask(ctx, tok, form)
}

func (p *oauthProof) ask(ctx context.Context, tok *token, form url.Values) error {
	a := p.exchange.config.Auth
	if scopes, err := values(a.Scope); err != nil {
		return configError("auth.scope", "", "config.auth.scope: %s", err)
	} else if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	if a.Audience != "" {
		form.Set("audience", a.Audience)
	}
	for k, v := range a.Params {
		form.Set(k, v)
	}
	if a.ClientAuth == "body" {
		form.Set("client_id", a.ClientID)
		form.Set("client_secret", a.ClientSecret)
	}
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, a.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return configError("auth.token_url", "", "config.auth.token_url %q is not a URL", a.TokenURL)
	}
	hr.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hr.Header.Set("Accept", "application/json")
	if a.ClientAuth != "body" {
		hr.SetBasicAuth(url.QueryEscape(a.ClientID), url.QueryEscape(a.ClientSecret)) // RFC 6749 section 2.3.1
	}
	res, err := p.exchange.transport.RoundTrip(hr)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return authError("no token from %s: %s", a.TokenURL, cause(err))
	}
	defer res.Body.Close()
	text, err := readSmall(res.Body)
	if err != nil {
		return authError("no token from %s: %s", a.TokenURL, cause(err))
	}
	return p.keep(tok, res, text)
}

// keep reads the token endpoint's answer (RFC 6749 sections 5.1 and 5.2).
func (p *oauthProof) keep(tok *token, res *http.Response, text []byte) error {
	var got struct {
		Access      string      `json:"access_token"`
		Type        string      `json:"token_type"`
		Refresh     string      `json:"refresh_token"`
		Expires     json.Number `json:"expires_in"`
		Error       string      `json:"error"`
		Description string      `json:"error_description"`
	}
	where := p.exchange.config.Auth.TokenURL
	if err := json.Unmarshal(text, &got); err != nil || res.StatusCode >= 300 || got.Access == "" {
		what := strings.TrimSpace(got.Error + " " + got.Description)
		if what == "" {
			what = string(bytes.TrimSpace(text[:min(len(text), 200)]))
		}
		e := authError("%s gave no token: %d %s", where, res.StatusCode, what)
		e.Hint = "check client_id, client_secret, grant_type and scope"
		return e
	}
	tok.access, tok.kind, tok.expires = got.Access, "Bearer", time.Time{}
	if got.Type != "" && !strings.EqualFold(got.Type, "bearer") {
		tok.kind = got.Type
	}
	if got.Refresh != "" {
		tok.refresh = got.Refresh
	}
	if seconds, err := got.Expires.Float64(); err == nil && seconds > 0 {
		life := time.Duration(seconds * float64(time.Second))
		tok.expires = time.Now().Add(life - min(renewBefore, life/10))
	}
	for name, v := range map[string]string{"access_token": got.Access, "refresh_token": got.Refresh} {
		if v != "" {
			p.exchange.secrets = append(p.exchange.secrets, plugin.Secret{Name: name, Value: v})
		}
	}
	return nil
}

// jwtProof signs a bearer token with the flow's own key (RFC 7519).
func (x *exchange) jwtProof() (authorizer, error) {
	a := x.config.Auth
	method := a.Algorithm
	if method == "" {
		method = "HS256"
	}
	signing := jwt.GetSigningMethod(method)
	if signing == nil || method == "none" {
		return nil, configError("auth.algorithm", "", "config.auth.algorithm %q is not known", method)
	}
	claims := jwt.MapClaims{}
	if len(a.Claims) > 0 {
		dec := json.NewDecoder(bytes.NewReader(a.Claims))
		dec.UseNumber()
		if err := dec.Decode(&claims); err != nil {
			return nil, configError("auth.claims", "", "config.auth.claims: %s", err)
		}
	}
	now, life := time.Now(), defaultJWTLife
	if a.ExpiresIn > 0 {
		life = time.Duration(a.ExpiresIn)
	}
	if _, ok := claims["iat"]; !ok {
		claims["iat"] = now.Unix()
	}
	if _, ok := claims["exp"]; !ok {
		claims["exp"] = now.Add(life).Unix()
	}
	tok := jwt.NewWithClaims(signing, claims)
	if len(a.Header) > 0 {
		if err := json.Unmarshal(a.Header, &tok.Header); err != nil {
			return nil, configError("auth.header", "", "config.auth.header: %s", err)
		}
	}
	key, err := signingKey(method, a.SecretKey)
	if err != nil {
		return nil, configError("auth.secret_key", "", "config.auth.secret_key: %s", err)
	}
	signed, err := tok.SignedString(key)
	if err != nil {
		return nil, authError("the token could not be signed: %s", err)
	}
	x.secrets = append(x.secrets, plugin.Secret{Name: "jwt", Value: signed})
	return header(func(hr *http.Request) { hr.Header.Set("Authorization", "Bearer "+signed) }), nil
}

func signingKey(method, key string) (any, error) {
	switch method[:2] {
	case "HS":
		if key == "" {
			return nil, fmt.Errorf("is needed for %s", method)
		}
		return []byte(key), nil
	case "RS", "PS":
		return jwt.ParseRSAPrivateKeyFromPEM([]byte(key))
	case "ES":
		return jwt.ParseECPrivateKeyFromPEM([]byte(key))
	}
	return jwt.ParseEdPrivateKeyFromPEM([]byte(key))
}
