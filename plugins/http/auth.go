package http

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/icholy/digest"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// auth is config.auth; config.schema.json describes each key.
type auth struct {
	Type         string            `json:"type"`
	Username     string            `json:"username"`
	Password     string            `json:"password"`
	Token        string            `json:"token"`
	Key          string            `json:"key"`
	Value        string            `json:"value"`
	Location     string            `json:"location"`
	AccessKey    string            `json:"access_key"`
	SecretKey    string            `json:"secret_key"`
	SessionToken string            `json:"session_token"`
	Region       string            `json:"region"`
	Service      string            `json:"service"`
	Algorithm    string            `json:"algorithm"`
	Claims       json.RawMessage   `json:"claims"`
	Header       json.RawMessage   `json:"header"`
	ExpiresIn    duration          `json:"expires_in"`
	GrantType    string            `json:"grant_type"`
	TokenURL     string            `json:"token_url"`
	ClientID     string            `json:"client_id"`
	ClientSecret string            `json:"client_secret"`
	ClientAuth   string            `json:"client_auth"`
	RefreshToken string            `json:"refresh_token"`
	Scope        json.RawMessage   `json:"scope"`
	Audience     string            `json:"audience"`
	Params       map[string]string `json:"params"`
}

// authorizer proves who sends a request.
type authorizer interface {
	// roundTrip sends the request with its proof.
	roundTrip(next http.RoundTripper, hr *http.Request) (*http.Response, error)
	// renew is told of a 401 and says whether another try has a chance.
	renew(ctx context.Context, res *http.Response) bool
}

// header adds a proof that does not depend on the request.
type header func(hr *http.Request)

func (h header) roundTrip(next http.RoundTripper, hr *http.Request) (*http.Response, error) {
	hr = hr.Clone(hr.Context())
	h(hr)
	return next.RoundTrip(hr)
}

func (header) renew(context.Context, *http.Response) bool { return false }

// authorizer makes the proof that the config asks for; nil: none.
func (x *exchange) authorizer() (authorizer, error) {
	a := x.config.Auth
	if a == nil {
		return nil, nil
	}
	need := func(fields map[string]string) error {
		for _, name := range []string{"username", "token", "key", "value", "access_key", "secret_key", "region", "service", "token_url", "client_id", "refresh_token"} {
			if v, asked := fields[name]; asked && v == "" {
				return configError("auth."+name, "", "config.auth.%s is needed for type %s", name, a.Type)
			}
		}
		return nil
	}
	switch a.Type {
	case "none":
		return nil, nil
	case "basic":
		return header(func(hr *http.Request) { hr.SetBasicAuth(a.Username, a.Password) }), need(map[string]string{"username": a.Username})
	case "bearer":
		return header(func(hr *http.Request) { hr.Header.Set("Authorization", "Bearer "+a.Token) }), need(map[string]string{"token": a.Token})
	case "api_key":
		return a.apiKey(), need(map[string]string{"key": a.Key, "value": a.Value})
	case "digest":
		return &digestProof{user: a.Username, password: a.Password, body: x.body}, need(map[string]string{"username": a.Username})
	case "aws_sigv4":
		return &awsProof{auth: a, body: x.body}, need(map[string]string{"access_key": a.AccessKey, "secret_key": a.SecretKey, "region": a.Region, "service": a.Service})
	case "jwt":
		return x.jwtProof()
	case "oauth2":
		fields := map[string]string{"token_url": a.TokenURL, "client_id": a.ClientID}
		if a.GrantType == "refresh_token" {
			fields["refresh_token"] = a.RefreshToken
		}
		return &oauthProof{exchange: x}, need(fields)
	}
	return nil, configError("auth.type", "", "config.auth.type %q is not a kind of authentication", a.Type)
}

func (a *auth) apiKey() header {
	return func(hr *http.Request) {
		switch a.Location {
		case "query":
			q := hr.URL.Query()
			q.Set(a.Key, a.Value)
			hr.URL.RawQuery = q.Encode()
		case "cookie":
			hr.AddCookie(&http.Cookie{Name: a.Key, Value: a.Value})
		default:
			hr.Header.Set(a.Key, a.Value)
		}
	}
}

// digestProof answers the challenge of RFC 7616.
type digestProof struct {
	user, password string
	body           *requestBody
}

func (d *digestProof) roundTrip(next http.RoundTripper, hr *http.Request) (*http.Response, error) {
	t := &digest.Transport{Username: d.user, Password: d.password, Transport: next}
	return t.RoundTrip(hr)
}

func (*digestProof) renew(context.Context, *http.Response) bool { return false }

// awsProof signs with AWS Signature Version 4.
type awsProof struct {
	auth *auth
	body *requestBody
}

func (p *awsProof) roundTrip(next http.RoundTripper, hr *http.Request) (*http.Response, error) {
	hr = hr.Clone(hr.Context())
	payload := p.body.data
	if hr.Body == nil || hr.Body == http.NoBody {
		payload = nil
	}
	sum := sha256.Sum256(payload)
	hash := hex.EncodeToString(sum[:])
	if p.auth.Service == "s3" {
		hr.Header.Set("X-Amz-Content-Sha256", hash)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = p.auth.Service == "s3" })
	credentials := aws.Credentials{AccessKeyID: p.auth.AccessKey, SecretAccessKey: p.auth.SecretKey, SessionToken: p.auth.SessionToken}
	if err := signer.SignHTTP(hr.Context(), credentials, hr, hash, p.auth.Service, p.auth.Region, time.Now()); err != nil {
		return nil, authError("the request could not be signed: %s", err)
	}
	return next.RoundTrip(hr)
}

func (*awsProof) renew(context.Context, *http.Response) bool { return false }

func authError(format string, args ...any) *plugin.Error {
	return &plugin.Error{Code: plugin.CodeAuth, Message: fmt.Sprintf(format, args...)}
}

// maxTokenBytes bounds a token endpoint's answer.
const maxTokenBytes = 1 << 20

func readSmall(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxTokenBytes)) }
