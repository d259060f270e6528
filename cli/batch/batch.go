// Package batch runs the flows of one command on this machine: in order of
// `after`, side by side up to a limit, with locks, and with one verdict for the
// whole. It never reads flags or prints.
package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
)

// Exit codes of `testmesh run`, by cause (FLOW.md "Exit codes").
const (
	ExitPassed      = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitErrored     = 3
	ExitNothing     = 4
	ExitDeadline    = 5
	ExitRemote      = 6 // the control plane is unreachable, or refused
	ExitInternal    = 70
	ExitInterrupted = 130
	ExitTerminated  = 143
)

// Runner runs one flow once; *engine.Engine is one.
type Runner interface {
	Run(ctx context.Context, r engine.Run) engine.Outcome
	// Locks prints the names of the run's locks.
	Locks(r engine.Run) ([]string, error)
}

// Holder is a Runner that keeps what its runs share between them, until it is
// released.
type Holder interface {
	Hold() (release func())
}

// Locker holds named locks, all of a list at once or none. It is used by many
// runs at a time.
type Locker interface {
	// Acquire waits until all names are held; the returned function lets them go.
	Acquire(ctx context.Context, names []string) (release func(), err error)
}

// Flow is one selected flow with its runs.
type Flow struct {
	Program *flow.Program
	Runs    []flow.RunSpec
}

// Config is what a batch needs.
type Config struct {
	ID     string
	NewID  func() string // run ids
	Runner Runner
	Sink   engine.Sink
	Locker Locker
	Now    func() time.Time

	Parallel      int // runs at once, at least 1
	FailFast      bool
	Delay         time.Duration // between runs of one flow, which then go one at a time
	KeepVariables bool
	// Template is what every run shares: environment, seed, step tags, from, to.
	Template engine.Run
	Notes    []string
	Seed     int64
}

// Result is how a batch ended.
type Result struct {
	Counts   event.Counts // runs by status
	ExitCode int
	Reason   string
	// NotPassed are the flows with a run that did not pass, each once.
	NotPassed []*flow.Program
	// Context is that of the last run, where Template.KeepContext asks for it.
	Context *engine.SavedContext
}

// ErrDeadline is the cause of a context that the command's own time limit ended.
var ErrDeadline = errors.New("the command's time limit was reached")

// SignalError is the cause of a context that a signal ended.
type SignalError struct{ ExitCode int }

func (e *SignalError) Error() string {
	if e.ExitCode == ExitTerminated {
		return "terminated"
	}
	return "interrupted"
}

// Run runs the batch. A cancelled ctx lets every run end in order, with
// teardown; its cause (ErrDeadline, *SignalError) makes the exit code.
func Run(ctx context.Context, cfg Config, flows []Flow) (Result, error) {
	b := &batch{cfg: cfg, flows: flows, counts: event.Counts{}, done: make(map[string]*flowState)}
	total, files := 0, []string(nil)
	for i := range flows {
		total += len(flows[i].Runs)
		files = append(files, flows[i].Program.File)
		name := flows[i].Program.Name
		st, ok := b.done[name]
		if !ok {
			st = &flowState{ended: make(chan struct{})}
			b.done[name] = st
		}
		st.open += len(flows[i].Runs)
	}
	for _, st := range b.done {
		if st.open == 0 {
			close(st.ended)
		}
	}
	started := &event.Event{
		Type: event.TypeBatchStarted, Time: cfg.Now(), BatchID: cfg.ID,
		BatchStarted: &event.BatchStarted{Runs: total, Files: files, Seed: cfg.Seed, Notes: cfg.Notes},
	}
	if err := cfg.Sink.Emit(ctx, started); err != nil {
		return Result{}, fmt.Errorf("record the batch: %w", err)
	}
	if h, ok := cfg.Runner.(Holder); ok {
		defer h.Hold()()
	}
	b.runAll(ctx)
	res := b.result(ctx, total)
	finished := &event.Event{
		Type: event.TypeBatchFinished, Time: cfg.Now(), BatchID: cfg.ID,
		BatchFinished: &event.BatchFinished{Counts: res.Counts, ExitCode: res.ExitCode, Reason: res.Reason},
	}
	if err := cfg.Sink.Emit(context.WithoutCancel(ctx), finished); err != nil {
		return res, fmt.Errorf("record the end of the batch: %w", err)
	}
	return res, b.sinkErr
}

// flowState is how far the runs of one flow name are; `after` waits on it.
type flowState struct {
	open   int
	failed bool // a run did not pass
	ended  chan struct{}
}

