// Package controlplane is a node of the control plane: it wires the state, the
// cluster, the queue, the streams and the API, starts them, and stops them in order.
// What each does is its own.
package controlplane

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/auth"
	"github.com/testmesh/testmesh/controlplane/cluster"
	"github.com/testmesh/testmesh/controlplane/dispatch"
	"github.com/testmesh/testmesh/controlplane/store"
	"github.com/testmesh/testmesh/controlplane/stream"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

// Config is what a node is made of.
type Config struct {
	// Dir is the data directory; one process uses it at a time.
	Dir string
	// Listener takes the connections of people, programs and agents. The node closes it.
	Listener net.Listener
	// TLS of the Listener; nil: none.
	TLS *tls.Config
	// Open lets everybody of this machine in without a key: `testmesh dev`.
	Open bool
	// AdminKey is the administrator's; empty: the one of the data directory, which is
	// made at the first start.
	AdminKey string
	// Builtins are the descriptors that are known before any agent has described its
	// own.
	Builtins []*testmeshv1.Descriptor
	// Origins are the pages that may call from a browser.
	Origins []string
	// Advertise is the address that clients reach the Listener by, for who asks any node
	// where the others are; empty: the Listener's.
	Advertise string
	// Cluster makes this node one of several; nil: it is alone.
	Cluster *ClusterConfig
	// Blobs says where blobs are kept; zero: in the data directory.
	Blobs BlobConfig
	// Retention says what is kept, and for how long.
	Retention Retention
	// Page are the files of the page for browsers; nil: there is none.
	Page   fs.FS
	Timing dispatch.Timing
	// Fault is nil but in test builds.
	Fault   *fault.Set
	Version string
	Logger  *slog.Logger
	// Now is the time of day, by which everything that is stored is stamped, tokens and
	// signatures are judged, and what is old is moved; nil: the system's. How long
	// something takes is never measured by it.
	Now func() time.Time
	// Exit ends the process at once.
	Exit func(why string)
}

// ClusterConfig is how a node is one of several.
type ClusterConfig struct {
	// Listener takes the connections of the other nodes, which reach it at Address. The
	// node closes it.
	Listener net.Listener
	Address  string
	// Bootstrap begins a cluster with this node, where it is of none yet.
	Bootstrap bool
	Timing    cluster.Timing
}

// Node is a node. New opens what it needs, Run runs it.
type Node struct {
	cfg        Config
	id         string
	clusterID  string
	key        string // the administrator's, where it was made just now
	admin      []byte // sha256 of it; nil: there is none
	sealing    []byte
	noted      noted             // agents whose keys were copied
	identity   *cluster.Identity // nil: this node is alone
	lock       *os.File
	store      *store.Store
	cluster    *cluster.Node
	own        blobStore // what this node keeps, or all of them share
	blobs      blobStore // what is read here, wherever it is kept
	history    history
	streams    *stream.Streams
	dispatcher *dispatch.Dispatcher
	renewals   *renewals
	watch      *watch
	server     *http.Server
	sockets    sync.WaitGroup // of pages
	// stopping ends when the node is about to: who waits is let go of.
	stopping context.Context
	letGo    context.CancelFunc
}

