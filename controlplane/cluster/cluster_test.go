package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/proto/testmesh/cluster/v1/clusterv1connect"
)

// list is a state that is the list of its commands.
type list struct {
	mu      sync.Mutex
	applied uint64
	actors  []string
}

func (s *list) Apply(entries []Entry) []*clusterv1.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := make([]*clusterv1.Answer, len(entries))
	for i, e := range entries {
		if e.Index <= s.applied {
			continue
		}
		s.applied = e.Index
		s.actors = append(s.actors, e.Command.GetActor())
		answers[i] = &clusterv1.Answer{Index: e.Index}
	}
	return answers
}

func (s *list) Applied() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}

func (s *list) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.actors)
}

func (s *list) Snapshot(context.Context) (Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return text(fmt.Sprintf("%d\n%s", s.applied, strings.Join(s.actors, "\n"))), nil
}

func (s *list) Restore(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(string(data), "\n")
	s.actors = lines[1:]
	_, err = fmt.Sscan(lines[0], &s.applied)
	return err
}

type text string

func (t text) Write(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, string(t))
	return err
}
func (text) Release() {}

// member is a node of a test, which can be stopped and started again.
type member struct {
	id, dir, address string
	identity         *Identity
	state            *list
	node             *Node
	stop             context.CancelFunc
	ended            chan struct{}
	exits            chan string
}

// quick are times for nodes of one process.
var quick = Timing{Heartbeat: 150 * time.Millisecond, Election: 150 * time.Millisecond, Lease: 100 * time.Millisecond, Steady: time.Millisecond}

type calls struct {
	clusterv1connect.UnimplementedNodeServiceHandler
	Calls
}

func (c calls) Propose(ctx context.Context, r *clusterv1.ProposeRequest) (*clusterv1.ProposeResponse, error) {
	return c.Calls.Propose(ctx, r)
}

func (c calls) ReadIndex(ctx context.Context, r *clusterv1.ReadIndexRequest) (*clusterv1.ReadIndexResponse, error) {
	return c.Calls.ReadIndex(ctx, r)
}

func (c calls) Status(ctx context.Context, r *clusterv1.StatusRequest) (*clusterv1.StatusResponse, error) {
	return c.Calls.Status(ctx, r)
}

func (m *member) start(t *testing.T, timing Timing, bootstrap bool) {
	t.Helper()
	var l net.Listener
	if m.identity != nil {
		var err error
		if l, err = net.Listen("tcp", m.address); err != nil {
			t.Fatal(err)
		}
		m.address = l.Addr().String()
	}
	m.exits = make(chan string, 10)
	node, err := New(Config{
		ID: m.id, Dir: m.dir, State: m.state, Listener: l, Identity: m.identity, Address: m.address, Bootstrap: bootstrap,
		Timing: timing, Logger: slog.New(slog.DiscardHandler), Exit: func(why string) { m.exits <- why },
	})
	if err != nil {
		t.Fatal(err)
	}
	path, handler := clusterv1connect.NewNodeServiceHandler(calls{Calls: Calls{node}})
	node.Handle(path, handler)
	ctx, stop := context.WithCancel(context.Background())
	m.node, m.stop, m.ended = node, stop, make(chan struct{})
	started := make(chan struct{})
	go func() {
		defer close(m.ended)
		close(started)
		if err := node.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	<-started
	eventually(t, "raft to start", func() error {
		if !node.isStarted() {
			return errors.New("not yet")
		}
		return nil
	})
}

func (m *member) end() {
	m.stop()
	<-m.ended
}

// eventually polls a claim, and reports why it did not hold in time.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %v", what, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func propose(t *testing.T, n *Node, actor string) {
	t.Helper()
	if _, err := n.Propose(t.Context(), &clusterv1.Command{RequestId: actor, Actor: actor}); err != nil {
		t.Fatal(err)
	}
}

