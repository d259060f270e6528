package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Headers of a request that an agent signs. A proxy that ends TLS does not break the
// signature, and cannot use it for another request.
const (
	HeaderAgent     = "TestMesh-Agent"
	HeaderSession   = "TestMesh-Session"
	HeaderTime      = "TestMesh-Time"
	HeaderNonce     = "TestMesh-Nonce"
	HeaderSignature = "TestMesh-Signature"
)

// MaxSigned bounds the body of a signed request.
const MaxSigned = 16 << 20

// MaxSkew is how far the clocks of an agent and the control plane may be apart.
const MaxSkew = 5 * time.Minute

// Signer proves an agent by its key.
type Signer struct {
	AgentID string
	Session string
	Key     ed25519.PrivateKey
	// Now is the clock of the control plane, as far as the agent knows it; nil:
	// time.Now.
	Now func() time.Time
}

// Sign signs a request; it reads the body, and puts it back.
func (s *Signer) Sign(req *http.Request) error {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(req.Body, MaxSigned+1)); err != nil {
			return fmt.Errorf("sign request: %w", err)
		}
		if len(body) > MaxSigned {
			return fmt.Errorf("sign request: its body is over %d bytes", MaxSigned)
		}
		_ = req.Body.Close() // it was read to its end
		req.Body = io.NopCloser(bytes.NewReader(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.ContentLength = int64(len(body))
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	at, once := strconv.FormatInt(now().UnixMilli(), 10), hex.EncodeToString(nonce)
	req.Header.Set(HeaderAgent, s.AgentID)
	req.Header.Set(HeaderSession, s.Session)
	req.Header.Set(HeaderTime, at)
	req.Header.Set(HeaderNonce, once)
	text := signed(req, at, once, s.Session, body)
	req.Header.Set(HeaderSignature, base64.StdEncoding.EncodeToString(ed25519.Sign(s.Key, text)))
	return nil
}

// signed is the text that a signature is of.
func signed(req *http.Request, at, nonce, session string, body []byte) []byte {
	sum := sha256.Sum256(body)
	return fmt.Appendf(nil, "testmesh-agent-v1\n%s\n%s\n%s\n%s\n%s\n%s", req.Method, req.URL.RequestURI(), at, nonce, session, hex.EncodeToString(sum[:]))
}

// Signed is what a valid signature says.
type Signed struct {
	AgentID, Session, Nonce string
	Time                    time.Time
}

// SkewError is a signature that is right but for its time.
type SkewError struct{ Skew time.Duration }

func (e *SkewError) Error() string {
	return fmt.Sprintf("the agent's clock is %s off (more than %s): set the clock of its machine", e.Skew.Round(time.Second), MaxSkew)
}

// Verify checks a signed request: key gives an agent's public key. It reads the body,
// and puts it back. Whether the nonce was seen before is for the caller to know.
func Verify(req *http.Request, now time.Time, key func(agentID string) (ed25519.PublicKey, error)) (*Signed, error) {
	s := &Signed{AgentID: req.Header.Get(HeaderAgent), Session: req.Header.Get(HeaderSession), Nonce: req.Header.Get(HeaderNonce)}
	at := req.Header.Get(HeaderTime)
	millis, err := strconv.ParseInt(at, 10, 64)
	if err != nil || s.AgentID == "" || s.Nonce == "" {
		return nil, errors.New("the request of the agent is not signed")
	}
	signature, err := base64.StdEncoding.DecodeString(req.Header.Get(HeaderSignature))
	if err != nil {
		return nil, errors.New("the signature of the agent is none")
	}
	public, err := key(s.AgentID) // before the body, of which who is not known sends none
	if err != nil {
		return nil, err
	}
	var body []byte
	if req.Body != nil {
		if body, err = io.ReadAll(io.LimitReader(req.Body, MaxSigned+1)); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		if len(body) > MaxSigned {
			return nil, fmt.Errorf("the request is over %d bytes", MaxSigned)
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	if len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, signed(req, at, s.Nonce, s.Session, body), signature) {
		return nil, errors.New("the signature of the agent is wrong")
	}
	s.Time = time.UnixMilli(millis)
	if skew := s.Time.Sub(now); skew > MaxSkew || skew < -MaxSkew {
		return nil, &SkewError{skew}
	}
	return s, nil
}