type batch struct {
	cfg   Config
	flows []Flow

	mu        sync.Mutex
	counts    event.Counts
	notPassed []*flow.Program
	context   *engine.SavedContext
	done      map[string]*flowState
	stop      bool // fail_fast
	sinkErr   error
}

// lane is a list of runs that go one after the other.
type lane struct {
	flow *Flow
	runs []int
}

func (b *batch) lanes() []lane {
	total := 0
	for i := range b.flows {
		total += len(b.flows[i].Runs)
	}
	out, alone := make([]lane, 0, total), make([]int, 0, total)
	for i := range b.flows {
		f := &b.flows[i]
		if b.cfg.Delay > 0 || b.cfg.KeepVariables {
			l := lane{flow: f}
			for n := range f.Runs {
				l.runs = append(l.runs, n)
			}
			out = append(out, l)
			continue
		}
		for n := range f.Runs {
			alone = append(alone, n)
			out = append(out, lane{flow: f, runs: alone[len(alone)-1 : len(alone) : len(alone)]})
		}
	}
	return b.order(out)
}

// order puts lanes whose `after` names are in the batch behind those flows, so
// that waiting lanes never hold every place.
func (b *batch) order(lanes []lane) []lane {
	depth := make(map[string]int)
	byName := make(map[string][]*Flow)
	for i := range b.flows {
		f := &b.flows[i]
		byName[f.Program.Name] = append(byName[f.Program.Name], f)
	}
	var level func(name string, seen int) int
	level = func(name string, seen int) int {
		if d, ok := depth[name]; ok || seen > len(b.flows) {
			return d
		}
		d := 0
		for _, f := range byName[name] {
			for _, before := range f.Program.After {
				d = max(d, level(before, seen+1)+1)
			}
		}
		depth[name] = d
		return d
	}
	deepest := 0
	for name := range byName {
		deepest = max(deepest, level(name, 0))
	}
	if deepest == 0 {
		return lanes
	}
	var out []lane
	for d := 0; d <= deepest+1; d++ {
		for _, l := range lanes {
			if depth[l.flow.Program.Name] == d {
				out = append(out, l)
			}
		}
	}
	return out
}

func (b *batch) runAll(ctx context.Context) {
	lanes := b.lanes()
	work := make(chan lane)
	var wg sync.WaitGroup
	for range min(max(b.cfg.Parallel, 1), max(len(lanes), 1)) {
		wg.Go(func() {
			for l := range work {
				b.runLane(ctx, l)
			}
		})
	}
	for _, l := range lanes {
		work <- l
	}
	close(work)
	wg.Wait()
}

