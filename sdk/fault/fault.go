// Package fault has the failpoints of test builds: named places where a process is
// ended, an error is made or time is lost, and switches that turn one protection off,
// so that a test of that protection can be seen to fail. Without the build tag fault all of it
// compiles to nothing. It never reads the environment, and decides nothing in a
// build that people use.
package fault

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrInjected is the error of a point that was told to err.
var ErrInjected = errors.New("injected fault")

// Points are where something may happen, and what that is in the middle of.
func Points() []string {
	return []string{
		"agent.dirty.after",      // told that a once step begins, the step has not begun
		"agent.dirty.before",     // about to be told
		"agent.finish.after",     // the verdict is home, the spool still there
		"agent.finish.before",    // all ran, nobody knows
		"agent.offered",          // an offer is here, nothing is done about it
		"agent.spool",            // before an event is written to the disk
		"agent.started",          // started, its lease not written down yet
		"api.finish.durable",     // the stream is kept, the verdict not proposed
		"api.start.committed",    // a start is committed, the secrets are not released
		"cluster.applied",        // a command is applied, nobody was answered
		"cluster.log.after",      // entries are on the disk, nobody was told
		"cluster.log.before",     // entries are about to be written
		"cluster.vote.after",     // a vote is on the disk, nobody was told
		"cluster.vote.before",    // a vote is about to be written
		"dispatch.expand.after",  // some runs of a batch are made
		"dispatch.expand.before", // a batch is acknowledged, none of its runs are made
		"dispatch.expire.after",  // leases have been ended
		"dispatch.grant.after",   // a grant is committed, its agent was not told
		"dispatch.grant.before",  // a grant is about to be proposed
		"retain.file.after",      // old runs are in a file, the state has them still
		"retain.file.before",     // old runs are about to be written to a file
		"store.commit.after",     // entries are committed to the state
		"store.commit.before",    // entries are applied and not committed
		"store.restore.swapped",  // a restored state is in its place, not opened
		"store.restore.written",  // a restored state is written, not in its place
		"store.snapshot.copied",  // a snapshot is copied, not sent
		"store.snapshot.pinned",  // a snapshot is pinned, not copied
		"stream.segment.after",   // a segment is kept, nobody was told
		"stream.segment.before",  // a segment is about to be written
	}
}

// Protections are what can be turned off.
func Protections() []string {
	return []string{
		"no_dirty",           // agents do not say that a once step begins
		"no_drain",           // an agent that drains goes on taking work
		"no_fence",           // what comes from older leases counts
		"no_idempotency",     // a command that is sent twice is applied twice
		"no_offset_check",    // frames are taken wherever they begin
		"no_pinned_snapshot", // a snapshot is copied while it changes
		"no_priority",        // the queue is by age alone
		"no_quarantine",      // a run that kills agents is given to more of them
		"no_resume",          // a new leader leaves what others have begun to expand
		"no_self_fence",      // agents go on with leases that they could not renew
		"no_spool_bound",     // spools grow for ever
		"no_strong_read",     // a node that is asked strongly does not ask whether it leads
		"no_teardown",        // a cancelled run is not torn down
		"no_turns",           // a batch has all of its runs before the next one
		"no_write_guard",     // a stuck disk does not end the node
	}
}

// Numbers are what a test may make smaller, and people have no setting for.
func Numbers() []string {
	return []string{
		"cluster.snapshot",         // entries between two snapshots, and as many stay in the log
		"cluster.snapshot_seconds", // how often is looked whether there are so many
	}
}

// Config is what faults do to the process.
type Config struct {
	// Crash ends the process at once, as a kill does.
	Crash func()
	// Say is told of each fault that happens, so that a test can see that it did.
	Say func(text string)
}

// Set is the faults of a process. A nil Set has none. It is safe for concurrent use.
type Set struct {
	cfg    Config
	off    map[string]bool
	values map[string]uint64
	points map[string]*point
}

// point is what happens at one place.
type point struct {
	action string // crash, error, delay
	delay  time.Duration
	at     int    // with this hit only; 0: with each
	file   string // only while it exists; empty: always

	mu   sync.Mutex
	hits int
}

// Parse reads faults, separated by semicolons:
//
//	no_fence                          a protection is off
//	cluster.snapshot=200              a number
//	store.commit.before=crash@3       at the third time only
//	cluster.log.before=delay:8s?FILE  each time while FILE exists
//	stream.segment.before=error
func Parse(text string, cfg Config) (*Set, error) {
	s := &Set{cfg: cfg, off: map[string]bool{}, values: map[string]uint64{}, points: map[string]*point{}}
	for _, term := range strings.Split(text, ";") {
		term = strings.TrimSpace(term)
		name, value, valued := strings.Cut(term, "=")
		var err error
		switch {
		case term == "":
		case !valued && slices.Contains(Protections(), name):
			s.off[name] = true
		case valued && slices.Contains(Numbers(), name):
			s.values[name], err = strconv.ParseUint(value, 10, 32)
		case valued && slices.Contains(Points(), name):
			s.points[name], err = parsePoint(value)
		default:
			err = errors.New("there is no such fault")
		}
		if err != nil {
			return nil, fmt.Errorf("read the fault %q: %w", term, err)
		}
	}
	return s, nil
}

func parsePoint(text string) (*point, error) {
	p := &point{}
	text, p.file, _ = strings.Cut(text, "?")
	text, at, counted := strings.Cut(text, "@")
	if counted {
		n, err := strconv.Atoi(at)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of hits", at)
		}
		p.at = n
	}
	action, delay, _ := strings.Cut(text, ":")
	p.action = action
	switch action {
	case "crash", "error":
		return p, nil
	case "delay":
		var err error
		p.delay, err = time.ParseDuration(delay)
		return p, err
	}
	return nil, fmt.Errorf("%q is no action: crash, error or delay:TIME", action)
}

// Off says whether a protection is turned off.
func (s *Set) Off(protection string) bool {
	return Built && s != nil && s.isOff(protection)
}

func (s *Set) isOff(protection string) bool { return s.off[protection] }

// Number is what was set, or the usual one.
func (s *Set) Number(name string, usual uint64) uint64 {
	if !Built || s == nil {
		return usual
	}
	return s.number(name, usual)
}

func (s *Set) number(name string, usual uint64) uint64 {
	if v, ok := s.values[name]; ok {
		return v
	}
	return usual
}

// Point is a place where a fault may happen. Its error is nil, or ErrInjected.
func (s *Set) Point(name string) error {
	if !Built || s == nil {
		return nil
	}
	return s.hit(name)
}

func (s *Set) hit(name string) error {
	p := s.points[name]
	if p == nil {
		return nil
	}
	if p.file != "" {
		if _, err := os.Stat(p.file); err != nil {
			return nil
		}
	}
	p.mu.Lock()
	p.hits++
	now := p.at == 0 || p.hits == p.at
	p.mu.Unlock()
	if !now {
		return nil
	}
	s.cfg.Say("fault " + name + " " + p.action)
	switch p.action {
	case "crash":
		s.cfg.Crash()
	case "delay":
		time.Sleep(p.delay)
	case "error":
		return fmt.Errorf("%s: %w", name, ErrInjected)
	}
	return nil
}
