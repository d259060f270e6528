package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/controlplane"
	"github.com/testmesh/testmesh/flow/event"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/client"
)

// fleet is a control plane of one node, in this process.
type fleet struct {
	dir, address string
	client       *client.Client
	stop         func()
}

func startMesh(t *testing.T, dir string) *fleet {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node, err := controlplane.New(controlplane.Config{
		Dir: filepath.Join(dir, "server"), Listener: l, Open: true, Version: "test", Logger: logger(t, "server"),
		Exit: func(why string) { t.Errorf("the node ended: %s", why) },
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &fleet{dir: dir, address: "http://" + l.Addr().String()}
	if m.client, err = client.New(client.Config{Address: m.address}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- node.Run(ctx) }()
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return m
}

func logger(t *testing.T, who string) *slog.Logger {
	return slog.New(slog.NewTextHandler(lines{t, who}, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// lines shows what a part of the mesh logs, where the test fails.
type lines struct {
	t   *testing.T
	who string
}

func (l lines) Write(p []byte) (int, error) {
	l.t.Logf("%s: %s", l.who, bytes.TrimSpace(p))
	return len(p), nil
}

// agent joins one, which runs until the returned function is called.
func (m *fleet) agent(t *testing.T, name string) (stop func()) {
	t.Helper()
	token, err := m.client.Agents.CreateJoinToken(t.Context(), &apiv1.CreateJoinTokenRequest{Pins: map[string]string{"zone": name}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{
		Server: m.address, Dir: filepath.Join(m.dir, "agent-"+name), Name: name, Token: token.GetSecret(), Slots: 2,
		Host: pluginhost.New(pluginhost.Config{}), Version: "test", Logger: logger(t, name),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// queue uploads files and queues the flows of one.
func (m *fleet) queue(t *testing.T, source *apiv1.Source, files map[string]string) *apiv1.Batch {
	t.Helper()
	content := map[string][]byte{}
	for name, text := range files {
		content[name] = []byte(text)
	}
	var err error
	if source.Bundle, err = m.client.Upload(t.Context(), content); err != nil {
		t.Fatal(err)
	}
	res, err := m.client.Runs.CreateBatch(t.Context(), &apiv1.CreateBatchRequest{Source: source})
	if err != nil {
		t.Fatal(err)
	}
	return res.GetBatch()
}

// ended waits for the end of a batch, and gives its runs in order.
func (m *fleet) ended(t *testing.T, id string) (*apiv1.Batch, []*apiv1.Run) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		s, err := m.client.Runs.WatchBatch(ctx, &apiv1.WatchBatchRequest{BatchId: id})
		if err != nil {
			t.Fatal(err)
		}
		var b *apiv1.Batch
		for s.Receive() {
			b = s.Msg().GetBatch()
		}
		err = errors.Join(s.Err(), s.Close())
		if b.GetStatus() > apiv1.BatchStatus_BATCH_STATUS_ACTIVE {
			list, err := m.client.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{BatchId: id, PageSize: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return b, list.GetRuns()
		}
		if ctx.Err() != nil {
			t.Fatalf("batch %s did not end: %v (%v)", id, b, err)
		}
	}
}

func (m *fleet) stream(t *testing.T, run string) []*event.Event {
	t.Helper()
	s, err := m.client.Runs.Watch(t.Context(), &apiv1.WatchRequest{RunId: run})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var text []byte
	for s.Receive() {
		if at := s.Msg().GetOffset(); len(s.Msg().GetData()) > 0 && at != int64(len(text)) {
			t.Fatalf("bytes from %d follow %d bytes", at, len(text))
		}
		text = append(text, s.Msg().GetData()...)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	var list []*event.Event
	for line := range bytes.Lines(text) {
		e, err := event.Decode(line)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		list = append(list, e)
	}
	return list
}

const hello = `flow:
  name: Hello
  steps:
    - {id: greet, action: log, config: {message: hello}}
    - {id: sum, action: assert, assert: ["1 + 1 == 2"]}
`

func TestARunGoesThroughTheWholeMesh(t *testing.T) {
	m := startMesh(t, t.TempDir())
	defer m.stop()
	defer m.agent(t, "one")()
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "hello.yaml"}}}, map[string]string{"hello.yaml": hello})
	got, runs := m.ended(t, b.GetId())
	if got.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_PASSED || len(runs) != 1 {
		t.Fatalf("got %v with %d runs: %v", got, len(runs), runs)
	}
	events := m.stream(t, runs[0].GetId())
	var types []string
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Errorf("event %d has number %d", i+1, e.Seq)
		}
		types = append(types, string(e.Type))
	}
	want := "run.started step.started step.log step.finished step.started step.finished run.finished"
	if got := strings.Join(types, " "); got != want {
		t.Errorf("got events\n%s\nwant\n%s", got, want)
	}
	r, err := m.client.Runs.GetRun(t.Context(), &apiv1.GetRunRequest{Id: runs[0].GetId(), Read: apiv1.Read_READ_STRONG})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.GetRun().GetStepSummaries(); len(s) != 2 || s[1].GetStepId() != "sum" || s[1].GetStatus() != "passed" {
		t.Errorf("got step summaries %v", s)
	}
	if at := r.GetRun().GetAttempts(); len(at) != 1 || at[0].GetOutcome() != "finished" || at[0].GetStreamBytes() == 0 {
		t.Errorf("got attempts %v", at)
	}
}

func TestFailedIsNotErroredThroughTheMesh(t *testing.T) {
	m := startMesh(t, t.TempDir())
	defer m.stop()
	defer m.agent(t, "one")()
	files := map[string]string{
		"a.yaml": "flow:\n  name: Wrong\n  steps:\n    - {action: assert, assert: [\"1 + 1 == 3\"]}\n",
		"b.yaml": "flow:\n  name: No judgement\n  steps:\n    - {action: log, config: {message: \"${secret.NOBODY_HAS}\"}}\n",
		"c.yaml": "flow:\n  name: Afterwards\n  after: [Wrong]\n  steps:\n    - {action: log, config: {message: x}}\n",
		"d.yaml": "flow:\n  name: Skipped\n  steps:\n    - {action: log, when: \"false\", config: {message: x}}\n",
	}
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "a.yaml"}, {File: "b.yaml"}, {File: "c.yaml"}, {File: "d.yaml"}}}, files)
	got, runs := m.ended(t, b.GetId())
	if got.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_FAILED {
		t.Errorf("got batch %v", got)
	}
	want := map[string]apiv1.RunStatus{
		"Wrong": apiv1.RunStatus_RUN_STATUS_FAILED, "No judgement": apiv1.RunStatus_RUN_STATUS_ERRORED,
		"Afterwards": apiv1.RunStatus_RUN_STATUS_SKIPPED, "Skipped": apiv1.RunStatus_RUN_STATUS_SKIPPED,
	}
	for _, r := range runs {
		if r.GetStatus() != want[r.GetSpec().GetFlow()] {
			t.Errorf("%s is %s (%s)", r.GetSpec().GetFlow(), r.GetStatus(), r.GetReason())
		}
	}
}

