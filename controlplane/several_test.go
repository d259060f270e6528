package controlplane

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	"github.com/testmesh/testmesh/sdk/client"

	"github.com/testmesh/testmesh/controlplane/blob"
	"github.com/testmesh/testmesh/controlplane/cluster"
)

// quick are the times of nodes that are all in this process.
var quick = cluster.Timing{Heartbeat: 400 * time.Millisecond, Election: 400 * time.Millisecond, Lease: 400 * time.Millisecond, Steady: time.Millisecond}

// station is a node of a test, which can be stopped and started again.
type station struct {
	dir, api, nodes string // its addresses, once it has had some
	node            *Node
	client          *client.Client
	stop            context.CancelFunc
	ended           chan error
	exits           chan string
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// start runs a node; without others it begins a cluster.
func (p *station) start(t *testing.T, others ...*station) error {
	t.Helper()
	l, between := listen(t, p.api), listen(t, p.nodes)
	p.api, p.nodes = l.Addr().String(), between.Addr().String()
	cfg := Config{
		Dir: p.dir, Listener: l, AdminKey: "key", Version: "test", Logger: slog.New(slog.DiscardHandler), Advertise: "http://" + p.api,
		Cluster: &ClusterConfig{Listener: between, Address: p.nodes, Bootstrap: len(others) == 0, Timing: quick},
		Exit: func(why string) {
			p.exits <- why
			runtime.Goexit() // as the process would end
		},
	}
	if len(others) > 0 && !Joined(p.dir) {
		token, err := others[0].client.Cluster.CreateNodeToken(t.Context(), &apiv1.CreateNodeTokenRequest{})
		if err == nil {
			err = Join(t.Context(), Joining{Dir: p.dir, Server: "http://" + others[0].api, Token: token.GetSecret(), Cluster: p.nodes, API: cfg.Advertise})
		}
		if err != nil {
			return errors.Join(err, l.Close(), between.Close())
		}
	}
	node, err := New(cfg)
	if err != nil {
		return errors.Join(err, l.Close(), between.Close())
	}
	if p.client, err = client.New(client.Config{Address: "http://" + p.api, Key: "key"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.node, p.stop, p.ended = node, cancel, make(chan error, 1)
	ended := p.ended
	go func() { ended <- node.Run(ctx) }()
	t.Cleanup(cancel)
	return nil
}

func (p *station) end(t *testing.T) {
	t.Helper()
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

func until(t *testing.T, what string, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %v", what, err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// three are nodes of one cluster, all of which vote.
func three(t *testing.T) []*station {
	t.Helper()
	var stations []*station
	for i := range 3 {
		p := &station{dir: filepath.Join(t.TempDir(), fmt.Sprint(i)), exits: make(chan string, 10)}
		if err := p.start(t, stations...); err != nil {
			t.Fatal(err)
		}
		stations = append(stations, p)
	}
	votes(t, stations[0], 3)
	return stations
}

// votes waits until so many nodes vote and all of them answer, or so many as are said to.
func votes(t *testing.T, at *station, want int, answer ...int) {
	t.Helper()
	until(t, fmt.Sprint(want, " votes"), func() error {
		res, err := at.client.Cluster.GetCluster(t.Context(), &apiv1.GetClusterRequest{})
		if err != nil {
			return err
		}
		n, well := 0, want
		if len(answer) > 0 {
			well = answer[0]
		}
		for _, m := range res.GetMembers() {
			if m.GetVoter() && m.GetReachable() && m.GetApiAddress() != "" {
				n++
			}
		}
		if n != well || len(res.GetMembers()) != want {
			return fmt.Errorf("%v", res)
		}
		return nil
	})
}

func leads(t *testing.T, stations []*station) (leader *station, others []*station) {
	t.Helper()
	until(t, "a leader", func() error {
		leader, others = nil, nil
		for _, p := range stations {
			if _, here := p.node.cluster.Leader(); here {
				leader = p
			} else {
				others = append(others, p)
			}
		}
		if leader == nil {
			return errors.New("nobody leads")
		}
		return nil
	})
	return leader, others
}

func TestEveryNodeAnswersForTheLeader(t *testing.T) {
	t.Parallel()
	stations := three(t)
	_, others := leads(t, stations)
	at := others[0]
	token, err := at.client.Agents.CreateJoinToken(t.Context(), &apiv1.CreateJoinTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if token.GetSecret() == "" {
		t.Error("the token has no secret")
	}
	if _, err := at.client.Runs.QueueStats(t.Context(), &apiv1.QueueStatsRequest{}); err != nil {
		t.Errorf("stats: %v", err)
	}
	if _, err := at.client.Runs.Why(t.Context(), &apiv1.WhyRequest{RunId: newID()}); err == nil || !strings.Contains(err.Error(), "not_found") {
		t.Errorf("why a run waits that is not there: got %v", err)
	}
	if _, err := at.client.Agents.ListAgents(t.Context(), &apiv1.ListAgentsRequest{}); err != nil {
		t.Errorf("agents: %v", err)
	}
	for name, call := range map[string]func() error{
		"transfer": func() error {
			_, err := at.client.Cluster.TransferLeadership(t.Context(), &apiv1.TransferLeadershipRequest{Id: newID()})
			return err
		},
		"remove": func() error {
			_, err := at.client.Cluster.RemoveNode(t.Context(), &apiv1.RemoveNodeRequest{Id: newID()})
			return err
		},
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "the cluster has no such node") {
			t.Errorf("%s of a node that is not there: got %v", name, err)
		}
	}
	// What is kept at one node is read at the others.
	if err := others[1].node.own.Put(t.Context(), "files/aa/one", strings.NewReader(strings.Repeat("x", 3*blobPart+1))); err != nil {
		t.Fatal(err)
	}
	here := newPeers(at.node.own, at.node)
	until(t, "a blob of another node", func() error { // which answers late on a busy machine
		if size, ok, err := here.Has(t.Context(), "files/aa/one"); size != 3*blobPart+1 || !ok || err != nil {
			return fmt.Errorf("%d, %v, %w", size, ok, err)
		}
		return nil
	})
	if _, ok, err := here.Has(t.Context(), "files/aa/two"); ok || err != nil {
		t.Errorf("what is nowhere: got %v, %v", ok, err)
	}
	until(t, "the blobs of all nodes", func() error {
		if keys, err := here.List(t.Context(), "files/"); err != nil || len(keys) != 1 {
			return fmt.Errorf("%v, %w", keys, err)
		}
		return nil
	})
	for _, p := range stations {
		p.end(t)
	}
	began := time.Now()
	for range 100 { // a node that does not answer is not asked for each
		if _, err := here.Get(t.Context(), "files/aa/one"); err == nil || errors.Is(err, blob.ErrNotFound) || !strings.Contains(err.Error(), "each node keeps its own blobs") {
			t.Fatalf("with nobody to ask: got %v", err)
		}
		if _, ok, err := here.Has(t.Context(), "files/aa/one"); ok || err != nil {
			t.Fatalf("with nobody to ask: got %v, %v", ok, err)
		}
	}
	if took := time.Since(began); took > 10*findWithin {
		t.Errorf("it took %s to find nobody", took)
	}
}

func TestAPollOutlivesItsLeader(t *testing.T) {
	t.Parallel()
	stations := three(t)
	leader, others := leads(t, stations)
	answers := make(chan error, 1)
	began := time.Now()
	go func() {
		res, err := queue{others[0].node}.Poll(context.Background(), "agent", &apiv1.PollRequest{PollId: "p", FreeSlots: 1, Hold: durationpb.New(3 * time.Second)})
		if err == nil && len(res.GetOffers()) > 0 {
			err = fmt.Errorf("it was offered %v", res)
		}
		answers <- err
	}()
	until(t, "the poll at the leader", func() error {
		if p := leader.node.dispatcher.Presences()["agent"]; !p.Parked {
			return fmt.Errorf("%v", p)
		}
		return nil
	})
	leader.end(t)
	if err := <-answers; err != nil {
		t.Errorf("the agent was told: %v", err)
	}
	if took := time.Since(began); took < 2900*time.Millisecond {
		t.Errorf("it was held for %s", took)
	}
	for _, p := range others {
		p.end(t)
	}
}

func TestRenewalsGoTogether(t *testing.T) {
	t.Parallel()
	stations := three(t)
	_, others := leads(t, stations)
	q := queue{others[0].node}
	var all sync.WaitGroup
	for i := range together + 10 {
		all.Go(func() {
			lease := &apiv1.Lease{RunId: fmt.Sprint("run-", i), Attempt: 1, Fence: uint64(i + 1)}
			res, err := q.Renew(t.Context(), fmt.Sprint("agent-", i), &apiv1.RenewRequest{Leases: []*apiv1.Lease{lease}})
			if err != nil || len(res.GetRenewals()) != 1 || res.GetRenewals()[0].GetRunId() != lease.GetRunId() || !res.GetRenewals()[0].GetFenced() {
				t.Errorf("renewal %d: got %v, %v", i, res, err)
			}
		})
	}
	all.Wait()
	for _, p := range stations {
		p.end(t)
	}
}

func TestTheLeadIsGivenAwayOnce(t *testing.T) {
	t.Parallel()
	stations := three(t)
	for range 3 {
		leader, others := leads(t, stations)
		until(t, "word of the leader", func() error {
			if id, _ := others[0].node.cluster.Leader(); id != leader.node.ID() {
				return fmt.Errorf("it knows %q", id)
			}
			return nil
		})
		if _, err := others[0].client.Cluster.TransferLeadership(t.Context(), &apiv1.TransferLeadershipRequest{Id: others[1].node.ID()}); err != nil {
			t.Fatal(err)
		}
		if now, _ := leads(t, stations); now != others[1] {
			t.Errorf("node %s leads, and not %s", now.node.ID(), others[1].node.ID())
		}
	}
	for _, p := range stations {
		p.end(t)
	}
}

// A machine that was wiped is a new node at the address of an old one.
func TestAnAddressIsThatOfOneNode(t *testing.T) {
	t.Parallel()
	stations := three(t)
	leader, others := leads(t, stations)
	token, err := leader.client.Cluster.CreateNodeToken(t.Context(), &apiv1.CreateNodeTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	address, _ := leader.node.cluster.Has(others[0].node.ID())
	err = Join(t.Context(), Joining{Dir: t.TempDir(), Server: "http://" + leader.api, Token: token.GetSecret(), Cluster: address, API: "http://127.0.0.1:1"})
	if want := "cluster remove " + others[0].node.ID(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	for _, p := range stations {
		p.end(t)
	}
}

func TestANodeThatIsRemovedEnds(t *testing.T) {
	t.Parallel()
	stations := three(t)
	leader, others := leads(t, stations)
	// The leader itself: it hands over first.
	if _, err := others[0].client.Cluster.RemoveNode(t.Context(), &apiv1.RemoveNodeRequest{Id: leader.node.ID()}); err != nil {
		t.Fatal(err)
	}
	if err := <-leader.ended; !errors.Is(err, ErrRemoved) {
		t.Errorf("the removed node ended with %v", err)
	}
	votes(t, others[0], 2)
	for _, p := range others {
		p.end(t)
	}
}

func TestANodeTellsItsNewAddress(t *testing.T) {
	t.Parallel()
	stations := three(t)
	_, others := leads(t, stations)
	moved := others[0]
	moved.end(t)
	moved.api, moved.nodes = "", ""
	if err := moved.start(t, stations[0]); err != nil {
		t.Fatal(err)
	}
	until(t, "the new address", func() error {
		res, err := others[1].client.Cluster.GetCluster(t.Context(), &apiv1.GetClusterRequest{})
		if err != nil {
			return err
		}
		for _, m := range res.GetMembers() {
			if m.GetId() == moved.node.ID() && m.GetClusterAddress() == moved.nodes && m.GetApiAddress() == "http://"+moved.api && m.GetReachable() {
				return nil
			}
		}
		return fmt.Errorf("%v", res.GetMembers())
	})
	for _, p := range stations {
		p.end(t)
	}
}

// fill proposes commands until every node has a hash to compare.
func fill(t *testing.T, at *station) {
	t.Helper()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 70 {
				if err := at.node.decide(t.Context(), &clusterv1.Command{Body: &clusterv1.Command_Prune{Prune: &clusterv1.Prune{}}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// spoil changes the state of a node that does not run: what it writes next differs.
func spoil(t *testing.T, p *station) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(p.dir, stateDir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE meta SET value = x'00' WHERE key = 'chain'"); err != nil {
		t.Fatal(err)
	}
}

func TestANodeThatDivergedEnds(t *testing.T) {
	t.Parallel()
	for name, isLeader := range map[string]bool{"one that follows": false, "the one that leads": true} {
		t.Run(name, func(t *testing.T) {
			stations := three(t)
			_, others := leads(t, stations)
			bad := others[0]
			bad.end(t)
			spoil(t, bad)
			if err := bad.start(t, stations[0]); err != nil {
				t.Fatal(err)
			}
			votes(t, stations[0], 3)
			if isLeader {
				until(t, "its lead", func() error {
					_, err := stations[0].client.Cluster.TransferLeadership(t.Context(), &apiv1.TransferLeadershipRequest{Id: bad.node.ID()})
					if _, here := bad.node.cluster.Leader(); !here {
						return errors.Join(errors.New("it does not lead"), err)
					}
					return nil
				})
			}
			fill(t, stations[0])
			var why string
			select {
			case why = <-bad.exits:
			case <-time.After(time.Minute):
				t.Fatal("it goes on")
			}
			if !strings.Contains(why, "diverged") {
				t.Errorf("it ended because %s", why)
			}
			for _, p := range stations {
				if p != bad && len(p.exits) > 0 {
					t.Errorf("a node that is as the others ended: %s", <-p.exits)
				}
			}
		})
	}
}