func (b *batch) runLane(ctx context.Context, l lane) {
	var variables map[string]any
	for i, n := range l.runs {
		if i > 0 && b.cfg.Delay > 0 {
			wait(ctx, b.cfg.Delay)
		}
		out := b.runOne(ctx, l.flow, l.flow.Runs[n], variables)
		if b.cfg.KeepVariables && out.Variables != nil {
			variables = out.Variables
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (b *batch) runOne(ctx context.Context, f *Flow, spec flow.RunSpec, variables map[string]any) engine.Outcome {
	id := b.cfg.NewID()
	out, ran := b.hindered(ctx, f, spec, id)
	if !ran {
		run := b.cfg.Template
		run.Program, run.BatchID, run.RunID = f.Program, b.cfg.ID, id
		run.Row, run.Iteration, run.Matrix, run.Input = spec.Row, spec.Iteration, spec.Matrix, spec.Input
		run.Variables, run.KeepVariables = variables, b.cfg.KeepVariables
		release, status, reason := b.lock(ctx, run)
		if release == nil {
			out = b.without(ctx, f, spec, id, status, reason)
		} else {
			out = b.cfg.Runner.Run(ctx, run)
			release()
		}
	}
	b.record(f, out)
	return out
}

// lock takes the run's locks; without a release function the run may not start,
// and status and reason say why.
func (b *batch) lock(ctx context.Context, run engine.Run) (release func(), status event.Status, reason string) {
	names, err := b.cfg.Runner.Locks(run)
	if err != nil {
		return nil, event.Errored, err.Error()
	}
	if len(names) == 0 {
		return func() {}, "", ""
	}
	release, err = b.cfg.Locker.Acquire(ctx, names)
	switch {
	case err == nil:
		return release, "", ""
	case ctx.Err() != nil:
		return nil, event.Cancelled, "cancelled while waiting for the locks " + strings.Join(names, ", ")
	}
	return nil, event.Errored, err.Error()
}

// hindered tells whether a run may not start, and reports it as such.
func (b *batch) hindered(ctx context.Context, f *Flow, spec flow.RunSpec, id string) (engine.Outcome, bool) {
	for _, name := range f.Program.After {
		st, ok := b.done[name]
		if !ok {
			return b.without(ctx, f, spec, id, event.Skipped, fmt.Sprintf("after %s, which is not in this batch", name)), true
		}
		select {
		case <-st.ended:
		case <-ctx.Done():
		}
		b.mu.Lock()
		failed := st.failed
		b.mu.Unlock()
		if failed {
			return b.without(ctx, f, spec, id, event.Skipped, fmt.Sprintf("after %s, which did not pass", name)), true
		}
	}
	if ctx.Err() != nil {
		return b.without(ctx, f, spec, id, event.Cancelled, context.Cause(ctx).Error()), true
	}
	b.mu.Lock()
	stop := b.stop
	b.mu.Unlock()
	if stop {
		return b.without(ctx, f, spec, id, event.Skipped, "fail_fast"), true
	}
	return engine.Outcome{}, false
}

// without reports a run that never started.
func (b *batch) without(ctx context.Context, f *Flow, spec flow.RunSpec, id string, status event.Status, reason string) engine.Outcome {
	ctx = context.WithoutCancel(ctx)
	p := f.Program
	var row *event.Row
	if index, name, ok := p.RowOf(spec.Row, spec.Matrix); ok {
		row = &event.Row{Index: index, Name: name}
	}
	base := event.Event{Time: b.cfg.Now(), BatchID: b.cfg.ID, RunID: id, Attempt: 1, Flow: p.Name}
	started, finished := base, base
	started.Type, started.Seq = event.TypeRunStarted, 1
	started.RunStarted = &event.RunStarted{
		File: p.File, Version: p.Version, Suite: p.Suite, Tags: p.Tags,
		Environment: b.cfg.Template.Environment, Row: row, Iteration: spec.Iteration, Seed: b.cfg.Seed,
	}
	finished.Type, finished.Seq = event.TypeRunFinished, 2
	finished.RunFinished = &event.RunFinished{Status: status, Reason: reason, Row: row, Steps: event.Counts{}, Assertions: event.Counts{}}
	for _, e := range []*event.Event{&started, &finished} {
		if err := b.cfg.Sink.Emit(ctx, e); err != nil {
			b.mu.Lock()
			b.sinkErr = errors.Join(b.sinkErr, err)
			b.mu.Unlock()
		}
	}
	return engine.Outcome{Status: status, Reason: reason}
}

func (b *batch) record(f *Flow, out engine.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[out.Status]++
	// Nothing else of an outcome is kept: its results would be the memory of
	// the whole batch.
	if out.Status != event.Passed && !slices.Contains(b.notPassed, f.Program) {
		b.notPassed = append(b.notPassed, f.Program)
	}
	if out.Context != nil {
		b.context = out.Context
	}
	if b.cfg.FailFast && (out.Status == event.Failed || out.Status == event.Errored) {
		b.stop = true
	}
	st := b.done[f.Program.Name]
	st.open--
	if out.Status != event.Passed {
		st.failed = true
	}
	if st.open == 0 {
		close(st.ended)
	}
}

// result derives the verdict. The worst cause wins: an interrupted command is
// interrupted whatever had passed by then.
func (b *batch) result(ctx context.Context, total int) Result {
	res := Result{Counts: b.counts, NotPassed: b.notPassed, Context: b.context}
	var signal *SignalError
	cause := context.Cause(ctx)
	switch {
	case errors.As(cause, &signal):
		res.ExitCode, res.Reason = signal.ExitCode, signal.Error()
	case errors.Is(cause, ErrDeadline):
		res.ExitCode, res.Reason = ExitDeadline, ErrDeadline.Error()
	case b.counts[event.Failed] > 0:
		res.ExitCode = ExitFailed
	case b.counts[event.Errored] > 0 || b.sinkErr != nil:
		res.ExitCode = ExitErrored
	case b.counts[event.Cancelled] > 0:
		res.ExitCode, res.Reason = ExitErrored, "cancelled"
	case total == 0:
		res.ExitCode, res.Reason = ExitNothing, "nothing was selected"
	case b.counts[event.Passed] == 0:
		res.ExitCode, res.Reason = ExitNothing, "every run was skipped"
	}
	return res
}