func TestAServerThatStartsAnewLosesNothing(t *testing.T) {
	dir := t.TempDir()
	m := startMesh(t, dir)
	files := map[string]string{"hello.yaml": hello}
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "hello.yaml"}}, Repeat: 20}, files)
	m.stop()
	m = startMesh(t, dir)
	defer m.stop()
	defer m.agent(t, "one")()
	got, runs := m.ended(t, b.GetId())
	if got.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_PASSED || len(runs) != 20 {
		t.Errorf("got %v with %d runs", got, len(runs))
	}
}

// begun is the only run of a batch, once its stream says that a step has started:
// before its first one there would be nothing to tear down.
func (m *fleet) begun(t *testing.T, batch, step string) *apiv1.Run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var last any
	for ctx.Err() == nil {
		list, err := m.client.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{BatchId: batch})
		if last = err; err != nil || len(list.GetRuns()) != 1 {
			continue
		}
		run := list.GetRuns()[0]
		s, err := m.client.Runs.Watch(ctx, &apiv1.WatchRequest{RunId: run.GetId()})
		if last = err; err != nil {
			continue
		}
		defer s.Close()
		var text []byte
		for s.Receive() {
			text = append(text, s.Msg().GetData()...)
			if bytes.Contains(text, []byte(`"step.started"`)) && bytes.Contains(text, []byte(`"`+step+`"`)) {
				return run
			}
		}
		last = s.Err()
	}
	t.Fatalf("step %s has not begun: %v", step, last)
	return nil
}

func TestACancelledRunIsTornDown(t *testing.T) {
	m := startMesh(t, t.TempDir())
	defer m.stop()
	defer m.agent(t, "one")()
	b := m.queue(t, &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "long.yaml"}}}, map[string]string{
		"long.yaml": "flow:\n  name: Long\n  steps:\n    - {id: wait, action: delay, config: {duration: 1m}}\n  teardown:\n    - {id: clean, action: log, config: {message: torn down}}\n",
	})
	run := m.begun(t, b.GetId(), "wait")
	began := time.Now()
	if _, err := m.client.Runs.Cancel(t.Context(), &apiv1.CancelRequest{RunIds: []string{run.GetId()}, Reason: "enough"}); err != nil {
		t.Fatal(err)
	}
	got, runs := m.ended(t, b.GetId())
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to cancel", took)
	}
	if got.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_CANCELLED || runs[0].GetStatus() != apiv1.RunStatus_RUN_STATUS_CANCELLED {
		t.Errorf("got %v and %v", got, runs[0])
	}
	torn := false
	for _, e := range m.stream(t, run.GetId()) {
		torn = torn || e.Type == event.TypeStepFinished && e.Step.ID == "clean" && e.StepFinished.Status == event.Passed
	}
	if !torn {
		t.Error("its teardown did not run")
	}
}

func TestOnlyAgentsThatFitAreAsked(t *testing.T) {
	m := startMesh(t, t.TempDir())
	defer m.stop()
	defer m.agent(t, "one")()
	source := &apiv1.Source{Flows: []*apiv1.FlowRef{{File: "hello.yaml"}}, Target: &apiv1.Target{Match: map[string]*apiv1.Values{"zone": {Values: []string{"two"}}}}}
	b := m.queue(t, source, map[string]string{"hello.yaml": hello})
	var why *apiv1.WhyResponse
	for deadline := time.Now().Add(20 * time.Second); ; {
		list, err := m.client.Runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{BatchId: b.GetId()})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.GetRuns()) == 1 {
			if why, err = m.client.Runs.Why(t.Context(), &apiv1.WhyRequest{RunId: list.GetRuns()[0].GetId()}); err != nil {
				t.Fatal(err)
			}
			if len(why.GetAgents()) == 1 {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v", why)
		}
	}
	if got, want := fmt.Sprint(why.GetReason(), why.GetAgents()[0].GetLacks()), "no agent fits[zone is one, wanted two]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	defer m.agent(t, "two")()
	if got, runs := m.ended(t, b.GetId()); got.GetStatus() != apiv1.BatchStatus_BATCH_STATUS_PASSED || runs[0].GetAttempts()[0].GetAgentName() != "two" {
		t.Errorf("got %v and %v", got, runs)
	}
}
