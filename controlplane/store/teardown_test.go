package store

import (
	"fmt"
	"strings"
	"testing"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

func (w *world) keep(run string, at *apiv1.Attempt, number int64, data string, resources ...string) {
	w.t.Helper()
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutCheckpoint{PutCheckpoint: &clusterv1.PutCheckpoint{
		RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(), Incarnation: at.GetIncarnation(), Number: number, Sealed: []byte(data), Resources: resources,
	}}})
}

func (w *world) claim(run string, at *apiv1.Attempt) *clusterv1.Answer {
	w.t.Helper()
	return w.must(&clusterv1.Command{Body: &clusterv1.Command_OnceClaim{OnceClaim: &clusterv1.OnceClaim{
		BatchId: "batch", Key: "k", RunId: run, Attempt: at.GetNumber(), Fence: at.GetFence(),
	}}})
}

func TestWhatALostAgentLeft(t *testing.T) {
	tests := map[string]func(w *world, at *apiv1.Attempt){
		"is listed where its teardown needs what stays with the agent": func(w *world, at *apiv1.Attempt) {
			w.keep("run-1", at, 1, "data", "order 1")
			w.keep("run-1", at, 2, "", "order 1", "order 2")
			w.dirty("run-1", at)
			w.expire("run-1", at)
			w.is("run-1", errored, "indeterminate")
			w.orphans("order 1", "order 2")
		},
		"is torn down before a new attempt, also where nothing but idempotent steps made it": func(w *world, at *apiv1.Attempt) {
			w.keep("run-1", at, 1, "data", "order 1")
			w.expire("run-1", at)
			w.is("run-1", finishing, "")
			down := w.grant("run-1", "b", true)
			w.start("run-1", down)
			w.finish("run-1", down, errored)
			w.is("run-1", queued, "")
			w.orphans()
		},
		"is listed after as many tries as there may be, also where no agent could begin": func(w *world, at *apiv1.Attempt) {
			w.keep("run-1", at, 1, "data", "order 1", "order 2")
			w.dirty("run-1", at)
			w.expire("run-1", at)
			down := w.grant("run-1", "b", true)
			w.start("run-1", down)
			w.keep("run-1", down, 1, "data", "order 1") // the other is gone
			w.expire("run-1", down)
			for n := 1; n < maxTeardowns; n++ {
				w.is("run-1", finishing, "")
				w.giveBack("run-1", w.grant("run-1", "b", true), false)
			}
			w.is("run-1", errored, "indeterminate")
			w.orphans("order 1", "teardown: 5 agents did not complete it")
		},
		"a cancel that was not told is torn down elsewhere too": func(w *world, at *apiv1.Attempt) {
			w.keep("run-1", at, 1, "data", "order 1")
			w.dirty("run-1", at)
			w.cancel("run-1")
			w.expire("run-1", at)
			w.is("run-1", finishing, "")
			down := w.grant("run-1", "b", true)
			w.start("run-1", down)
			w.finish("run-1", down, passed)
			w.is("run-1", cancelled, "agent a was lost before it confirmed")
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.agent("a")
			w.agent("b")
			w.batch(1, nil)
			at := w.grant("run-1", "a", false)
			w.start("run-1", at)
			test(w, at)
		})
	}
}

func (w *world) orphans(want ...string) {
	w.t.Helper()
	if got := w.run("run-1").GetOrphans(); fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("got orphans %q, want %q", got, want)
	}
}

func TestTheLossOfWhoExecutesOnce(t *testing.T) {
	for name, test := range map[string]struct {
		dirty, rerun, claimed bool
	}{
		"lets the next one execute it":                            {claimed: true},
		"is everybody's where a once step had begun":              {dirty: true},
		"lets the next one where the flow consents to repetition": {dirty: true, rerun: true, claimed: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.agent("a")
			w.agent("b")
			w.batch(2, func(_ int, s *apiv1.Spec) { s.RerunOnLoss = test.rerun })
			first, second := w.grant("run-1", "a", false), w.grant("run-2", "b", false)
			w.start("run-1", first)
			w.start("run-2", second)
			if a := w.claim("run-1", first); !a.GetClaimed() {
				t.Fatalf("got %v", a)
			}
			if a := w.claim("run-2", second); a.GetClaimed() || a.GetSettled() {
				t.Fatalf("two execute it: %v", a)
			}
			if settled, held, err := w.s.Once(t.Context(), "batch", "k"); settled || !held || err != nil {
				t.Errorf("got settled %t, held %t (%v)", settled, held, err)
			}
			if test.dirty {
				w.dirty("run-1", first)
			}
			w.expire("run-1", first)
			a := w.claim("run-2", second)
			if a.GetClaimed() != test.claimed || a.GetSettled() == test.claimed {
				t.Errorf("got %v", a)
			}
			if !test.claimed && !strings.Contains(a.GetOutcome(), `"status":"errored"`) {
				t.Errorf("got outcome %s", a.GetOutcome())
			}
			settled, _, err := w.s.Once(t.Context(), "batch", "k")
			if settled == test.claimed || err != nil {
				t.Errorf("got settled %t (%v)", settled, err)
			}
		})
	}
}
