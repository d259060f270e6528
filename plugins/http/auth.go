package http

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// auth is config.auth; config.schema.json describes each key.
type auth struct {
	Type         string          `json:"type"`
	Username     string          `json:"username"`
	Password     string          `json:"password"`
	Token        string          `json:"token"`
	Name         string          `json:"name"`
	Value        string          `json:"value"`
	Location     string          `json:"location"`
	AccessKey    string          `json:"access_key"`
	SecretKey    string          `json:"secret_key"`
	SessionToken string          `json:"session_token"`
	Region       string          `json:"region"`
	Service      string          `json:"service"`
	Algorithm    string          `json:"algorithm"`
	Claims       json.RawMessage `json:"claims"`
	Header       json.RawMessage `json:"header"`
	ExpiresIn    duration        `json:"expires_in"`
	GrantType    string          `json:"grant_type"`
	TokenURL     string          `json:"token_url"`
	ClientID     string          `json:"client_id"`
	ClientSecret string          `json:"client_secret"`
	ClientAuth   string          `json:"client_auth"`
	RefreshToken string          `json:"refresh_token"`
	Scope        scope           `json:"scope"`
	Audience     string          `json:"audience"`
	Params       map[string]text `json:"params"`
}

// proof shows who sends a request. It belongs to one exchange and is not used
// concurrently.
type proof interface {
	// prove adds the proof to a request that is about to be sent.
	prove(ctx context.Context, hr *http.Request) error
	// again is told of a 401, once, and says whether another proof has a chance.
	again(res *http.Response) (bool, error)
}

// fixed is a proof that a 401 does not change.
type fixed func(hr *http.Request) error

func (f fixed) prove(_ context.Context, hr *http.Request) error { return f(hr) }

func (fixed) again(*http.Response) (bool, error) { return false, nil }

// check refuses an auth that lacks what its type needs.
func (a *auth) check() error {
	need := func(pairs ...string) error {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] == "" {
				return configError("auth."+pairs[i], "", "it is needed for type %s, and empty", a.Type)
			}
		}
		return nil
	}
	switch a.Type {
	case "none":
		return nil
	case "basic", "digest":
		return need("username", a.Username)
	case "bearer":
		if err := need("token", a.Token); err != nil {
			return err
		}
		return fieldValue("auth.token", a.Token)
	case "api_key":
		return a.checkAPIKey(need("name", a.Name, "value", a.Value))
	case "aws_sigv4":
		return need("access_key", a.AccessKey, "secret_key", a.SecretKey, "region", a.Region, "service", a.Service)
	case "jwt":
		return need("secret_key", a.SecretKey)
	case "oauth2":
		return a.checkOAuth(need("token_url", a.TokenURL, "client_id", a.ClientID))
	}
	return configError("auth.type", "", "%q is not a kind of authentication", clip(a.Type))
}

func (a *auth) checkAPIKey(err error) error {
	if err != nil {
		return err
	}
	switch a.Location {
	case "", "header", "cookie":
		if !isToken(a.Name) {
			return configError("auth.name", "", "%q is not the name of a header or cookie", clip(a.Name))
		}
		if a.Location == "cookie" && strings.Contains(a.Value, ";") {
			return configError("auth.value", "", "it holds a semicolon, which ends a cookie")
		}
		return fieldValue("auth.value", a.Value)
	case "query":
		return nil
	}
	return configError("auth.location", "header, query or cookie", "%q is not a place for a key", clip(a.Location))
}

func (a *auth) checkOAuth(err error) error {
	if err != nil {
		return err
	}
	switch a.GrantType {
	case "", "client_credentials":
	case "password":
		if a.Username == "" {
			return configError("auth.username", "", "it is needed for the grant password, and empty")
		}
	case "refresh_token":
		if a.RefreshToken == "" {
			return configError("auth.refresh_token", "", "it is needed for the grant refresh_token, and empty")
		}
	default:
		return configError("auth.grant_type", "client_credentials, password or refresh_token", "%q is not a grant that TestMesh knows", clip(a.GrantType))
	}
	if a.ClientAuth != "" && a.ClientAuth != "basic" && a.ClientAuth != "body" {
		return configError("auth.client_auth", "basic or body", "%q is not a way that a client proves itself", clip(a.ClientAuth))
	}
	u, err := url.Parse(a.TokenURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(a.TokenURL, " \r\n") {
		return configError("auth.token_url", "", "%q is not an http or https URL", clip(a.TokenURL))
	}
	return nil
}

func fieldValue(field, value string) error {
	if !isFieldValue(value) {
		return configError(field, "look for a line break at its end", "it holds a line break or a control character")
	}
	return nil
}

// newProof makes the proof that the config asks for; nil: none.
func (x *exchange) newProof() (proof, error) {
	a := x.config.Auth
	if a == nil {
		return nil, nil
	}
	switch a.Type {
	case "basic":
		return fixed(func(hr *http.Request) error {
			hr.Header["Authorization"] = []string{basic(a.Username, a.Password)}
			return nil
		}), nil
	case "bearer":
		return bearer(a.Token), nil
	case "api_key":
		return a.apiKey(), nil
	case "digest":
		return &digestProof{user: a.Username, password: a.Password}, nil
	case "aws_sigv4":
		return x.awsProof(), nil
	case "jwt":
		return x.jwtProof()
	case "oauth2":
		return &oauthProof{exchange: x}, nil
	}
	return nil, nil
}

func bearer(token string) fixed {
	return func(hr *http.Request) error {
		hr.Header["Authorization"] = []string{"Bearer " + token}
		return nil
	}
}

func (a *auth) apiKey() fixed {
	return func(hr *http.Request) error {
		switch a.Location {
		case "query":
			pair := url.QueryEscape(a.Name) + "=" + url.QueryEscape(a.Value)
			if hr.URL.RawQuery != "" {
				pair = hr.URL.RawQuery + "&" + pair
			}
			hr.URL.RawQuery = pair
		case "cookie":
			pair := a.Name + "=" + a.Value
			if others := hr.Header.Get("Cookie"); others != "" {
				pair = others + "; " + pair
			}
			hr.Header["Cookie"] = []string{pair}
		default:
			hr.Header.Set(a.Name, a.Value)
		}
		return nil
	}
}

func authError(format string, args ...any) *plugin.Error {
	return &plugin.Error{Code: plugin.CodeAuth, Message: fmt.Sprintf(format, args...)}
}
