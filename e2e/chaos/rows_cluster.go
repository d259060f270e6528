package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

func clusterRows() []row {
	return []row{
		{
			name: "R1", title: "the leader of three nodes is killed again and again", full: 60 * time.Second, ci: 20 * time.Second,
			red: []string{"no_idempotency"}, run: leaderKilled,
		},
		{
			name: "R4", title: "the leader of three nodes stands still, and comes back", full: 45 * time.Second, ci: 15 * time.Second,
			red: []string{"no_strong_read"}, run: leaderFrozen,
		},
		{
			name: "R5", title: "the disk of the leader is stuck", full: 30 * time.Second, ci: 15 * time.Second,
			red: []string{"no_write_guard"}, run: leaderStuck,
		},
		{
			name: "R9", title: "nodes are wiped and join anew under load, and crash while they take the state", full: 40 * time.Second, ci: 20 * time.Second,
			red: []string{"no_pinned_snapshot"}, run: rejoin,
		},
	}
}

// membership is how a node becomes one of several: the first begins, the others join.
func (s *site) membership(n *node) []string {
	args := []string{"--cluster-addr", n.peer, "--accept-blob-loss", "--blobs", "dir:" + filepath.Join(s.dir, "bucket"), "--cluster-steady", "500ms"}
	if n.number == 0 {
		return append(args, "--bootstrap")
	}
	return append(args, "--join", "http://"+s.nodes[0].address)
}

// nodeToken lets a node join.
func (s *site) nodeToken(ctx context.Context) string {
	var token string
	s.call(ctx, "make a node token", func(ctx context.Context, c *client.Client) error {
		res, err := c.Cluster.CreateNodeToken(ctx, &apiv1.CreateNodeTokenRequest{})
		token = res.GetSecret()
		return err
	})
	return token
}

// members are the nodes as one of them sees them.
func (s *site) members(ctx context.Context) ([]*apiv1.Member, error) {
	res := new(apiv1.GetClusterResponse)
	err := s.try(ctx, func(ctx context.Context, c *client.Client) (err error) {
		res, err = c.Cluster.GetCluster(ctx, &apiv1.GetClusterRequest{})
		return err
	})
	return res.GetMembers(), err
}

// voters waits until all nodes vote.
func (s *site) voters(ctx context.Context) {
	s.t.until(ctx, 60*time.Second, "the votes of all nodes", func() error {
		list, err := s.members(ctx)
		voters := 0
		for _, m := range list {
			if m.GetVoter() {
				voters++
			}
		}
		if err == nil && voters < len(s.nodes) {
			err = fmt.Errorf("%d of %d vote", voters, len(s.nodes))
		}
		return err
	})
}

// leader is the node that leads, as the others say.
func (s *site) leader(ctx context.Context) (found *node) {
	s.t.until(ctx, 30*time.Second, "a leader", func() error {
		list, err := s.members(ctx)
		if err != nil {
			return err
		}
		for _, m := range list {
			for _, n := range s.nodes {
				if m.GetLeader() && m.GetClusterAddress() == n.peer && n.alive() {
					found = n
					return nil
				}
			}
		}
		return errors.New("none of the nodes leads")
	})
	return found
}

// chains are the hashes of the nodes' states, read from their files once they have
// ended: equal where their entries are.
func (s *site) equalStates(ctx context.Context) {
	s.t.until(ctx, 60*time.Second, "equal entries on all nodes", func() error {
		list, err := s.members(ctx)
		if err != nil {
			return err
		}
		low, high := uint64(1<<63), uint64(0)
		for _, m := range list {
			if !m.GetReachable() {
				return fmt.Errorf("the node at %s does not answer the others", m.GetClusterAddress())
			}
			low, high = min(low, m.GetAppliedIndex()), max(high, m.GetAppliedIndex())
		}
		if low != high {
			return fmt.Errorf("they are at %d to %d", low, high)
		}
		return nil
	})
	differ := 0
	for _, n := range s.nodes {
		differ += n.said("its state differs")
	}
	s.t.none(differ, "nodes that ended because their state differed")
}

// loadedCluster is three nodes, four agents, and runs that come.
func loadedCluster(ctx context.Context, t *trial) (s *site, stop func()) {
	w := t.witness
	s = newSite(ctx, t, plan{nodes: 3, agents: 4, slots: 4})
	quick := s.upload(ctx, flow{name: "Quick", steps: []string{w.read("one", 20, ""), w.pay("only", 5)}})
	many := s.upload(ctx, flow{name: "Many", steps: []string{w.read("two", 5, ""), w.pay("once", 5)}})
	stopQuick, stopMany := s.load(ctx, 100*time.Millisecond, quick), s.load(ctx, 2*time.Second, repeated(many, 10))
	return s, func() { stopQuick(); stopMany() }
}

