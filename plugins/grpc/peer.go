package grpc

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	_ "google.golang.org/grpc/encoding/gzip" // answers packed with gzip, and compression: gzip
	"google.golang.org/grpc/keepalive"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxHeaders bounds the metadata that a server sends.
	maxHeaders = 1 << 20
	// maxBackoff bounds the time between two connections of a step that waits for
	// its server: it should notice soon that it is there.
	maxBackoff = time.Second
)

// peer is a server as one run knows it. Its connection is shared by all steps of
// the run that name it with the same settings.
type peer struct {
	address string
	options []grpc.DialOption
	tls     *tls.Config // nil: without
	connect time.Duration
	egress  *plugin.Egress

	mu   sync.Mutex
	link *link
}

// link is a connection, or what is to become one.
type link struct {
	cc    *grpc.ClientConn
	met   *met
	calls int
	left  bool // another one took its place: the last call closes it
}

// peerOf gives the run's peer for the settings of a step.
func peerOf(ctx context.Context, call *plugin.Call, s *server) (*peer, error) {
	e, err := s.endpoint()
	if err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	alike := *s
	alike.WaitForReady = false // is of each call
	return plugin.Keep(ctx, call, "server:"+key(call.Dir(), alike), func() (*peer, func() error, error) {
		p := &peer{address: e.String(), connect: s.ConnectTimeout, egress: call.Host().Egress}
		if e.secure {
			_, _, settings := s.tls()
			if p.tls, err = settings.Client(call, "tls", e.host); err != nil {
				return nil, nil, err
			}
			p.tls.NextProtos = []string{"h2"}
		}
		p.options = dialOptions(s, call.Host().Version)
		return p, p.close, nil
	})
}

// key is a short name for settings; they may hold secrets.
func key(settings ...any) string {
	text, err := json.Marshal(settings)
	if err != nil {
		text = fmt.Append(nil, settings...) // of configs it cannot fail
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func dialOptions(s *server, version string) []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithStatsHandler(watcher{}),
		grpc.WithUserAgent("TestMesh/" + version),
		grpc.WithMaxHeaderListSize(maxHeaders),
		// A call is one call: what is repeated is said by the flow.
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: s.ConnectTimeout,
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
		}),
	}
	if s.Authority != "" {
		options = append(options, grpc.WithAuthority(s.Authority))
	}
	if s.Keepalive > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: s.Keepalive}))
	}
	return options
}

// take gives a connection for one call, which hands it back by release. One that
// failed is not given again: grpc-go would answer with the old fault for as long
// as it backs off, and the server may be there by now.
func (p *peer) take() (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil || p.link.failed() {
		l, err := p.open()
		if err != nil {
			return nil, err
		}
		if old := p.link; old != nil {
			old.left = true
			old.closeUnused()
		}
		p.link = l
	}
	p.link.calls++
	return p.link, nil
}

// failed says that there is no connection because the last one could not be made.
// grpc-go answers a call before it says in its state why.
func (l *link) failed() bool {
	switch l.cc.GetState() {
	case connectivity.TransientFailure:
		return true
	case connectivity.Ready:
		return false
	}
	return l.met.broken()
}

func (p *peer) release(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.calls--
	if l.left {
		l.closeUnused()
	}
}

func (l *link) closeUnused() {
	if l.calls == 0 {
		_ = l.cc.Close() // it says only that it is closed already
	}
}

// open makes a link, which connects with its first call.
func (p *peer) open() (*link, error) {
	m := &met{}
	dialer := net.Dialer{Timeout: p.connect}
	cc, err := grpc.NewClient("passthrough:///"+p.address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(&security{config: p.tls, met: m}),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			m.enter(dialling)
			c, err := p.egress.Dial(ctx, &dialer, "tcp", address)
			m.failed(err)
			return c, err
		}),
	}, p.options...)...)
	if err != nil {
		return nil, plugin.Definitionf("address", "cannot be called: %w", err)
	}
	return &link{cc: cc, met: m}, nil
}

// close ends the connection; calls that are under way end with it.
func (p *peer) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil {
		return nil
	}
	return p.link.cc.Close()
}
