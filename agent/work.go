package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/agent/lease"
	"github.com/testmesh/testmesh/agent/stream"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/bundle"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/tag"
	"github.com/testmesh/testmesh/flow/value"
)

// work is a run that is prepared.
type work struct {
	agent   *Agent
	offer   *apiv1.Offer
	program *flow.Program
	spec    flow.RunSpec
	saved   map[string]engine.SavedStep
	env     *flow.Environment
	tags    *tag.Expr
	dir     string
	project io.Closer
	options engine.Config
	// local: the run has read a secret that stays with this agent.
	local atomic.Bool
}

// Prepare fetches and compiles what is offered, as the control plane did when it was
// planned.
func (a *Agent) Prepare(ctx context.Context, o *apiv1.Offer) (lease.Work, error) {
	a.offers.Add(1)
	spec := o.GetRun().GetSpec()
	dir, err := a.bundles.folder(ctx, o.GetLease(), spec.GetBundle(), o.GetFiles())
	if err != nil {
		return nil, err
	}
	w := &work{agent: a, offer: o, dir: dir}
	fsys, project, err := root(dir)
	if err != nil {
		return nil, fmt.Errorf("open the bundle: %w", err)
	}
	w.project = project
	if err := w.compile(a, fsys); err != nil {
		return nil, errors.Join(err, project.Close())
	}
	if err := w.earlier(ctx); err != nil {
		return nil, errors.Join(err, project.Close())
	}
	return w, nil
}

// earlier fetches what the steps before --from gave in the run that is repeated.
func (w *work) earlier(ctx context.Context) error {
	digest := w.offer.GetBatch().GetSource().GetSavedContext()
	if digest == "" {
		return nil
	}
	var text bytes.Buffer
	if err := w.agent.fetch(ctx, w.offer.GetLease(), digest, &text); err != nil {
		return fmt.Errorf("fetch what the steps before gave: %w", err)
	}
	if sum(text.Bytes()) != digest {
		return errors.New("fetch what the steps before gave: it has another sha256")
	}
	saved, err := engine.ReadContext(text.Bytes())
	if err != nil {
		return err
	}
	w.saved = saved.Steps
	return nil
}

// compile makes the program, and picks its run.
func (w *work) compile(a *Agent, fsys fs.FS) (err error) {
	spec, src := w.offer.GetRun().GetSpec(), w.offer.GetBatch().GetSource()
	opts := bundle.Options{FS: fsys, Source: src, Catalog: a.catalog, ProcessEnv: a.cfg.Env}
	if e := w.offer.GetEnvironment(); e != nil {
		env, problems := flow.ParseEnvironment(flow.EnvironmentPath(e.GetName()), []byte(e.GetText()))
		if bad := problems.Errors(); len(bad) > 0 {
			return problem(bad)
		}
		w.env, opts.Environment = env, env
	}
	loader, problems := bundle.NewLoader(opts)
	if len(problems) > 0 {
		return problem(problems)
	}
	if w.program, problems = loader.Program(spec.GetFile(), int(spec.GetIndex())); len(problems) > 0 {
		return problem(problems)
	}
	runs, problems := loader.Runs(w.program)
	if len(problems) > 0 {
		return problem(problems)
	}
	if int(spec.GetOrdinal()) >= len(runs) {
		return fmt.Errorf("the flow has %d runs here, and run %d is wanted", len(runs), spec.GetOrdinal()+1)
	}
	w.spec = runs[spec.GetOrdinal()]
	if text := src.GetStepTags(); text != "" {
		if w.tags, err = tag.Parse(text); err != nil {
			return fmt.Errorf("read step tags: %w", err)
		}
	}
	w.options = engine.Config{Prober: a.cfg.Prober, Root: w.dir, FS: fsys, AgentName: a.cfg.Name, Functions: a.cfg.Host}
	return nil
}

func problem(problems source.Problems) error {
	p := problems[0]
	if p.Pos.File == "" {
		return errors.New(p.Message)
	}
	return fmt.Errorf("%s:%d:%d: %s", p.Pos.File, p.Pos.Line, p.Pos.Column, p.Message)
}

func (w *work) run() engine.Run {
	r, src := w.offer.GetRun(), w.offer.GetBatch().GetSource()
	out := engine.Run{
		Program: w.program, BatchID: r.GetBatchId(), RunID: r.GetId(), Attempt: int(w.offer.GetLease().GetAttempt()),
		Row: w.spec.Row, Iteration: w.spec.Iteration, Matrix: w.spec.Matrix, Input: w.spec.Input, Environment: src.GetEnvironment(),
		Seed: src.GetSeed(), StepTags: w.tags, From: src.GetFrom(), Saved: w.saved, To: src.GetTo(), Batch: w.agent.batch(r.GetBatchId()),
		KeepVariables: src.GetKeepVariables(),
	}
	if w.env != nil && len(w.env.Services) > 0 {
		out.Services = map[string]any{}
		for _, s := range w.env.Services {
			out.Services[s.Name] = s.Value.Value
		}
	}
	return out
}

