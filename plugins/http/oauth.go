package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// renewBefore is how long before its end a token is renewed, so that none
	// expires on the way; a tenth of its life, where that is less.
	renewBefore = 10 * time.Second
	// maxTokens bounds the tokens that a run keeps.
	maxTokens = 256
	// maxTokenBytes bounds a token endpoint's answer.
	maxTokenBytes = 1 << 20
)

// tokens are the OAuth 2.0 tokens of a run, one for each config.auth.
type tokens struct {
	mu    sync.Mutex
	byKey map[string]*token
}

// token is one cached token.
type token struct {
	turn    chan struct{} // holds one value while nobody obtains the token, so that parallel steps ask once
	access  string
	kind    string
	refresh string
	expires time.Time // zero: never
}

func (t *tokens) get(key string) *token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tok, ok := t.byKey[key]; ok {
		return tok
	}
	if t.byKey == nil || len(t.byKey) >= maxTokens {
		t.byKey = make(map[string]*token)
	}
	tok := &token{turn: make(chan struct{}, 1)}
	tok.turn <- struct{}{}
	t.byKey[key] = tok
	return tok
}

// oauthProof sends a cached OAuth 2.0 token (RFC 6749) as bearer token.
type oauthProof struct {
	exchange *exchange
	token    *token
	used     string // the access token sent last
	rejected string // the one that met a 401
}

func (p *oauthProof) prove(ctx context.Context, hr *http.Request) error {
	x := p.exchange
	if p.token == nil {
		// Whatever differs in config.auth, also a wrong secret, is another token.
		key, err := json.Marshal(x.config.Auth)
		if err != nil {
			return fmt.Errorf("print config.auth: %w", err)
		}
		p.token = x.run.tokens.get(string(key))
	}
	select {
	case <-p.token.turn:
	case <-ctx.Done():
		return p.fault(ctx, ctx.Err())
	}
	defer func() { p.token.turn <- struct{}{} }()
	if err := p.obtain(ctx); err != nil {
		return err
	}
	p.used = p.token.access
	for _, s := range [...]plugin.Secret{{Name: "access_token", Value: p.token.access}, {Name: "refresh_token", Value: p.token.refresh}} {
		if s.Value != "" {
			x.secrets = append(x.secrets, s)
		}
	}
	hr.Header["Authorization"] = []string{p.token.kind + " " + p.token.access}
	return nil
}

// again drops the token that a 401 met, unless another step has renewed it.
func (p *oauthProof) again(*http.Response) (bool, error) {
	p.rejected = p.used
	return true, nil
}

// obtain makes sure that the token is valid; it is this step's turn.
func (p *oauthProof) obtain(ctx context.Context) error {
	tok, a := p.token, p.exchange.config.Auth
	fresh := tok.expires.IsZero() || p.exchange.plugin.now().Before(tok.expires)
	if tok.access != "" && tok.access != p.rejected && fresh {
		return nil
	}
	if tok.refresh != "" {
		err := p.ask(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok.refresh}})
		var known *plugin.Error
		if err == nil || a.GrantType == "refresh_token" || errors.As(err, &known) && known.Code != plugin.CodeAuth {
			return err
		}
		tok.refresh = "" // it has ended as well: begin anew
	}
	form := url.Values{"grant_type": {a.GrantType}}
	switch a.GrantType {
	case "":
		form.Set("grant_type", "client_credentials")
	case "password":
		form.Set("username", a.Username)
		form.Set("password", a.Password)
	case "refresh_token":
		form.Set("refresh_token", a.RefreshToken)
	}
	return p.ask(ctx, form)
}

