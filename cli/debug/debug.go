// Package debug is the interactive debugger of one run: breakpoints, stepping,
// looking, changing. It asks the engine for everything it shows and never
// judges, sends or reads anything itself.
package debug

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
)

// Console is where commands come from and answers go.
type Console interface {
	io.Writer
	// Line gives the next command; ok is false where there is none any more, or
	// ctx is done.
	Line(ctx context.Context, prompt string) (line string, ok bool)
	// Interactive tells a person from a list of commands: what a person mistypes
	// is said, a list with a mistake ends the run.
	Interactive() bool
}

// Config is what a Debugger needs.
type Config struct {
	Console Console
	Style   text.Style
	Program *flow.Program
	// Start is the step to stop at first; empty: the first one.
	Start string
	// Source gives a file of the flow as it was compiled; nil: none.
	Source func(file string) []byte
	// Place turns a file of the project into the path that the person types.
	Place func(file string) string
	// Reload compiles the flow again. Why it cannot has been said where the error
	// is ErrSaid.
	Reload func() (*flow.Program, error)
	// Quit ends the run: with its teardown, or without.
	Quit func(teardown bool)
}

// mode is when the run stops by itself.
type mode int

const (
	running  mode = iota // at breakpoints
	stepping             // at every step
	over                 // at every step that is not below depth
	until                // at the step that target names
	left                 // never again
)

// Debugger stops a run where it is told to and obeys commands there. It
// implements engine.Debugger.
type Debugger struct {
	cfg     Config
	outline *outline
	record  *Record
	pause   atomic.Bool

	mu       sync.Mutex // held while the run stands still: one stop at a time
	mode     mode
	depth    int
	target   *breakpoint
	after    string // the step to stop after, by its path
	breaks   []*breakpoint
	next     int // number of the next breakpoint
	displays []string
	seen     []string // failures that were stopped at, by path
	repeat   string   // what an empty line does
	mistake  error    // of a list of commands
	names    []string // what print and set complete to, where the run stands
}

// New makes a Debugger that stops at the first step, unless breakpoints were
// given: then at those and at failures.
func New(cfg Config, breakpoints []string) (*Debugger, error) {
	d := &Debugger{cfg: cfg, outline: newOutline(cfg.Program), next: 1, mode: stepping}
	d.record = &Record{d: d, exchanges: map[string][]*event.Event{}, status: map[string]event.Status{}}
	d.addFailure()
	if cfg.Start != "" {
		d.mode, d.target = until, &breakpoint{path: []string{cfg.Start}}
	}
	for _, spec := range breakpoints {
		b, err := d.parseBreakpoint(spec)
		if err != nil {
			return nil, err
		}
		if !b.failure {
			d.add(b)
		}
		d.mode = running
	}
	return d, nil
}

// Events shows and keeps what happens in the run.
func (d *Debugger) Events() *Record { return d.record }

// Pause stops at the next step; it tells whether that was asked for already.
func (d *Debugger) Pause() (already bool) { return d.pause.Swap(true) }

// Mistake is what was wrong with a list of commands; nil: nothing.
func (d *Debugger) Mistake() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mistake
}

// Before implements engine.Debugger.
func (d *Debugger) Before(ctx context.Context, s *engine.Stop) engine.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	why, stop := d.stopsBefore(s)
	if !stop || ctx.Err() != nil {
		return engine.Proceed
	}
	d.mode, d.target = running, nil
	return d.stand(ctx, &at{Stop: s, why: why})
}

// After implements engine.Debugger.
func (d *Debugger) After(ctx context.Context, s *engine.Stop) engine.Decision {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopsAfter(s) || ctx.Err() != nil {
		return engine.Proceed
	}
	d.mode, d.target, d.after = running, nil, ""
	return d.stand(ctx, &at{Stop: s, done: s.Finished()})
}

// at is where the run stands still.
type at struct {
	*engine.Stop
	done *event.StepFinished // nil before the step
	why  string
}

func pathOf(s *event.Step) string { return strings.Join(s.Path, "/") }

func (d *Debugger) stopsBefore(s *engine.Stop) (why string, stop bool) {
	if d.mode == left {
		return "", false
	}
	step := s.At()
	if d.pause.Swap(false) {
		return "paused", true
	}
	for _, b := range d.breaks {
		if b.at(step) {
			if why, stop := d.holds(b, s); stop {
				return why, true
			}
		}
	}
	switch {
	case d.mode == stepping, d.mode == over && len(step.Path) <= d.depth:
		return "", true
	case d.mode == until && d.target.at(step):
		return "", true
	case s.Step().Breakpoint:
		return "breakpoint of the flow", true
	}
	return "", false
}

func (d *Debugger) stopsAfter(s *engine.Stop) bool {
	if d.mode == left {
		return false
	}
	path := pathOf(s.At())
	if d.after == path {
		return true
	}
	done := s.Finished()
	bad := done.Status == event.Failed || done.Status == event.Errored
	if !bad || !s.Counts() || !slices.ContainsFunc(d.breaks, func(b *breakpoint) bool { return b.failure }) {
		return false
	}
	inside := slices.ContainsFunc(d.seen, func(p string) bool {
		return strings.HasPrefix(p, path+"/") || strings.HasPrefix(p, path+"[")
	})
	d.seen = append(d.seen, path)
	return !inside // of a container, the step in it was stopped at
}

// stand shows where the run stands and obeys until it goes on.
func (d *Debugger) stand(ctx context.Context, a *at) engine.Decision {
	d.pause.Store(false)
	d.names = namesOf(a.Variables())
	d.showStop(a)
	for _, e := range d.displays {
		d.print(a, e)
	}
	for {
		line, ok := d.cfg.Console.Line(ctx, "(debug) ")
		if ctx.Err() != nil {
			return engine.Proceed
		}
		if !ok {
			return d.ended()
		}
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" && (!d.cfg.Console.Interactive() || d.repeat == "") {
			continue
		}
		if line == "" {
			line = d.repeat
		}
		decision, goOn, err := d.obey(a, line)
		if err != nil {
			d.say("%s", err)
			if !d.cfg.Console.Interactive() {
				d.mistake = fmt.Errorf("command %q: %w", line, err)
				return d.quit(true)
			}
		}
		if goOn {
			return decision
		}
	}
}

// ended is what the end of the commands means: a person has left, a list has
// said all it had to.
func (d *Debugger) ended() engine.Decision {
	if d.cfg.Console.Interactive() {
		return d.quit(true)
	}
	d.say("no more commands: the run goes on without stopping")
	d.mode = left
	return engine.Proceed
}

func (d *Debugger) quit(teardown bool) engine.Decision {
	d.mode = left
	d.cfg.Quit(teardown)
	return engine.Proceed
}

func (d *Debugger) say(format string, args ...any) {
	// Where the output is broken, the report of the run says so.
	_, _ = fmt.Fprintf(d.cfg.Console, format+"\n", args...)
}
