package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/testmesh/testmesh/controlplane/cluster"
	"github.com/testmesh/testmesh/controlplane/dispatch"
	"github.com/testmesh/testmesh/controlplane/store"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

// simTiming is that of leases, a tenth of the usual.
var simTiming = dispatch.Timing{TTL: 3 * time.Second, Grace: 1500 * time.Millisecond, Renew: 500 * time.Millisecond, StartWithin: 2 * time.Second, CancelGrace: 6 * time.Second}

// world is all there is in a history.
type world struct {
	t      *testing.T
	rng    *rand.Rand // of the one who makes things happen
	dir    string
	faults *fault.Set
	nodes  []*simNode
	agents []*simAgent
	all    sync.WaitGroup
	ids    atomic.Int64
	tally  tally

	mu       sync.Mutex
	acked    map[string]int // runs of acknowledged batches
	fences   map[string]uint64
	paid     map[string]int
	asked    map[string]bool  // ends, by run and attempt, that an agent said are passed
	finished map[string]int32 // attempts whose end was said to count
	said     map[string]apiv1.RunStatus
	broken   error
}

func newWorld(t *testing.T, seed uint64, dir string, faults *fault.Set) *world {
	w := &world{
		t: t, faults: faults, rng: rand.New(rand.NewPCG(seed, seed)), dir: dir, acked: map[string]int{}, fences: map[string]uint64{},
		paid: map[string]int{}, asked: map[string]bool{}, finished: map[string]int32{}, said: map[string]apiv1.RunStatus{},
	}
	for i := range simNodes {
		w.nodes = append(w.nodes, &simNode{w: w, id: fmt.Sprintf("node-%d", i), rng: w.split(), logs: raft.NewInmemStore(), life: make(chan struct{}, 1)})
	}
	for i := range simAgents {
		w.agents = append(w.agents, &simAgent{w: w, id: fmt.Sprintf("agent-%d", i), rng: w.split(), held: map[string]*simLease{}})
	}
	return w
}

func (w *world) newID(what string) string { return fmt.Sprintf("%s-%d", what, w.ids.Add(1)) }

func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = errors.Join(w.broken, err)
}

func (w *world) verdict() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

func (w *world) acknowledged() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.acked)
}

// begin starts everybody; the first node begins the cluster, with all of them.
func (w *world) begin(ctx context.Context) {
	for _, n := range w.nodes {
		n.start(ctx)
	}
	var servers []raft.Server
	for _, n := range w.nodes {
		servers = append(servers, raft.Server{ID: raft.ServerID(n.id), Address: raft.ServerAddress(n.id)})
	}
	if err := w.nodes[0].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		w.t.Fatal(err)
	}
	w.must(ctx, &clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: "bundle"}}})
	sum := []byte("token")
	w.must(ctx, &clusterv1.Command{Body: &clusterv1.Command_CreateJoinToken{CreateJoinToken: &clusterv1.CreateJoinToken{
		Token: &apiv1.JoinToken{Id: "token", Uses: simAgents}, SecretSha256: sum,
	}}})
	for _, a := range w.agents {
		w.must(ctx, &clusterv1.Command{Body: &clusterv1.Command_JoinAgent{JoinAgent: &clusterv1.JoinAgent{
			SecretSha256: sum, AgentId: a.id, Name: a.id, PublicKey: []byte(a.id),
		}}})
		w.all.Go(func() { a.live(ctx) })
	}
}

// end stops everybody.
func (w *world) end() {
	w.all.Wait()
	for _, n := range w.nodes {
		n.crash()
	}
}

// peace makes everything well again.
func (w *world) peace(ctx context.Context) {
	for _, n := range w.nodes {
		w.join(n)
		n.start(ctx)
	}
}

// part cuts a node off from the others, and half of the time from everybody.
func (w *world) part(n *simNode) {
	w.tally.Parted++
	n.deaf.Store(w.rng.IntN(2) == 0)
	n.connect(false)
}

func (w *world) join(n *simNode) {
	n.deaf.Store(false)
	n.connect(true)
}

// must has a command applied, however long that takes.
func (w *world) must(ctx context.Context, c *clusterv1.Command) *clusterv1.Answer {
	a, err := w.propose(ctx, c)
	if err == nil && a.GetFault() != nil {
		err = errors.New(a.GetFault().GetMessage())
	}
	if err != nil && ctx.Err() == nil {
		w.fail(err)
	}
	return a
}

