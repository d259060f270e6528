package controlplane

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/controlplane/auth"
	"github.com/testmesh/testmesh/controlplane/stream"
)

const hello = "flow:\n  name: Hello\n  steps:\n    - {action: log, config: {message: hello}}\n"

// leased queues a run, and gives it to an agent that starts it.
func leased(t *testing.T, p *station) (agent string, lease *apiv1.Lease) {
	t.Helper()
	bundle, err := p.client.Upload(t.Context(), map[string][]byte{"hello.yaml": []byte(hello)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.client.Runs.CreateBatch(t.Context(), &apiv1.CreateBatchRequest{Source: &apiv1.Source{Bundle: bundle, Flows: []*apiv1.FlowRef{{File: "hello.yaml"}}}}); err != nil {
		t.Fatal(err)
	}
	agent = newID()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*clusterv1.Command{
		{Body: &clusterv1.Command_CreateJoinToken{CreateJoinToken: &clusterv1.CreateJoinToken{Token: &apiv1.JoinToken{Id: "t", Uses: 1, Expires: timestamppb.New(time.Now().Add(time.Hour))}, SecretSha256: []byte("sum")}}},
		{Body: &clusterv1.Command_JoinAgent{JoinAgent: &clusterv1.JoinAgent{SecretSha256: []byte("sum"), AgentId: agent, Name: "a", PublicKey: key}}},
		{Body: &clusterv1.Command_BeginSession{BeginSession: &clusterv1.BeginSession{AgentId: agent, Session: "s", Slots: 1}}},
	} {
		if err := p.node.decide(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	var res *apiv1.PollResponse
	until(t, "an offer", func() error {
		res, err = queue{p.node}.Poll(t.Context(), agent, &apiv1.PollRequest{Session: "s", PollId: newID(), FreeSlots: 1, Hold: durationpb.New(time.Second)})
		if err != nil || len(res.GetOffers()) == 0 {
			return fmt.Errorf("%v, %w", res, err)
		}
		return nil
	})
	lease = res.GetOffers()[0].GetLease()
	if err := p.node.decide(t.Context(), &clusterv1.Command{Body: &clusterv1.Command_StartRun{StartRun: &clusterv1.StartRun{
		RunId: lease.GetRunId(), Attempt: 1, Fence: lease.GetFence(), Incarnation: lease.GetIncarnation(), TokenSha256: []byte("token"),
	}}}); err != nil {
		t.Fatal(err)
	}
	if err := p.node.holds(t.Context(), agent, lease); err != nil {
		t.Fatalf("a lease that was just given: %v", err)
	}
	return agent, lease
}

// ended makes sure that a lease of before counts no more, and that its run waits anew.
func ended(t *testing.T, p *station, agent string, lease *apiv1.Lease) {
	t.Helper()
	if err := p.node.holds(t.Context(), agent, lease); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("the lease of before: got %v", err)
	}
	finish := &clusterv1.FinishRun{RunId: lease.GetRunId(), Attempt: 1, Fence: lease.GetFence(), Incarnation: lease.GetIncarnation(), Status: apiv1.RunStatus_RUN_STATUS_PASSED}
	if err := p.node.decide(t.Context(), &clusterv1.Command{Body: &clusterv1.Command_FinishRun{FinishRun: finish}}); err == nil {
		t.Error("a verdict of before was taken")
	}
	r, err := p.client.Runs.GetRun(t.Context(), &apiv1.GetRunRequest{Id: lease.GetRunId()})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.GetRun(); got.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED || got.GetAttempts()[0].GetOutcome() != "fenced" {
		t.Errorf("got %v", got)
	}
	c, err := p.client.Cluster.GetCluster(t.Context(), &apiv1.GetClusterRequest{})
	if err != nil || c.GetIncarnation() != 2 || len(c.GetMembers()) != 1 {
		t.Errorf("got %v, %v", c, err)
	}
}

func (p *station) snapshot(t *testing.T) []byte {
	t.Helper()
	var data bytes.Buffer
	s, err := p.client.Cluster.Snapshot(t.Context(), &apiv1.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for s.Receive() {
		data.Write(s.Msg().GetData())
	}
	if err := errors.Join(s.Err(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return data.Bytes()
}

func file(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func alonePlace(t *testing.T) *station {
	t.Helper()
	p := &station{dir: filepath.Join(t.TempDir(), "node"), exits: make(chan string, 10)}
	if err := p.start(t); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestASnapshotIsRestoredElsewhere(t *testing.T) {
	t.Parallel()
	p := alonePlace(t)
	agent, lease := leased(t, p)
	if _, err := p.client.Environments.PutEnvironment(t.Context(), &apiv1.PutEnvironmentRequest{Name: "staging", Text: "name: staging\n", Secrets: map[string]string{"KEY": "value"}}); err != nil {
		t.Fatal(err)
	}
	data := p.snapshot(t)
	key := filepath.Join(p.dir, sealFile)
	p.end(t)

	fresh := &station{dir: filepath.Join(t.TempDir(), "new"), exits: make(chan string, 10)}
	r := Restoring{Dir: fresh.dir, Snapshot: file(t, data)}
	wrong := make([]byte, 32)
	damaged := bytes.Clone(data)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]struct {
		spoil func(r *Restoring)
		want  string
	}{
		"no key":         {func(*Restoring) {}, "no key that opens them"},
		"another key":    {func(r *Restoring) { r.SealKey = file(t, wrong) }, "does not open the secrets"},
		"no key at all":  {func(r *Restoring) { r.SealKey = file(t, []byte("x")) }, "has 1 bytes, not 32"},
		"a damaged file": {func(r *Restoring) { r.Snapshot = file(t, damaged) }, "its checksum differs"},
		"half of it":     {func(r *Restoring) { r.Snapshot = file(t, data[:len(data)/2]) }, "ends early"},
		"something else": {func(r *Restoring) { r.Snapshot = file(t, bytes.Repeat([]byte("x"), 100)) }, "no snapshot of TestMesh"},
		"no file":        {func(r *Restoring) { r.Snapshot = "none" }, "read snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := r
			c.spoil(&bad)
			if _, err := Restore(t.Context(), bad); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(r.Dir, stateDir)); err == nil {
				t.Error("there is a state all the same")
			}
		})
	}
	r.SealKey = key
	if _, err := Restore(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), r); err == nil || !strings.Contains(err.Error(), "has a state already") {
		t.Errorf("over a state: got %v", err)
	}
	if err := fresh.start(t); err != nil {
		t.Fatal(err)
	}
	votes(t, fresh, 1)
	ended(t, fresh, agent, lease)
	sealed, err := fresh.node.store.SealedSecrets(t.Context(), "default", "staging")
	if err != nil {
		t.Fatal(err)
	}
	seal, err := auth.NewSeal(fresh.node.sealing)
	if err != nil {
		t.Fatal(err)
	}
	if value, err := seal.Open(sealed["KEY"], "secret", "default", "staging", "KEY"); string(value) != "value" {
		t.Errorf("the secret is %q, %v", value, err)
	}
	// What was restored is the beginning of a log that others can join.
	joined := &station{dir: filepath.Join(t.TempDir(), "joined"), exits: make(chan string, 10)}
	if err := joined.start(t, fresh); err != nil {
		t.Fatal(err)
	}
	votes(t, fresh, 2)
	joined.end(t)
	fresh.end(t)
}

func TestARestoreOverAStateMovesItAside(t *testing.T) {
	t.Parallel()
	p := alonePlace(t)
	agent, lease := leased(t, p)
	data := p.snapshot(t)
	p.end(t)
	if _, err := Restore(t.Context(), Restoring{Dir: p.dir, Snapshot: file(t, data), Force: true}); err != nil {
		t.Fatal(err)
	}
	old, err := filepath.Glob(filepath.Join(p.dir, replaced+"*", stateDir, "store.db"))
	if err != nil || len(old) != 1 {
		t.Errorf("got %v, %v", old, err)
	}
	if err := p.start(t); err != nil {
		t.Fatal(err)
	}
	votes(t, p, 1)
	ended(t, p, agent, lease)
	p.end(t)
}

// A crash after the rename that makes it count is made good at the next start; one
// before it leaves everything as it was.
func TestAReplacementIsWholeOrNot(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	is := func(name, want string) {
		t.Helper()
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	put("state/f", "old")
	put("raft/f", "old")
	put(making+"/state/f", "new")
	if err := finishReplacing(dir); err != nil {
		t.Fatal(err)
	}
	is("state/f", "old")
	put(replacing+"/raft/f", "new") // the state is in place already
	if err := finishReplacing(dir); err != nil {
		t.Fatal(err)
	}
	is("state/f", "old")
	is("raft/f", "new")
	if left, err := filepath.Glob(filepath.Join(dir, "*ing")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestOneNodeThatIsLeftGoesOn(t *testing.T) {
	t.Parallel()
	stations := three(t)
	leader, others := leads(t, stations)
	agent, lease := leased(t, leader)
	survivor := others[0]
	if err := survivor.node.cluster.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(t.Context(), survivor.dir); err == nil || !strings.Contains(err.Error(), "in use by another testmesh") {
		t.Errorf("while it runs: got %v", err)
	}
	for _, p := range stations {
		p.end(t)
	}
	if _, err := Recover(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no data directory") {
		t.Errorf("an empty folder: got %v", err)
	}
	if _, err := Recover(context.Background(), survivor.dir); err != nil {
		t.Fatal(err)
	}
	if err := survivor.start(t); err != nil {
		t.Fatal(err)
	}
	votes(t, survivor, 1)
	ended(t, survivor, agent, lease)
	// The others are started all the same: most of the old cluster, but not of this one.
	old := []*station{}
	for _, p := range stations {
		if p != survivor {
			if err := p.start(t, survivor); err != nil {
				t.Fatal(err)
			}
			old = append(old, p)
		}
	}
	votes(t, old[0], 3, 2)
	if err := old[0].node.decide(t.Context(), &clusterv1.Command{Body: &clusterv1.Command_Prune{Prune: &clusterv1.Prune{}}}); err != nil {
		t.Fatal(err)
	}
	ended(t, survivor, agent, lease)
	for _, p := range append(old, survivor) {
		p.end(t)
	}
}

func TestJoiningMistakes(t *testing.T) {
	t.Parallel()
	p, other := alonePlace(t), alonePlace(t)
	foreign, err := other.client.Cluster.CreateNodeToken(t.Context(), &apiv1.CreateNodeTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	used, err := p.client.Cluster.CreateNodeToken(t.Context(), &apiv1.CreateNodeTokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	good := Joining{Dir: t.TempDir(), Server: "http://" + p.api, Token: used.GetSecret(), Cluster: "127.0.0.1:1", API: "http://127.0.0.1:1"}
	if err := Join(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if !Joined(good.Dir) {
		t.Error("it has not joined")
	}
	for name, c := range map[string]struct {
		spoil func(j *Joining)
		want  string
	}{
		"a wrong token":           {func(j *Joining) { j.Token = "tmn_none" }, "the node token is not known"},
		"that of another cluster": {func(j *Joining) { j.Token = foreign.GetSecret() }, "the node token is not known"},
		"a used token":            {func(j *Joining) { j.Dir = t.TempDir() }, "the node token was used by another node"},
		"no token":                {func(j *Joining) { j.Token = "" }, "a node joins with a token"},
		"no address":              {func(j *Joining) { j.Server = "here" }, "is no http:// or https:// address"},
		"keys in the clear":       {func(j *Joining) { j.Server = "http://192.0.2.1:7070" }, "in the clear"},
		"nobody there":            {func(j *Joining) { j.Server = "http://127.0.0.1:1" }, "join the cluster at"},
		"a state of its own":      {func(j *Joining) { j.Dir = p.dir }, "in use by another testmesh"},
	} {
		t.Run(name, func(t *testing.T) {
			j := good
			c.spoil(&j)
			if err := Join(t.Context(), j); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	other.end(t)
	j := good
	j.Dir = other.dir
	if err := Join(t.Context(), j); err == nil || !strings.Contains(err.Error(), "has a state of its own") {
		t.Errorf("another cluster's data: got %v", err)
	}
	p.end(t)
}

func TestStartingMistakes(t *testing.T) {
	p := alonePlace(t)
	p.end(t)
	l := listen(t, "")
	defer l.Close()
	base := p.node.cfg
	base.Listener = l
	for name, c := range map[string]struct {
		spoil func(cfg *Config)
		want  string
	}{
		"a member alone":        {func(cfg *Config) { cfg.Cluster = nil }, "give its --cluster-addr"},
		"of no cluster":         {func(cfg *Config) { cfg.Dir, cfg.Cluster = t.TempDir(), &ClusterConfig{Listener: l, Address: "x:1"} }, "--bootstrap begins one"},
		"a newer format":        {func(cfg *Config) { cfg.Dir = newer(t) }, "was written by a newer version"},
		"a damaged key's sum":   {func(cfg *Config) { cfg.AdminKey = ""; cfg.Dir = damagedAdmin(t) }, "is damaged"},
		"a bucket that is none": {func(cfg *Config) { cfg.Blobs.URL = "ftp://x" }, "there are dir and s3"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := base
			c.spoil(&cfg)
			if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func newer(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, formatFile), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func damagedAdmin(t *testing.T) string {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, adminSumFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
