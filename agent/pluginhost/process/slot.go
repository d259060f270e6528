package process

import (
	"context"
	"sync"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxLost bounds the runs that are remembered as having lost their session.
const maxLost = 10000

// slot is one plugin: the process that serves it now, and its past.
type slot struct {
	pool    *Pool
	program pluginhost.Program

	mu       sync.Mutex
	serving  *instance // takes new calls; nil: none does
	all      map[*instance]bool
	starting *start
	started  int         // processes so far, for the names of their folders
	faults   []time.Time // within the window, oldest first
	last     *plugin.Error
	lost     map[string]bool // runs whose session ended with its process
}

// start is a process on its way, for all who wait for it.
type start struct {
	done chan struct{}
	err  *plugin.Error // read after done
}

func newSlot(p *Pool, program pluginhost.Program) *slot {
	return &slot{pool: p, program: program, all: make(map[*instance]bool), lost: make(map[string]bool)}
}

func (s *slot) memory() int64 {
	if s.program.MemoryBytes > 0 {
		return s.program.MemoryBytes
	}
	return s.pool.cfg.Limits.MemoryBytes
}

// take gives a process that takes a call, started where none serves. The call
// is counted; release ends it.
func (s *slot) take(ctx context.Context) (*instance, error) {
	for {
		s.mu.Lock()
		if i := s.serving; i != nil {
			if i.take() {
				s.mu.Unlock()
				return i, nil
			}
			s.serving = nil
		}
		if s.starting == nil {
			if err := s.begin(); err != nil {
				s.mu.Unlock()
				return nil, err
			}
		}
		waited := s.starting
		s.mu.Unlock()
		select {
		case <-waited.done:
			if waited.err != nil {
				return nil, clone(waited.err)
			}
		case <-ctx.Done():
			return nil, s.notYet(context.Cause(ctx))
		}
	}
}

// begin starts a process within the budget. It holds s.mu.
func (s *slot) begin() error {
	limits := s.pool.cfg.Limits
	now := time.Now()
	for len(s.faults) > 0 && now.Sub(s.faults[0]) >= limits.Window {
		s.faults = s.faults[1:]
	}
	if len(s.faults) >= limits.Faults {
		return s.refused(s.faults[0].Add(limits.Window).Sub(now))
	}
	pause := time.Duration(0)
	if n := len(s.faults); n > 0 {
		pause = limits.Backoff<<min(2*(n-1), 10) - now.Sub(s.faults[n-1])
	}
	if !s.pool.begin() {
		return s.afterClose()
	}
	st := &start{done: make(chan struct{})}
	s.starting = st
	s.started++
	go s.launch(st, s.started, pause)
	return nil
}

// launch brings a process up and, where that succeeded, looks after it until
// nothing is left of it.
func (s *slot) launch(st *start, n int, pause time.Duration) {
	defer s.pool.all.Done()
	var i *instance
	select {
	case <-time.After(max(pause, 0)):
		i, st.err = s.open(n)
	case <-s.pool.ctx.Done():
		st.err = s.afterClose()
	}
	s.mu.Lock()
	s.starting = nil
	if st.err == nil {
		s.serving = i
		s.all[i] = true
	} else if st.err.Blame == plugin.BlamePlugin {
		s.count(st.err)
	}
	s.mu.Unlock()
	close(st.done)
	if i != nil {
		i.watch()
	}
}

// count notes a fault of the plugin. It holds s.mu.
func (s *slot) count(err *plugin.Error) {
	s.faults = append(s.faults, time.Now())
	s.last = err
}

// retire lets a process take no new calls; err is the plugin's fault, if it had
// one. Its runs have lost their sessions.
func (s *slot) retire(i *instance, err *plugin.Error, runs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == i {
		s.serving = nil
	}
	if err != nil {
		s.count(err)
	}
	for _, run := range runs {
		if len(s.lost) < maxLost {
			s.lost[run] = true
		}
	}
}

// gone forgets a process of which nothing is left.
func (s *slot) gone(i *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, i)
}

// hadLost says, once, that the run lost its session with an earlier process.
func (s *slot) hadLost(runID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := s.lost[runID]
	delete(s.lost, runID)
	return lost
}

// endRun gives the processes that may have a session of the run.
func (s *slot) endRun(runID string) []*instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lost, runID)
	var out []*instance
	for i := range s.all {
		out = append(out, i)
	}
	return out
}
