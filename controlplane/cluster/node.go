// Package cluster makes several nodes agree on one list of commands, by raft, and
// keeps a node that cannot do its part from holding up the others. It never looks
// into a command: what commands do is the state's.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

// Entry is a committed command with its place in the log.
type Entry struct {
	Index, Term uint64
	Command     *clusterv1.Command
}

// State is what commands change. Apply and Restore are called by one goroutine; the
// node ends where one of them panics.
type State interface {
	Apply(entries []Entry) []*clusterv1.Answer
	// Applied is the index of the newest entry that it has.
	Applied() uint64
	// Snapshot pins the state; writing it happens beside Apply.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Restore replaces the state, or leaves it as it is and errors.
	Restore(r io.Reader) error
}

// Snapshot is a pinned state.
type Snapshot interface {
	Write(ctx context.Context, w io.Writer) error
	Release()
}

// Timing are the times of a cluster. The zero Timing is for nodes in one data centre.
type Timing struct {
	// Heartbeat and Election are how long a node waits for its leader, and for votes.
	Heartbeat, Election time.Duration
	// Lease is how long a leader goes on without hearing from a majority.
	Lease time.Duration
	// Disk is how long one write to the disk may take before the node ends.
	Disk time.Duration
	// Steady is how long a new node must keep up before it votes.
	Steady time.Duration
	// SnapshotEntries is how many entries lie between two snapshots, and Trailing how
	// many stay in the log after one.
	SnapshotEntries, Trailing uint64
}

func (t *Timing) fill() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&t.Heartbeat, 500*time.Millisecond)
	set(&t.Election, 500*time.Millisecond)
	set(&t.Lease, 250*time.Millisecond)
	set(&t.Disk, 2*time.Second)
	set(&t.Steady, 10*time.Second)
	if t.SnapshotEntries == 0 {
		t.SnapshotEntries = 50_000
	}
	if t.Trailing == 0 {
		t.Trailing = 20_000
	}
}

// Config says what a node is.
type Config struct {
	// ID is this node's for good, a UUID.
	ID string
	// Dir holds the log and the snapshots.
	Dir   string
	State State
	// Listener takes the connections of the other nodes; nil: the node is alone and
	// none can join it. The node closes it.
	Listener net.Listener
	// Identity is what nodes prove themselves by; nil only without a Listener.
	Identity *Identity
	// Address is where other nodes reach the Listener.
	Address string
	// Bootstrap begins a new cluster of this node alone. A node that has a log already
	// takes no notice of it.
	Bootstrap bool
	Timing    Timing
	Logger    *slog.Logger
	// Fault is nil but in test builds.
	Fault *fault.Set
	// Exit ends the process at once: something happened after which the node would hold
	// up or contradict the others.
	Exit func(why string)
}

// Node is one of the cluster. Its methods are safe for concurrent use while Run runs.
type Node struct {
	cfg    Config
	log    *slog.Logger
	wal    *wal.WAL
	meta   metadb.BoltMetaDB // given to the log, which does not close one of its own
	raft   *raft.Raft
	mux    *http.ServeMux
	links  *links
	notify chan bool
	terms  chan Term
	fsm    *machine
	snaps  *raft.FileSnapshotStore
	ready  chan struct{} // closed once raft is there
	reign  reign

	mu      sync.Mutex
	barrier *barrier // that strong reads share
}

// New opens the log of a node; it starts nothing but raft's own goroutines once Run
// is called.
func New(cfg Config) (*Node, error) {
	cfg.Timing.fill()
	cfg.Timing.SnapshotEntries = cfg.Fault.Number("cluster.snapshot", cfg.Timing.SnapshotEntries)
	cfg.Timing.Trailing = cfg.Fault.Number("cluster.snapshot", cfg.Timing.Trailing)
	switch {
	case cfg.ID == "" || cfg.State == nil || cfg.Exit == nil || cfg.Logger == nil:
		return nil, errors.New("make node: ID, State, Exit and Logger are wanted")
	case cfg.Listener != nil && (cfg.Identity == nil || cfg.Address == ""):
		return nil, errors.New("make node: a node with a port wants an identity and an address")
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger, mux: http.NewServeMux(), notify: make(chan bool, 64), terms: make(chan Term, 1),
		fsm: &machine{state: cfg.State, exit: cfg.Exit}, ready: make(chan struct{}),
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	log, err := openLog(cfg.Dir, &n.meta)
	if err != nil {
		return nil, err
	}
	n.wal = log
	return n, nil
}

// snapshotsKept is how many snapshots stay on the disk: one more than is needed, for
// one that turns out to be damaged.
const snapshotsKept = 2

// Handle serves what other nodes ask this one. It is called before Run.
func (n *Node) Handle(pattern string, h http.Handler) { n.mux.Handle(pattern, h) }

// Run takes part in the cluster until ctx ends. A leader gives its lead to another
// node first. Nothing of it runs any more once it has returned.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.wal.Close(), n.meta.Close()) }()
	transport, err := n.transport()
	if err != nil {
		return err
	}
	if err := n.start(transport); err != nil {
		return err
	}
	close(n.ready)
	var all sync.WaitGroup
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	all.Go(func() { n.lead(running) })
	all.Go(func() { n.reign.watch(running, n.raft) })
	if n.links != nil {
		all.Go(func() { n.links.serve(running, n.membersOnly(n.mux)) })
		all.Go(func() { n.cfg.Identity.renewals(running, n.log) })
	}
	<-ctx.Done()
	n.handOver()
	stop()
	if err := n.raft.Shutdown().Error(); err != nil {
		n.log.Warn("raft did not end in order", "error", err)
	}
	if n.links != nil {
		n.links.close()
	}
	all.Wait()
	return nil
}

