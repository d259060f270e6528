package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// leaseTime and graceTime are a tenth of what people have.
const (
	leaseTime = 3 * time.Second
	graceTime = 1500 * time.Millisecond
)

// plan is what a site consists of.
type plan struct {
	nodes, agents, slots int
	lease, grace         time.Duration // 0: leaseTime and graceTime
	// through gives the address that an agent is to use instead of a node's.
	through func(agent int, address string) string
	// faults are those of the nodes and of the agents at their first start.
	nodeFaults, agentFaults string
	// stuck is a folder: the disk of the node that a file in it is named for is stuck.
	stuck string
}

// site is a control plane with its agents.
type site struct {
	*starter
	t     *trial
	plan  plan
	key   string
	nodes []*node
	token string

	mu     sync.Mutex
	agents []*worker
	turn   atomic.Int64
	batch  map[string]sent // what was acknowledged, by batch
	acks   []time.Time
	twice  int            // keys that were answered again, with another batch
	pays   map[string]int // steps that must not be repeated, by bundle
}

// node is one of the control plane.
type node struct {
	*process
	number        int
	address, peer string // host:port for clients, and for other nodes
	client        *client.Client
}

// worker is an agent.
type worker struct {
	*process
	number int
	name   string
	kills  []time.Time
}

// sent is a batch that the control plane has acknowledged.
type sent struct {
	runs int
	at   time.Time
}

// newSite starts a control plane and its agents, and waits for them.
func newSite(ctx context.Context, t *trial, p plan) *site {
	if p.lease == 0 {
		p.lease, p.grace = leaseTime, graceTime
	}
	dir, err := os.MkdirTemp(t.dir, "site-")
	t.able(err, "make a folder")
	s := &site{
		t: t, plan: p, key: "tma_" + strings.Repeat("c0ffee42", 6), batch: map[string]sent{}, pays: map[string]int{},
		starter: &starter{bin: t.bin, dir: dir},
	}
	s.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TESTMESH_ADMIN_KEY=" + s.key}
	t.sites = append(t.sites, s)
	for i := range p.nodes {
		n := &node{number: i, address: t.ports.free(t), peer: t.ports.free(t)}
		n.client, err = client.New(client.Config{Address: "http://" + n.address, Key: s.key})
		t.must(err, "make a client")
		if i == 0 {
			s.nodes = append(s.nodes, n)
			s.startNode(n, p.faultsOf(n))
		} else {
			s.join(ctx, n, s.nodes[0], p.faultsOf(n))
			s.nodes = append(s.nodes, n)
		}
		s.ready(ctx, n)
	}
	if p.nodes > 1 {
		s.voters(ctx)
	}
	made := new(apiv1.CreateJoinTokenResponse)
	s.call(ctx, "make a join token", func(ctx context.Context, c *client.Client) error {
		var err error
		made, err = c.Agents.CreateJoinToken(ctx, &apiv1.CreateJoinTokenRequest{Uses: 1000, IdempotencyKey: "token"})
		return err
	})
	s.token = made.GetSecret()
	for range p.agents {
		s.addAgent(ctx)
	}
	return s
}

// ports gives addresses that nobody listens at, each once. They are below those that
// the system gives to connections: one of these would be taken while its node is down.
type ports struct {
	mu   sync.Mutex
	next int
}

const firstPort, lastPort = 20000, 32000

func newPorts() *ports { return &ports{next: firstPort + rand.IntN(lastPort-firstPort)} }

func (p *ports) free(t *trial) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range lastPort - firstPort {
		p.next++
		if p.next >= lastPort {
			p.next = firstPort
		}
		address := fmt.Sprintf("127.0.0.1:%d", p.next)
		if l, err := net.Listen("tcp", address); err == nil {
			t.must(l.Close(), "close a port")
			return address
		}
	}
	t.must(errors.New("all are taken"), "find a free port")
	return ""
}

// faulty is the environment of a process with the faults of the row and its own.
func (s *site) faulty(own string) []string {
	return []string{"TESTMESH_FAULT=" + strings.Join([]string{s.t.off, own}, ";")}
}

func (s *site) nodeDir(n *node) string { return filepath.Join(s.dir, fmt.Sprintf("node-%d", n.number)) }

// faultsOf are those of a node at each of its starts.
func (p plan) faultsOf(n *node) string {
	if p.stuck == "" {
		return p.nodeFaults
	}
	return p.nodeFaults + ";cluster.log.before=delay:" + stuckFor.String() + "?" + filepath.Join(p.stuck, fmt.Sprint(n.number))
}

func (s *site) serverArgs(n *node) []string {
	return []string{
		"server", "--data", s.nodeDir(n), "--addr", n.address,
		"--leases-ttl", s.plan.lease.String(), "--leases-grace", s.plan.grace.String(), "--leases-renew", (s.plan.lease / 6).String(),
		"--leases-start-within", s.plan.lease.String(), "--leases-cancel-grace", (4 * s.plan.lease).String(),
	}
}

