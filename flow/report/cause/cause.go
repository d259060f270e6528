// Package cause finds in the events of a run the steps that made it end as it
// did: the ones inside of a container rather than the container, the last try
// and round rather than those before, handlers apart. It judges nothing.
package cause

import (
	"slices"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
)

const (
	// maxRunFailures bounds what is kept of one run: a loop may fail a thousand
	// times for one cause.
	maxRunFailures = 20
	// maxOrphans bounds how many things left behind are named, a run.
	maxOrphans = 20
	// maxOpen bounds the requests remembered of steps that have not ended.
	maxOpen = 1000
)

// Run is what is kept of a run while it goes on. It is bounded, whatever the run
// does.
type Run struct {
	Started  *event.Event // its run.started
	Failures []*Failure   // in the order to tell them: a step before its handlers
	Dropped  int          // failures past the bound
	// Retried is the path of the step that passed after the most tries, and how
	// many those were; without one, Tries is 0.
	Retried string
	Tries   int
	Orphans []event.Resource
	Lost    int // orphans past the bound

	open map[string]Request // the last one of each step that has not ended
}

// Request is the last request of a step's last try.
type Request struct{ Summary, Curl string }

// Failure is a step that did not pass.
type Failure struct {
	Step    *event.Step
	End     *event.StepFinished
	Ignored bool // it does not count
	Handler bool // it is in a step's error_steps or on_timeout: it changes no verdict
	Later   int  // steps skipped because of it
	Request Request
}

// New begins a run with its run.started.
func New(started *event.Event) *Run {
	return &Run{Started: started, open: map[string]Request{}}
}

// First is the first failure that counts; nil: none does.
func (r *Run) First() *Failure {
	for _, f := range r.Failures {
		if !f.Ignored && !f.Handler {
			return f
		}
	}
	return nil
}

// See takes an event of the run.
func (r *Run) See(e *event.Event) {
	switch e.Type {
	case event.TypeStepExchange:
		if len(r.open) < maxOpen {
			r.open[key(e.Step)] = Request{e.Exchange.Summary, e.Exchange.Curl}
		}
	case event.TypeStepRetrying:
		// What failed inside of a try that is repeated does not count.
		r.drop(e.Step, func(*Failure) bool { return true })
	case event.TypeStepFinished:
		last := r.open[key(e.Step)]
		delete(r.open, key(e.Step))
		r.finished(e, last)
	case event.TypeResourceOrphaned:
		if len(r.Orphans) == maxOrphans {
			r.Lost++
			return
		}
		r.Orphans = append(r.Orphans, *e.Resource)
	}
}

func key(s *event.Step) string { return strings.Join(s.Path, "\x00") }

func (r *Run) finished(e *event.Event, last Request) {
	end := e.StepFinished
	switch end.Status {
	case event.Skipped:
		r.skipped(e.Step, end.Reason)
	case event.Passed:
		r.drop(e.Step, func(f *Failure) bool { return !f.Ignored || e.Step.Action == "wait_until" })
		if Flaky(end) && end.Tries > r.Tries {
			r.Retried, r.Tries = strings.Join(e.Step.Path, "/"), end.Tries
		}
	case event.Failed, event.Errored:
		r.failed(e, last)
	}
}

// Flaky tells whether a step passed only when it was repeated. A wait repeats
// by design.
func Flaky(end *event.StepFinished) bool {
	return end.Status == event.Passed && end.Tries > 1 && !end.Waited
}

// failed keeps a failure. A container fails because a step in it did: that one
// says why.
func (r *Run) failed(e *event.Event, last Request) {
	end := e.StepFinished
	if e.Step.Action == "wait_until" {
		r.lastRound(e.Step)
	}
	first := len(r.Failures)
	for i, f := range r.Failures {
		if !beneath(f.Step, e.Step) {
			continue
		}
		first = min(first, i)
		f.Ignored = f.Ignored || end.Ignored
		f.Handler = f.Handler || !contains(e.Step.Action)
	}
	if !explained(end) && slices.ContainsFunc(r.Failures, func(f *Failure) bool { return beneath(f.Step, e.Step) && !f.Handler }) {
		return
	}
	if len(r.Failures) >= maxRunFailures {
		r.Dropped++
		return
	}
	// Before its handlers, which ended first.
	if first < len(r.Failures) && !r.Failures[first].Handler {
		first = len(r.Failures)
	}
	r.Failures = slices.Insert(r.Failures, first, &Failure{
		Step: e.Step, End: end, Ignored: end.Ignored, Request: last,
	})
}

// contains tells whether an action has steps inside that are its own work; what
// runs inside of any other is a handler.
func contains(action string) bool {
	switch action {
	case "condition", "for_each", "parallel", "wait_until", "run_flow":
		return true
	}
	return false
}

// explained tells whether a step that did not pass says itself what was wrong.
func explained(end *event.StepFinished) bool {
	return end.Error != nil || len(Broken(end.Assertions)) > 0
}

// drop forgets failures inside of a step.
func (r *Run) drop(step *event.Step, which func(*Failure) bool) {
	r.Failures = slices.DeleteFunc(r.Failures, func(f *Failure) bool { return beneath(f.Step, step) && which(f) })
}

// beneath tells whether a step is inside of another, or in one of its rounds.
func beneath(step, of *event.Step) bool {
	n := len(of.Path)
	if len(step.Path) <= n || n == 0 || !slices.Equal(step.Path[:n-1], of.Path[:n-1]) {
		return false
	}
	at, id := step.Path[n-1], of.Path[n-1]
	return at == id || strings.HasPrefix(at, id+"[")
}

// lastRound forgets what failed in earlier rounds of a wait: only the last one
// counts.
func (r *Run) lastRound(wait *event.Step) {
	last := -1
	for _, f := range r.Failures {
		if beneath(f.Step, wait) {
			last = max(last, round(f.Step, wait))
		}
	}
	r.drop(wait, func(f *Failure) bool { return round(f.Step, wait) < last })
}

// round is the n of "wait[n]"; -1 where there is none.
func round(step, of *event.Step) int {
	_, rest, ok := strings.Cut(step.Path[len(of.Path)-1], "[")
	n, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
	if !ok || err != nil {
		return -1
	}
	return n
}

// skipped counts a step as the consequence of the failure that its reason
// names. Steps skipped for reasons of their own (when, disabled) are none.
func (r *Run) skipped(step *event.Step, reason string) {
	id, needs := strings.CutPrefix(reason, "needs ")
	for i := len(r.Failures) - 1; i >= 0; i-- {
		f := r.Failures[i]
		switch {
		case f.Handler:
		case needs && leads(f.Step.Path, id, step.Path),
			reason == "fail_fast" && !f.Ignored,
			reason == "setup" && f.Step.Phase == event.PhaseSetup && !f.Ignored:
			f.Later++
			return
		}
	}
}

// leads tells whether the step at path is, or is inside of, the step id that
// stands in the same list as one above the step at later.
func leads(path []string, id string, later []string) bool {
	for i, at := range path {
		if i >= len(later) {
			return false
		}
		if at == id || strings.HasPrefix(at, id+"[") {
			return true
		}
		if at != later[i] {
			return false
		}
	}
	return false
}

// Broken are the assertions that did not hold.
func Broken(all []event.Assertion) []event.Assertion {
	var out []event.Assertion
	for _, a := range all {
		if !a.Passed {
			out = append(out, a)
		}
	}
	return out
}