func (n *Node) start(transport raft.Transport) error {
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(n.cfg.Dir, snapshotsKept, hclog.NewNullLogger())
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	n.snaps = snapshots
	guarded := newGuard(n.wal, n.cfg.Timing.Disk, n.cfg.Exit, n.cfg.Fault)
	cfg := n.raftConfig()
	// The state says itself what it has. Where that is as much as the newest snapshot,
	// there is nothing to restore.
	list, err := snapshots.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	cfg.NoSnapshotRestoreOnStart = len(list) == 0 || n.cfg.State.Applied() >= list[0].Index
	if n.cfg.Bootstrap {
		has, err := raft.HasExistingState(guarded, guarded, snapshots)
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		if !has {
			first := raft.Configuration{Servers: []raft.Server{{ID: cfg.LocalID, Address: transport.LocalAddr()}}}
			if err := raft.BootstrapCluster(cfg, guarded, guarded, snapshots, transport, first); err != nil {
				return fmt.Errorf("begin cluster: %w", err)
			}
		}
	}
	if n.raft, err = raft.NewRaft(cfg, n.fsm, guarded, guarded, snapshots, transport); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// aloneAddress stands for that of a node which has none.
const aloneAddress = "alone"

// alone are the times of a node that nobody votes with.
const alone = 40 * time.Millisecond

// tellWithin is how long a leader with nothing new to send waits until it tells the others
// what is committed: whoever asked another node is answered no earlier. At 20 ms a command
// took 40 ms there, at this 13. What has been told already a pipeline does not send.
const tellWithin = 5 * time.Millisecond

// maxAppend bounds the entries of one message between nodes and of one Apply.
const maxAppend = 256

func (n *Node) raftConfig() *raft.Config {
	cfg := raft.DefaultConfig()
	t := n.cfg.Timing
	cfg.LocalID = raft.ServerID(n.cfg.ID)
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = t.Heartbeat, t.Election, t.Lease
	cfg.CommitTimeout = tellWithin
	if n.cfg.Listener == nil {
		cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = alone, alone, alone
	}
	cfg.SnapshotThreshold, cfg.TrailingLogs = t.SnapshotEntries, t.Trailing
	cfg.SnapshotInterval = time.Duration(n.cfg.Fault.Number("cluster.snapshot_seconds", 30)) * time.Second
	cfg.BatchApplyCh, cfg.MaxAppendEntries = true, maxAppend
	cfg.NotifyCh = n.notify // buffered, and always read: raft waits for it
	cfg.Logger = hclog.FromStandardLogger(slog.NewLogLogger(n.log.Handler(), slog.LevelDebug), &hclog.LoggerOptions{Name: "raft", Level: hclog.Info})
	cfg.NoLegacyTelemetry = true
	return cfg
}

func (n *Node) transport() (raft.Transport, error) {
	if n.cfg.Listener == nil {
		_, t := raft.NewInmemTransport(aloneAddress)
		return t, nil
	}
	n.links = newLinks(n.cfg.Listener, n.cfg.Identity)
	return Bound(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: n.links.raft(n.cfg.Address), MaxPool: 3, Timeout: 10 * time.Second, Logger: hclog.NewNullLogger(),
	})), nil
}

// Snapshotted is when this node last wrote a snapshot of its own; zero: never.
func (n *Node) Snapshotted() time.Time {
	if !n.isStarted() {
		return time.Time{}
	}
	list, err := n.snaps.List()
	if err != nil || len(list) == 0 {
		return time.Time{}
	}
	// Its name is term, index and time.
	parts := strings.Split(list[0].ID, "-")
	millis, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// started says whether raft is there, or waits until it is.
func (n *Node) started(ctx context.Context) error {
	select {
	case <-n.ready:
		return nil
	default:
	}
	select {
	case <-n.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the node is being started", ErrNoLeader)
	}
}

// isStarted is started without waiting.
func (n *Node) isStarted() bool {
	select {
	case <-n.ready:
		return true
	default:
		return false
	}
}

// handOver gives the lead to another node, where there is one.
func (n *Node) handOver() {
	if n.raft.State() != raft.Leader || len(n.raft.GetConfiguration().Configuration().Servers) < 2 {
		return
	}
	if err := n.raft.LeadershipTransfer().Error(); err != nil {
		n.log.Warn("no other node took the lead", "error", err)
	}
}
