package engine

import (
	"context"
	"fmt"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// resource is a tracked thing of the system under test, with all that its
// clean-up needs: it was expanded when it was registered.
type resource struct {
	frame   *frame
	cleanup *flow.Step
	scope   scope // for clean-ups that are control actions
	own     ownResult
	config  any
	problem *event.Error // the clean-up could not be expanded
	kind    string
	id      string
	// names are what a clean-up elsewhere may read; made only where it may come to that.
	names map[string]any
	gone  bool // it was removed
	// restored: another attempt made it, and its result is not here.
	restored bool
}

// track registers what a try made, whenever its id evaluates.
func (r *stepRun) track(t *try) {
	run := r.p.f.run
	for _, tr := range r.s.Track {
		if t.status == event.Skipped || tr.ResourceID == nil {
			continue
		}
		id, err := tr.ResourceID.Eval(r.env)
		if err != nil || id == nil {
			continue
		}
		x := &resource{frame: r.p.f, cleanup: tr.Cleanup, scope: r.scope, own: r.own, id: value.Text(id)}
		if tr.ResourceType != nil {
			if x.kind, err = tr.ResourceType.Text(r.env); err != nil {
				x.kind = tr.ResourceType.Source()
			}
		}
		if tr.Cleanup != nil && tr.Cleanup.Config != nil {
			if x.config, err = tr.Cleanup.Config.Eval(r.env); err != nil {
				_, x.problem = evaluationError(err, "cleanup", tr.Pos.File, false)
			}
		}
		run.out.emit(event.Event{Type: event.TypeResourceTracked, Step: r.ev, Resource: &event.Resource{Type: x.kind, ID: x.id}})
		run.remember(r, x)
		if !run.keep(x) {
			r.log("warn", fmt.Sprintf("more than %d tracked resources: %s %s will not be cleaned up", maxTracked, x.kind, x.id), nil)
		}
		run.keepChanged()
	}
}

func (x *run) keep(r *resource) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.tracked) >= maxTracked {
		return false
	}
	x.tracked = append(x.tracked, r)
	return true
}

// cleanUp removes what was tracked, newest first. What cannot be removed is
// listed as an orphan and makes the run errored.
func (x *run) cleanUp(end *ending, interrupt <-chan struct{}) {
	x.mu.Lock()
	tracked := x.tracked[:len(x.tracked):len(x.tracked)]
	x.mu.Unlock()
	if len(tracked) == 0 {
		return
	}
	complete := true
	x.protect("clean-up", func() {
		ctx, done := x.lastContext(x.r.Program.Config.TeardownTimeout, interrupt)
		defer done()
		for n := len(tracked) - 1; n >= 0; n-- {
			at := len(tracked) - 1 - n
			if !x.protect("clean-up", func() { complete = x.remove(ctx, tracked[n], at) && complete }) {
				complete = false
			}
			x.keepChanged() // what is removed is not removed again elsewhere
		}
	})
	if !complete {
		end.incomplete("cleanup")
	}
}

// remove cleans up one resource and reports what became of it.
func (x *run) remove(ctx context.Context, res *resource, at int) bool {
	p := &place{f: res.frame, l: res.scope.l, path: []string{fmt.Sprintf("cleanup[%d]", at)}, phase: event.PhaseCleanup, tally: &x.tally, quiet: true, regardless: true}
	s := res.cleanup
	reason := ""
	var step *event.Step
	switch {
	case s == nil:
		return true // tracked to be listed only
	case ctx.Err() != nil:
		reason = stopReason(ctx)
		step = p.eventStep(s, 0)
		p.skip(s, reason, stepVerdict{})
	default:
		r := p.newStep(s)
		r.removes = res
		v, over := r.begin(ctx)
		if !over {
			v = r.proceed(ctx)
		}
		step = r.ev
		if v.status != event.Passed {
			reason = string(v.status)
			if v.failure != nil && v.failure.err != nil {
				reason = v.failure.err.Message
			}
		}
	}
	found := event.Event{Type: event.TypeResourceRemoved, Step: step, Resource: &event.Resource{Type: res.kind, ID: res.id}}
	if reason != "" {
		found.Type = event.TypeResourceOrphaned
		found.Resource.Reason = reason
	}
	x.out.emit(found)
	if reason == "" {
		x.mu.Lock()
		res.gone = true
		x.mu.Unlock()
	}
	return reason == ""
}

// removal is the expanded config of a clean-up.
func (r *stepRun) removal() (any, *try) {
	if r.removes.problem != nil {
		return nil, &try{status: event.Errored, err: r.removes.problem}
	}
	config := r.removes.config
	if config == nil {
		config = map[string]any{}
	}
	if err := r.s.Spec.CheckValue(config); err != nil {
		return nil, erroredTry(source.CodeConfig, "definition", err.Error())
	}
	return config, nil
}
