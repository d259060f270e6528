package http

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/md5"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/icholy/digest"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestProofsThatNeedNoAnswer(t *testing.T) {
	server := record(t, nil)
	tests := map[string]struct {
		auth m
		want func(seen) string
		is   string
	}{
		"none":                     {m{"type": "none"}, authorization, ""},
		"basic":                    {m{"type": "basic", "username": "Aladdin", "password": "open sesame"}, authorization, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		"basic without a password": {m{"type": "basic", "username": "ü"}, authorization, "Basic w7w6"},
		"bearer":                   {m{"type": "bearer", "token": "abc"}, authorization, "Bearer abc"},
		"a key in a header":        {m{"type": "api_key", "name": "X-Key", "value": "k"}, func(s seen) string { return s.Header.Get("X-Key") }, "k"},
		"a key in the query":       {m{"type": "api_key", "name": "ap i", "value": "k&", "location": "query"}, func(s seen) string { return s.URI }, "/x?a=1&ap+i=k%26"},
		"a key in a cookie":        {m{"type": "api_key", "name": "sid", "value": "k", "location": "cookie"}, func(s seen) string { return s.Header.Get("Cookie") }, "b=2; sid=k"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := newCaller(t, Config{}).do(m{"url": server.URL + "/x", "query": m{"a": 1}, "cookies": m{"b": 2}, "auth": test.auth})
			if is := test.want(server.last(t)); is != test.is {
				t.Errorf("got %q, want %q", is, test.is)
			}
			if got["url"] != server.URL+"/x?a=1" {
				t.Errorf("the result's url is %v, with the proof", got["url"])
			}
		})
	}
}

func authorization(s seen) string { return s.Header.Get("Authorization") }

func TestAnAuthThatLacksSomethingIsTheDefinitionsFault(t *testing.T) {
	oauth := func(pairs ...string) m {
		out := m{"type": "oauth2", "token_url": "http://127.0.0.1:1/", "client_id": "c"}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	tests := map[string]struct {
		auth        m
		field, want string
	}{
		"no type":                 {m{}, "auth.type", `"" is not a kind`},
		"an unknown type":         {m{"type": "kerberos"}, "auth.type", `"kerberos" is not a kind`},
		"an unknown key":          {m{"type": "basic", "user": "a"}, "auth.user", "no such key"},
		"no user":                 {m{"type": "basic"}, "auth.username", "needed for type basic"},
		"no token":                {m{"type": "bearer", "token": ""}, "auth.token", "needed for type bearer"},
		"a token with its end":    {m{"type": "bearer", "token": "abc\n"}, "auth.token", "a line break"},
		"no name of a key":        {m{"type": "api_key", "value": "x"}, "auth.name", "needed"},
		"a name that is none":     {m{"type": "api_key", "name": "a b", "value": "x"}, "auth.name", "is not the name"},
		"a place that is none":    {m{"type": "api_key", "name": "a", "value": "x", "location": "body"}, "auth.location", `"body" is not a place`},
		"a cookie with semicolon": {m{"type": "api_key", "name": "a", "value": "x;y", "location": "cookie"}, "auth.value", "a semicolon"},
		"no region":               {m{"type": "aws_sigv4", "access_key": "a", "secret_key": "b", "service": "s3"}, "auth.region", "needed"},
		"no key of a token":       {m{"type": "jwt"}, "auth.secret_key", "needed"},
		"an unknown algorithm":    {m{"type": "jwt", "secret_key": "x", "algorithm": "none"}, "auth.algorithm", `"none" is not an algorithm`},
		"a key of another kind":   {m{"type": "jwt", "secret_key": "x", "algorithm": "RS256"}, "auth.secret_key", "it does not fit RS256"},
		"claims that are no map":  {m{"type": "jwt", "secret_key": "x", "claims": l{}}, "auth.claims", "not a map"},
		"a header of algorithms":  {m{"type": "jwt", "secret_key": "x", "header": m{"alg": "none"}}, "auth.header.alg", "auth.algorithm"},
		"an unknown grant":        {oauth("grant_type", "implicit"), "auth.grant_type", `"implicit" is not a grant`},
		"no user of a grant":      {oauth("grant_type", "password"), "auth.username", "needed for the grant"},
		"no token of a grant":     {oauth("grant_type", "refresh_token"), "auth.refresh_token", "needed for the grant"},
		"a way of proving":        {oauth("client_auth", "jwt"), "auth.client_auth", `"jwt" is not a way`},
		"a token from nowhere":    {oauth("token_url", "/token"), "auth.token_url", "is not an http or https URL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := newCaller(t, Config{}).fail(m{"url": "http://127.0.0.1:1/", "auth": test.auth})
			if err.Code != plugin.CodeConfig || err.Field != test.field {
				t.Errorf("got %s at %q, want E-CONFIG at %q", err.Code, err.Field, test.field)
			}
			contains(t, err.Message, test.want)
		})
	}
}