// settleCluster judges what all cluster rows have to hold.
func (s *site) settleCluster(ctx context.Context, goal time.Duration) {
	byBatch, _ := s.settled(ctx, 90*time.Second, true)
	o := s.judge(byBatch, 0)
	s.t.note("%d batches acknowledged", len(s.acks))
	s.t.took(s.gap(), goal, "the longest time without an acknowledgement")
	s.t.unexplained(o.list)
	s.equalStates(ctx)
	s.finish()
}

// gapGoal is how long a cluster may be without a leader.
const gapGoal = 3 * time.Second

func leaderKilled(ctx context.Context, t *trial) {
	s, stop := loadedCluster(ctx, t)
	kills := 0
	t.every(ctx, 3*time.Second, 4*time.Second, func(int) {
		n := s.leader(ctx)
		n.kill()
		kills++
		pause(ctx, 1500*time.Millisecond)
		s.startNode(n, "")
		s.ready(ctx, n)
	})
	stop()
	t.observed(kills, int(t.long/(10*time.Second)), "leaders killed")
	s.settleCluster(ctx, gapGoal)
}

func leaderFrozen(ctx context.Context, t *trial) {
	s, stop := loadedCluster(ctx, t)
	frozen, changed, stale, reads := 0, 0, 0, 0
	known := s.upload(ctx, flow{name: "Frozen", steps: []string{t.witness.pay("only", 1)}})
	t.every(ctx, time.Second, 2*time.Second, func(n int) {
		old := s.leader(ctx)
		t.must(old.signal(syscall.SIGSTOP), "freeze the leader")
		frozen++
		pause(ctx, 5*time.Second)
		// What is acknowledged while it stands still, it must know of when it comes back.
		batch := s.queue(ctx, fmt.Sprintf("frozen-%d", n), known)
		answered := s.reads(ctx, old, batch, func() { t.must(old.signal(syscall.SIGCONT), "let the leader go on") })
		reads += answered.known
		stale += answered.stale
		if now := s.leader(ctx); now != old {
			changed++
		}
	})
	stop()
	t.observed(frozen, 1, "leaders frozen")
	t.observed(changed, 1, "changes of the leader")
	t.observed(reads, 1, "strong reads that the node answered once it was back")
	t.none(stale, "strong reads of the node that came back that did not know what was acknowledged")
	s.settleCluster(ctx, gapGoal)
}

// answers are how strong reads came out.
type answers struct{ known, stale int }

// readers ask a node that stands still; their requests are there when it goes on, before
// anything that the others have to tell it.
const readers = 16