// ask sends one token request (RFC 6749 sections 4.3, 4.4 and 6).
func (p *oauthProof) ask(ctx context.Context, form url.Values) error {
	a := p.exchange.config.Auth
	if a.Scope != "" {
		form.Set("scope", string(a.Scope))
	}
	if a.Audience != "" {
		form.Set("audience", a.Audience)
	}
	if a.ClientAuth == "body" {
		form.Set("client_id", a.ClientID)
		form.Set("client_secret", a.ClientSecret)
	}
	for name, v := range a.Params {
		form.Set(name, string(v))
	}
	hr, err := http.NewRequest(http.MethodPost, a.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return configError("auth.token_url", "", "%q is not a URL", clip(a.TokenURL))
	}
	hr.URL.User = nil
	hr.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	hr.Header.Set("Accept", "application/json")
	hr.Header["User-Agent"] = p.exchange.plugin.agentHeader
	if a.ClientAuth != "body" { // each half is form-encoded first: RFC 6749 section 2.3.1
		hr.Header.Set("Authorization", basic(url.QueryEscape(a.ClientID), url.QueryEscape(a.ClientSecret)))
	}
	watched := new(trace)
	p.exchange.trace = watched
	res, err := p.exchange.transport.RoundTrip(hr.WithContext(watched.attach(ctx)))
	if err != nil {
		return p.fault(ctx, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxTokenBytes))
	if err != nil {
		return p.fault(ctx, err)
	}
	return p.keep(res, text)
}

// fault says that the token, not the request of the step, was in the way.
func (p *oauthProof) fault(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	x := p.exchange
	if x.trace == nil {
		x.trace = new(trace)
	}
	target := x.config.Auth.TokenURL
	if u, parseErr := url.Parse(target); parseErr == nil {
		target = u.Host
	}
	e := x.describe(ctx, ctx, err, target)
	e.Message = "no token: " + e.Message
	e.Hint = "check config.auth.token_url, and that the authorization server runs"
	return e
}

// keep reads the token endpoint's answer (RFC 6749 sections 5.1 and 5.2).
func (p *oauthProof) keep(res *http.Response, text []byte) error {
	var got struct {
		Access      string `json:"access_token"`
		Type        string `json:"token_type"`
		Refresh     string `json:"refresh_token"`
		ID          string `json:"id_token"`
		Expires     text64 `json:"expires_in"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	x, tok := p.exchange, p.token
	err := json.Unmarshal(text, &got)
	if err != nil || res.StatusCode >= 300 || got.Access == "" {
		what := strings.TrimSpace(got.Error + " " + got.Description)
		if what == "" {
			what = clip(string(bytes.ToValidUTF8(bytes.TrimSpace(text), nil)))
		}
		if what == "" {
			what = "an empty answer"
		}
		e := authError("%s gave no token: %d, %s", x.config.Auth.TokenURL, res.StatusCode, what)
		e.Hint = "check client_id, client_secret, client_auth, grant_type and scope of config.auth"
		return e
	}
	if !isFieldValue(got.Access) || !isFieldValue(got.Type) {
		e := authError("%s gave a token that no header can hold", x.config.Auth.TokenURL)
		e.Hint = "look at its access_token and token_type: one holds a control character"
		return e
	}
	tok.access, tok.kind, tok.expires = got.Access, "Bearer", time.Time{}
	if got.Type != "" && !strings.EqualFold(got.Type, "bearer") {
		tok.kind = got.Type
	}
	if got.Refresh != "" { // a server that rotates them sends the next one
		tok.refresh = got.Refresh
	}
	if got.ID != "" {
		x.secrets = append(x.secrets, plugin.Secret{Name: "id_token", Value: got.ID})
	}
	if seconds := float64(got.Expires); seconds > 0 {
		life := time.Duration(min(seconds, maxTokenLife.Seconds()) * float64(time.Second))
		tok.expires = x.plugin.now().Add(life - min(renewBefore, life/10))
	}
	return nil
}

// maxTokenLife keeps the arithmetic of what a server says in bounds.
const maxTokenLife = 10 * 365 * 24 * time.Hour

// text64 is a number that some servers write as a text.
type text64 float64

// UnmarshalJSON reads either; what is no number counts as not said.
func (n *text64) UnmarshalJSON(text []byte) error {
	var f float64
	if json.Unmarshal(bytes.Trim(text, `"`), &f) == nil {
		*n = text64(f)
	}
	return nil
}
