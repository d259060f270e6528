package engine

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/redact"
)

// Why a context ended; context.Cause tells them apart.
var (
	errRunTimeout  = errors.New("run_timeout")
	errFailFast    = errors.New("fail_fast")
	errCleanTime   = errors.New("teardown_timeout")
	errNoTeardown  = errors.New("interrupted")
	errSink        = errors.New("events could not be recorded")
	errCallTimeout = errors.New("called flow's timeout")
)

// run is one run: what its flow and the flows that it calls share.
type run struct {
	e        *Engine
	r        Run
	ctx      context.Context // of the caller, whom a person or a time limit makes end it
	out      reporter
	mask     *redact.Masker
	mixed    sync.Once // makes seeded, when something draws
	seeded   int64
	trace    string // W3C trace id
	start    time.Time
	services map[string]any
	once     Batch  // of `once: run`
	batch    *Batch // of `once: batch`
	tally    tally
	wants    event.Wants
	debug    *debugging // nil: nobody is asked
	// attempt is the one that values are made for: of a teardown, the one that was lost.
	attempt int
	needs   *needs // of teardown; nil: nobody keeps what it needs
	top     *frame // of the run's own flow, with needs
	// masked hides the run's secrets in a text.
	masked func(text string) string
	// call runs functions of plugins; nil: there are none.
	call func(dir, name string, args []any) (any, error)

	mu        sync.Mutex
	stop      context.CancelFunc // of the phases; nil before them
	secrets   map[string]secretValue
	tracked   []*resource
	sinkError error
	internal  *event.Error // a bug of ours, the first

	hiding sync.Mutex
	hidden map[string]string // secrets by value, for a teardown elsewhere
}

type secretValue struct {
	value any
	err   error
}

// Run executes one flow and returns when everything it started has ended. It
// never panics: a bug of ours ends the run errored, with teardown still tried.
func (e *Engine) Run(ctx context.Context, r Run) Outcome {
	e.workers.hold()
	defer e.workers.release()
	x := e.newRun(ctx, r)
	out := x.execute()
	x.protect("end of the run", func() { e.cfg.Stepper.EndRun(r.RunID) })
	return out
}

func (e *Engine) newRun(ctx context.Context, r Run) *run {
	if r.Attempt == 0 {
		r.Attempt = 1
	}
	x := &run{e: e, r: r, ctx: ctx, mask: redact.New(), start: e.cfg.Now(), batch: r.Batch, services: r.Services}
	if x.batch == nil {
		x.batch = NewBatch()
	}
	if x.services == nil {
		x.services = map[string]any{}
	}
	x.attempt = r.Attempt
	if r.Teardown != nil {
		x.attempt = r.Teardown.Attempt
	}
	x.debug = newDebugging(&r)
	x.trace = newTrace(r.RunID)
	x.wants = e.cfg.Sink.Wants()
	x.masked = x.mask.String
	if e.cfg.Functions != nil {
		x.call = x.callFunction
	}
	x.out = reporter{
		sink: e.cfg.Sink, ctx: context.WithoutCancel(ctx), now: e.cfg.Now, mask: x.mask, run: &x.r,
		broken: x.unrecorded,
	}
	return x
}

