package main

import (
	"context"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// again runs something of a batch again, and gives the runs by their flows.
func (m *fleet) again(t *testing.T, req *apiv1.RerunRequest) map[string]*apiv1.Run {
	t.Helper()
	res, err := m.client.Runs.Rerun(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	_, runs := m.ended(t, res.GetBatch().GetId())
	out := map[string]*apiv1.Run{}
	for _, r := range runs {
		out[r.GetSpec().GetFlow()+r.GetSpec().GetLabel()] = r
	}
	return out
}

// logged are the messages of a run's log, by their steps.
func (m *fleet) logged(t *testing.T, run string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, e := range m.stream(t, run) {
		if e.Type == event.TypeStepLog {
			out[e.Step.ID] = e.Log.Message
		}
	}
	return out
}

func TestARerunRunsWhatItSays(t *testing.T) {
	m := startMesh(t, t.TempDir())
	defer m.stop()
	defer m.agent(t, "one")()
	files := map[string]string{
		"good.yaml": "flow:\n  name: Good\n  steps:\n    - {id: a, action: log, config: {message: as it was}}\n",
		"bad.yaml":  "flow:\n  name: Bad\n  data: [{n: 1}, {n: 2}]\n  steps:\n    - {id: a, action: assert, assert: [\"n == 1\"]}\n",
	}
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "good.yaml"}, {File: "bad.yaml"}}}, files)
	_, runs := m.ended(t, b.GetId())
	if len(runs) != 3 {
		t.Fatalf("got runs %v", runs)
	}
	failed := map[string]string{}
	for _, r := range runs {
		if r.GetStatus() == apiv1.RunStatus_RUN_STATUS_FAILED {
			failed[r.GetSpec().GetFlow()+r.GetSpec().GetLabel()] = r.GetId()
		}
	}
	if len(failed) != 1 {
		t.Fatalf("got %v failed, want the second row of Bad", failed)
	}

	only := m.again(t, &apiv1.RerunRequest{BatchId: b.GetId(), Failed: true})
	for label, id := range failed {
		if r := only[label]; len(only) != 1 || r.GetRerunOf() != id || r.GetSpec().GetRow().GetIndex() != 1 || r.GetStatus() != apiv1.RunStatus_RUN_STATUS_FAILED {
			t.Errorf("the failed ones: got %v, want %s again", only, id)
		}
	}
	if all := m.again(t, &apiv1.RerunRequest{BatchId: b.GetId()}); len(all) != 3 {
		t.Errorf("all: got %v", all)
	}
	for _, r := range runs {
		if r.GetSpec().GetFlow() != "Good" {
			continue
		}
		one := m.again(t, &apiv1.RerunRequest{BatchId: b.GetId(), RunId: r.GetId()})
		if got := one["Good"]; len(one) != 1 || got.GetRerunOf() != r.GetId() || m.logged(t, got.GetId())["a"] != "as it was" {
			t.Errorf("one: got %v", one)
		}
		_, err := m.client.Runs.Rerun(t.Context(), &apiv1.RerunRequest{BatchId: b.GetId(), RunId: r.GetId(), Failed: true})
		if connect.CodeOf(err) != connect.CodeFailedPrecondition {
			t.Errorf("the failed ones of what passed: got %v", err)
		}
	}
}

func TestARerunFromAStepKnowsWhatThoseBeforeGave(t *testing.T) {
	m := startMesh(t, t.TempDir())
	defer m.stop()
	defer m.agent(t, "one")()
	files := map[string]string{"a.yaml": `flow:
  name: Steps
  steps:
    - {id: first, action: transform, config: {input: {x: "${uuid()}"}, transforms: {x: $.x}}}
    - {id: second, action: log, config: {message: "${first.x}"}}
    - {id: third, action: log, config: {message: "${first.x}"}}
`}
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "a.yaml"}}}, files)
	_, runs := m.ended(t, b.GetId())
	before := m.logged(t, runs[0].GetId())
	if len(before["second"]) != 36 {
		t.Fatalf("got %v", before)
	}
	r := m.again(t, &apiv1.RerunRequest{BatchId: b.GetId(), RunId: runs[0].GetId(), From: "third"})["Steps"]
	if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_PASSED {
		t.Fatalf("got %v", r)
	}
	after := m.logged(t, r.GetId())
	if after["third"] != before["third"] || after["second"] != "" {
		t.Errorf("got %v, want the third step alone, with what the first gave then: %v", after, before)
	}
	// That run again is the same again, of the run that it began with.
	r = m.again(t, &apiv1.RerunRequest{BatchId: r.GetBatchId()})["Steps"]
	if got := m.logged(t, r.GetId()); got["third"] != before["third"] || got["second"] != "" {
		t.Errorf("again: got %v", got)
	}
	for what, req := range map[string]*apiv1.RerunRequest{
		"no step thrid": {BatchId: b.GetId(), RunId: runs[0].GetId(), From: "thrid"},
	} {
		if _, err := m.client.Runs.Rerun(t.Context(), req); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
}

// A run that waits has no stream to go on from.
func TestARerunFromAStepOfWhatNeverBegan(t *testing.T) {
	m := startMesh(t, t.TempDir())
	defer m.stop()
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "hello.yaml"}}}, map[string]string{"hello.yaml": hello})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := m.client.Runs.WatchBatch(ctx, &apiv1.WatchBatchRequest{BatchId: b.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	run := ""
	for run == "" && s.Receive() {
		for _, r := range s.Msg().GetRuns() {
			run = r.GetId()
		}
	}
	cancel()
	_ = s.Close() // it was cancelled
	if _, err := m.client.Runs.Rerun(t.Context(), &apiv1.RerunRequest{BatchId: b.GetId(), RunId: run, From: "sum"}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("got %v", err)
	}
	if _, err := m.client.Runs.Rerun(t.Context(), &apiv1.RerunRequest{BatchId: b.GetId(), RunId: b.GetId()}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a run of elsewhere: got %v", err)
	}
}
