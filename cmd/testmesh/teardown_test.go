package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// orders makes two things, and is cut off while it waits for a third.
const orders = `flow:
  name: Orders
  env:
    BASE: WITNESS
    WHO: "who-${RANDOM_ID}"
  steps:
    - id: first
      action: http.request
      config: {method: POST, url: "${BASE}/orders", headers: {X-Who: "${WHO}"}}
      track: {resource_type: order, resource_id: "${body.id}", cleanup: {action: http.request, config: {method: DELETE, url: "${BASE}/orders/${body.id}", headers: {X-Who: "${WHO}"}}}}
    - id: second
      action: http.request
      config: {method: POST, url: "${BASE}/orders", headers: {X-Who: "${WHO}"}}
      track: {resource_type: order, resource_id: "${body.id}", cleanup: {action: http.request, config: {method: DELETE, url: "${BASE}/orders/${body.id}", headers: {X-Who: "${WHO}"}}}}
    - {id: hang, action: http.request, timeout: 5m, config: {method: GET, url: "${BASE}/hold"}}
  teardown:
    - {id: down, action: http.request, config: {method: POST, url: "${BASE}/down/${second.body.id}?status=${FLOW_STATUS}", headers: {X-Who: "${WHO}"}}}
`

func TestTheTeardownOfAKilledAgentRunsOnAnother(t *testing.T) {
	for name, cancel := range map[string]bool{"lost while it ran": false, "lost before it heard of the cancel": true} {
		t.Run(name, func(t *testing.T) {
			w := newWitness(t)
			m := startTimed(t, t.TempDir(), short)
			defer m.stop()
			first := m.start(t, "one", nil)
			b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "orders.yaml"}}}, map[string]string{"orders.yaml": strings.ReplaceAll(orders, "WITNESS", w.URL)})
			var run *apiv1.Run
			until(t, "the step that hangs, and the names of both orders", 30*time.Second, func() error {
				list, err := m.client.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{BatchId: b.GetId()})
				if err != nil || len(list.GetRuns()) != 1 {
					return fmt.Errorf("%v (%w)", list, errors.Join(err))
				}
				run = list.GetRuns()[0]
				if at := run.GetAttempts(); w.count("GET /hold") == 1 && len(at[0].GetResources()) == 2 {
					return nil
				}
				return fmt.Errorf("got %v and run %v", w.all(), run)
			})
			if cancel {
				first.freeze(t) // it does not hear of it
				if _, err := m.client.Runs.Cancel(t.Context(), &apiv1.CancelRequest{RunIds: []string{run.GetId()}, Reason: "enough"}); err != nil {
					t.Fatal(err)
				}
			}
			first.kill()
			m.start(t, "two", nil)
			_, runs := m.ended(t, b.GetId())
			want := apiv1.RunStatus_RUN_STATUS_ERRORED
			if cancel {
				want = apiv1.RunStatus_RUN_STATUS_CANCELLED
			}
			if runs[0].GetStatus() != want || len(runs[0].GetOrphans()) != 0 {
				t.Errorf("the run is %s (%s) with orphans %q, want %s", runs[0].GetStatus(), runs[0].GetReason(), runs[0].GetOrphans(), want)
			}
			seen := w.all()
			who := strings.Fields(seen[0])[2]
			if got, want := seen[3:], []string{"POST /down/o-2?status=errored " + who, "DELETE /orders/o-2 " + who, "DELETE /orders/o-1 " + who}; !slices.Equal(got, want) {
				t.Errorf("the system was asked\n%q\nwant\n%q", got, want)
			}
			removed := 0
			events := m.stream(t, run.GetId())
			for _, e := range events {
				if e.Type == event.TypeResourceRemoved {
					removed++
				}
			}
			if last := events[len(events)-1]; removed != 2 || last.Type != event.TypeRunFinished || last.RunFinished.Status == event.Passed {
				t.Errorf("the stream of the teardown shows %d removed resources and ends with %v", removed, last)
			}
		})
	}
}

func TestWhatReadsSecretsOfTheAgentIsNotTornDownElsewhere(t *testing.T) {
	w := newWitness(t)
	m := startTimed(t, t.TempDir(), short)
	defer m.stop()
	text := strings.ReplaceAll(strings.ReplaceAll(orders, `"${WHO}"`, `"${secret.WHO}"`), "WITNESS", w.URL)
	first := m.start(t, "one", []string{"TESTMESH_SECRET_WHO=it-stays-with-the-agent"})
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "orders.yaml"}}}, map[string]string{"orders.yaml": text})
	until(t, "the names of both orders", 30*time.Second, func() error {
		list, err := m.client.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{BatchId: b.GetId()})
		if err == nil && len(list.GetRuns()) == 1 && len(list.GetRuns()[0].GetAttempts()) == 1 && len(list.GetRuns()[0].GetAttempts()[0].GetResources()) == 2 {
			return nil
		}
		return fmt.Errorf("got %v (%w)", list, errors.Join(err))
	})
	first.kill()
	m.start(t, "two", nil)
	_, runs := m.ended(t, b.GetId())
	if got, want := fmt.Sprint(runs[0].GetStatus(), runs[0].GetOrphans()), "RUN_STATUS_ERRORED [order o-1 order o-2]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := w.count("DELETE"); n != 0 {
		t.Errorf("something was torn down: %q", w.all())
	}
}

