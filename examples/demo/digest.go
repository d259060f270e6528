package demo

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
)

// hashes are the algorithms of RFC 7616 that are offered, best first.
var hashes = [...]struct {
	name string
	sum  func(string) string
}{
	{"SHA-256", func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }},
	{"MD5", func(s string) string { sum := md5.Sum([]byte(s)); return hex.EncodeToString(sum[:]) }},
}

// authDigest is RFC 7616 with qop=auth. ?algorithm= offers only one. A nonce
// stays good until POST /__reset; that a count comes once is not checked.
func authDigest(c *call) error {
	only := c.r.URL.Query().Get("algorithm")
	if only != "" && only != hashes[0].name && only != hashes[1].name {
		return badRequest("?algorithm= is %s or %s", hashes[0].name, hashes[1].name)
	}
	why := c.checkDigest(c.r.Header.Get("Authorization"), only)
	if why == "" {
		return c.json(http.StatusOK, map[string]any{"authenticated": true, "user": Username})
	}
	c.tenant.mu.Lock()
	nonce := c.tenant.nonce(c.tenant.next("nonce"))
	c.tenant.mu.Unlock()
	for _, hash := range hashes {
		if only == "" || only == hash.name {
			c.w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Digest realm=%q, qop="auth", algorithm=%s, nonce=%q, opaque="demo"`, realm, hash.name, nonce))
		}
	}
	return refuse(http.StatusUnauthorized, "unauthorized", "%s", why)
}

// nonce carries its number, so that it can be checked without being kept.
func (t *tenant) nonce(n int) string {
	random := t.random("nonce", n)
	return fmt.Sprintf("%d.%x", n, random[:12])
}

// checkDigest says why the credentials are not good, or "".
func (c *call) checkDigest(header, only string) string {
	scheme, rest, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Digest") {
		return "digest authentication as " + Username + " is needed"
	}
	given := parameters(rest)
	var number int
	if _, err := fmt.Sscanf(given["nonce"], "%d.", &number); err != nil || !c.tenant.issuedNonce(number, given["nonce"]) {
		return "the nonce was not issued here"
	}
	algorithm, session := given["algorithm"], false
	if algorithm == "" {
		algorithm = "MD5"
	}
	if base, cut := strings.CutSuffix(strings.ToUpper(algorithm), "-SESS"); cut {
		algorithm, session = base, true
	}
	for _, hash := range hashes {
		if !strings.EqualFold(hash.name, algorithm) || only != "" && only != hash.name {
			continue
		}
		if given["username"] != Username || given["realm"] != realm || given["qop"] != "auth" || given["uri"] != c.r.RequestURI || given["cnonce"] == "" {
			return "username, realm, qop, uri or cnonce is not what the challenge asked for"
		}
		ha1 := hash.sum(Username + ":" + realm + ":" + Password)
		if session {
			ha1 = hash.sum(ha1 + ":" + given["nonce"] + ":" + given["cnonce"])
		}
		ha2 := hash.sum(c.r.Method + ":" + given["uri"])
		want := hash.sum(strings.Join([]string{ha1, given["nonce"], given["nc"], given["cnonce"], given["qop"], ha2}, ":"))
		if subtle.ConstantTimeCompare([]byte(want), []byte(given["response"])) != 1 {
			return "the response does not fit the password"
		}
		return ""
	}
	return "the algorithm was not offered"
}

func (t *tenant) issuedNonce(n int, text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n >= 1 && n <= t.counters["nonce"] && text == t.nonce(n)
}

// parameters reads name=token and name="quoted \" text", separated by commas.
func parameters(s string) map[string]string {
	found := map[string]string{}
	for s != "" {
		name, rest, ok := strings.Cut(strings.TrimLeft(s, ", \t"), "=")
		if !ok {
			break
		}
		var value strings.Builder
		rest = strings.TrimLeft(rest, " \t")
		if !strings.HasPrefix(rest, `"`) {
			text, after, _ := strings.Cut(rest, ",")
			value.WriteString(strings.TrimSpace(text))
			s = after
		} else {
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				value.WriteByte(rest[i])
			}
			s = rest[min(i+1, len(rest)):]
		}
		found[strings.ToLower(strings.TrimSpace(name))] = value.String()
	}
	return found
}
