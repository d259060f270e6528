package allure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

// folder is a folder in memory. A name that is created twice is an error.
type folder map[string]*file

type file struct {
	bytes.Buffer
	closed bool
}

func (f *file) Close() error { f.closed = true; return nil }

func (f folder) create(name string) (io.WriteCloser, error) {
	if f[name] != nil {
		return nil, fmt.Errorf("%s is there already", name)
	}
	f[name] = &file{}
	return f[name], nil
}

func started(id, flow string, s event.RunStarted) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, Time: noon, BatchID: "b", RunID: id, Flow: flow, RunStarted: &s}
}

func finished(id string, status event.Status, reason string) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, Time: noon.Add(time.Second), BatchID: "b", RunID: id, RunFinished: &event.RunFinished{Status: status, Reason: reason, DurationMS: 1000}}
}

func step(phase event.Phase, path ...string) *event.Step {
	return &event.Step{ID: path[len(path)-1], Path: path, Action: "http.request", Phase: phase, File: "a/f.yaml", Line: 4, Try: 1}
}

func ended(run string, s *event.Step, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, Time: noon.Add(500 * time.Millisecond), RunID: run, Step: s, StepFinished: &end}
}

func exchanged(run string, s *event.Step, body string) *event.Event {
	return &event.Event{Type: event.TypeStepExchange, Time: noon, RunID: run, Step: s, Exchange: &event.Exchange{
		Protocol: "HTTP/1.1", Summary: "GET /x → 200", Response: map[string]any{"body": body}, Timings: map[string]float64{"total": 12.5}, Curl: "curl /x",
	}}
}

// write gives the folder that a batch of these events makes.
func write(t *testing.T, o Options, exit int, events ...*event.Event) folder {
	t.Helper()
	out := folder{}
	o.Create = out.create
	w := New(o)
	events = append([]*event.Event{{Type: event.TypeBatchStarted, Time: noon, BatchID: "b", BatchStarted: &event.BatchStarted{Seed: 7}}}, events...)
	events = append(events, &event.Event{Type: event.TypeBatchFinished, Time: noon.Add(2 * time.Second), BatchID: "b", BatchFinished: &event.BatchFinished{ExitCode: exit, Reason: "because"}})
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range out {
		if !f.closed {
			t.Errorf("%s was not closed", name)
		}
	}
	return out
}

// object is a JSON object as tests look into it.
type object map[string]any

