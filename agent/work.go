package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

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
	"github.com/testmesh/testmesh/sdk/plugin"
)

// work is a run that is prepared.
type work struct {
	agent   *Agent
	offer   *apiv1.Offer
	program *flow.Program
	spec    flow.RunSpec
	env     *flow.Environment
	tags    *tag.Expr
	dir     string
	project io.Closer
	options engine.Config
}

// Prepare fetches and compiles what is offered, as the control plane did when it was
// planned.
func (a *Agent) Prepare(ctx context.Context, o *apiv1.Offer) (lease.Work, error) {
	spec := o.GetRun().GetSpec()
	if o.GetTeardownOnly() {
		return nil, errors.New("this agent does not tear down what others began")
	}
	dir, err := a.bundles.folder(ctx, spec.GetBundle(), o.GetFiles())
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
	return w, nil
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
		Seed: src.GetSeed(), StepTags: w.tags, From: src.GetFrom(), To: src.GetTo(), Batch: w.agent.batch(r.GetBatchId()),
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
func (w *work) Run(ctx context.Context, started *apiv1.StartResponse, hurry, lost <-chan struct{}) {
	defer w.project.Close()
	a, l, log := w.agent, w.offer.GetLease(), w.agent.cfg.Logger.With("run", w.offer.GetRun().GetId())
	spool, err := stream.Create(filepath.Join(a.cfg.Dir, "spool"), l, a.budget, 0)
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
	if w.report(ctx, spool, sink, out, lost) {
		a.sender.Drop(spool)
		if err := spool.Remove(); err != nil {
			log.Warn("a spool could not be removed", "error", err)
		}
	}
}

func (w *work) execute(ctx context.Context, started *apiv1.StartResponse, hurry <-chan struct{}, s *sink) (engine.Outcome, error) {
	cfg := w.options
	cfg.Sink = s
	cfg.Stepper = &stepper{Host: w.agent.cfg.Host, work: w}
	cfg.Secret = func(name string) (string, error) {
		if v, ok := started.GetSecrets()[name]; ok {
			return v, nil
		}
		if w.agent.cfg.Env != nil {
			if v, ok := w.agent.cfg.Env("TESTMESH_SECRET_" + name); ok {
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
	r.NoTeardown = hurry
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

// stepper tells the control plane, before the first step that may not be repeated
// begins, that one does: without its word the step does not begin.
type stepper struct {
	Host
	work *work
	once sync.Mutex
	told bool
}

func (s *stepper) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	if (req.Effect == "once" || req.Effect == "consume") && !s.work.agent.cfg.Fault.Off("no_dirty") {
		if err := s.dirty(ctx, req.StepID); err != nil {
			return nil, &plugin.Error{
				Code: plugin.CodePlugin, Blame: plugin.BlameAgent, Cause: err,
				Message: "the control plane was not told that this step begins, so it did not begin: " + err.Error(),
			}
		}
	}
	l := s.work.offer.GetLease()
	req.Lease = fmt.Sprintf("%s/%d/%d", l.GetRunId(), l.GetAttempt(), l.GetFence())
	return s.Host.Execute(ctx, req, out)
}

func (s *stepper) dirty(ctx context.Context, step string) error {
	s.once.Lock()
	defer s.once.Unlock()
	if s.told {
		return nil
	}
	faults := s.work.agent.cfg.Fault
	if err := faults.Point("agent.dirty.before"); err != nil {
		return err
	}
	for {
		_, err := s.work.agent.gateway.Dirty(ctx, &apiv1.DirtyRequest{Lease: s.work.offer.GetLease(), StepId: step})
		if err == nil {
			s.told = true
			return faults.Point("agent.dirty.after")
		}
		if connect.CodeOf(err) != connect.CodeUnavailable {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// report brings the stream and the verdict to the control plane; done: the spool is not
// needed any more.
func (w *work) report(ctx context.Context, spool *stream.Spool, s *sink, out engine.Outcome, lost <-chan struct{}) (done bool) {
	a, l := w.agent, w.offer.GetLease()
	length, sum, dropped := spool.Complete()
	a.sender.Written()
	// Not the run's context: that one may be cancelled, and its end counts all the same.
	telling, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportWithin)
	defer cancel()
	req := &apiv1.FinishRequest{
		Lease: l, Status: statuses[out.Status], Reason: out.Reason, DurationMs: s.duration, Steps: counts(out.Steps), Assertions: counts(out.Assertions),
		StepSummaries: s.summaries, StepCount: int32(s.steps), Orphans: s.orphans, StreamBytes: length, StreamSha256: sum, DroppedBytes: dropped,
		Outputs: printed(s.outputs), Variables: printed(out.Variables),
	}
	if out.Error != nil && req.GetReason() == "" {
		req.Reason = out.Error.Message
	}
	if statuses[out.Status] == 0 {
		req.Status = apiv1.RunStatus_RUN_STATUS_ERRORED // never green by default
	}
	for telling.Err() == nil {
		fenced, err := a.sender.Drained(telling, spool)
		if fenced {
			a.cfg.Logger.Warn("the run is another agent's by now: what this one did does not count", "run", l.GetRunId())
			return true
		}
		if err == nil {
			if err = a.cfg.Fault.Point("agent.finish.before"); err == nil {
				_, err = a.gateway.Finish(telling, req)
			}
			err = errors.Join(err, a.cfg.Fault.Point("agent.finish.after"))
		}
		code := connect.CodeOf(err)
		if err == nil || code == connect.CodeAborted || code == connect.CodeNotFound || code == connect.CodeInvalidArgument {
			if err != nil {
				a.cfg.Logger.Error("the end of a run was refused", "run", l.GetRunId(), "error", err)
			}
			return true
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-telling.Done():
		}
	}
	a.cfg.Logger.Error("the end of a run could not be told", "run", l.GetRunId())
	return false
}

// reportWithin is how long an agent tries to bring a verdict home: longer than any
// lease, and shorter than for ever.
const reportWithin = 30 * time.Minute

var statuses = map[event.Status]apiv1.RunStatus{
	event.Passed: apiv1.RunStatus_RUN_STATUS_PASSED, event.Failed: apiv1.RunStatus_RUN_STATUS_FAILED, event.Errored: apiv1.RunStatus_RUN_STATUS_ERRORED,
	event.Cancelled: apiv1.RunStatus_RUN_STATUS_CANCELLED, event.Skipped: apiv1.RunStatus_RUN_STATUS_SKIPPED,
}

func counts(c event.Counts) *apiv1.Counts {
	return &apiv1.Counts{
		Passed: int32(c[event.Passed]), Failed: int32(c[event.Failed]), Errored: int32(c[event.Errored]), Skipped: int32(c[event.Skipped]), Cancelled: int32(c[event.Cancelled]),
	}
}

// maxOutputs bounds outputs in the record of a run; the stream has them whole.
const maxOutputs = 32 << 10

func printed(v map[string]any) string {
	if len(v) == 0 {
		return ""
	}
	text := value.Compact(map[string]any(v))
	if len(text) > maxOutputs {
		return ""
	}
	return text
}

// sink writes events to the spool, and keeps what the record of the run has of them.
type sink struct {
	agent *Agent
	spool *stream.Spool
	ctx   context.Context

	mu        sync.Mutex
	summaries []*apiv1.StepSummary
	steps     int
	orphans   []string
	outputs   map[string]any
	duration  float64
}

// maxSummaries bounds the steps in the record of a run.
const maxSummaries = 200

// Wants all there is.
func (s *sink) Wants() event.Wants { return event.Wants{Exchanges: true, Results: true} }

// Emit records an event. An artifact's bytes are at the control plane before its event
// says so.
func (s *sink) Emit(_ context.Context, e *event.Event) error {
	if e.Type == event.TypeStepArtifact && e.Artifact.Data != nil {
		if err := s.artifact(e.Artifact); err != nil {
			return err
		}
	}
	s.note(e)
	needed := e.Type != event.TypeStepLog && e.Type != event.TypeStepExchange && e.Type != event.TypeStepRetrying
	if err := s.agent.cfg.Fault.Point("agent.spool"); err != nil {
		return err
	}
	err := s.spool.Write(append(event.AppendJSON(nil, e), '\n'), needed)
	s.agent.sender.Written()
	return err
}

func (s *sink) artifact(a *event.Artifact) (err error) {
	for wait := 200 * time.Millisecond; wait < 10*time.Second; wait *= 2 {
		if err = s.agent.store(context.WithoutCancel(s.ctx), a.Data); err == nil {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
			return fmt.Errorf("store artifact %s: %w", a.Name, err)
		}
	}
	return fmt.Errorf("store artifact %s: %w", a.Name, err)
}

func (s *sink) note(e *event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Type {
	case event.TypeStepFinished:
		s.steps++
		f := e.StepFinished
		if len(s.summaries) < maxSummaries {
			s.summaries = append(s.summaries, &apiv1.StepSummary{
				StepId: e.Step.ID, Name: e.Step.Name, Action: e.Step.Action, Phase: string(e.Step.Phase), Path: e.Step.Path, Status: string(f.Status),
				Reason: f.Reason, Tries: int32(f.Tries), DurationMs: f.DurationMS, Message: message(f),
			})
		}
	case event.TypeResourceOrphaned:
		s.orphans = append(s.orphans, strings.TrimSpace(fmt.Sprintf("%s %s: %s", e.Resource.Type, e.Resource.ID, e.Resource.Reason)))
	case event.TypeRunFinished:
		s.outputs, s.duration = e.RunFinished.Outputs, e.RunFinished.DurationMS
	}
}

// message is the first words of why a step did not pass.
func message(f *event.StepFinished) string {
	const most = 200
	text := ""
	switch {
	case f.Status == event.Passed:
		return ""
	case f.Error != nil:
		text = f.Error.Message
	default:
		for _, a := range f.Assertions {
			if !a.Passed {
				text = a.Message
				if text == "" {
					text = a.Expression
				}
				break
			}
		}
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