// unrecorded ends the run: what cannot be recorded did not happen.
func (x *run) unrecorded(err error) {
	x.mu.Lock()
	x.sinkError = err
	stop := x.stop
	x.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// stoppable lets the sink's first error end the phases, also one that came
// before them.
func (x *run) stoppable(stop context.CancelFunc) {
	x.mu.Lock()
	x.stop = stop
	broken := x.sinkError != nil
	x.mu.Unlock()
	if broken {
		stop()
	}
}

// seed is that of the run's random values.
func (x *run) seed() int64 {
	x.mixed.Do(func() { x.seeded = mixSeed(&x.r, x.attempt) })
	return x.seeded
}

// mixSeed makes the seed of a run from the one of its batch, so that rows and
// flows do not draw the same values.
func mixSeed(r *Run, attempt int) int64 {
	row := -1
	if r.Row != nil {
		row = r.Row.Index
	}
	text := make([]byte, 0, 256)
	text = append(strconv.AppendInt(text, r.Seed, 10), 0)
	text = append(append(text, r.Program.File...), 0)
	text = append(append(text, r.Program.Name...), 0)
	for _, n := range [...]int{row, r.Iteration, attempt} {
		text = append(strconv.AppendInt(text, int64(n), 10), 0)
	}
	h := fnv.New64a()
	_, _ = h.Write(value.Append(text, r.Matrix))
	return int64(h.Sum64())
}

// execute goes through the phases of the run's own flow.
func (x *run) execute() Outcome {
	r := &x.r
	started := &event.RunStarted{
		File: r.Program.File, Version: r.Program.Version, Suite: r.Program.Suite, Tags: r.Program.Tags,
		Environment: r.Environment, Row: eventRow(r), Iteration: r.Iteration, Agent: x.e.cfg.AgentName, Seed: r.Seed,
	}
	x.out.emit(event.Event{Type: event.TypeRunStarted, RunStarted: started})
	f := x.newFrame(r.Program, nil, nil)
	var end ending
	input, problem := x.takeInput(r.Program, r.Input, r.Row)
	if problem == nil {
		problem = x.checkSelection()
	}
	f.input = input
	p := x.topPlace(f)
	if r.Teardown == nil {
		x.keepFrom(f)
	}
	if problem != nil {
		p.skipAll(r.Program.Setup, event.PhaseSetup, problem.Message)
		p.skipAll(r.Program.Steps, event.PhaseSteps, problem.Message)
		p.skipAll(r.Program.Teardown, event.PhaseTeardown, problem.Message)
		end = ending{status: event.Errored, reason: problem.Message, err: problem}
	} else if r.Teardown != nil {
		end = x.tearDown(f, p)
	} else {
		end = x.phases(x.ctx, f, p, r.NoTeardown)
		x.cleanUp(&end, r.NoTeardown)
	}
	return x.finish(f, end)
}

// finish reports the end of the run.
func (x *run) finish(f *frame, end ending) Outcome {
	var saved *SavedContext
	x.protect("saved context", func() { saved = x.saved(f) })
	x.mu.Lock()
	internal, sinkError := x.internal, x.sinkError
	x.mu.Unlock()
	switch {
	case sinkError != nil:
		end.status, end.reason = event.Errored, errSink.Error()
		end.err = &event.Error{
			Code: string(source.CodeInternal), Message: fmt.Sprintf("%s: %s", errSink, sinkError), Blame: "agent",
		}
	case internal != nil:
		end.status, end.reason, end.err = event.Errored, "internal error", internal
	}
	if x.debug != nil {
		end.reason = x.debug.reason(end.reason)
	}
	steps, assertions := x.tally.counts()
	took := x.since(x.start)
	out := Outcome{
		Status: end.status, Reason: x.mask.String(end.reason), Steps: steps, Assertions: assertions,
		Outputs: end.outputs, Variables: x.variables(f), Context: saved, Duration: took, Error: maskError(x.mask, end.err), Left: maskTexts(x.mask, end.left),
	}
	x.out.emit(event.Event{Type: event.TypeRunFinished, RunFinished: &event.RunFinished{
		Status: end.status, Reason: end.reason, DurationMS: milliseconds(took), Row: eventRow(&x.r),
		Steps: steps, Assertions: assertions, Outputs: end.outputs,
	}})
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.sinkError != nil && sinkError == nil {
		// Only the last event could not be recorded: the run did not end for
		// anyone who reads the record.
		out.Status, out.Reason = event.Errored, errSink.Error()
		out.Error = &event.Error{Code: string(source.CodeInternal), Message: fmt.Sprintf("%s: %s", errSink, x.sinkError), Blame: "agent"}
	}
	return out
}

func (x *run) newFrame(prog *flow.Program, caller *frame, path []string) *frame {
	f := &frame{run: x, prog: prog, caller: caller, path: path, layer: &layer{}}
	if caller != nil {
		f.depth = caller.depth + 1
	} else {
		f.matrix = x.r.Matrix
		if row := x.r.Row; row != nil {
			f.columns = row.Values
			f.row = make(map[string]any, len(row.Values)+1)
			for k, v := range row.Values {
				f.row[k] = v
			}
			f.row["index"] = int64(row.Index)
		}
		for name, v := range x.r.Variables {
			if f.layer.outputs == nil {
				f.layer.outputs = make(map[string]*written, len(x.r.Variables))
			}
			f.layer.outputs[name] = &written{value: v, origin: "an earlier row"}
		}
	}
	f.env = newEnvValues(f, nil)
	return f
}

// env is what an evaluation may depend on.
func (x *run) env(s *scope, r *random, dir string) *expr.Env {
	env := x.envOf(s, r, dir)
	return &env
}

func (x *run) envOf(s *scope, r *random, dir string) expr.Env {
	return expr.Env{Scope: s, Now: x.e.cfg.Now, Zone: time.LoadLocation, Random: r, Call: x.call, FS: x.e.cfg.FS, Dir: dir}
}

// protect runs fn; a panic in it is a bug of ours and is kept for the verdict.
func (x *run) protect(doing string, fn func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			x.bug(doing, p, debug.Stack())
			ok = false
		}
	}()
	fn()
	return true
}

// bug keeps the first bug of ours and gives it as an error.
func (x *run) bug(doing string, p any, stack []byte) *event.Error {
	err := &event.Error{
		Code: string(source.CodeInternal), Message: fmt.Sprintf("internal error in %s: %v", doing, p),
		Hint: "this is a bug of TestMesh; please report it with these lines", Blame: "testmesh", Details: stackLines(stack),
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.internal == nil {
		x.internal = err
	}
	return err
}

func eventRow(r *Run) *event.Row {
	index, name, ok := r.Program.RowOf(r.Row, r.Matrix)
	if !ok {
		return nil
	}
	return &event.Row{Index: index, Name: name}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// variables are the outputs by name for the next row.
func (x *run) variables(f *frame) map[string]any {
	if !x.r.KeepVariables {
		return nil
	}
	f.layer.mu.RLock()
	defer f.layer.mu.RUnlock()
	out := make(map[string]any, len(f.layer.outputs))
	for name, w := range f.layer.outputs {
		out[name] = w.value
	}
	return out
}

// saved is the context that --from starts with.
func (x *run) saved(f *frame) *SavedContext {
	if !x.r.KeepContext {
		return nil
	}
	f.layer.mu.RLock()
	defer f.layer.mu.RUnlock()
	out := &SavedContext{Flow: f.prog.Name, RunID: x.r.RunID, Steps: make(map[string]SavedStep, len(f.layer.steps))}
	for id, r := range f.layer.steps {
		out.Steps[id] = SavedStep{
			Status: r.status, Outputs: maskMap(x.mask, r.outputs), Result: x.mask.Value(r.result.whole()), HasResult: r.result.has,
		}
	}
	return out
}
