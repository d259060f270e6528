package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/testmesh/testmesh/sdk/fault"
)

// disk is what raft keeps on the disk: its log, and its term and vote.
type disk interface {
	raft.LogStore
	raft.StableStore
}

// guard ends the process where a write takes too long or errors. Raft itself does
// neither: a leader whose disk is stuck goes on sending heartbeats, so that nobody
// else takes over (hashicorp/raft#503), and a write that is tried again after a
// failed sync may be said to be durable while it is not.
//
// It also writes the term of a vote and whom it is for as one value: raft writes them
// one after the other, and a crash between them can make a node vote twice
// (hashicorp/raft#661).
type guard struct {
	disk
	limit time.Duration
	exit  func(why string)
	fault *fault.Set

	voteTerm uint64 // given, and not written yet
}

func newGuard(d disk, limit time.Duration, exit func(string), faults *fault.Set) *guard {
	return &guard{disk: d, limit: limit, exit: exit, fault: faults}
}

// IsMonotonic tells raft what the log beneath is: one that wants no gaps, and takes a
// snapshot's index by deleting all before it.
func (g *guard) IsMonotonic() bool {
	m, ok := g.disk.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// looks is how often a write is looked at until its time is over. A process that stood
// still (a machine that was moved, a debugger) wakes up with all of its timers over at
// once: it loses one look by that, not the whole time.
const looks = 4

func (g *guard) write(what string, f func() error) error {
	var done atomic.Bool
	var look func(left int) func()
	look = func(left int) func() {
		return func() {
			switch {
			case done.Load() || g.fault.Off("no_write_guard"):
			case left > 1:
				time.AfterFunc(g.limit/looks, look(left-1))
			default:
				g.exit(fmt.Sprintf("the disk is stuck: to %s takes longer than %s", what, g.limit))
			}
		}
	}
	first := time.AfterFunc(g.limit/looks, look(looks))
	err := f()
	done.Store(true)
	first.Stop() // where it has fired, the next look sees that it is done
	if err != nil {
		g.exit(fmt.Sprintf("%s: %v", what, err))
	}
	return err
}

func (g *guard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

func (g *guard) StoreLogs(logs []*raft.Log) error {
	return g.write("write the log", func() error {
		if err := g.fault.Point("cluster.log.before"); err != nil {
			return err
		}
		return errors.Join(g.disk.StoreLogs(logs), g.fault.Point("cluster.log.after"))
	})
}

func (g *guard) DeleteRange(low, high uint64) error {
	return g.write("shorten the log", func() error { return g.disk.DeleteRange(low, high) })
}

// GetLog has nothing that was deleted. raft-wal 0.4.0 goes on finding in its newest file,
// of 64 MiB, what was taken out of the beginning: a node that joins would be sent every
// entry that there ever was instead of the state.
func (g *guard) GetLog(index uint64, l *raft.Log) error {
	first, err := g.disk.FirstIndex()
	if err != nil {
		return err
	}
	if index < first {
		return raft.ErrLogNotFound
	}
	return g.disk.GetLog(index, l)
}

// The keys of raft, and ours for what two of them mean together.
const (
	keyVoteTerm  = "LastVoteTerm"
	keyCandidate = "LastVoteCand"
	keyVote      = "Vote"
)

func (g *guard) SetUint64(key []byte, v uint64) error {
	if string(key) == keyVoteTerm {
		g.voteTerm = v // with the candidate, who comes next
		return nil
	}
	return g.write("write the term", func() error { return g.disk.SetUint64(key, v) })
}

func (g *guard) Set(key, v []byte) error {
	if string(key) == keyCandidate {
		key, v = []byte(keyVote), append(binary.BigEndian.AppendUint64(nil, g.voteTerm), v...)
	}
	return g.write("write the vote", func() error {
		if err := g.fault.Point("cluster.vote.before"); err != nil {
			return err
		}
		return errors.Join(g.disk.Set(key, v), g.fault.Point("cluster.vote.after"))
	})
}

// vote is what was written; term 0: none was.
func (g *guard) vote() (term uint64, candidate []byte) {
	v, err := g.disk.Get([]byte(keyVote))
	if err != nil || len(v) < 8 {
		return 0, nil
	}
	return binary.BigEndian.Uint64(v), v[8:]
}

func (g *guard) GetUint64(key []byte) (uint64, error) {
	if string(key) == keyVoteTerm {
		term, _ := g.vote()
		return term, nil
	}
	return g.disk.GetUint64(key)
}

func (g *guard) Get(key []byte) ([]byte, error) {
	if string(key) == keyCandidate {
		_, candidate := g.vote()
		return candidate, nil
	}
	return g.disk.Get(key)
}
