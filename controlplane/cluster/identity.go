package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Files of an identity.
const (
	caCertFile = "ca.pem"
	caKeyFile  = "ca-key.pem" // only where the cluster began, and on the nodes it was given to
	certFile   = "node.pem"
	keyFile    = "node-key.pem"
)

const (
	// lifetime of a node's certificate, which it renews: see renew.go.
	lifetime = 365 * 24 * time.Hour
	// authorityLifetime is that of what all of them hang on, which nobody renews.
	authorityLifetime = 50 * 365 * 24 * time.Hour
)

// scheme of the name that a certificate gives a node: testmesh:<id>.
const scheme = "testmesh"

// Identity is what a node proves itself by to the others: a certificate of the
// cluster's own authority that names the node.
type Identity struct {
	dir       string
	authority *x509.Certificate
	pool      *x509.CertPool
	pair      atomic.Pointer[tls.Certificate]
	signs     *ecdsa.PrivateKey // nil: this node cannot let others in
}

// Found makes the authority of a new cluster and the certificate of its first node.
func Found(dir, id string) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "TestMesh cluster"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(authorityLifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	if ca, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	mine, request, err := Request(id)
	if err != nil {
		return nil, err
	}
	i := &Identity{dir: dir, authority: ca, signs: key}
	cert, err := i.Sign(request, id)
	if err != nil {
		return nil, err
	}
	caKey, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	if err := Install(dir, cert, mine, block("CERTIFICATE", der), caKey); err != nil {
		return nil, err
	}
	return LoadIdentity(dir)
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the system has no randomness
	}
	return n
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return block("PRIVATE KEY", der), nil
}

// Request makes a node's key, and its request for a certificate; both PEM.
func Request(id string) (key, request []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: id}}, private)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate request: %w", err)
	}
	key, err = keyPEM(private)
	return key, block("CERTIFICATE REQUEST", der), err
}

// Sign gives a node its certificate (PEM).
func (i *Identity) Sign(request []byte, id string) ([]byte, error) {
	if i.signs == nil {
		return nil, errors.New("this node does not have the key of the cluster's authority")
	}
	p, _ := pem.Decode(request)
	if p == nil || p.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("the certificate request is none")
	}
	r, err := x509.ParseCertificateRequest(p.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read certificate request: %w", err)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("check certificate request: %w", err)
	}
	return i.issue(r.PublicKey, id)
}

// issue makes the certificate (PEM) of a node's key. It does not outlive the authority.
func (i *Identity) issue(public any, id string) ([]byte, error) {
	end := time.Now().Add(lifetime)
	if end.After(i.authority.NotAfter) {
		end = i.authority.NotAfter
	}
	cert := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: id}, URIs: []*url.URL{{Scheme: scheme, Opaque: id}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, i.authority, public, i.signs)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return block("CERTIFICATE", der), nil
}

// Authority is the certificate, and with it the key where this node has it, that a
// node which joins is given; both PEM.
func (i *Identity) Authority() (cert, key []byte, err error) {
	if i.signs != nil {
		key, err = keyPEM(i.signs)
	}
	return block("CERTIFICATE", i.authority.Raw), key, err
}

// Install writes an identity; caKey may be nil. All are PEM.
func Install(dir string, cert, key, ca, caKey []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	for name, text := range map[string][]byte{caCertFile: ca, caKeyFile: caKey, keyFile: key, certFile: cert} {
		if len(text) == 0 {
			continue
		}
		if err := write(filepath.Join(dir, name), text); err != nil {
			return fmt.Errorf("write identity: %w", err)
		}
	}
	return nil
}

// write writes a file that is whole on the disk before anybody counts on it.
func write(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// LoadIdentity reads what Found or Install wrote; the error is fs.ErrNotExist where
// there is none.
func LoadIdentity(dir string) (*Identity, error) {
	ca, err := os.ReadFile(filepath.Join(dir, caCertFile))
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	p, _ := pem.Decode(ca)
	if p == nil {
		return nil, fmt.Errorf("read identity: %s holds no certificate", caCertFile)
	}
	i := &Identity{dir: dir, pool: x509.NewCertPool()}
	if i.authority, err = x509.ParseCertificate(p.Bytes); err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	i.pool.AddCert(i.authority)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	i.pair.Store(&pair)
	text, err := os.ReadFile(filepath.Join(dir, caKeyFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return i, nil
	case err != nil:
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if p, _ = pem.Decode(text); p == nil {
		return nil, fmt.Errorf("read identity: %s holds no key", caKeyFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(p.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	i.signs, _ = key.(*ecdsa.PrivateKey)
	return i, nil
}

// tls is the configuration of both ends of a connection: each is a node that the
// authority has named.
func (i *Identity) tls() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: i.pool, ClientCAs: i.pool, ClientAuth: tls.RequireAnyClientCert,
		// The one of the moment: it is renewed while the node runs.
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.pair.Load(), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.pair.Load(), nil },
		// Names in certificates are ids, not hosts: verified below, on both sides.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		VerifyConnection:   i.verify,
	}
}

func (i *Identity) verify(c tls.ConnectionState) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("the other side shows no certificate")
	}
	peer := c.PeerCertificates[0]
	_, err := peer.Verify(x509.VerifyOptions{Roots: i.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("the other side is no node of this cluster: %w", err)
	}
	if nodeID(peer) == "" {
		return errors.New("the certificate of the other side names no node")
	}
	return nil
}

// nodeID is the node that a certificate names.
func nodeID(c *x509.Certificate) string {
	for _, u := range c.URIs {
		if u.Scheme == scheme {
			return u.Opaque
		}
	}
	return ""
}
