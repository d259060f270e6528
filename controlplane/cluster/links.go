package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"
	"github.com/hashicorp/raft"

	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"
)

// The first byte of a connection says what it is for.
const (
	forRaft  byte = 'R'
	forCalls byte = 'C'
)

const (
	// handshake bounds a connection until its purpose is known.
	handshake = 5 * time.Second
	// queued is how many connections may wait to be taken.
	queued = 128
	// parkedMost is how many calls one connection carries: each agent that polls at
	// another node is one.
	parkedMost = 20_000
)

var errClosed = errors.New("the node has ended")

// links are the connections between nodes, all over one port.
type links struct {
	listener net.Listener
	server   *tls.Config
	dialer   *tls.Config
	conns    chan net.Conn // of raft
	calls    *accepted
	done     chan struct{}
	once     sync.Once

	mu      sync.Mutex
	open    map[net.Conn]bool // taken, and closed with the links: raft leaves its own open
	clients map[string]clusterv1connect.NodeServiceClient
	http    *http.Client
}

func newLinks(l net.Listener, id *Identity) *links {
	k := &links{
		listener: l, server: id.tls(), dialer: id.tls(), conns: make(chan net.Conn, queued),
		done: make(chan struct{}), open: map[net.Conn]bool{}, clients: map[string]clusterv1connect.NodeServiceClient{},
	}
	k.calls = &accepted{conns: make(chan net.Conn, queued), links: k}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // within TLS that is ours
	k.http = &http.Client{Transport: &http.Transport{
		Protocols: protocols, IdleConnTimeout: time.Minute,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return k.dial(ctx, address, forCalls) },
		HTTP2:       &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second},
	}}
	return k
}

// serve takes connections until ctx ends.
func (k *links) serve(ctx context.Context, h http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: h, Protocols: protocols, ReadHeaderTimeout: handshake, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: parkedMost},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if in, ok := c.(*inbound); ok {
				ctx = context.WithValue(ctx, peerKey{}, in.peer)
			}
			return ctx
		},
	}
	var all sync.WaitGroup
	all.Go(func() { _ = server.Serve(k.calls) }) // ends with its listener
	all.Go(func() {
		for {
			c, err := k.listener.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				select {
				case <-k.done:
					return
				case <-time.After(pause): // too many open files: that passes
				}
				continue
			}
			all.Go(func() { k.sort(c) })
		}
	})
	<-ctx.Done()
	k.close()
	_ = server.Close() // what is under way belongs to a node that ends
	all.Wait()
}

// sort finds out what a connection is for.
func (k *links) sort(raw net.Conn) {
	c := tls.Server(raw, k.server)
	_ = raw.SetDeadline(time.Now().Add(handshake))
	purpose := make([]byte, 1)
	if _, err := io.ReadFull(c, purpose); err != nil {
		_ = raw.Close()
		return
	}
	_ = raw.SetDeadline(time.Time{})
	to := k.calls.conns
	if purpose[0] == forRaft {
		// Raft itself has rules for who is no member. A node that was away must hear a
		// leader that joined meanwhile, of whom it does not know yet.
		to = k.conns
	}
	taken := &inbound{sealed{c}, k, nodeID(c.ConnectionState().PeerCertificates[0])}
	k.mu.Lock()
	k.open[taken] = true
	k.mu.Unlock()
	select {
	case <-k.done: // close may have looked before it was there
		_ = taken.Close()
		return
	default:
	}
	select {
	case to <- taken:
	case <-k.done:
		_ = taken.Close()
	}
}

// inbound is a connection that was taken.
type inbound struct {
	sealed
	links *links
	peer  string // the node at the other end
}

type peerKey struct{}

// peer is the node that a call comes from.
func peer(ctx context.Context) string {
	id, _ := ctx.Value(peerKey{}).(string)
	return id
}

func (c *inbound) Close() error {
	c.links.mu.Lock()
	delete(c.links.open, c)
	c.links.mu.Unlock()
	return c.sealed.Close()
}

func (k *links) close() {
	k.once.Do(func() {
		close(k.done)
		_ = k.listener.Close()
		k.http.CloseIdleConnections()
		k.mu.Lock()
		left := slices.Collect(maps.Keys(k.open))
		k.mu.Unlock()
		for _, c := range left {
			_ = c.Close()
		}
	})
}

func (k *links) dial(ctx context.Context, address string, purpose byte) (net.Conn, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: handshake}, Config: k.dialer}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte{purpose}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return sealed{c}, nil
}

// sealed is a connection over TLS that does not show that it is one: net/http would
// negotiate the protocol by it, which the first byte has settled.
type sealed struct{ net.Conn }

// client asks the node at an address.
func (k *links) client(address string) clusterv1connect.NodeServiceClient {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.clients[address]
	if c == nil {
		// Between nodes time is worth more than bytes: nothing is packed.
		c = clusterv1connect.NewNodeServiceClient(k.http, "http://"+address, connect.WithAcceptCompression("gzip", nil, nil))
		k.clients[address] = c
	}
	return c
}

// notSent: the other node never got the request, so that it did nothing.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, syscall.ECONNREFUSED)
}

// accepted is a listener of connections that were taken elsewhere.
type accepted struct {
	conns chan net.Conn
	links *links
}

func (a *accepted) Accept() (net.Conn, error) {
	select {
	case c := <-a.conns:
		return c, nil
	case <-a.links.done:
		return nil, errClosed
	}
}
func (a *accepted) Close() error   { return nil }
func (a *accepted) Addr() net.Addr { return a.links.listener.Addr() }

// raft is the stream layer of raft, reached by others at address.
func (k *links) raft(address string) raft.StreamLayer { return &stream{k, address} }

type stream struct {
	*links
	address string
}

func (s *stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, errClosed
	}
}

func (s *stream) Close() error { return nil } // links end as a whole

// Addr is the address that the others know.
func (s *stream) Addr() net.Addr { return named(s.address) }

func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.dial(ctx, string(address), forRaft)
}

type named string

func (n named) Network() string { return "tcp" }
func (n named) String() string  { return string(n) }
