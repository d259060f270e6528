package cluster

import "github.com/hashicorp/raft"

// wire is a transport with all that raft asks of one.
type wire interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}

// Bounded is a transport over which no follower is told to commit more than the request
// itself shows it: the index of its last entry at most, as Raft has it (the paper,
// figure 2, rule 5 of AppendEntries). raft 1.8.0 goes on to the end of the follower's log
// (raft.go, appendEntries), where entries of an earlier leader may still be that nobody
// has committed: a request that brings none does not find them out. The states of two
// nodes would differ for good.
type Bounded struct{ wire }

// Bound bounds a transport.
func Bound(t wire) *Bounded { return &Bounded{t} }

func shown(req *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	bounded := *req // raft goes on using its own
	bounded.LeaderCommitIndex = min(req.LeaderCommitIndex, req.PrevLogEntry+uint64(len(req.Entries)))
	return &bounded
}

// AppendEntries sends one request.
func (b *Bounded) AppendEntries(id raft.ServerID, target raft.ServerAddress, req *raft.AppendEntriesRequest, res *raft.AppendEntriesResponse) error {
	return b.wire.AppendEntries(id, target, shown(req), res)
}

// AppendEntriesPipeline sends requests without waiting for each answer.
func (b *Bounded) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := b.wire.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err // raft compares it
	}
	return newPipeline(p), nil
}