// digestServer knows ada with the password pw, and checks by RFC 7616 itself,
// not by the library that the plugin uses.
func digestServer(t *testing.T, challenge string) *recordingServer {
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		hash := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
		if strings.Contains(challenge, "SHA-256") {
			hash = func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
		}
		c, err := digest.ParseCredentials(r.Header.Get("Authorization"))
		if err == nil {
			a1 := hash("ada:shop:pw")
			if strings.Contains(challenge, "-sess") {
				a1 = hash(a1 + ":n0nce:" + c.Cnonce)
			}
			a2 := hash(r.Method + ":" + r.URL.RequestURI())
			want := hash(a1 + ":n0nce:" + a2)
			if c.QOP != "" {
				want = hash(a1 + ":n0nce:" + fmt.Sprintf("%08x", c.Nc) + ":" + c.Cnonce + ":" + c.QOP + ":" + a2)
			}
			if c.Response == want && c.URI == r.URL.RequestURI() {
				return
			}
		}
		if challenge != "" {
			w.Header().Set("WWW-Authenticate", challenge)
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
}

func TestDigestAnswersTheChallenge(t *testing.T) {
	const rest = `realm="shop", nonce="n0nce"`
	ada := m{"type": "digest", "username": "ada", "password": "pw"}
	eve := m{"type": "digest", "username": "ada", "password": "guess"}
	tests := map[string]struct {
		challenge string
		auth      m
		status    float64
		requests  int
	}{
		"MD5":                    {"Digest " + rest + `, qop="auth"`, ada, 200, 2},
		"without qop":            {"Digest " + rest, ada, 200, 2},
		"SHA-256":                {"Digest " + rest + `, qop="auth", algorithm=SHA-256`, ada, 200, 2},
		"MD5-sess":               {"Digest " + rest + `, qop="auth", algorithm=MD5-sess`, ada, 200, 2},
		"SHA-256-sess":           {"Digest " + rest + `, qop="auth", algorithm=SHA-256-sess`, ada, 200, 2},
		"a wrong password":       {"Digest " + rest + `, qop="auth"`, eve, 401, 2},
		"a server that wants it": {`Basic realm="shop"`, ada, 401, 1},
		"no challenge":           {"", ada, 401, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := digestServer(t, test.challenge)
			got := newCaller(t, Config{}).do(m{"url": server.URL + "/a?b=c", "method": "POST", "body": "text", "auth": test.auth})
			if got["status"] != test.status || len(server.all()) != test.requests || server.last(t).Body != "text" {
				t.Errorf("got %v by %d requests with body %q, want %v by %d", got["status"], len(server.all()), server.last(t).Body, test.status, test.requests)
			}
		})
	}
	for name, challenge := range map[string]string{
		"an algorithm of nobody":     "Digest " + rest + `, algorithm=CRC32`,
		"a session of such":          "Digest " + rest + `, algorithm=CRC32-sess`,
		"a challenge that is broken": `Digest realm="shop`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := newCaller(t, Config{}).fail(m{"url": digestServer(t, challenge).URL, "auth": ada}); err.Code != plugin.CodeAuth {
				t.Errorf("got %s (%s), want E-AUTH", err.Code, err.Message)
			}
		})
	}
}

