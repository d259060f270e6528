package http

import (
	"context"
	"crypto/md5" //nolint:gosec // RFC 7616 still has it, and servers do
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/icholy/digest"
)

// digestProof answers the challenge of RFC 7616.
type digestProof struct {
	user, password string
	challenge      *digest.Challenge // nil until the server sent one
}

func (d *digestProof) prove(_ context.Context, hr *http.Request) error {
	if d.challenge == nil {
		return nil
	}
	options := digest.Options{
		Method: hr.Method, URI: hr.URL.RequestURI(), GetBody: hr.GetBody, Count: 1,
		Username: d.user, Password: d.password,
	}
	challenge := *d.challenge
	if algorithm, session := cutSession(challenge.Algorithm); session {
		challenge.Algorithm = algorithm
		if err := d.sessionKey(&challenge, &options); err != nil {
			return err
		}
	}
	credentials, err := digest.Digest(&challenge, options)
	if err != nil {
		return authError("the digest challenge of %s cannot be answered: %s", hr.URL.Host, strings.TrimPrefix(err.Error(), "digest: "))
	}
	credentials.Algorithm = d.challenge.Algorithm
	hr.Header["Authorization"] = []string{credentials.String()}
	return nil
}

// sessionKey makes A1 of the -sess algorithms (RFC 7616 section 3.4.2), which
// the library lacks.
func (d *digestProof) sessionKey(challenge *digest.Challenge, options *digest.Options) error {
	nonce := make([]byte, 8)
	_, _ = rand.Read(nonce) // never fails
	options.Cnonce = hex.EncodeToString(nonce)
	var sum func(string) string
	switch strings.ToUpper(challenge.Algorithm) {
	case "MD5":
		sum = func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) } //nolint:gosec // see above
	case "SHA-256":
		sum = func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	default:
		return authError("the digest algorithm %s-sess is not supported", clip(challenge.Algorithm))
	}
	options.A1 = sum(sum(d.user+":"+challenge.Realm+":"+d.password) + ":" + challenge.Nonce + ":" + options.Cnonce)
	return nil
}

// again takes the challenge of the first 401; a second says that the answer to
// it was wrong.
func (d *digestProof) again(res *http.Response) (bool, error) {
	var fault error
	for _, header := range res.Header.Values("WWW-Authenticate") {
		if !digest.IsDigest(header) {
			continue
		}
		challenge, err := digest.ParseChallenge(header)
		if err != nil {
			fault = authError("%s sent a digest challenge that cannot be read: %s", res.Request.URL.Host, strings.TrimPrefix(err.Error(), "digest: "))
			continue
		}
		for i := range challenge.QOP {
			challenge.QOP[i] = strings.TrimSpace(challenge.QOP[i])
		}
		algorithm, _ := cutSession(challenge.Algorithm)
		if digest.CanDigest(&digest.Challenge{Algorithm: algorithm, QOP: challenge.QOP}) {
			d.challenge = challenge // the first, which is the server's choice
			return true, nil
		}
		fault = authError("%s wants the digest algorithm %q with %q, which is not supported", res.Request.URL.Host, clip(challenge.Algorithm), clip(strings.Join(challenge.QOP, ",")))
	}
	return false, fault // none: the 401 itself is the answer
}

func cutSession(algorithm string) (base string, session bool) {
	if i := len(algorithm) - len("-sess"); i > 0 && strings.EqualFold(algorithm[i:], "-sess") {
		return algorithm[:i], true
	}
	return algorithm, false
}
