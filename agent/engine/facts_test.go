package engine

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

// Runs of a step share what holds in all of them: a run in which it does not
// must neither take that over nor change it for the runs after it.
func TestARunThatFailsLeavesNothingToTheRunsAfterIt(t *testing.T) {
	p := flowOf(t, `  input: {answer: {type: integer}}
  config: {fail_fast: false}
  steps:
    - id: a
      name: "the ${RUN_ID}"
      action: sys.call
      config: {status: "${answer}"}
      assert: [status exists, status == 200, status < 300]
    - {id: b, action: sys.call, needs: [], config: {status: "${answer}"}}
    - {id: c, action: for_each, needs: [], config: {items: [1], steps: [{id: d, action: sys.call}]}}
`)
	e := p.engine(t)
	run := func(runID string, answer int64) map[string]*event.Event {
		e.Run(t.Context(), Run{Program: p.programs[0], RunID: runID, Input: map[string]any{"answer": answer}})
		out := map[string]*event.Event{}
		for _, got := range p.sink.of(runID) {
			if got.StepFinished != nil {
				out[got.Step.ID] = got
			}
		}
		return out
	}
	before, between, after := run("before", 200), run("between", 500), run("after", 200)
	for id, want := range before {
		if diff := cmp.Diff(want.StepFinished.Assertions, after[id].StepFinished.Assertions); diff != "" {
			t.Errorf("%s says something else after a run that failed (-before +after):\n%s", id, diff)
		}
	}
	for _, id := range []string{"a", "b"} {
		if got := between[id].StepFinished; got.Status != event.Failed {
			t.Errorf("%s: got %s with %+v, want it failed", id, got.Status, got.Assertions)
		}
	}
	if list := between["a"].StepFinished.Assertions; len(list) != 3 || !list[0].Passed || list[1].Passed || list[2].Passed {
		t.Errorf("got %+v, want the first to hold and two to be broken", list)
	}
	if got := after["a"].Step.Name; got != "the after" {
		t.Errorf("a name with a placeholder is %q in a later run", got)
	}
	if got := after["d"].Step.Path; !slices.Equal(got, []string{"c[0]", "d"}) {
		t.Errorf("a step in a loop has the path %v", got)
	}
}