// The signatures that AWS publishes for its test suite and, for S3, in the
// documentation of the API ("Authenticating Requests").
func TestSignaturesAreThoseThatAWSPublishes(t *testing.T) {
	suite := m{"type": "aws_sigv4", "access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "region": "us-east-1", "service": "service"}
	s3 := m{"type": "aws_sigv4", "access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "region": "us-east-1", "service": "s3"}
	none := m{"Accept": nil, "User-Agent": nil}
	tests := map[string]struct {
		config m
		now    time.Time
		want   string
	}{
		"get-vanilla": {
			m{"url": "http://example.amazonaws.com/", "auth": suite, "headers": none},
			time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
			"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		},
		"post-vanilla": {
			m{"url": "http://example.amazonaws.com/", "method": "POST", "auth": suite, "headers": none},
			time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
			"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
		},
		"get-vanilla-query-order-key-case": {
			m{"url": "http://example.amazonaws.com/?Param2=value2&Param1=value1", "auth": suite, "headers": none},
			time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
			"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
		},
		"S3, a part of an object": {
			m{"url": "http://examplebucket.s3.amazonaws.com/test.txt", "auth": s3, "headers": m{"Accept": nil, "User-Agent": nil, "Range": "bytes=0-9"}},
			time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC),
			"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proxy := record(t, nil)
			test.config["proxy"], test.config["compressed"] = proxy.URL, false
			newCaller(t, Config{Now: func() time.Time { return test.now }}).do(test.config)
			if got := authorization(proxy.last(t)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestASignedBodyAndASessionAreSaid(t *testing.T) {
	server := record(t, nil)
	newCaller(t, Config{}).do(m{
		"url": server.URL, "method": "PUT", "body": "abc",
		"auth": m{"type": "aws_sigv4", "access_key": "a", "secret_key": "s", "region": "r", "service": "s3", "session_token": "tok"},
	})
	got := server.last(t)
	if got.Header.Get("X-Amz-Security-Token") != "tok" || got.Header.Get("X-Amz-Content-Sha256") != fmt.Sprintf("%x", sha256.Sum256([]byte("abc"))) {
		t.Errorf("got %v", got.Header)
	}
	contains(t, authorization(got), "x-amz-security-token")
}

func TestTokensAreSignedByTheFlowsKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := newKey(t)
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return pemText("PRIVATE KEY", der)
	}
	tests := map[string]struct {
		key    string
		verify any
	}{
		"HS256": {"a secret of enough bytes", []byte("a secret of enough bytes")},
		"HS512": {"a secret of enough bytes", []byte("a secret of enough bytes")},
		"RS256": {private(rsaKey), &rsaKey.PublicKey},
		"PS512": {private(rsaKey), &rsaKey.PublicKey},
		"ES256": {private(ecKey), (*ecdsa.PublicKey)(&ecKey.PublicKey)},
		"EdDSA": {private(edKey), edPublic},
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server := record(t, nil)
	for algorithm, test := range tests {
		t.Run(algorithm, func(t *testing.T) {
			c := newCaller(t, Config{Now: func() time.Time { return now }})
			res, err := c.try(t.Context(), m{"url": server.URL, "auth": m{
				"type": "jwt", "algorithm": algorithm, "secret_key": test.key, "expires_in": "1m",
				"claims": m{"sub": "ada", "n": 1234567890123}, "header": m{"kid": "k1"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			text := strings.TrimPrefix(authorization(server.last(t)), "Bearer ")
			claims := jwt.MapClaims{}
			tok, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return test.verify, nil },
				jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithValidMethods([]string{algorithm}))
			if err != nil {
				t.Fatal(err)
			}
			want := jwt.MapClaims{"sub": "ada", "n": 1234567890123.0, "iat": float64(now.Unix()), "exp": float64(now.Unix() + 60)}
			if diff := cmp.Diff(want, claims); diff != "" || tok.Header["kid"] != "k1" {
				t.Errorf("kid %v, claims (-want +got):\n%s", tok.Header["kid"], diff)
			}
			if diff := cmp.Diff([]plugin.Secret{{Name: "jwt", Value: text}}, res.Secrets); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("claims of the flow stay", func(t *testing.T) {
		newCaller(t, Config{}).do(m{"url": server.URL, "auth": m{"type": "jwt", "secret_key": "x", "claims": m{"exp": 5, "iat": 4}}})
		claims := jwt.MapClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(strings.TrimPrefix(authorization(server.last(t)), "Bearer "), claims); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(jwt.MapClaims{"exp": 5.0, "iat": 4.0}, claims); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
	})
}
