package cluster

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// pipeline has a sender that nobody listens to any more get on. Raft 1.8.0 reads the
// answers of a pipeline until one is no success, or of a newer term (replication.go,
// pipelineDecode), and who sends at that moment waits for room among the answers, for
// ever: a leader that stood still could not be ended, and a follower that said no once
// would get nothing from its leader any more.
//
// And it lets a leader tell what is committed soon without telling it all the time: raft
// asks for that every few milliseconds, tellWithin, also where nothing has changed.
type pipeline struct {
	raft.AppendPipeline
	out   chan raft.AppendFuture
	done  chan struct{}
	close sync.Once

	// What the follower was told last, and when. Raft sends from one goroutine.
	term, committed uint64
	told            time.Time
}

// repeatAfter is how long a follower that was told everything is not told it again: raft's
// own default of how often it is. Heartbeats go another way, and on.
const repeatAfter = 50 * time.Millisecond

func newPipeline(p raft.AppendPipeline) *pipeline {
	one := &pipeline{AppendPipeline: p, out: make(chan raft.AppendFuture), done: make(chan struct{})}
	go one.carry()
	return one
}

// AppendEntries sends one request, unless the follower was told just now what it says. The
// future is nil then, as raft uses those that Consumer gives alone.
func (p *pipeline) AppendEntries(req *raft.AppendEntriesRequest, res *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	req = shown(req)
	now := time.Now()
	if len(req.Entries) == 0 && req.Term == p.term && req.LeaderCommitIndex == p.committed && now.Sub(p.told) < repeatAfter {
		return nil, nil
	}
	p.term, p.committed, p.told = req.Term, req.LeaderCommitIndex, now
	return p.AppendPipeline.AppendEntries(req, res)
}

// Consumer gives the answers, up to the first that is no success.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.out }

// Close ends the pipeline.
func (p *pipeline) Close() error {
	p.close.Do(func() { close(p.done) })
	return p.AppendPipeline.Close()
}

// carry hands on what comes, one by one; what comes after the last that is read it takes
// itself.
func (p *pipeline) carry() {
	for last := false; ; {
		select {
		case f := <-p.AppendPipeline.Consumer():
			if last {
				continue
			}
			select {
			case p.out <- f:
			case <-p.done:
				return
			}
			last = !f.Response().Success || f.Response().Term > f.Request().Term
		case <-p.done:
			return
		}
	}
}
