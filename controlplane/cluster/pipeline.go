package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// pipeline has a sender that nobody listens to any more get on. Raft 1.8.0 reads the
// answers of a pipeline until one is no success, or of a newer term (replication.go,
// pipelineDecode), and who sends at that moment waits for room among the answers, for
// ever: a leader that stood still could not be ended, and a follower that said no once
// would get nothing from its leader any more.
type pipeline struct {
	raft.AppendPipeline
	out   chan raft.AppendFuture
	done  chan struct{}
	close sync.Once
}

func newPipeline(p raft.AppendPipeline) *pipeline {
	one := &pipeline{AppendPipeline: p, out: make(chan raft.AppendFuture), done: make(chan struct{})}
	go one.carry()
	return one
}

// AppendEntries sends one request.
func (p *pipeline) AppendEntries(req *raft.AppendEntriesRequest, res *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	return p.AppendPipeline.AppendEntries(shown(req), res)
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
