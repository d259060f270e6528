package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/testmesh/testmesh/flow/event"
)

// generator writes random flows. Every step is given an id; what it will do is
// drawn from all that a system can do.
type generator struct {
	t   *rapid.T
	b   strings.Builder
	ids []string // of steps that must be reported
	n   int
	// quiet is set inside handlers, which are reported only when called for.
	quiet bool
}

func (g *generator) pick(name string, of ...string) string {
	return rapid.SampledFrom(of).Draw(g.t, name)
}

func (g *generator) chance(name string) bool { return rapid.IntRange(0, 3).Draw(g.t, name) == 0 }

// list writes a list of steps; one without needs may not have any (teardown).
func (g *generator) list(indent string, depth int, flat bool) {
	n := rapid.IntRange(1, 4).Draw(g.t, "steps")
	var siblings []string
	for range n {
		id := fmt.Sprintf("s%d", g.n)
		g.n++
		if !g.quiet {
			g.ids = append(g.ids, id)
		}
		g.step(indent, id, siblings, depth, flat)
		siblings = append(siblings, id)
	}
}

func (g *generator) line(indent, format string, args ...any) {
	fmt.Fprintf(&g.b, indent+format+"\n", args...)
}

func (g *generator) step(indent, id string, siblings []string, depth int, flat bool) {
	g.line(indent, "- id: %s", id)
	in := indent + "  "
	if !flat && g.chance("needs") {
		var needs []string
		for _, s := range siblings {
			if g.chance("need") {
				needs = append(needs, s)
			}
		}
		g.line(in, "needs: [%s]", strings.Join(needs, ", "))
	}
	if g.chance("disabled") {
		g.line(in, "disabled: %s", g.pick("off", "true", "false"))
	}
	if g.chance("when") {
		g.line(in, "when: %s", g.pick("when", "1 == 1", "1 == 2", "input.absent == 1"))
	}
	if g.chance("policy") {
		g.line(in, "on_failure: %s", g.pick("on_failure", "stop", "continue", "ignore"))
	}
	switch kind := rapid.IntRange(0, 9).Draw(g.t, "kind"); {
	case kind == 0 && depth > 0:
		g.line(in, "action: condition")
		g.line(in, "config:")
		g.line(in, "  if: %s", g.pick("if", "1 == 1", "1 == 2", "input.absent == 1"))
		g.line(in, "  then:")
		g.list(in+"    ", depth-1, flat)
		if g.chance("else") {
			g.line(in, "  else:")
			g.list(in+"    ", depth-1, flat)
		}
	case kind == 1 && depth > 0:
		g.line(in, "action: for_each")
		g.line(in, "config:")
		g.line(in, "  items: %q", g.pick("items", "[]", "[1]", "[1, 2, 3]", "input.absent"))
		if g.chance("parallel") {
			g.line(in, "  parallel: 2")
		}
		if g.chance("continue") {
			g.line(in, "  continue_on_error: true")
		}
		g.line(in, "  steps:")
		g.list(in+"    ", depth-1, flat)
	case kind == 2 && depth > 0:
		g.line(in, "action: parallel")
		g.line(in, "config:")
		g.line(in, "  fail_fast: %s", g.pick("fail_fast", "true", "false"))
		g.line(in, "  branches:")
		for _, name := range []string{"left", "right"} {
			g.line(in, "    - name: %s", name)
			g.line(in, "      steps:")
			g.list(in+"        ", depth-1, flat)
		}
	case kind == 3 && depth > 0:
		g.line(in, "action: wait_until")
		g.line(in, "config:")
		g.line(in, "  timeout: 3s")
		if g.chance("condition") {
			g.line(in, "  condition: %s", g.pick("until", "1 == 1", "1 == 2", "input.absent == 1"))
		}
		g.line(in, "  steps:")
		g.list(in+"    ", depth-1, flat)
	default:
		g.leaf(in)
	}
	if depth > 0 && g.chance("handlers") {
		g.line(in, "%s:", g.pick("handler", "error_steps", "on_timeout"))
		was := g.quiet
		g.quiet = true
		g.list(in+"  ", 0, true)
		g.quiet = was
	}
}

func (g *generator) leaf(in string) {
	g.line(in, "action: sys.call")
	if g.chance("timeout") {
		g.line(in, "timeout: 2s")
	}
	if g.chance("retry") {
		g.line(in, "retry: {max_attempts: 2, delay: 1s}")
	} else if g.chance("eventually") {
		g.line(in, "eventually: {within: 3s, every: 1s}")
	}
	if g.chance("track") {
		g.line(in, "track: {resource_type: thing, resource_id: \"${body.id}\", cleanup: {action: sys.call, config: {status: %s}}}", g.pick("cleanup", "200", "500"))
	}
	g.line(in, "config: %s", g.pick("does", "{status: 200}", "{body: {id: 7}}", "{status: 500}", "{delay: 1s}", "{delay: 5s}",
		"{error: E-CONN}", "{error: E-WAIT, failed: true}", "{panic: true}", "{bare: true}", "{nothing: true}", "{hang: true}",
		"{script: [{status: 500}, {status: 200}]}", "{headers: {x: \"${input.absent}\"}}"))
	if g.chance("assert") {
		g.line(in, "assert: [%q]", g.pick("claim", "status == 200", "body.id == 7", "body.other > 3"))
	}
}