// usesOnce logs in once for the whole batch, and uses what it was given.
const usesOnce = `flow:
  name: Uses
  env: {BASE: WITNESS}
  steps:
    - {id: login, action: run_flow, timeout: 1m, config: {flow: login.yaml, once: batch, input: {base: "${BASE}"}}}
    - {id: use, action: http.request, config: {method: GET, url: "${BASE}/use", headers: {X-Who: "${login.who}"}}}
`

const loginOnce = `flow:
  name: Login
  input: {base: {type: string}}
  steps:
    - {id: hold, action: http.request, timeout: 1m, config: {method: EFFECT, url: "${input.base}/hold"}}
    - {id: get, action: http.request, config: {method: GET, url: "${input.base}/who"}}
  output: {who: {value: get.body.id, secret: true}}
`

func TestOnceInABatchIsExecutedByOneOfTwoAgents(t *testing.T) {
	w := newWitness(t)
	m := startTimed(t, t.TempDir(), short)
	defer m.stop()
	for _, name := range []string{"one", "two"} {
		m.start(t, name, nil, "--slots", "1")
	}
	files := map[string]string{"uses.yaml": strings.ReplaceAll(usesOnce, "WITNESS", w.URL), "login.yaml": strings.Replace(loginOnce, "EFFECT", "GET", 1)}
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "uses.yaml"}}, Repeat: 4}, files)
	until(t, "two runs with two agents", 30*time.Second, func() error { return m.withAgents(t, b.GetId(), 2) })
	until(t, "the one that executes", 10*time.Second, func() error {
		if n := w.count("GET /hold"); n != 1 {
			return fmt.Errorf("%d executed it", n)
		}
		return nil
	})
	close(w.hold)
	got, runs := m.ended(t, b.GetId())
	if got.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_PASSED {
		t.Errorf("got %v and %v", got, runs)
	}
	if n := w.count("GET /who"); n != 1 {
		t.Errorf("it was executed %d times", n)
	}
	if n := w.count("GET /use someone-secret-2"); n != 4 {
		t.Errorf("%d of 4 took its outputs: %q", n, w.all())
	}
	for _, r := range runs {
		for _, e := range m.stream(t, r.GetId()) {
			if e.Type == event.TypeStepFinished && strings.Contains(fmt.Sprint(e.StepFinished.Outputs), "someone-secret") {
				t.Errorf("run %d shows the secret: %v", r.GetNumber(), e.StepFinished.Outputs)
			}
		}
	}
}

// withAgents wants so many runs of a batch to be running, each on an agent of its own.
func (m *fleet) withAgents(t *testing.T, batch string, n int) error {
	list, err := m.client.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{BatchId: batch})
	if err != nil {
		return err
	}
	agents := map[string]bool{}
	for _, r := range list.GetRuns() {
		if r.GetStatus() == apiv1.RunStatus_RUN_STATUS_RUNNING {
			agents[r.GetAttempts()[len(r.GetAttempts())-1].GetAgentName()] = true
		}
	}
	if len(agents) != n {
		return fmt.Errorf("%d agents have %v", len(agents), list.GetRuns())
	}
	return nil
}

func TestTheLossOfTheAgentThatExecutesOnce(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		status apiv1.RunStatus
		holds  int
	}{
		"lets the other one execute it where all can be repeated": {"GET", apiv1.RunStatus_RUN_STATUS_PASSED, 2},
		"is the other's too where something cannot":               {"POST", apiv1.RunStatus_RUN_STATUS_ERRORED, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWitness(t)
			m := startTimed(t, t.TempDir(), short)
			defer m.stop()
			agents := map[string]*agentProcess{"one": m.start(t, "one", nil, "--slots", "1"), "two": m.start(t, "two", nil, "--slots", "1")}
			files := map[string]string{"uses.yaml": strings.ReplaceAll(usesOnce, "WITNESS", w.URL), "login.yaml": strings.Replace(loginOnce, "EFFECT", test.method, 1)}
			b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "uses.yaml"}}, Repeat: 2}, files)
			until(t, "two runs with two agents, one of which executes", 30*time.Second, func() error {
				if n := w.count(test.method + " /hold"); n != 1 {
					return fmt.Errorf("%d executed it", n)
				}
				return m.withAgents(t, b.GetId(), 2)
			})
			list, err := m.client.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{BatchId: b.GetId()})
			if err != nil {
				t.Fatal(err)
			}
			// The witness does not know who asks: the stream of the one that executes has begun the step.
			for _, r := range list.GetRuns() {
				for _, e := range m.snapshot(t, r.GetId()) {
					if e.Type == event.TypeStepStarted && e.Step.ID == "hold" {
						agents[r.GetAttempts()[0].GetAgentName()].kill()
					}
				}
			}
			if test.holds == 2 {
				until(t, "the second one that executes", 30*time.Second, func() error {
					if n := w.count("GET /hold"); n != 2 {
						return fmt.Errorf("%d executed it: %q", n, w.all())
					}
					return nil
				})
			}
			close(w.hold)
			m.start(t, "three", nil, "--slots", "1")
			_, runs := m.ended(t, b.GetId())
			for _, r := range runs {
				if r.GetStatus() != test.status {
					t.Errorf("run %d is %s: %s", r.GetNumber(), r.GetStatus(), r.GetReason())
				}
			}
			if n := w.count(test.method + " /hold"); n != test.holds {
				t.Errorf("it was executed %d times, want %d", n, test.holds)
			}
		})
	}
}