func TestANodeAloneKeepsWhatItAnswered(t *testing.T) {
	defer goleak.VerifyNone(t)
	m := &member{id: "one", dir: t.TempDir(), state: &list{}}
	m.start(t, Timing{}, true)
	propose(t, m.node, "a")
	if err := m.node.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.end()
	m.state = &list{} // its own file would be there; the log alone is enough
	m.start(t, Timing{}, true)
	propose(t, m.node, "b")
	if got := m.state.all(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
	m.end()
}

func three(t *testing.T) []*member {
	t.Helper()
	dir := t.TempDir()
	first, err := Found(filepath.Join(dir, "identity-1"), "node-1")
	if err != nil {
		t.Fatal(err)
	}
	members := []*member{{id: "node-1", identity: first}}
	for _, id := range []string{"node-2", "node-3"} {
		key, request, err := Request(id)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := first.Sign(request, id)
		if err != nil {
			t.Fatal(err)
		}
		ca, _, err := first.Authority()
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.Join(dir, "identity-"+id)
		if err := Install(at, cert, key, ca, nil); err != nil {
			t.Fatal(err)
		}
		identity, err := LoadIdentity(at)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, &member{id: id, identity: identity})
	}
	for i, m := range members {
		m.dir, m.address, m.state = filepath.Join(dir, m.id), "127.0.0.1:0", &list{}
		m.start(t, quick, i == 0)
	}
	propose(t, members[0].node, "first")
	for _, m := range members[1:] {
		if err := members[0].node.Join(m.id, m.address); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "three votes", func() error {
		for _, m := range members[0].node.Members(t.Context()) {
			if !m.GetVoter() {
				return fmt.Errorf("%s has no vote", m.GetId())
			}
		}
		return nil
	})
	return members
}

