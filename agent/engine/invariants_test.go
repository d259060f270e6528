package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/flow/event"
)

// invariants are the promises of FLOW.md "The event stream" about the events of
// one run. It is used on every run of every test.
func invariants(events []*event.Event) (broken []string) {
	c := &checker{open: map[string]*event.Event{}, finished: map[string]int{}}
	for i, e := range events {
		if e.Seq != int64(i+1) {
			c.add(e, "seq is not %d", i+1)
		}
		c.check(e, i, len(events))
	}
	for path := range c.open {
		c.broken = append(c.broken, fmt.Sprintf("%s started and did not finish", path))
	}
	if n := len(events); n == 0 || events[n-1].Type != event.TypeRunFinished {
		c.broken = append(c.broken, "the last event is not run.finished")
	}
	return c.broken
}

type checker struct {
	broken   []string
	open     map[string]*event.Event
	finished map[string]int
}

func (c *checker) add(e *event.Event, format string, args ...any) {
	c.broken = append(c.broken, fmt.Sprintf("event %d, %s: ", e.Seq, e.Type)+fmt.Sprintf(format, args...))
}

func (c *checker) check(e *event.Event, i, n int) {
	if (e.Type == event.TypeRunStarted) != (i == 0) {
		c.add(e, "run.started is the first event and no other")
	}
	if e.Type == event.TypeRunFinished && i != n-1 {
		c.add(e, "something follows run.finished")
	}
	if e.Step == nil {
		if strings.HasPrefix(string(e.Type), "step.") || strings.HasPrefix(string(e.Type), "resource.") {
			c.add(e, "it names no step")
		}
		return
	}
	path := strings.Join(e.Step.Path, "/")
	if len(e.Step.Path) == 0 || e.Step.Path[len(e.Step.Path)-1] != e.Step.ID {
		c.add(e, "path %s does not end with the step %s", path, e.Step.ID)
	}
	switch e.Type {
	case event.TypeStepStarted:
		if c.open[path] != nil {
			c.add(e, "%s started twice", path)
		}
		c.open[path] = e
		c.parent(e)
	case event.TypeStepFinished:
		c.finish(e, path)
	case event.TypeResourceRemoved, event.TypeResourceOrphaned:
		if e.Step.Phase != event.PhaseCleanup {
			c.add(e, "outside of clean-up")
		}
	default:
		if c.open[path] == nil {
			c.add(e, "%s has not started", path)
		}
	}
}

// parent checks that what contains a step is open. `each[2]` and branch names
// stand below the id of their container.
func (c *checker) parent(e *event.Event) {
	if e.Step.Phase == event.PhaseCleanup || len(e.Step.Path) < 2 {
		return
	}
	for up := len(e.Step.Path) - 1; up > 0; up-- {
		parts := slices.Clone(e.Step.Path[:up])
		parts[up-1], _, _ = strings.Cut(parts[up-1], "[")
		for j := range parts[:up-1] {
			parts[j] = e.Step.Path[j]
		}
		if c.open[strings.Join(parts, "/")] != nil {
			return
		}
	}
	c.add(e, "no container of %s is open", strings.Join(e.Step.Path, "/"))
}

func (c *checker) finish(e *event.Event, path string) {
	f := e.StepFinished
	switch started := c.open[path]; {
	case f.Status == "":
		c.add(e, "%s has no status", path)
	case f.Status == event.Skipped && f.Reason == "":
		c.add(e, "%s was skipped for no reason", path)
	case started == nil && f.Status != event.Skipped:
		c.add(e, "%s finished %s and did not start", path, f.Status)
	case started == nil && e.Step.Try != 0:
		c.add(e, "%s was skipped and has a try", path)
	case f.Status == event.Errored && f.Error == nil && !c.hasErrored(path, f):
		c.add(e, "%s errored and says nothing", path)
	case f.Status == event.Failed && f.Error == nil && !c.hasErrored(path, f) && !slices.ContainsFunc(f.Assertions, func(a event.Assertion) bool { return !a.Passed }):
		c.add(e, "%s failed and says nothing", path)
	case f.Status == event.Passed && slices.ContainsFunc(f.Assertions, func(a event.Assertion) bool { return !a.Passed }):
		c.add(e, "%s passed with an assertion that did not", path)
	}
	for other := range c.open {
		if strings.HasPrefix(other, path+"/") || strings.HasPrefix(other, path+"[") {
			c.add(e, "%s finished before %s in it", path, other)
		}
	}
	delete(c.open, path)
	c.finished[path]++
	if f.Status == event.Failed || f.Status == event.Errored {
		c.finished["bad "+path]++
	}
}