// New opens a data directory, or makes it. It listens to nothing yet.
func New(cfg Config) (_ *Node, err error) {
	if cfg.Advertise == "" {
		cfg.Advertise = "http://" + cfg.Listener.Addr().String()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	n := &Node{cfg: cfg}
	n.stopping, n.letGo = context.WithCancel(context.Background())
	if n.lock, err = openDir(cfg.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if err := n.names(); err != nil {
		return nil, err
	}
	if err := n.identify(); err != nil {
		return nil, err
	}
	if n.sealing, err = auth.LoadKey(filepath.Join(cfg.Dir, sealFile)); err != nil {
		return nil, err
	}
	seal, err := auth.NewSeal(n.sealing)
	if err != nil {
		return nil, err
	}
	if err := n.adminKey(); err != nil {
		return nil, err
	}
	if n.store, err = store.Open(store.Config{Dir: filepath.Join(cfg.Dir, stateDir), Fault: cfg.Fault}); err != nil {
		return nil, err
	}
	if n.cluster, err = cluster.New(n.clusterConfig()); err != nil {
		return nil, err
	}
	if n.own, err = openBlobs(context.Background(), cfg.Blobs, cfg.Dir, cfg.Logger); err != nil {
		return nil, err
	}
	blobs := n.own
	if cfg.Cluster != nil && !cfg.Blobs.Shared() {
		blobs = newPeers(n.own, n)
	}
	return n, n.wire(seal, blobs)
}

func (n *Node) clusterConfig() cluster.Config {
	cfg := cluster.Config{
		ID: n.id, Dir: filepath.Join(n.cfg.Dir, raftDir), State: machine{n.store}, Bootstrap: true, Logger: n.cfg.Logger, Exit: n.cfg.Exit, Fault: n.cfg.Fault,
	}
	if c := n.cfg.Cluster; c != nil {
		cfg.Listener, cfg.Identity, cfg.Address, cfg.Bootstrap, cfg.Timing = c.Listener, n.identity, c.Address, c.Bootstrap, c.Timing
	}
	return cfg
}

// wire makes what stands on state, cluster and blobs.
func (n *Node) wire(seal *auth.Seal, blobs blobStore) (err error) {
	n.blobs, n.history = blobs, history{n.store, blobs}
	coming := stream.Config{Blobs: blobs, Holds: n.holds, Secrets: n.secretsOf(seal), Logger: n.cfg.Logger, Fault: n.cfg.Fault}
	if n.cfg.Cluster != nil {
		coming.Peers = tails{n}
	}
	if n.streams, err = stream.New(coming); err != nil {
		return err
	}
	p := &planner{store: n.store, again: n.again, blobs: blobs, builtins: n.cfg.Builtins}
	n.dispatcher = dispatch.New(dispatch.Config{
		Node: n.id, State: n.store, Changes: n.changes, Proposer: n.cluster, Expander: p, Timing: n.cfg.Timing, Logger: n.cfg.Logger, NewID: newID, Fault: n.cfg.Fault,
		Now: n.cfg.Now,
	})
	n.watch, n.renewals = newWatch(), &renewals{node: n}
	n.cluster.Handle(clusterv1connect.NewNodeServiceHandler(calls{Node: n, log: cluster.Calls{Node: n.cluster}}, connect.WithReadMaxBytes(maxCall)))
	guard, err := newGuard(auth.Config{Keys: keys{n}, AdminSHA256: n.admin, Open: n.cfg.Open, Copied: n.copied, Now: n.cfg.Now})
	if err != nil {
		return err
	}
	t := n.dispatcher.Timing()
	handler, err := api.New(api.Config{
		Proposer: proposer{n.cluster, n.store}, Runs: runs{n}, Flows: flows{n}, Agents: agents{n},
		Queue: queue{n}, Streams: streams{n.streams}, Blobs: newFresh(blobs), Catalog: p, Seal: seal, Checkpoints: n.store, NotFound: store.ErrNotFound,
		Members: members{n}, Guard: guard, Origins: n.cfg.Origins, Logger: n.cfg.Logger, Now: n.cfg.Now, NewID: newID, NewSecret: newSecret, Version: n.cfg.Version,
		Timing: api.Timing{TTL: t.TTL, Renew: t.Renew}, Sockets: &n.sockets, Stopping: n.stopping.Done(), Page: n.cfg.Page, Fault: n.cfg.Fault,
	})
	if err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(n.cfg.TLS == nil)
	n.server = &http.Server{
		Handler: handler, Protocols: protocols, TLSConfig: n.cfg.TLS, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: 10_000},
		ErrorLog: slog.NewLogLogger(n.cfg.Logger.Handler(), slog.LevelDebug),
	}
	return nil
}

// AdminKey is the administrator's key, where this process made it: it is shown once.
func (n *Node) AdminKey() string { return n.key }

// ID is the node's.
func (n *Node) ID() string { return n.id }

// maxCall bounds what one node asks another: renewals of many agents are the largest.
const maxCall = 16 << 20

// stopWithin bounds the requests that are under way at the end.
const stopWithin = 5 * time.Second

// Run serves until ctx ends. It stops in this order: who asks is turned away, what was
// sent is stored, the lead is handed over, the files are closed.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.close()) }()
	g, running := errgroup.WithContext(context.WithoutCancel(ctx))
	lower, stopLower := context.WithCancel(running)
	defer stopLower()
	g.Go(func() error { return n.cluster.Run(lower) })
	g.Go(func() error { n.lead(lower); return nil })
	if n.cfg.Cluster != nil {
		g.Go(func() error { n.announce(lower); return nil })
		g.Go(func() error { return n.watchMembership(lower) })
	}
	g.Go(func() error { n.watch.run(lower, n.store); return nil })
	g.Go(func() error { n.sweeps(lower); return nil })
	g.Go(func() error {
		serve := n.server.Serve
		if n.cfg.TLS != nil {
			serve = func(l net.Listener) error { return n.server.ServeTLS(l, "", "") }
		}
		if err := serve(n.cfg.Listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the API: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-running.Done():
		}
		return n.stop(stopLower)
	})
	return g.Wait()
}

func (n *Node) stop(lower context.CancelFunc) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	n.letGo()
	n.streams.EndWatches()
	n.watch.end() // who watches has seen all that there is
	var errs []error
	if err := n.server.Shutdown(ctx); err != nil {
		errs = append(errs, n.server.Close()) // polls and sockets are held for long
	}
	n.sockets.Wait() // they end with n.stopping
	errs = append(errs, n.streams.Close(ctx))
	lower()
	return errors.Join(errs...)
}

// lead decides in each term of this node's lead.
func (n *Node) lead(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-n.cluster.Terms():
			beside.Go(func() { n.retain(t.Ctx) })
			if n.cfg.Cluster != nil {
				beside.Go(func() { n.compare(t.Ctx) })
			}
			for t.Ctx.Err() == nil {
				err := n.dispatcher.Lead(t.Ctx, t.Number)
				if err == nil || t.Ctx.Err() != nil {
					break
				}
				// What it had in memory is made anew from the state.
				n.cfg.Logger.Warn("the queue is read anew", "error", err)
				select {
				case <-time.After(100 * time.Millisecond):
				case <-t.Ctx.Done():
				}
			}
		}
	}
}

func (n *Node) close() error {
	var errs []error
	if n.store != nil {
		errs = append(errs, n.store.Close())
		n.store = nil
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
		n.lock = nil
	}
	return errors.Join(errs...)
}