func leader(t *testing.T, members []*member) (leads *member, others []*member) {
	t.Helper()
	eventually(t, "a leader", func() error {
		leads, others = nil, nil
		for _, m := range members {
			if _, here := m.node.Leader(); here {
				leads = m
			} else {
				others = append(others, m)
			}
		}
		if leads == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	return leads, others
}

func TestThreeNodesAgree(t *testing.T) {
	defer goleak.VerifyNone(t)
	members := three(t)
	_, others := leader(t, members)
	propose(t, others[0].node, "through a follower")
	for _, m := range members {
		if err := m.node.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := m.state.all(); !slices.Equal(got, []string{"first", "through a follower"}) {
			t.Errorf("%s: after a strong read it has %q", m.id, got)
		}
	}
	for _, m := range members {
		m.end()
	}
}

func TestTheLeadGoesOver(t *testing.T) {
	defer goleak.VerifyNone(t)
	members := three(t)
	leads, others := leader(t, members)
	leads.end() // in order: it hands over first
	for i := range 20 {
		propose(t, others[i%2].node, fmt.Sprint(i))
	}
	leads.start(t, quick, false)
	eventually(t, "the node that was away", func() error {
		if got, want := leads.state.all(), others[0].state.all(); !slices.Equal(got, want) {
			return fmt.Errorf("it has %q, the others %q", got, want)
		}
		return nil
	})
	for _, m := range members {
		m.end()
	}
}

func TestStrangersAreRefused(t *testing.T) {
	defer goleak.VerifyNone(t)
	members := three(t)
	other, err := Found(t.TempDir(), "node-1") // of another cluster, with a name of this one
	if err != nil {
		t.Fatal(err)
	}
	removed := members[2]
	leads, _ := leader(t, members)
	for name, id := range map[string]*Identity{"another cluster": other} {
		k := newLinks(leads.node.cfg.Listener, id)
		if _, err := k.client(leads.address).Status(t.Context(), &clusterv1.StatusRequest{}); err == nil {
			t.Errorf("%s: it was answered", name)
		}
		k.http.CloseIdleConnections()
	}
	if removed == leads {
		removed = members[1]
	}
	if err := leads.node.Remove(removed.id); err != nil {
		t.Fatal(err)
	}
	k := newLinks(leads.node.cfg.Listener, removed.identity)
	if _, err := k.client(leads.address).Status(t.Context(), &clusterv1.StatusRequest{}); err == nil {
		t.Error("a node that was removed was answered")
	}
	k.http.CloseIdleConnections()
	for _, m := range members {
		m.end()
	}
}

// slow is a disk that hangs or errors when it is told to.
type slow struct {
	disk
	hang chan struct{}
	err  error
}

func (s *slow) Set(key, v []byte) error {
	if s.hang != nil {
		<-s.hang
	}
	if s.err != nil {
		return s.err
	}
	return s.disk.Set(key, v)
}

type memory struct {
	disk
	values map[string][]byte
}

func (m memory) Set(key, v []byte) error              { m.values[string(key)] = bytes.Clone(v); return nil }
func (m memory) Get(key []byte) ([]byte, error)       { return m.values[string(key)], nil }
func (m memory) SetUint64(key []byte, _ uint64) error { return m.Set(key, []byte{1}) }

func TestADiskThatIsStuckOrErrsEndsTheNode(t *testing.T) {
	exits := make(chan string, 10)
	hang := make(chan struct{})
	g := newGuard(&slow{disk: memory{values: map[string][]byte{}}, hang: hang}, 10*time.Millisecond, func(why string) { exits <- why }, nil)
	done := make(chan error)
	go func() { done <- g.Set([]byte("k"), []byte("v")) }()
	if why := <-exits; !strings.Contains(why, "stuck") {
		t.Errorf("got %q", why)
	}
	close(hang)
	if err := <-done; err != nil {
		t.Error(err)
	}
	g = newGuard(&slow{disk: memory{values: map[string][]byte{}}, err: errors.New("input/output error")}, time.Minute, func(why string) { exits <- why }, nil)
	if err := g.Set([]byte("k"), []byte("v")); err == nil {
		t.Error("the error was lost")
	}
	if why := <-exits; !strings.Contains(why, "input/output error") {
		t.Errorf("got %q", why)
	}
}

func TestAVoteIsOneValue(t *testing.T) {
	values := map[string][]byte{}
	g := newGuard(memory{values: values}, time.Minute, func(string) {}, nil)
	vote := func(term uint64, candidate string) {
		if err := g.SetUint64([]byte(keyVoteTerm), term); err != nil {
			t.Fatal(err)
		}
		if candidate != "" {
			if err := g.Set([]byte(keyCandidate), []byte(candidate)); err != nil {
				t.Fatal(err)
			}
		}
	}
	vote(7, "node-2")
	vote(8, "") // and the machine crashes
	g = newGuard(memory{values: values}, time.Minute, func(string) {}, nil)
	term, err := g.GetUint64([]byte(keyVoteTerm))
	if err != nil {
		t.Fatal(err)
	}
	candidate, err := g.Get([]byte(keyCandidate))
	if err != nil {
		t.Fatal(err)
	}
	if term != 7 || string(candidate) != "node-2" {
		t.Errorf("got a vote for %s in term %d, want node-2 in 7", candidate, term)
	}
}

func TestACommandOverTheLimitIsRefused(t *testing.T) {
	m := &member{id: "one", dir: t.TempDir(), state: &list{}}
	m.start(t, Timing{}, true)
	defer m.end()
	_, err := m.node.Propose(t.Context(), &clusterv1.Command{Actor: strings.Repeat("x", maxCommand)})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestNobodyWaitsForALeaderThatWas(t *testing.T) {
	defer goleak.VerifyNone(t)
	members := three(t)
	leads, others := leader(t, members)
	asker := others[0].node
	var under context.Context
	eventually(t, "word of the leader", func() error {
		ctx, done := asker.Under(t.Context(), leads.address)
		asker.reign.mu.Lock()
		known := asker.reign.address == leads.address
		asker.reign.mu.Unlock()
		if !known {
			done()
			return errors.New("not yet")
		}
		under = ctx
		return nil
	})
	leads.end()
	eventually(t, "the end of what waited", func() error {
		if under.Err() == nil {
			return errors.New("it waits")
		}
		return nil
	})
	for _, m := range others {
		m.end()
	}
}