// hasErrored tells whether a step below a container went wrong: then the
// container needs no words of its own.
func (c *checker) hasErrored(path string, _ *event.StepFinished) bool {
	for other := range c.finished {
		if strings.HasPrefix(other, "bad "+path+"/") || strings.HasPrefix(other, "bad "+path+"[") {
			return true
		}
	}
	return false
}

func TestTheInvariantCheckerFindsWhatIsBroken(t *testing.T) {
	step := func(path ...string) *event.Step {
		return &event.Step{ID: path[len(path)-1], Path: path, Phase: event.PhaseSteps, Try: 1}
	}
	start := func(path ...string) *event.Event {
		return &event.Event{Type: event.TypeStepStarted, Step: step(path...)}
	}
	end := func(status event.Status, path ...string) *event.Event {
		return &event.Event{Type: event.TypeStepFinished, Step: step(path...), StepFinished: &event.StepFinished{Status: status}}
	}
	first := &event.Event{Type: event.TypeRunStarted, RunStarted: &event.RunStarted{}}
	last := &event.Event{Type: event.TypeRunFinished, RunFinished: &event.RunFinished{}}
	for claim, c := range map[string]struct {
		events []*event.Event
		want   string
	}{
		"nothing at all":                         {nil, "the last event is not run.finished"},
		"a step that does not finish":            {[]*event.Event{first, start("a"), last}, "a started and did not finish"},
		"a step that finishes without a start":   {[]*event.Event{first, end(event.Passed, "a"), last}, "a finished passed and did not start"},
		"a step that finishes twice":             {[]*event.Event{first, start("a"), end(event.Passed, "a"), end(event.Passed, "a"), last}, "did not start"},
		"a step that starts twice":               {[]*event.Event{first, start("a"), start("a"), end(event.Passed, "a"), last}, "started twice"},
		"a parent that finishes first":           {[]*event.Event{first, start("a"), start("a", "b"), end(event.Passed, "a"), end(event.Passed, "a", "b"), last}, "a finished before a/b"},
		"a child of nobody":                      {[]*event.Event{first, start("a", "b"), end(event.Passed, "a", "b"), last}, "no container of a/b is open"},
		"something after the end":                {[]*event.Event{first, last, start("a")}, "something follows run.finished"},
		"a failure without words":                {[]*event.Event{first, start("a"), end(event.Failed, "a"), last}, "a failed and says nothing"},
		"an error without words":                 {[]*event.Event{first, start("a"), end(event.Errored, "a"), last}, "a errored and says nothing"},
		"a skip without a reason":                {[]*event.Event{first, end(event.Skipped, "a"), last}, "skipped for no reason"},
		"a gap in seq":                           {[]*event.Event{first, {Type: event.TypeRunFinished, Seq: 9}}, "seq is not 2"},
		"a log line of a step that is not there": {[]*event.Event{first, {Type: event.TypeStepLog, Step: step("a")}, last}, "a has not started"},
	} {
		t.Run(claim, func(t *testing.T) {
			for i, e := range c.events {
				if e.Seq == 0 {
					copied := *e
					copied.Seq = int64(i + 1)
					c.events[i] = &copied
				}
			}
			if broken := strings.Join(invariants(c.events), "\n"); !strings.Contains(broken, c.want) {
				t.Errorf("got %q, want %q", broken, c.want)
			}
		})
	}
}
