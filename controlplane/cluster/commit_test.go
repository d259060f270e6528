package cluster

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// nothing is a state that takes everything.
type nothing struct{}

func (nothing) Apply(*raft.Log) any                 { return nil }
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, errors.New("there is none") }
func (nothing) Restore(io.ReadCloser) error         { return errors.New("there is none") }

// TestAFollowerCommitsOnlyWhatTheLeaderHasShown: the follower has an entry of term 1
// that nobody committed, the leader of term 2 has another one in its place, committed by
// the others, and its first request to the follower ends before it.
func TestAFollowerCommitsOnlyWhatTheLeaderHasShown(t *testing.T) {
	for name, test := range map[string]struct {
		wire func(t *raft.InmemTransport) raft.Transport
		want uint64
	}{
		// Once this is 2 raft has been mended, and Bounded can go.
		"raft alone commits what is another's": {func(t *raft.InmemTransport) raft.Transport { return t }, 3},
		"bounded":                              {func(t *raft.InmemTransport) raft.Transport { return Bound(t) }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			here, followers := raft.NewInmemTransport("follower")
			there, leaders := raft.NewInmemTransport("leader")
			leaders.Connect(here, followers)
			followers.Connect(there, leaders)
			members := raft.Configuration{Servers: []raft.Server{{ID: "follower", Address: here}, {ID: "leader", Address: there}}}
			log := raft.NewInmemStore()
			if err := log.StoreLogs([]*raft.Log{
				{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(members)},
				{Index: 2, Term: 1, Type: raft.LogCommand, Data: []byte("committed")},
				{Index: 3, Term: 1, Type: raft.LogCommand, Data: []byte("of a leader that was")},
			}); err != nil {
				t.Fatal(err)
			}
			if err := log.SetUint64([]byte("CurrentTerm"), 1); err != nil {
				t.Fatal(err)
			}
			cfg := raft.DefaultConfig()
			cfg.LocalID, cfg.Logger = "follower", hclog.NewNullLogger()
			cfg.HeartbeatTimeout, cfg.ElectionTimeout = time.Minute, time.Minute // it asks for no votes
			r, err := raft.NewRaft(cfg, nothing{}, log, log, raft.NewDiscardSnapshotStore(), followers)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Shutdown().Error(); err != nil {
					t.Error(err)
				}
			}()
			req := &raft.AppendEntriesRequest{
				RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("leader"), Addr: []byte(there)},
				Term:      2, PrevLogEntry: 2, PrevLogTerm: 1, LeaderCommitIndex: 3,
			}
			send := map[string]func() error{
				"one": func() error {
					return test.wire(leaders).AppendEntries("follower", here, req, &raft.AppendEntriesResponse{})
				},
				"piped": func() error {
					p, err := test.wire(leaders).AppendEntriesPipeline("follower", here)
					if err != nil {
						return err
					}
					future, err := p.AppendEntries(req, &raft.AppendEntriesResponse{})
					if err == nil {
						err = future.Error()
					}
					return errors.Join(err, p.Close())
				},
			}
			for how, send := range send {
				if err := send(); err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if got := r.CommitIndex(); got != test.want {
					t.Errorf("%s: it commits up to entry %d, want %d", how, got, test.want)
				}
			}
			if req.LeaderCommitIndex != 3 {
				t.Error("the leader's own request was changed")
			}
		})
	}
}
