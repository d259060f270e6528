package expr

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/url"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// codecFunctions work on the UTF-8 bytes of strings; digests are hex.
func codecFunctions() []function {
	return []function{
		digest("md5", md5.New), digest("sha1", sha1.New), digest("sha256", sha256.New), digest("sha512", sha512.New),
		keyed("hmac_sha1", sha1.New), keyed("hmac_sha256", sha256.New), keyed("hmac_sha512", sha512.New),
		encode("base64_encode", base64.StdEncoding.EncodeToString), decode("base64_decode", base64Decode),
		encode("toBase64", base64.StdEncoding.EncodeToString), decode("fromBase64", base64Decode),
		encode("base64url_encode", base64.RawURLEncoding.EncodeToString), decode("base64url_decode", base64Decode),
		encode("hex_encode", hex.EncodeToString), decode("hex_decode", hex.DecodeString),
		encode("url_encode", func(b []byte) string { return strings.ReplaceAll(url.QueryEscape(string(b)), "+", "%20") }),
		decode("url_decode", func(s string) ([]byte, error) {
			out, err := url.QueryUnescape(s)
			return []byte(out), err
		}),
	}
}

func digest(name string, of func() hash.Hash) function {
	return texts(name, 1, value.String, func(_ *evaluation, s []string) (any, error) {
		h := of()
		h.Write([]byte(s[0]))
		return hex.EncodeToString(h.Sum(nil)), nil
	})
}

// keyed takes the key first: hmac_sha256(key, x).
func keyed(name string, of func() hash.Hash) function {
	f := texts(name, 2, value.String, func(_ *evaluation, s []string) (any, error) {
		h := hmac.New(of, []byte(s[0]))
		h.Write([]byte(s[1]))
		return hex.EncodeToString(h.Sum(nil)), nil
	})
	f.method = false
	return f
}

func encode(name string, to func([]byte) string) function {
	return texts(name, 1, value.String, func(e *evaluation, s []string) (any, error) {
		if err := e.produce(3 * len(s[0])); err != nil {
			return nil, err
		}
		return to([]byte(s[0])), nil
	})
}

func decode(name string, from func(string) ([]byte, error)) function {
	return texts(name, 1, value.String, func(e *evaluation, s []string) (any, error) {
		if err := e.produce(len(s[0])); err != nil {
			return nil, err
		}
		out, err := from(s[0])
		if err != nil {
			return nil, valueErrorf("%s got %s: %s", name, describe(s[0]), err)
		}
		return string(out), nil
	})
}

// base64Decode takes either alphabet, with or without padding and line breaks.
func base64Decode(s string) ([]byte, error) {
	s = strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "").Replace(s)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}
