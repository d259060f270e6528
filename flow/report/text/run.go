package text

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

// run is what is kept of a run until it ends.
type run struct {
	started  *event.Event // its run.started
	failures []*failure
	dropped  int // failures past maxRunFailures
	retried  string
	tries    int // of the step that is named in retried
	orphans  []event.Resource
	lost     int             // orphans past maxOrphans
	open     map[string]sent // the last request of each step that has not ended
}

// sent is a request.
type sent struct{ summary, curl string }

// failure is a step that did not pass, or a run that has no such step.
type failure struct {
	run     *event.Event
	step    *event.Step // nil: the run as a whole
	end     *event.StepFinished
	ignored bool // it does not count
	handler bool // it is in a step's error_steps or on_timeout
	later   int  // steps skipped because of it
	sent    sent
	order   int // in its run

	more  []*failure // where the same error was met again
	moreN int
}

// see takes an event of the run.
func (r *run) see(e *event.Event) {
	switch e.Type {
	case event.TypeStepExchange:
		if len(r.open) < maxOpen {
			r.open[key(e.Step)] = sent{e.Exchange.Summary, e.Exchange.Curl}
		}
	case event.TypeStepRetrying:
		// What failed inside of a try that is repeated does not count.
		r.drop(e.Step, func(*failure) bool { return true })
	case event.TypeStepFinished:
		last := r.open[key(e.Step)]
		delete(r.open, key(e.Step))
		r.finished(e, last)
	case event.TypeResourceOrphaned:
		if len(r.orphans) == maxOrphans {
			r.lost++
			return
		}
		r.orphans = append(r.orphans, *e.Resource)
	}
}

func key(s *event.Step) string { return strings.Join(s.Path, "\x00") }

func (r *run) finished(e *event.Event, last sent) {
	end := e.StepFinished
	switch end.Status {
	case event.Skipped:
		r.skipped(e.Step, end.Reason)
	case event.Passed:
		r.drop(e.Step, func(f *failure) bool { return !f.ignored || e.Step.Action == "wait_until" })
		if Flaky(end) && end.Tries > r.tries {
			r.retried, r.tries = strings.Join(e.Step.Path, "/"), end.Tries
		}
	case event.Failed, event.Errored:
		r.failed(e, last)
	}
}

// Flaky tells whether a step passed only when it was repeated.
func Flaky(end *event.StepFinished) bool { return end.Status == event.Passed && end.Tries > 1 }

// failed keeps a failure. A container fails because a step in it did: that one
// says why.
func (r *run) failed(e *event.Event, last sent) {
	end := e.StepFinished
	if e.Step.Action == "wait_until" {
		r.lastRound(e.Step)
	}
	first := len(r.failures)
	for i, f := range r.failures {
		if !beneath(f.step, e.Step) {
			continue
		}
		first = min(first, i)
		f.ignored = f.ignored || end.Ignored
		f.handler = f.handler || !contains(e.Step.Action)
	}
	if !explained(end) && slices.ContainsFunc(r.failures, func(f *failure) bool { return beneath(f.step, e.Step) && !f.handler }) {
		return
	}
	if len(r.failures) >= maxRunFailures {
		r.dropped++
		return
	}
	// Before its handlers, which ended first.
	if first < len(r.failures) && !r.failures[first].handler {
		first = len(r.failures)
	}
	r.failures = slices.Insert(r.failures, first, &failure{
		run: r.started, step: e.Step, end: end, ignored: end.Ignored, sent: last,
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
	return end.Error != nil || len(failedAssertions(end.Assertions)) > 0
}

// drop forgets failures inside of a step.
func (r *run) drop(step *event.Step, which func(*failure) bool) {
	r.failures = slices.DeleteFunc(r.failures, func(f *failure) bool { return beneath(f.step, step) && which(f) })
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
func (r *run) lastRound(wait *event.Step) {
	last := -1
	for _, f := range r.failures {
		if beneath(f.step, wait) {
			last = max(last, round(f.step, wait))
		}
	}
	r.drop(wait, func(f *failure) bool { return round(f.step, wait) < last })
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
func (r *run) skipped(step *event.Step, reason string) {
	id, needs := strings.CutPrefix(reason, "needs ")
	for i := len(r.failures) - 1; i >= 0; i-- {
		f := r.failures[i]
		switch {
		case f.handler || f.step == nil:
		case needs && leads(f.step.Path, id, step.Path),
			reason == "fail_fast" && !f.ignored,
			reason == "setup" && f.step.Phase == event.PhaseSetup && !f.ignored:
			f.later++
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

func failedAssertions(all []event.Assertion) []event.Assertion {
	var out []event.Assertion
	for _, a := range all {
		if !a.Passed {
			out = append(out, a)
		}
	}
	return out
}
