// Package engine runs compiled flows: it schedules their steps, calls plugins
// through a Stepper, judges the answers and reports every fact as an event. It
// never parses a flow, never prints, never talks to a system under test itself
// and keeps nothing once a run has ended.
package engine

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/tag"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Stepper executes one try of a plugin action. It is called concurrently. A
// cancelled ctx should end Execute within two seconds; after pluginGrace the
// engine goes on without it.
type Stepper interface {
	Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error)
	// EndRun drops what plugins keep for a run. It is called once a run, last.
	EndRun(runID string)
}

// Sink takes the events of runs: in order within a run, concurrently for
// different runs. Events are never changed after they were emitted. An error
// ends the run errored: what cannot be recorded did not happen.
type Sink interface {
	Emit(ctx context.Context, e *event.Event) error
	// Wants says what of the events anybody reads. It does not change while a run
	// goes on.
	Wants() event.Wants
}

// Prober tells whether something answers at a URL (http, https, tcp, grpc). It
// tries once and returns when ctx is done. A *plugin.Error says that it cannot be told
// from here, however often it is asked: the step is errored.
type Prober interface {
	Probe(ctx context.Context, url string) error
}

// Config is what an Engine needs.
type Config struct {
	Stepper Stepper
	Sink    Sink
	Prober  Prober // nil: wait_for is errored
	// Root is the project as an absolute path, for plugins; FS is the same for
	// the language. Both may be empty: then nothing is read.
	Root string
	FS   fs.FS
	// Secret gives the value of secret.<name>; nil: there are none.
	Secret func(name string) (string, error)
	// Functions are those of plugins; nil: there are none.
	Functions Functions
	AgentName string
	Now       func() time.Time // nil: time.Now
}

// Engine runs flows. It holds no state of runs and may be used concurrently.
type Engine struct {
	cfg Config
	// facts are those of steps: *flow.Step to *facts. It is bounded by the steps
	// there are.
	facts   sync.Map
	workers workers
}

// Hold keeps the goroutines that call plugins from one run to the next, until
// it is released. Every run holds them itself; who has more than one run saves
// making them anew.
func (e *Engine) Hold() (release func()) {
	e.workers.hold()
	return sync.OnceFunc(e.workers.release)
}

// New makes an Engine.
func New(cfg Config) (*Engine, error) {
	switch {
	case cfg.Stepper == nil:
		return nil, errors.New("make engine: no stepper")
	case cfg.Sink == nil:
		return nil, errors.New("make engine: no sink")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Engine{cfg: cfg}, nil
}

// Run says what to run.
type Run struct {
	Program   *flow.Program
	BatchID   string
	RunID     string
	Attempt   int // of the lease; 0 counts as 1
	Row       *flow.Row
	Iteration int // from 1; 0 where there are none
	Matrix    map[string]any
	// Input holds given parameters; a declared one that is missing takes its
	// default.
	Input       map[string]any
	Environment string
	Services    map[string]any
	// Seed makes random values repeatable. The flow, row, matrix, iteration and
	// attempt are mixed in, so that runs of a batch may share one.
	Seed int64
	// StepTags skips the steps of `steps` that do not match; nil: none.
	StepTags *tag.Expr
	// From and To bound the top-level steps of `steps` that run, both included.
	// Saved holds what the steps before From gave in an earlier run.
	From, To string
	Saved    map[string]SavedStep
	// Variables are outputs of an earlier row, by name.
	Variables map[string]any
	Batch     *Batch // of `once: batch`; nil: the run is a batch of its own
	// NoTeardown, once closed, ends teardown and clean-up: the second Ctrl-C.
	NoTeardown <-chan struct{}
	// KeepVariables asks for Outcome.Variables; KeepContext for Outcome.Context,
	// which holds every result of the run.
	KeepVariables bool
	KeepContext   bool
	// Keep is told, at the beginning and whenever that may have changed, what a
	// teardown elsewhere would need; take makes the newest of it and may be called at
	// any time until the run has ended. It returns at once. Nil: nobody keeps it. It is
	// not called where there is nothing to tear down.
	Keep func(take func() Checkpoint)
	// Teardown, where set, runs teardown and clean-up alone, from what an attempt that
	// was lost has kept.
	Teardown *Teardown
	// Once settles `once: batch` with the runs that other agents have; nil: Batch does.
	Once Once
	// Debugger is asked before and after each step; nil: nobody is.
	Debugger Debugger
}

// Outcome is how a run ended. Its values are as they were, not masked: they go
// to callers and later rows, never to people.
type Outcome struct {
	Status     event.Status
	Reason     string
	Steps      event.Counts
	Assertions event.Counts
	Outputs    map[string]any // the flow's own output
	Variables  map[string]any // outputs of steps by name, for the next row, with Run.KeepVariables
	Context    *SavedContext  // with Run.KeepContext
	Duration   time.Duration
	// Left is what a Teardown could not do, in words.
	Left []string
	// Error is set where no step is to blame: a missing input, a broken sink, a
	// bug of ours.
	Error *event.Error
}

// SavedContext is what `--save-context` keeps of a run. Secrets are masked in
// it.
type SavedContext struct {
	Flow  string               `json:"flow"`
	RunID string               `json:"run_id"`
	Steps map[string]SavedStep `json:"steps"`
}

// SavedStep is what a step gave.
type SavedStep struct {
	Status    event.Status   `json:"status"`
	Outputs   map[string]any `json:"outputs,omitempty"`
	Result    any            `json:"result,omitempty"`
	HasResult bool           `json:"has_result,omitempty"`
}