// propose asks one node after the other, as the forwarding does, with one request id.
func (w *world) propose(ctx context.Context, c *clusterv1.Command) (*clusterv1.Answer, error) {
	c.Version, c.Workspace, c.Time = 1, "default", timestamppb.Now()
	if c.GetRequestId() == "" {
		c.RequestId = w.newID("request")
	}
	c.RequestDigest = []byte(c.GetRequestId())
	for {
		for _, n := range w.nodes {
			if a, err := n.Propose(ctx, c); err == nil {
				return a, nil
			}
		}
		if !w.rest(ctx, 50*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// submit queues a batch; it is acknowledged once that is committed.
func (w *world) submit(ctx context.Context, runs int) {
	id := w.newID("batch")
	w.all.Go(func() {
		a, err := w.propose(ctx, &clusterv1.Command{RequestId: "create-" + id, Body: &clusterv1.Command_CreateBatch{CreateBatch: &clusterv1.CreateBatch{
			Id: id, Source: &apiv1.Source{Bundle: "bundle", Repeat: int32(runs), Priority: 2},
		}}})
		if err != nil {
			return
		}
		if a.GetFault() != nil {
			w.fail(errors.New(a.GetFault().GetMessage()))
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.acked[a.GetBatch().GetId()] = runs
	})
}

func (w *world) cancelSome(ctx context.Context) {
	batches := slices.Sorted(maps.Keys(w.acknowledged()))
	if len(batches) == 0 {
		return
	}
	id := batches[w.rng.IntN(len(batches))]
	w.all.Go(func() {
		_, _ = w.propose(ctx, &clusterv1.Command{Body: &clusterv1.Command_CancelRuns{CancelRuns: &clusterv1.CancelRuns{BatchId: id, Reason: "chance"}}})
	})
}

func (w *world) release(ctx context.Context, run string) {
	_, _ = w.propose(ctx, &clusterv1.Command{Body: &clusterv1.Command_ReleaseRun{ReleaseRun: &clusterv1.ReleaseRun{RunId: run}}})
}

// pays says whether a run has a step that must not be repeated.
func (w *world) pays(run string) bool { return run[len(run)-1]%3 == 0 }

// touch is what an agent does to the system under test.
func (w *world) touch(run string, fence uint64, pay bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fence < w.fences[run] {
		w.broken = errors.Join(w.broken, fmt.Errorf("run %s is worked on under the fence %d after %d", run, fence, w.fences[run]))
	}
	w.fences[run] = max(w.fences[run], fence)
	if pay {
		w.paid[run]++
	}
}

// asks takes in that an agent is about to say that its attempt passed.
func (w *world) asks(l *apiv1.Lease) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[fmt.Sprintf("%s/%d", l.GetRunId(), l.GetAttempt())] = true
}

// counts takes in that the end of an attempt was said to count.
func (w *world) counts(l *apiv1.Lease, status apiv1.RunStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other := w.finished[l.GetRunId()]; other != 0 && other != l.GetAttempt() {
		w.broken = errors.Join(w.broken, fmt.Errorf("the ends of attempts %d and %d of run %s both count", other, l.GetAttempt(), l.GetRunId()))
	}
	w.finished[l.GetRunId()], w.said[l.GetRunId()] = l.GetAttempt(), status
}

// simNode is a node: the real raft, state and dispatcher.
type simNode struct {
	w    *world
	id   string
	rng  *rand.Rand
	logs *raft.InmemStore // what outlives a crash, with the state's file
	deaf atomic.Bool      // clients and agents do not reach it
	life chan struct{}    // of one place: taken while it starts or ends, which takes virtual time

	mu    sync.Mutex // never held while time goes by
	up    bool
	store *store.Store
	raft  *raft.Raft
	wire  *raft.InmemTransport
	disp  *dispatch.Dispatcher
	stop  context.CancelFunc
	parts sync.WaitGroup
	cut   bool

	on bool // it has connections; of the world's lock, as wire
}

func (n *simNode) start(ctx context.Context) {
	n.life <- struct{}{}
	defer func() { <-n.life }()
	if n.up || ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var err error
	if n.store, err = store.Open(store.Config{Dir: filepath.Join(n.w.dir, n.id), Fault: n.w.faults}); err != nil {
		n.w.fail(err)
		return
	}
	n.disp = dispatch.New(dispatch.Config{
		Node: n.id, State: n.store, Changes: (&Node{store: n.store}).changes, Proposer: n, Expander: simExpander{}, Timing: simTiming,
		Logger: slog.New(slog.DiscardHandler), NewID: func() string { return n.w.newID("leader") }, Fault: n.w.faults,
	})
	cfg := raft.DefaultConfig()
	cfg.LocalID = raft.ServerID(n.id)
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = 500*time.Millisecond, 500*time.Millisecond, 250*time.Millisecond
	cfg.CommitTimeout, cfg.BatchApplyCh, cfg.Logger = 20*time.Millisecond, true, hclog.NewNullLogger()
	cfg.NoSnapshotRestoreOnStart = true
	notify := make(chan bool, 64)
	cfg.NotifyCh = notify
	_, wire := raft.NewInmemTransportWithTimeout(raft.ServerAddress(n.id), 500*time.Millisecond)
	n.w.mu.Lock()
	n.wire = wire
	n.w.mu.Unlock()
	if n.raft, err = raft.NewRaft(cfg, simMachine{n.store, n.w}, n.logs, n.logs, raft.NewDiscardSnapshotStore(), cluster.Bound(wire)); err != nil {
		n.w.fail(errors.Join(err, n.store.Close()))
		return
	}
	n.up = true
	n.link()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	n.parts.Go(func() { n.lead(running, notify) })
}

// lead decides in each term of this node, as Node.lead does.
func (n *simNode) lead(ctx context.Context, notify <-chan bool) {
	r, disp := n.raft, n.disp
	var term sync.WaitGroup
	defer term.Wait()
	last := context.CancelFunc(func() {})
	defer func() { last() }()
	for {
		select {
		case <-ctx.Done():
			return
		case leads := <-notify:
			last()
			term.Wait()
			if !leads || r.Barrier(5*time.Second).Error() != nil {
				continue
			}
			n.w.mu.Lock()
			n.w.tally.Leaders++
			n.w.mu.Unlock()
			leading, end := context.WithCancel(ctx)
			last = end
			number := r.CurrentTerm()
			term.Go(func() {
				for leading.Err() == nil && disp.Lead(leading, number) != nil {
					n.w.rest(leading, 100*time.Millisecond)
				}
			})
		}
	}
}

// crash ends a node; its log and its state's file stay.
func (n *simNode) crash() bool {
	n.life <- struct{}{}
	defer func() { <-n.life }()
	n.mu.Lock()
	was := n.up
	n.up = false
	n.link()
	n.mu.Unlock()
	if !was {
		return false
	}
	n.stop()
	_ = n.raft.Shutdown().Error() // it is ended either way
	n.parts.Wait()
	if err := n.store.Close(); err != nil {
		n.w.fail(err)
	}
	return true
}

func (n *simNode) connect(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = !on
	n.link()
}

// link makes the connections of a node what they are now; the node is locked. Of the
// others only what w.mu guards is read.
func (n *simNode) link() {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.on = n.up && !n.cut
	for _, other := range n.w.nodes {
		if other == n || other.wire == nil || n.wire == nil {
			continue
		}
		if n.on && other.on {
			n.wire.Connect(other.wire.LocalAddr(), other.wire)
			other.wire.Connect(n.wire.LocalAddr(), n.wire)
			continue
		}
		n.wire.Disconnect(other.wire.LocalAddr())
		other.wire.Disconnect(n.wire.LocalAddr())
	}
}

// reached is the node as somebody from outside finds it.
func (n *simNode) reached() (r *raft.Raft, d *dispatch.Dispatcher, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.up || n.deaf.Load() {
		return nil, nil, errors.New("connection refused")
	}
	return n.raft, n.disp, nil
}

// Propose has a command applied, where this node leads.
func (n *simNode) Propose(_ context.Context, c *clusterv1.Command) (*clusterv1.Answer, error) {
	data, err := proto.Marshal(c)
	if err != nil {
		return nil, err
	}
	r, _, err := n.reached()
	if err != nil {
		return nil, err
	}
	f := r.Apply(data, 2*time.Second)
	if err := f.Error(); err != nil {
		return nil, err
	}
	a, ok := f.Response().(*clusterv1.Answer)
	if !ok || a == nil {
		return nil, errors.New("no answer")
	}
	return a, nil
}

// simMachine is the state as raft sees it.
type simMachine struct {
	*store.Store
	w *world
}

func (m simMachine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

func (m simMachine) ApplyBatch(logs []*raft.Log) (out []any) {
	out = make([]any, len(logs))
	var list []store.Entry
	var place []int
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		c := &clusterv1.Command{}
		if err := proto.Unmarshal(l.Data, c); err != nil {
			panic(err)
		}
		list, place = append(list, store.Entry{Index: l.Index, Term: l.Term, Command: c}), append(place, i)
	}
	if len(list) == 0 {
		return out
	}
	defer func() {
		if r := recover(); r != nil { // the node would end; the history has
			m.w.fail(fmt.Errorf("entries %d to %d: %v", logs[0].Index, logs[len(logs)-1].Index, r))
		}
	}()
	for i, a := range m.Store.Apply(list) {
		out[place[i]] = a
	}
	return out
}

func (m simMachine) Restore(io.ReadCloser) error { return errors.New("there are none") }

func (m simMachine) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("there are none") }

// simExpander makes the runs of a batch.
type simExpander struct{}

func (simExpander) Expand(_ context.Context, b *apiv1.Batch) (list []*clusterv1.NewRun, err error) {
	for i := range b.GetSource().GetRepeat() {
		list = append(list, &clusterv1.NewRun{Id: fmt.Sprintf("%s-run-%d", b.GetId(), i), Spec: &apiv1.Spec{Bundle: "bundle", File: "flow", Flow: "flow", Ordinal: i}})
	}
	return list, nil
}

// hold is how long a poll of the simulation is held.
var simHold = durationpb.New(4 * time.Second)
