package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// defaultJWTLife is the life of a self-made token.
const defaultJWTLife = 5 * time.Minute

// jwtProof signs a bearer token with the flow's own key (RFC 7519).
func (x *exchange) jwtProof() (proof, error) {
	a := x.config.Auth
	algorithm := a.Algorithm
	if algorithm == "" {
		algorithm = "HS256"
	}
	signing := jwt.GetSigningMethod(algorithm)
	if signing == nil || algorithm == jwt.SigningMethodNone.Alg() {
		return nil, configError("auth.algorithm", "", "%q is not an algorithm that TestMesh signs with", clip(algorithm))
	}
	claims := jwt.MapClaims{}
	if err := decodeMap(a.Claims, &claims); err != nil {
		return nil, configError("auth.claims", "", "%s", err)
	}
	now, life := x.plugin.now(), defaultJWTLife
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
	header := map[string]any{}
	if err := decodeMap(a.Header, &header); err != nil {
		return nil, configError("auth.header", "", "%s", err)
	}
	for name, v := range header {
		if name == "alg" {
			return nil, configError("auth.header.alg", "", "it is said by auth.algorithm")
		}
		tok.Header[name] = v
	}
	key, err := signingKey(algorithm, a.SecretKey)
	if err != nil {
		return nil, configError("auth.secret_key", "HS algorithms take a text, the others a private key in PEM", "it does not fit %s: %s", algorithm, err)
	}
	signed, err := tok.SignedString(key)
	if err != nil {
		return nil, configError("auth.secret_key", "", "the token could not be signed with %s: %s", algorithm, err)
	}
	x.secrets = append(x.secrets, plugin.Secret{Name: "jwt", Value: signed})
	return bearer(signed), nil
}

// decodeMap reads a map with its numbers verbatim; nothing leaves it as it is.
func decodeMap[M any](text json.RawMessage, into *M) error {
	if len(text) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if text[0] != '{' || dec.Decode(into) != nil {
		return errors.New("it is not a map")
	}
	return nil
}

func signingKey(algorithm, key string) (any, error) {
	switch algorithm[:2] {
	case "HS":
		return []byte(key), nil
	case "RS", "PS":
		return jwt.ParseRSAPrivateKeyFromPEM([]byte(key))
	case "ES":
		return jwt.ParseECPrivateKeyFromPEM([]byte(key))
	}
	return jwt.ParseEdPrivateKeyFromPEM([]byte(key))
}
