package expr

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/testmesh/testmesh/flow/value"
)

func jwtFunctions() []function {
	return []function{
		{name: "jwt_encode", min: 2, max: 4, gives: value.String, impure: true, do: jwtEncode},
		{name: "jwt_decode", min: 1, max: 2, gives: value.Object, do: jwtDecode},
	}
}

// jwtEncode is jwt_encode(claims, key, algorithm, header): HS256 where no
// algorithm is given; the key of RS, PS, ES and EdDSA is a private key in PEM;
// "none" leaves the signature empty, for tests that a service refuses it.
func jwtEncode(_ *evaluation, args []any) (any, error) {
	claims, err := object("jwt_encode", args, 0)
	if err != nil {
		return nil, err
	}
	key, err := text("jwt_encode", args, 1)
	if err != nil {
		return nil, err
	}
	algorithm := "HS256"
	if len(args) > 2 {
		if algorithm, err = text("jwt_encode", args, 2); err != nil {
			return nil, err
		}
	}
	header := map[string]any{"alg": algorithm, "typ": "JWT"}
	if len(args) > 3 {
		more, err := object("jwt_encode", args, 3)
		if err != nil {
			return nil, err
		}
		for k, v := range more {
			header[k] = v
		}
	}
	// The library would print the claims by its own rules; numbers stay exact here.
	signing := segment(header) + "." + segment(claims)
	if algorithm == "none" {
		return signing + ".", nil
	}
	method, secret, err := signer(algorithm, key, true)
	if err != nil {
		return nil, err
	}
	signature, err := method.Sign(signing, secret)
	if err != nil {
		return nil, valueErrorf("jwt_encode cannot sign with %s: %s", algorithm, err)
	}
	return signing + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func segment(v map[string]any) string {
	return base64.RawURLEncoding.EncodeToString([]byte(value.Compact(v)))
}

// signer gives the method and the key in the form that it needs.
func signer(algorithm, key string, private bool) (jwt.SigningMethod, any, error) {
	method := jwt.GetSigningMethod(algorithm)
	if method == nil || algorithm == "none" {
		return nil, nil, valueErrorf("unknown algorithm %q; HS, RS, PS and ES with 256, 384 and 512, and EdDSA are known", cut(algorithm, maxShown))
	}
	var secret any
	var err error
	pem := []byte(key)
	switch algorithm[:2] {
	case "HS":
		secret = pem
	case "RS", "PS":
		secret, err = rsaKey(pem, private)
	case "ES":
		secret, err = ecKey(pem, private)
	default:
		secret, err = edKey(pem, private)
	}
	if err != nil {
		return nil, nil, valueErrorf("%s needs a key in PEM: %s", algorithm, err)
	}
	return method, secret, nil
}

// A public key may be taken from the private one, too.
func rsaKey(pem []byte, private bool) (any, error) {
	k, err := jwt.ParseRSAPrivateKeyFromPEM(pem)
	if private {
		return k, err
	}
	if err == nil {
		return &k.PublicKey, nil
	}
	var public *rsa.PublicKey
	public, err = jwt.ParseRSAPublicKeyFromPEM(pem)
	return public, err
}

func ecKey(pem []byte, private bool) (any, error) {
	k, err := jwt.ParseECPrivateKeyFromPEM(pem)
	if private {
		return k, err
	}
	if err == nil {
		return &k.PublicKey, nil
	}
	var public *ecdsa.PublicKey
	public, err = jwt.ParseECPublicKeyFromPEM(pem)
	return public, err
}

func edKey(pem []byte, private bool) (any, error) {
	k, err := jwt.ParseEdPrivateKeyFromPEM(pem)
	if private {
		return k, err
	}
	if own, ok := k.(ed25519.PrivateKey); ok && err == nil {
		return own.Public(), nil
	}
	return jwt.ParseEdPublicKeyFromPEM(pem)
}

// jwtDecode gives {header, claims, signature}. With a key the signature is
// checked; times of validity never are, since a test asserts them itself.
func jwtDecode(_ *evaluation, args []any) (any, error) {
	token, err := text("jwt_decode", args, 0)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(strings.TrimPrefix(token, "Bearer "), ".")
	if len(parts) != 3 {
		return nil, valueErrorf("jwt_decode needs a token of three parts, got %s", describe(token))
	}
	out := map[string]any{"signature": parts[2]}
	for i, name := range []string{"header", "claims"} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[i], "="))
		if err != nil {
			return nil, valueErrorf("the %s of the token is not base64url: %s", name, err)
		}
		if out[name], err = value.Decode(raw); err != nil {
			return nil, valueErrorf("the %s of the token is not JSON: %s", name, err)
		}
		if _, ok := out[name].(map[string]any); !ok {
			return nil, valueErrorf("the %s of the token is no object", name)
		}
	}
	if len(args) == 1 {
		return out, nil
	}
	key, err := text("jwt_decode", args, 1)
	if err != nil {
		return nil, err
	}
	return out, verify(parts, out["header"].(map[string]any), key)
}

func verify(parts []string, header map[string]any, key string) error {
	algorithm, _ := header["alg"].(string)
	method, secret, err := signer(algorithm, key, false)
	if err != nil {
		return err
	}
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[2], "="))
	if err != nil {
		return valueErrorf("the signature of the token is not base64url: %s", err)
	}
	if err := method.Verify(parts[0]+"."+parts[1], signature, secret); err != nil {
		return valueErrorf("the signature of the token is not of this key: %s", err)
	}
	return nil
}