// reads asks a node strongly for a batch, many at once: first as it stands still, so that
// the questions wait for it, then until it answers. No answer at all is not a stale one.
func (s *site) reads(ctx context.Context, n *node, batch string, goOn func()) (all answers) {
	var mu sync.Mutex
	var asking sync.WaitGroup
	sent := make(chan struct{}, readers)
	for range readers {
		asking.Go(func() {
			for try := 0; try < 50 && ctx.Err() == nil; try++ {
				if try == 0 {
					sent <- struct{}{}
				}
				known, answered := n.knows(ctx, batch)
				if !answered {
					pause(ctx, 50*time.Millisecond)
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if all.known++; !known {
					all.stale++
				}
				return
			}
		})
	}
	for range readers {
		<-sent
	}
	pause(ctx, 200*time.Millisecond) // they are on their way
	goOn()
	asking.Wait()
	return all
}

// knows asks a node strongly for a batch.
func (n *node) knows(ctx context.Context, batch string) (known, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := n.client.Runs.GetBatch(ctx, &apiv1.GetBatchRequest{Id: batch, Read: apiv1.Read_READ_STRONG})
	return err == nil, err == nil || connect.CodeOf(err) == connect.CodeNotFound
}

// stuckFor is longer than any guard's patience, and than what the goal allows.
const stuckFor = 16 * time.Second

func leaderStuck(ctx context.Context, t *trial) {
	dir := filepath.Join(t.dir, "stuck")
	t.must(os.MkdirAll(dir, 0o700), "make a folder")
	w := t.witness
	s := newSite(ctx, t, plan{nodes: 3, agents: 4, slots: 4, stuck: dir})
	quick := s.upload(ctx, flow{name: "Quick", steps: []string{w.read("one", 20, ""), w.pay("only", 5)}})
	stop := s.load(ctx, 100*time.Millisecond, quick)
	ended, stuck := 0, 0
	t.every(ctx, 2*time.Second, 3*time.Second, func(int) {
		n := s.leader(ctx)
		file := filepath.Join(dir, fmt.Sprint(n.number))
		t.must(os.WriteFile(file, nil, 0o600), "make the disk stuck")
		stuck++
		select {
		case <-n.done:
			ended++
		case <-time.After(stuckFor):
		case <-ctx.Done():
		}
		t.must(os.Remove(file), "free the disk")
		if !n.alive() {
			s.startNode(n, s.plan.faultsOf(n))
			s.ready(ctx, n)
		}
	})
	stop()
	t.observed(s.said("fault cluster.log.before delay"), 1, "writes to a stuck disk")
	t.observed(stuck, 1, "disks stuck")
	t.none(stuck-ended, "nodes that went on with a stuck disk")
	gap := s.gap()
	if gap > 2*stuckGoal {
		t.failf("%s without an acknowledgement, and twice %s is the bound", gap, stuckGoal)
	}
	s.settleCluster(ctx, stuckGoal)
}

// stuckGoal is how long a stuck disk may hold up the others.
const stuckGoal = 5 * time.Second

// restores are what happens to a node that takes the state: it crashes once all of it is
// written, or once it is in its place, or it does not.
func restores() []string {
	return []string{"store.restore.written=crash@1", "store.restore.swapped=crash@1", ""}
}

// rejoin wipes a follower and lets it join as a new node, again and again. The state that
// it gets is copied while it changes.
func rejoin(ctx context.Context, t *trial) {
	w := t.witness
	s := newSite(ctx, t, plan{nodes: 3, agents: 4, slots: 4, nodeFaults: "cluster.snapshot=200;cluster.snapshot_seconds=1;store.snapshot.pinned=delay:200ms"})
	quick := s.upload(ctx, flow{name: "Quick", steps: []string{w.read("one", 20, ""), w.pay("only", 5)}})
	stop := s.load(ctx, 50*time.Millisecond, quick)
	t.until(ctx, 60*time.Second, "a snapshot", func() error {
		if s.said("fault store.snapshot.pinned") < len(s.nodes) {
			return errors.New("not every node has made one")
		}
		return nil
	})
	joined, crashed := 0, 0
	var worst time.Duration
	t.every(ctx, time.Second, 2*time.Second, func(round int) {
		leader := s.leader(ctx)
		follower := s.nodes[(leader.number+1)%len(s.nodes)]
		s.remove(ctx, leader, follower)
		follower.kill()
		t.must(os.RemoveAll(s.nodeDir(follower)), "wipe a node")
		began := time.Now()
		fault := restores()[round%len(restores())]
		s.join(ctx, follower, leader, s.plan.nodeFaults+";"+fault)
		if fault != "" && s.crashes(ctx, follower, fault) {
			crashed++
			s.startNode(follower, s.plan.nodeFaults)
		}
		s.ready(ctx, follower)
		s.voters(ctx)
		worst = max(worst, time.Since(began))
		joined++
	})
	stop()
	t.observed(joined, 3, "nodes wiped and joined anew")
	t.observed(crashed, 2, "of them crashed while they took the state")
	t.took(worst, 10*time.Second, "a node has caught up and votes, worst")
	s.settleCluster(ctx, gapGoal)
}

// crashes waits until a node has ended where it was told to.
func (s *site) crashes(ctx context.Context, n *node, fault string) bool {
	select {
	case <-n.done:
	case <-time.After(30 * time.Second):
	case <-ctx.Done():
	}
	point, _, _ := strings.Cut(fault, "=")
	if n.said("fault "+point+" crash") > 0 {
		return true
	}
	s.t.failf("node %d did not crash at %s; the end of its log: %s", n.number, point, lastLines(n.log))
	return false
}

// remove takes a node out of the cluster, until its leader knows no node at that address.
func (s *site) remove(ctx context.Context, leader, n *node) {
	s.t.until(ctx, 30*time.Second, "a member less", func() error {
		asking, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		res, err := leader.client.Cluster.GetCluster(asking, &apiv1.GetClusterRequest{})
		if err != nil {
			return err
		}
		for _, m := range res.GetMembers() {
			if m.GetClusterAddress() == n.peer {
				_, err := leader.client.Cluster.RemoveNode(asking, &apiv1.RemoveNodeRequest{Id: m.GetId()})
				return errors.Join(fmt.Errorf("node %s is one", m.GetId()), err)
			}
		}
		return nil
	})
}

// join starts a node that knows nothing at a member.
func (s *site) join(ctx context.Context, n, member *node, faults string) {
	token := s.nodeToken(ctx)
	args := append(s.serverArgs(n), "--cluster-addr", n.peer, "--accept-blob-loss", "--blobs", "dir:"+filepath.Join(s.dir, "bucket"), "--cluster-steady", "500ms", "--join", "http://"+member.address)
	p, err := s.start(fmt.Sprintf("node-%d", n.number), append(s.faulty(faults), "TESTMESH_NODE_TOKEN="+token), args...)
	s.t.able(err, "start a node")
	n.process = p
}