// batch is what the runs of a batch on this agent share.
func (a *Agent) batch(id string) *engine.Batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.batches[id]
	if b == nil {
		b = engine.NewBatch()
		a.batches[id] = b
	}
	return b
}

// Locks are the names of the run's locks, as its values have them.
func (w *work) Locks() ([]string, error) {
	cfg := w.options
	cfg.Stepper, cfg.Sink = w.agent.cfg.Host, nothing{}
	eng, err := engine.New(cfg)
	if err != nil {
		return nil, err
	}
	return eng.Locks(w.run())
}

type nothing struct{}

func (nothing) Emit(context.Context, *event.Event) error { return nil }
func (nothing) Wants() event.Wants                       { return event.Wants{} }

// Run runs it, and reports its end.
func (w *work) Run(ctx context.Context, started *apiv1.StartResponse, hurry, _ <-chan struct{}) {
	defer w.project.Close()
	a, l, log := w.agent, w.offer.GetLease(), w.agent.cfg.Logger.With("run", w.offer.GetRun().GetId())
	spool, err := stream.Create(a.spools(), l, a.budget, 0)
	if err != nil {
		log.Error("the run cannot be recorded, and is not run", "error", err)
		return // its lease ends by its time, and another agent has it
	}
	a.sender.Add(spool)
	sink := &sink{agent: a, spool: spool, ctx: ctx}
	out, err := w.execute(ctx, started, hurry, sink)
	if err != nil {
		log.Error("the run could not be begun", "error", err)
	}
	if undecided(ctx, ended(hurry), out) && !a.cfg.Fault.Off("no_fence") { // without a fence it says its end all the same
		w.abandon(ctx, spool)
		return
	}
	if interrupted(ctx, out) && !w.offer.GetTeardownOnly() { // a teardown is not cut, and not repeated
		if len(out.Left) > 0 {
			w.abandon(ctx, spool) // what it has left is torn down elsewhere
		} else {
			w.handBack(ctx, spool)
		}
		return
	}
	if w.report(ctx, spool, sink, out) {
		a.forget(spool)
	}
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (w *work) execute(ctx context.Context, started *apiv1.StartResponse, hurry <-chan struct{}, s *sink) (engine.Outcome, error) {
	cfg := w.options
	cfg.Sink = s
	stepper := &stepper{Host: w.agent.cfg.Host, work: w}
	cfg.Stepper = stepper
	cfg.Secret = func(name string) (string, error) {
		if v, ok := started.GetSecrets()[name]; ok {
			return v, nil
		}
		if w.agent.cfg.Env != nil {
			if v, ok := w.agent.cfg.Env("TESTMESH_SECRET_" + name); ok {
				w.local.Store(true)
				return v, nil
			}
		}
		return "", fmt.Errorf("neither the environment nor this agent has a secret %s", name)
	}
	eng, err := engine.New(cfg)
	if err != nil {
		return engine.Outcome{Status: event.Errored, Reason: err.Error()}, err
	}
	r := w.run()
	r.NoTeardown, r.Once = hurry, &once{w}
	if w.offer.GetTeardownOnly() {
		r.Teardown = w.teardown(started)
	}
	keeper := newKeeper(w)
	r.Keep = keeper.changed
	stepper.keeper = keeper
	defer keeper.run(ctx)()
	if w.agent.cfg.Fault.Off("no_teardown") {
		r.NoTeardown = ctx.Done()
	}
	if text := started.GetVariables(); text != "" {
		v, err := value.Decode([]byte(text))
		if err != nil {
			return engine.Outcome{Status: event.Errored, Reason: err.Error()}, err
		}
		r.Variables, _ = v.(map[string]any)
	}
	return eng.Run(ctx, r), nil
}

// teardown is what an agent that was lost has left to do.
func (w *work) teardown(started *apiv1.StartResponse) *engine.Teardown {
	r, lost := w.offer.GetRun(), started.GetLost()
	t := &engine.Teardown{
		Data: started.GetCheckpoint(), Attempt: int(max(lost.GetNumber(), 1)), Status: event.Errored,
		Reason: fmt.Sprintf("agent %s was lost; this is its teardown, on agent %s", lost.GetAgentName(), w.agent.cfg.Name),
	}
	if r.GetCancelling() {
		t.Status = event.Cancelled
	}
	return t
}
