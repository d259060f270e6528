package cluster

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// machine is the state as raft sees it. Where the state cannot go on, neither does
// the process: an error that raft were told of would be answered by going on.
type machine struct {
	state State
	exit  func(why string)

	mu    sync.Mutex
	moved chan struct{} // closed with the next entries that were applied; nil: nobody waits
}

// next is closed once the state has more than now.
func (m *machine) next() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moved == nil {
		m.moved = make(chan struct{})
	}
	return m.moved
}

func (m *machine) tell() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moved != nil {
		close(m.moved)
		m.moved = nil
	}
}

func (m *machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch applies what was committed together, in one transaction of the state.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	defer func() {
		if r := recover(); r != nil {
			m.exit(fmt.Sprintf("apply entries %d to %d: %v", logs[0].Index, logs[len(logs)-1].Index, r))
			panic(r) // where exit did not
		}
	}()
	entries := make([]Entry, 0, len(logs))
	place := make([]int, 0, len(logs))
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		c, err := decode(l)
		if err != nil {
			panic(err)
		}
		entries, place = append(entries, Entry{Index: l.Index, Term: l.Term, Command: c}), append(place, i)
	}
	out := make([]any, len(logs))
	if len(entries) == 0 {
		return out
	}
	for i, answer := range m.state.Apply(entries) {
		out[place[i]] = answer
	}
	m.tell()
	return out
}

func decode(l *raft.Log) (*clusterv1.Command, error) {
	c := &clusterv1.Command{}
	if err := proto.Unmarshal(l.Data, c); err != nil {
		return nil, fmt.Errorf("decode entry %d: %w", l.Index, err)
	}
	return c, nil
}

func (m *machine) Snapshot() (raft.FSMSnapshot, error) {
	s, err := m.state.Snapshot(context.Background())
	if err != nil {
		return nil, err
	}
	return pinned{s}, nil
}

// Restore is called at the start and when a leader sends its state.
func (m *machine) Restore(from io.ReadCloser) error {
	defer from.Close()
	if err := m.state.Restore(from); err != nil {
		// Replaying the log on the state as it was would apply entries twice, or on a
		// state that lacks those before.
		m.exit(fmt.Sprintf("the state cannot be restored: %v", err))
		return err
	}
	m.tell()
	return nil
}

type pinned struct{ Snapshot }

func (p pinned) Persist(sink raft.SnapshotSink) error {
	if err := p.Write(context.Background(), sink); err != nil {
		_ = sink.Cancel() // the error before it says more
		return err
	}
	return sink.Close()
}