// startNode starts a node, or starts it again.
func (s *site) startNode(n *node, faults string) {
	args := s.serverArgs(n)
	if s.plan.nodes > 1 {
		args = append(args, s.membership(n)...)
	}
	p, err := s.start(fmt.Sprintf("node-%d", n.number), s.faulty(faults), args...)
	s.t.able(err, "start a node")
	n.process = p
}

// ready waits until a node answers.
func (s *site) ready(ctx context.Context, n *node) {
	s.t.until(ctx, 60*time.Second, fmt.Sprintf("node %d", n.number), func() error {
		asking, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		_, err := n.client.Runs.ListRuns(asking, &apiv1.ListRunsRequest{PageSize: 1})
		return err
	})
}

// call asks one node after the other until one answers; a refusal is an answer.
func (s *site) call(ctx context.Context, what string, f func(context.Context, *client.Client) error) {
	s.t.must(s.try(ctx, f), what)
}

const (
	// callWithin is how long a question is tried.
	callWithin = 60 * time.Second
	// answerWithin bounds one try: a node may stand still.
	answerWithin = 5 * time.Second
)

func (s *site) try(ctx context.Context, f func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, callWithin, errors.New("no node answered in time"))
	defer cancel()
	for {
		n := s.nodes[int(s.turn.Add(1))%len(s.nodes)]
		asking, done := context.WithTimeout(ctx, answerWithin)
		err := f(asking, n.client)
		done()
		switch connect.CodeOf(err) {
		case connect.CodeUnavailable, connect.CodeDeadlineExceeded, connect.CodeUnknown, connect.CodeInternal, connect.CodeCanceled, connect.CodeAborted:
		default:
			return err
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// addAgent starts one more agent and waits until it is known.
func (s *site) addAgent(ctx context.Context) *worker {
	s.mu.Lock()
	w := &worker{number: len(s.agents), name: fmt.Sprintf("agent-%d", len(s.agents))}
	s.agents = append(s.agents, w)
	s.mu.Unlock()
	s.startAgent(w, s.plan.agentFaults)
	s.t.until(ctx, 60*time.Second, w.name, func() error {
		if s.agentID(ctx, w.name) == "" {
			return fmt.Errorf("it has not joined; its log: %s", w.log)
		}
		return nil
	})
	return w
}

// startAgent starts an agent, or starts it again.
func (s *site) startAgent(w *worker, faults string) {
	address := "http://" + s.nodes[w.number%len(s.nodes)].address
	if s.plan.through != nil {
		address = s.plan.through(w.number, address)
	}
	p, err := s.start(w.name, s.faulty(faults), "agent", "--server", address, "--token", s.token,
		"--data", s.agentDir(w), "--name", w.name, "--slots", fmt.Sprint(max(1, s.plan.slots)))
	s.t.able(err, "start an agent")
	w.process = p
}

func (s *site) agentDir(w *worker) string { return filepath.Join(s.dir, w.name) }

// agentID is how the control plane knows an agent, "" where it does not.
func (s *site) agentID(ctx context.Context, name string) string {
	list := new(apiv1.ListAgentsResponse)
	s.call(ctx, "list agents", func(ctx context.Context, c *client.Client) error {
		var err error
		list, err = c.Agents.ListAgents(ctx, &apiv1.ListAgentsRequest{})
		return err
	})
	for _, a := range list.GetAgents() {
		if a.GetName() == name && (a.GetState() == apiv1.AgentState_AGENT_STATE_ONLINE || a.GetSlots() > 0) {
			return a.GetId()
		}
	}
	return ""
}

// named finds an agent.
func (s *site) named(name string) *worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.agents {
		if w.name == name {
			return w
		}
	}
	return nil
}

// killAgent ends an agent and remembers when.
func (s *site) killAgent(w *worker) {
	w.kill()
	s.mu.Lock()
	w.kills = append(w.kills, time.Now())
	s.mu.Unlock()
}

// finish ends everything in order, and looks for what is left over: processes, spools.
func (s *site) finish() {
	for _, w := range s.agents {
		if w.alive() {
			if err := w.stop(20 * time.Second); err != nil {
				s.t.failf("%s ended with %v", w.name, err)
			}
		}
	}
	for _, n := range s.nodes {
		if n.alive() {
			if err := n.stop(20 * time.Second); err != nil {
				s.t.failf("node %d ended with %v", n.number, err)
			}
		}
	}
	spools := 0
	for _, w := range s.agents {
		entries, err := os.ReadDir(filepath.Join(s.agentDir(w), "spool"))
		if err == nil {
			spools += len(entries)
		}
	}
	running := left(s.dir)
	s.t.none(len(running), "processes left")
	s.t.none(spools, "spools left")
	for _, line := range running {
		s.t.note("left: %s", line)
	}
}

// lastLines is the end of a log.
func lastLines(file string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-2000):])
}