func decode(t *testing.T, f *file) object {
	t.Helper()
	var out object
	if err := json.Unmarshal(f.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// ending gives the files of one kind.
func ending(t *testing.T, f folder, suffix string) map[string]object {
	t.Helper()
	out := map[string]object{}
	for name, file := range f {
		if strings.HasSuffix(name, suffix) {
			doc := decode(t, file)
			key, _ := doc["name"].(string)
			out[key] = doc
		}
	}
	return out
}

func list(o map[string]any, key string) []object {
	var out []object
	items, _ := o[key].([]any)
	for _, i := range items {
		out = append(out, i.(map[string]any))
	}
	return out
}

// outline prints steps with what is in them: "each failed(each[0] passed(a passed))".
func outline(steps []object) string {
	var out []string
	for _, s := range steps {
		text := fmt.Sprint(s["name"], " ", s["status"])
		if n := len(list(s, "attachments")); n > 0 {
			text += fmt.Sprintf(" +%d", n)
		}
		if in := outline(list(s, "steps")); in != "" {
			text += "(" + in + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestEveryStatusHasAWordThatIsNotGreen(t *testing.T) {
	var events []*event.Event
	for _, s := range event.Statuses {
		events = append(events, started(string(s), string(s), event.RunStarted{File: "a/f.yaml"}), finished(string(s), s, "why"))
	}
	events = append(events, started("odd", "odd", event.RunStarted{}), finished("odd", "", ""), started("open", "open", event.RunStarted{}))
	got := map[string]string{}
	for name, doc := range ending(t, write(t, Options{}, 1, events...), "-result.json") {
		details, _ := doc["statusDetails"].(map[string]any)
		got[name] = fmt.Sprint(doc["status"], " ", doc["stage"], ": ", details["message"])
	}
	want := map[string]string{
		"passed": "passed finished: <nil>", "failed": "failed finished: why", "errored": "broken finished: why",
		"skipped": "skipped finished: why", "cancelled": "broken interrupted: cancelled: why",
		"odd": "broken finished: no step says why", "open": "broken finished: the run never ended",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStepsAreNestedAsTheyRan(t *testing.T) {
	inner, rounds := step(event.PhaseSteps, "each[1]", "pay"), step(event.PhaseSteps, "each")
	retried := step(event.PhaseSteps, "each[1]", "pay")
	retried.Try, rounds.Action = 2, "for_each"
	out := write(t, Options{}, 1,
		started("r", "x", event.RunStarted{File: "a/f.yaml"}),
		exchanged("r", step(event.PhaseSetup, "login"), "in"),
		ended("r", step(event.PhaseSetup, "login"), event.StepFinished{Status: event.Passed, Tries: 1, DurationMS: 100}),
		ended("r", step(event.PhaseSteps, "each[0]", "pay"), event.StepFinished{Status: event.Failed, Ignored: true, Tries: 1}),
		exchanged("r", inner, "first"),
		&event.Event{Type: event.TypeStepRetrying, Time: noon, RunID: "r", Step: inner, Retrying: &event.Retrying{Status: event.Errored, Error: &event.Error{Code: "E-CONN", Message: "nobody there"}}},
		&event.Event{Type: event.TypeStepLog, Time: noon, RunID: "r", Step: retried, Log: &event.Log{Level: "info", Message: "again"}},
		exchanged("r", retried, "second"),
		ended("r", retried, event.StepFinished{
			Status: event.Failed, Tries: 2, Assertions: []event.Assertion{{Expression: "a == 1", Message: "got 2", HasActual: true, Actual: int64(2), HasExpected: true, Expected: int64(1)}},
			Values: []event.Used{{Name: "secret.token", Value: "***"}, {Name: "n", Value: int64(2)}},
		}),
		ended("r", rounds, event.StepFinished{Status: event.Failed, Tries: 1}),
		ended("r", step(event.PhaseTeardown, "tidy"), event.StepFinished{Status: event.Errored, Tries: 1, Error: &event.Error{Code: "E-CONN", Message: "gone"}}),
		&event.Event{Type: event.TypeResourceOrphaned, Time: noon, RunID: "r", Step: inner, Resource: &event.Resource{Type: "order", ID: "o-1", Reason: "DELETE gave 500"}},
		finished("r", event.Failed, "a step failed"))
	result, container := ending(t, out, "-result.json")["x"], ending(t, out, "-container.json")["x"]
	for _, test := range []struct {
		what, want string
		got        []object
	}{
		{"steps", "each failed(each[0] skipped(pay failed), each[1] failed(pay failed +1(try 1 broken +1, info: again passed)))", list(result, "steps")},
		{"befores", "login passed +1", list(container, "befores")},
		{"afters", "tidy broken, left behind: order o-1: DELETE gave 500 broken", list(container, "afters")},
	} {
		if got := outline(test.got); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.what, got, test.want)
		}
	}
	if got, want := container["children"], []any{result["uuid"]}; !cmp.Equal(got, want) {
		t.Errorf("the container is of %v, want %v", got, want)
	}
	login := list(container, "befores")[0]
	if took := login["stop"].(float64) - login["start"].(float64); took != 100 {
		t.Errorf("login took %v ms, want 100", took)
	}
	details := result["statusDetails"].(map[string]any)
	if details["expected"] != "1" || details["actual"] != "2" || !strings.Contains(details["trace"].(string), "a/f.yaml:4") {
		t.Errorf("the failure says %v", details)
	}
	pay := list(list(list(result, "steps")[0], "steps")[1], "steps")[0]
	want := []object{
		{"name": "action", "value": "http.request"},
		{"name": "tries", "value": "2"},
		{"name": "at", "value": "a/f.yaml:4"},
		{"name": "secret.token", "value": "***", "mode": "masked"},
		{"name": "n", "value": "2"},
	}
	if diff := cmp.Diff(want, list(pay, "parameters")); diff != "" {
		t.Error(diff)
	}
}

func TestHistoryFollowsFlowAndRowAndNothingElse(t *testing.T) {
	row := func(n int, name string) event.RunStarted {
		return event.RunStarted{File: "a/f.yaml", Row: &event.Row{Index: n, Name: name}, Seed: int64(n)}
	}
	batch := func(id string, seed int64) map[string]object {
		var events []*event.Event
		for i, s := range []event.RunStarted{row(0, "ada"), row(1, ""), {File: "b/f.yaml"}, {File: "a/f.yaml", Environment: "qa"}, row(0, "ada")} {
			s.Seed = seed
			run := fmt.Sprint(id, i)
			events = append(events, started(run, "x", s), finished(run, event.Passed, ""))
		}
		out := write(t, Options{}, 0, events...)
		found := map[string]object{}
		for name, f := range out {
			if strings.HasSuffix(name, "-result.json") {
				doc := decode(t, f)
				found[doc["historyId"].(string)] = doc
			}
		}
		return found
	}
	first, second := batch("r", 1), batch("s", 2)
	if len(first) != 5 {
		t.Errorf("5 runs have %d history ids: readers count runs of one id as tries of one test", len(first))
	}
	cases := map[any]int{}
	for id, doc := range first {
		if second[id] == nil {
			t.Errorf("%v has another id in the next batch", doc["parameters"])
			continue
		}
		if doc["uuid"] == second[id]["uuid"] {
			t.Errorf("%v has one uuid in two batches", doc["parameters"])
		}
		cases[doc["testCaseId"]]++
	}
	if len(cases) != 2 {
		t.Errorf("2 flows are %d test cases", len(cases))
	}
}

func TestLabelsSayWhereARunBelongs(t *testing.T) {
	labels := func(doc object) string {
		var out []string
		for _, l := range list(doc, "labels") {
			out = append(out, fmt.Sprint(l["name"], "=", l["value"]))
		}
		return strings.Join(out, " ")
	}
	docs := ending(t, write(t, Options{}, 0,
		started("r", "x", event.RunStarted{File: "shop/eu/pay.testmesh.yaml", Suite: "billing", Tags: []string{"smoke", "critical"}, Agent: "eu-1"}),
		started("s", "y", event.RunStarted{File: "pay.yaml"}),
		finished("r", event.Passed, ""), finished("s", event.Passed, ""),
		started("t", "z", event.RunStarted{}), finished("t", event.Passed, "")), "-result.json")
	for name, want := range map[string]string{
		"x (eu-1)": "framework=testmesh language=yaml host=eu-1 thread=1 parentSuite=shop/eu suite=billing feature=billing story=x tag=smoke tag=critical severity=critical",
		"y":        "framework=testmesh language=yaml host=local thread=2 suite=pay story=y",
		"z":        "framework=testmesh language=yaml host=local thread=1 story=z",
	} {
		if got := labels(docs[name]); got != want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, want)
		}
	}
}

func TestTheBatchIsDescribed(t *testing.T) {
	out := write(t, Options{Version: "1.2.3", Executor: &Executor{Name: "Jenkins", Type: "jenkins", BuildOrder: 12, BuildURL: "http://ci/12"}}, 4,
		started("r", "x", event.RunStarted{Environment: "é\\=#🎉"}), finished("r", event.Skipped, "later"))
	want := "testmesh.version=1.2.3\nenvironment=\\u00e9\\\\=#\\ud83c\\udf89\nseed=7\nbatch=b\nexit.code=4\nreason=because\n"
	if got := out["environment.properties"].String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if diff := cmp.Diff(object{"name": "Jenkins", "type": "jenkins", "buildOrder": 12.0, "buildUrl": "http://ci/12"}, decode(t, out["executor.json"])); diff != "" {
		t.Error(diff)
	}
	var said []object
	for name, f := range out {
		if strings.HasSuffix(name, "-globals.json") {
			said = list(decode(t, f), "errors")
		}
	}
	if len(said) != 1 || said[0]["message"] != "because" {
		t.Errorf("a batch that no run explains says %v", said)
	}
	for name := range write(t, Options{}, 1, started("r", "x", event.RunStarted{}), finished("r", event.Failed, "no")) {
		if strings.HasSuffix(name, "-globals.json") || name == "executor.json" {
			t.Errorf("%s is there without a reason", name)
		}
	}
}

func TestAttachmentsAreWholeFilesOfTheFolder(t *testing.T) {
	s := step(event.PhaseSteps, "get")
	artifact := func(name, kind string, data []byte) *event.Event {
		return &event.Event{Type: event.TypeStepArtifact, Time: noon, RunID: "r", Step: s, Artifact: &event.Artifact{Name: name, MediaType: kind, Data: data}}
	}
	out := write(t, Options{}, 0,
		started("r", "x", event.RunStarted{}),
		exchanged("r", s, strings.Repeat("y", maxExchange)),
		artifact("../../etc/shot.PNG", "image/png", []byte{1, 2}),
		artifact("x.a b", "", []byte{3}),
		artifact("nowhere", "text/plain", nil),
		ended("r", s, event.StepFinished{Status: event.Passed, Tries: 1}), finished("r", event.Passed, ""))
	got := map[string]string{}
	for _, a := range list(list(ending(t, out, "-result.json")["x"], "steps")[0], "attachments") {
		source := a["source"].(string)
		if strings.ContainsAny(source, "/\\") || out[source] == nil {
			t.Errorf("%v is at %q, which is not in the folder", a["name"], source)
			continue
		}
		_, ext, _ := strings.Cut(source, "-attachment")
		got[fmt.Sprint(a["name"])] = fmt.Sprint(a["type"], " ", ext, " ", out[source].Len() < maxExchange)
	}
	want := map[string]string{"../../etc/shot.PNG": "image/png .png true", "x.a b": "application/octet-stream .bin true", "GET /x → 200": "application/json .json true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestBoundsHold lets one run do everything far too often.
func TestBoundsHold(t *testing.T) {
	out := folder{}
	w := New(Options{Create: out.create})
	send := func(e *event.Event) {
		t.Helper()
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	send(started("r", "x", event.RunStarted{Tags: make([]string, 1000)}))
	long := strings.Repeat("z", 20_000)
	for i := range 3 * maxNodes {
		s := step(event.PhaseSteps, fmt.Sprintf("each[%d]", i), "get")
		send(exchanged("r", s, long))
		for range 3 {
			send(&event.Event{Type: event.TypeStepLog, Time: noon, RunID: "r", Step: s, Log: &event.Log{Message: long}})
			send(&event.Event{Type: event.TypeStepRetrying, Time: noon, RunID: "r", Step: s, Retrying: &event.Retrying{Status: event.Failed, Error: &event.Error{Message: long}}})
		}
		send(ended("r", s, event.StepFinished{Status: event.Failed, Error: &event.Error{Message: long}, Values: []event.Used{{Name: "n", Value: long}}}))
	}
	send(finished("r", event.Failed, long))
	var result *file
	for name, f := range out {
		if strings.HasSuffix(name, "-result.json") {
			result = f
		}
	}
	if result.Len() > 8<<20 || len(out) > maxAttached+5 {
		t.Errorf("the result has %d bytes, the folder %d files", result.Len(), len(out))
	}
	if !strings.Contains(result.String(), "are not listed; the report jsonl has them") {
		t.Error("the result does not say that it is cut")
	}
}

func TestInAHugeBatchStepsThatPassedLoseTheirFilesFirst(t *testing.T) {
	w := New(Options{Create: func(string) (io.WriteCloser, error) { return &file{}, nil }})
	w.files.files = maxPassed
	if err := w.Write(started("r", "x", event.RunStarted{})); err != nil {
		t.Fatal(err)
	}
	for status, want := range map[event.Status]int{event.Passed: 0, event.Failed: 1, event.Errored: 1} {
		s := step(event.PhaseSteps, string(status))
		before := w.files.files - maxPassed
		for _, e := range []*event.Event{exchanged("r", s, "x"), ended("r", s, event.StepFinished{Status: status})} {
			if err := w.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.files.files - maxPassed - before; got != want {
			t.Errorf("a step that %s has %d files", status, got)
		}
	}
	w.files.files = maxFiles
	if got := w.store(w.runs["r"], attachment{data: []byte("x")}); got != nil {
		t.Errorf("there is no end of files: %v", got)
	}
}

// broke is a disk that is full.
type broke struct{ onClose bool }

func (b broke) Write(p []byte) (int, error) {
	if b.onClose {
		return len(p), nil
	}
	return 0, errors.New("disk full")
}

func (b broke) Close() error {
	if b.onClose {
		return errors.New("disk full")
	}
	return nil
}

func TestAFullDiskIsAnError(t *testing.T) {
	for name, create := range map[string]func(string) (io.WriteCloser, error){
		"creating": func(string) (io.WriteCloser, error) { return nil, errors.New("disk full") },
		"writing":  func(string) (io.WriteCloser, error) { return broke{}, nil },
		"closing":  func(string) (io.WriteCloser, error) { return broke{onClose: true}, nil },
	} {
		w := New(Options{Create: create})
		if err := w.Write(started("r", "x", event.RunStarted{})); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(finished("r", event.Passed, "")); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
