package cluster

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// overTCP is a transport between processes, as nodes have it.
func overTCP(t *testing.T) *raft.NetworkTransport {
	t.Helper()
	trans, err := raft.NewTCPTransportWithLogger("127.0.0.1:0", nil, 3, 10*time.Second, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := trans.Close(); err != nil {
			t.Error(err)
		}
	})
	return trans
}

// sends sends like raft's leader does, whose reader ends with the first answer that is no
// success, and says how many were sent before there was none to wait for.
func sends(t *testing.T, p raft.AppendPipeline, most int, patience time.Duration) (sent int) {
	t.Helper()
	var all sync.WaitGroup
	stop := make(chan struct{})
	defer all.Wait()
	defer close(stop)
	all.Go(func() {
		for {
			select {
			case f := <-p.Consumer():
				if f.Error() != nil || !f.Response().Success {
					return
				}
			case <-stop:
				return
			}
		}
	})
	for ; sent < most; sent++ {
		one := make(chan error, 1)
		go func() {
			_, err := p.AppendEntries(&raft.AppendEntriesRequest{Term: 1, RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}}, &raft.AppendEntriesResponse{})
			one <- err
		}()
		select {
		case err := <-one:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			if err := p.Close(); err != nil { // which lets the sender go
				t.Error(err)
			}
			if err := <-one; !errors.Is(err, raft.ErrPipelineShutdown) {
				t.Errorf("the sender that was stuck got %v", err)
			}
			return sent
		}
	}
	return sent
}

// A follower says no; whoever sends at that moment is not stuck. Where raft's own
// pipeline sends them all, raft has been mended, and ours can go.
func TestASenderIsNotStuckAfterANo(t *testing.T) {
	const most = 20
	for name, test := range map[string]struct {
		wrap  func(raft.AppendPipeline) raft.AppendPipeline
		stuck bool
	}{
		"raft's own is": {func(p raft.AppendPipeline) raft.AppendPipeline { return p }, true},
		"ours is not":   {func(p raft.AppendPipeline) raft.AppendPipeline { return newPipeline(p) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			leader, follower := overTCP(t), overTCP(t)
			done := make(chan struct{})
			defer close(done)
			go func() {
				for n := 0; ; n++ {
					select {
					case rpc := <-follower.Consumer():
						rpc.Respond(&raft.AppendEntriesResponse{Term: 1, Success: n < 3}, nil)
					case <-done:
						return
					}
				}
			}()
			plain, err := leader.AppendEntriesPipeline("follower", follower.LocalAddr())
			if err != nil {
				t.Fatal(err)
			}
			p := test.wrap(plain)
			patience := 20 * time.Second
			if test.stuck {
				patience = time.Second
			}
			if sent := sends(t, p, most, patience); (sent < most) != test.stuck {
				t.Errorf("%d of %d were sent", sent, most)
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// counted is a pipeline that counts what is sent over it.
type counted struct {
	raft.AppendPipeline
	sent []*raft.AppendEntriesRequest
}

func (c *counted) AppendEntries(req *raft.AppendEntriesRequest, _ *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	c.sent = append(c.sent, req)
	return nil, nil
}

func (c *counted) Consumer() <-chan raft.AppendFuture { return nil }
func (c *counted) Close() error                       { return nil }

func TestAFollowerIsToldWhatIsNewAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counted{}
		p := newPipeline(c)
		send := func(want int, req raft.AppendEntriesRequest) {
			t.Helper()
			if _, err := p.AppendEntries(&req, nil); err != nil {
				t.Fatal(err)
			}
			if got := len(c.sent); got != want {
				t.Fatalf("%d were sent, not %d", got, want)
			}
		}
		entry := []*raft.Log{{Index: 8}}
		send(1, raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 7, LeaderCommitIndex: 7})
		send(1, raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 7, LeaderCommitIndex: 7})
		send(2, raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 7, LeaderCommitIndex: 7, Entries: entry})
		send(3, raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 7, LeaderCommitIndex: 7, Entries: entry}) // again: it was asked for
		send(4, raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 8, LeaderCommitIndex: 8})                 // committed now
		send(4, raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 8, LeaderCommitIndex: 8})
		send(5, raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 8, LeaderCommitIndex: 8})
		for range 200 { // a second at tellWithin
			time.Sleep(tellWithin)
			if _, err := p.AppendEntries(&raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 8, LeaderCommitIndex: 8}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(c.sent) - 5; n != int(time.Second/repeatAfter) {
			t.Errorf("in a second without news %d were sent", n)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