// TestAnyFlowKeepsThePromisesOfTheStream runs random flows with random outcomes,
// cancelled at random times, and checks the invariants and the rule for a run's
// status.
func TestAnyFlowKeepsThePromisesOfTheStream(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := &generator{t: rt}
		g.line("", "flow:")
		g.line("", "  name: Random")
		g.line("", "  config: {timeout: %s, fail_fast: %s, max_concurrent: 2, teardown_timeout: 10s}", g.pick("limit", "5s", "1h"), g.pick("fail_fast", "true", "false"))
		for _, phase := range []string{"setup", "steps", "on_error", "teardown"} {
			if phase == "steps" || g.chance(phase) {
				g.line("", "  %s:", phase)
				g.quiet = phase == "on_error"
				g.list("    ", 2, phase == "teardown" || phase == "on_error")
				g.quiet = false
			}
		}
		cancelAfter := rapid.SampledFrom([]time.Duration{0, time.Hour, time.Hour, time.Second, 4 * time.Second}).Draw(rt, "cancel")
		secondAfter := rapid.SampledFrom([]time.Duration{time.Hour, 2 * time.Second, 6 * time.Second}).Draw(rt, "second")
		var broken []string
		var events []*event.Event
		synctest.Test(t, func(t *testing.T) {
			p := newProject(t, []txtar.File{{Name: "flow.yaml", Data: []byte(g.b.String())}})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(cancelAfter, cancel)
			second := make(chan struct{})
			time.AfterFunc(secondAfter, func() { close(second) })
			out := p.engine(t).Run(ctx, Run{Program: p.programs[0], RunID: "r", NoTeardown: second})
			events = p.sink.of("r")
			broken = invariants(events)
			broken = append(broken, everyStepReported(g.ids, events)...)
			broken = append(broken, statusRule(out, events)...)
			cancel()
			<-time.After(3 * time.Hour) // plugins that were left behind end
		})
		if len(broken) > 0 {
			rt.Fatalf("%s\n%s\n%s", strings.Join(broken, "\n"), g.b.String(), lines(events))
		}
	})
}

// everyStepReported: each step that is no handler has an end.
func everyStepReported(ids []string, events []*event.Event) (broken []string) {
	ended := map[string]bool{}
	for _, e := range events {
		if e.Type == event.TypeStepFinished {
			ended[e.Step.ID] = true
		}
	}
	for _, id := range ids {
		if !ended[id] {
			broken = append(broken, "step "+id+" was not reported")
		}
	}
	return broken
}

// statusRule is FLOW.md "Of a run", read off the events of the top level.
func statusRule(out Outcome, events []*event.Event) (broken []string) {
	var failed, errored, executed, incomplete bool
	for _, e := range events {
		if e.Type == event.TypeResourceOrphaned {
			incomplete = true
		}
		if e.Type != event.TypeStepFinished || len(e.Step.Path) != 1 {
			continue
		}
		if e.StepFinished.Ignored {
			executed = executed || e.Step.Phase == event.PhaseSteps
			continue
		}
		bad := e.StepFinished.Status == event.Failed || e.StepFinished.Status == event.Errored
		switch e.Step.Phase {
		case event.PhaseSetup:
			errored = errored || bad
		case event.PhaseSteps:
			failed = failed || e.StepFinished.Status == event.Failed
			errored = errored || e.StepFinished.Status == event.Errored
			executed = executed || e.StepFinished.Status != event.Skipped
		case event.PhaseTeardown:
			incomplete = incomplete || bad || e.StepFinished.Status == event.Cancelled
		}
	}
	want := map[event.Status]bool{}
	switch {
	case failed:
		want[event.Failed] = true
	case errored || incomplete:
		want[event.Errored] = true
	default:
		// Only the run's own clock tells a cancellation and its time limit from
		// the rest.
		want[event.Cancelled] = true
		want[event.Errored] = out.Reason == "run_timeout" || strings.Contains(out.Reason, "did not complete")
		if executed {
			want[event.Passed] = true
		} else {
			want[event.Skipped] = true
		}
	}
	if !want[out.Status] {
		broken = append(broken, fmt.Sprintf("the run is %s (%s), want one of %v", out.Status, out.Reason, want))
	}
	return broken
}
