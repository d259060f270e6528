package controlplane

import (
	"crypto/sha256"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// decided has a command applied, at whichever node leads.
func (p *station) decided(t *testing.T, c *clusterv1.Command) *clusterv1.Answer {
	t.Helper()
	c.Version, c.Workspace, c.Actor, c.Time = 1, "default", "admin", timestamppb.Now()
	a, err := p.node.cluster.Propose(t.Context(), c)
	if err != nil || a.GetFault() != nil {
		t.Fatal(a, err)
	}
	return a
}

// leased makes a run that an agent has, whose home is a node.
func (p *station) leased(t *testing.T, home string) (agent string, l *apiv1.Lease) {
	t.Helper()
	agent = newID()
	p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_CreateJoinToken{CreateJoinToken: &clusterv1.CreateJoinToken{Token: &apiv1.JoinToken{Id: newID(), Uses: 1}, SecretSha256: []byte(agent)}}})
	p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_JoinAgent{JoinAgent: &clusterv1.JoinAgent{SecretSha256: []byte(agent), AgentId: agent, Name: "a", PublicKey: []byte(agent)}}})
	p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_BeginSession{BeginSession: &clusterv1.BeginSession{AgentId: agent, Session: "s", Slots: 1}}})
	p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: "b0"}}})
	run := ""
	for made := int32(0); made == 0; { // a node that expands the batch first finds no flow in it
		batch := newID()
		run = newID()
		p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_CreateBatch{CreateBatch: &clusterv1.CreateBatch{Id: batch, Source: &apiv1.Source{Bundle: "b0"}}}})
		made = p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_ExpandBatch{ExpandBatch: &clusterv1.ExpandBatch{
			BatchId: batch, First: 1, Done: true, Runs: []*clusterv1.NewRun{{Id: run, Spec: &apiv1.Spec{Flow: "Hello"}}},
		}}}).GetBatch().GetRuns()
	}
	granted := p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_GrantLeases{GrantLeases: &clusterv1.GrantLeases{Grants: []*clusterv1.Grant{{RunId: run, AgentId: agent, Session: "s", Home: home}}}}})
	at := granted.GetRuns()[0].GetAttempts()[0]
	p.decided(t, &clusterv1.Command{Body: &clusterv1.Command_StartRun{StartRun: &clusterv1.StartRun{RunId: run, Attempt: 1, Fence: at.GetFence(), Incarnation: at.GetIncarnation(), TokenSha256: []byte(run)}}})
	return agent, &apiv1.Lease{RunId: run, Attempt: 1, Fence: at.GetFence(), Incarnation: at.GetIncarnation()}
}

func (p *station) write(t *testing.T, agent string, l *apiv1.Lease, offset int, text string) {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.node.streams.Append(t.Context(), agent, &apiv1.Frame{
		Lease: l, Offset: int64(offset), Data: enc.EncodeAll([]byte(text), nil), Length: int32(len(text)), Crc: crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestARunIsWatchedAtAnyNode(t *testing.T) {
	t.Parallel()
	places := three(t)
	leader, others := leads(t, places)
	home, away := others[0], others[1]
	agent, l := leader.leased(t, home.node.id)
	home.write(t, agent, l, 0, "one\n") // of which nothing is in the blob store yet
	until(t, "the run at the other node", func() error {
		_, err := away.node.store.Run(t.Context(), l.GetRunId())
		return err
	})
	s, err := away.client.Runs.Watch(t.Context(), &apiv1.WatchRequest{RunId: l.GetRunId()})
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	next := func(want string) {
		t.Helper()
		for got.String() != want {
			if !s.Receive() {
				t.Fatalf("it ended with %v after %q", s.Err(), got.String())
			}
			got.Write(s.Msg().GetData())
		}
	}
	next("one\n")
	home.write(t, agent, l, 4, "two\n")
	next("one\ntwo\n")
	// The agent goes to a third node, with what was not acknowledged.
	leader.write(t, agent, l, 0, "one\ntwo\nthree\n")
	text := "one\ntwo\nthree\n"
	sum := sha256.Sum256([]byte(text))
	if err := leader.node.streams.Durable(t.Context(), l.GetRunId(), 1, int64(len(text)), hex.EncodeToString(sum[:])); err != nil {
		t.Fatal(err)
	}
	leader.decided(t, &clusterv1.Command{Body: &clusterv1.Command_FinishRun{FinishRun: &clusterv1.FinishRun{
		RunId: l.GetRunId(), Attempt: 1, Fence: l.GetFence(), Incarnation: l.GetIncarnation(), Status: apiv1.RunStatus_RUN_STATUS_PASSED, StreamBytes: int64(len(text)),
	}}})
	next(text)
	for s.Receive() {
		if r := s.Msg().GetRun(); r != nil && r.GetStatus() != apiv1.RunStatus_RUN_STATUS_PASSED {
			t.Errorf("it ended with %v", r)
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	began := time.Now()
	away.end(t)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("a node that nobody watches any more took %v to end", took)
	}
}

func TestANodeThatEndsLetsGoOfWhoWatches(t *testing.T) {
	t.Parallel()
	places := three(t)
	leader, others := leads(t, places)
	agent, l := leader.leased(t, others[0].node.id)
	others[0].write(t, agent, l, 0, "one\n")
	until(t, "the run at the other node", func() error {
		_, err := others[1].node.store.Run(t.Context(), l.GetRunId())
		return err
	})
	s, err := others[1].client.Runs.Watch(t.Context(), &apiv1.WatchRequest{RunId: l.GetRunId()})
	if err != nil || !s.Receive() {
		t.Fatal(err, s.Err())
	}
	began := time.Now()
	others[1].end(t)
	for s.Receive() {
	}
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "unavailable") || time.Since(began) > 4*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
