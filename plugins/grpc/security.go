package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// stage is how far a connection has come.
type stage int

const (
	idle      stage = iota
	dialling        // its name, and TCP
	securing        // the TLS handshake
	greeting        // the server has not yet begun to speak HTTP/2
	connected       // it has
)

// met is what the newest connection of a link met. grpc-go reports it as text;
// this keeps the errors themselves, and the first bytes of a server that speaks
// something else.
type met struct {
	mu    sync.Mutex
	stage stage
	err   error
	first []byte
}

// frameHead is the head of an HTTP/2 frame (RFC 9113 section 4.1); a server
// begins with SETTINGS.
const (
	frameHead    = 9
	settingsType = 4
	maxFirst     = 64
)

func (m *met) enter(s stage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stage, m.err, m.first = s, nil, nil
}

// failed takes the first error of a stage: what follows follows from it.
func (m *met) failed(err error) {
	// That we closed it is not why.
	if err == nil || errors.Is(err, net.ErrClosed) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

// broken says whether a stage ended with an error.
func (m *met) broken() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err != nil
}

// heard takes the first bytes; done once it is known what they are.
func (m *met) heard(p []byte) (done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.first = append(m.first, p[:min(len(p), maxFirst-len(m.first))]...)
	if len(m.first) >= frameHead && m.first[3] == settingsType {
		m.stage, m.first = connected, nil
		return true
	}
	return len(m.first) == maxFirst
}

// what gives the stage, the first bytes and the error.
func (m *met) what() (at stage, first []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stage, m.first, m.err
}

// security makes TLS, or nothing, of a connection, and watches it from then on.
type security struct {
	config *tls.Config
	met    *met
}

// Info says what it makes.
func (s *security) Info() credentials.ProtocolInfo {
	if s.config == nil {
		return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
	}
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// ClientHandshake makes TLS of a connection. The authority is not the name that
// is checked: a flow may set it to anything.
func (s *security) ClientHandshake(ctx context.Context, _ string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if s.config == nil {
		s.met.enter(greeting)
		return &watched{Conn: raw, met: s.met}, plain{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}, nil
	}
	s.met.enter(securing)
	secured := tls.Client(raw, s.config)
	if err := secured.HandshakeContext(ctx); err != nil {
		s.met.failed(err)
		return nil, nil, err
	}
	s.met.enter(greeting)
	return &watched{Conn: secured, met: s.met}, credentials.TLSInfo{
		State:          secured.ConnectionState(),
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// ServerHandshake is of a server, which this never is.
func (*security) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("a client does not accept connections")
}

// Clone gives it again: it does not change.
func (s *security) Clone() credentials.TransportCredentials { return s }

// OverrideServerName is the old way to say what tls.server_name says.
func (*security) OverrideServerName(string) error {
	return errors.New("the name is of the settings")
}

// plain is a connection without TLS.
type plain struct{ credentials.CommonAuthInfo }

// AuthType names it.
func (plain) AuthType() string { return "insecure" }

// watched is a connection of which met is told.
type watched struct {
	net.Conn
	met   *met
	known bool // what the server speaks
}

// Read reads, and tells.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if !w.known && n > 0 {
		w.known = w.met.heard(p[:n])
	}
	w.met.failed(err)
	return n, err
}

// Write writes, and tells what went wrong.
func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.met.failed(err)
	return n, err
}
