package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// counted are members that note what is made of them.
type counted struct {
	made
	mu    sync.Mutex
	times map[string]int
}

func (c *counted) Member(name string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.made.Member(name)
	if ok {
		c.times[name]++
	}
	return v, ok
}

// inProcess answers as the system does, in members.
type inProcess struct {
	Stepper
	mu    sync.Mutex
	given []*counted
}

func (s *inProcess) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	resp, err := s.Stepper.Execute(ctx, req, out)
	if err != nil {
		return nil, err
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(resp.Result, &parts); err != nil {
		return nil, err
	}
	c := &counted{made: made{}, times: map[string]int{}}
	for name, part := range parts {
		c.made[name] = part
	}
	s.mu.Lock()
	s.given = append(s.given, c)
	s.mu.Unlock()
	resp.Result, resp.Members = nil, c
	return resp, nil
}

const everyReader = `  config: {fail_fast: false}
  steps:
    - id: a
      action: sys.call
      config: {status: 201, body: {id: 7, price: 59.80, list: [{n: 1}]}, headers: {X-A: b}}
      assert:
        - status == 201
        - result.status == 201
        - response.body.id == 7
        - body.list[0].n == 1
        - body.price == 59.80
        - absent not exists
        - 'headers["X-A"] == "b"'
        - duration_ms >= 0
        - {json_path: "$.list[0].n == 1"}
        - {json_path: "$.status == 201"}
      match: {status: 201, body: {id: 7}}
      output: {id: body.id, all: result}
    - id: b
      action: set
      needs: [a]
      config:
        one: "${a.status}"
        two: "${steps.a.body.price}"
        three: "${a.response.headers}"
        four: "${a.id}"
        five: "${a}"
    - {id: c, action: sys.call, needs: [b], config: {status: 500, body: "${a.body}"}, output: {missing: body.nothing}}
    - {id: d, action: sys.call, needs: [], config: {status: 200}, assert: [unknown_name == 1]}
`

func TestMembersMeanInAFlowWhatJSONMeans(t *testing.T) {
	text := strings.Replace(everyReader, "unknown_name", "body.unknown", 1)
	lines := func(members bool) []string {
		p := flowOf(t, text)
		cfg := Config{Stepper: p.system, Sink: p.sink, FS: p.files}
		if members {
			cfg.Stepper = &inProcess{Stepper: p.system}
		}
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
		var out []string
		for _, got := range p.sink.of("r") {
			if f := got.StepFinished; f != nil {
				f.DurationMS = 0
				out = append(out, string(event.AppendJSON(nil, &event.Event{Type: got.Type, Step: got.Step, StepFinished: f})))
			}
		}
		slices.Sort(out) // c and d run side by side
		return out
	}
	want, got := lines(false), lines(true)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-JSON +members)\n%s", diff)
	}
	for i, status := range []event.Status{event.Passed, event.Passed, event.Failed, event.Failed} {
		if !strings.Contains(want[i], fmt.Sprintf("%q:%q", "status", status)) {
			t.Errorf("got %s, want it %s", want[i], status)
		}
	}
}

func TestOnlyWhatIsReadOfAResultIsMadeAndOnce(t *testing.T) {
	p := flowOf(t, `  steps:
    - {id: a, action: sys.call, config: {status: 200, body: {id: 7}, headers: {x: "1"}}, assert: [status == 200, status < 300, unknown not exists], output: {id: body.id}}
    - id: b
      action: parallel
      needs: [a]
      config:
        branches:
          - steps: [{id: c, action: log, config: {message: "${a.calls} ${a.status}"}}]
          - steps: [{id: d, action: log, config: {message: "${a.calls} ${id}"}}]
`)
	s := &inProcess{Stepper: p.system}
	e, err := New(Config{Stepper: s, Sink: unread{p.sink}})
	if err != nil {
		t.Fatal(err)
	}
	if out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"}); out.Status != event.Passed {
		t.Fatalf("%s: %s %+v", out.Status, out.Reason, out.Error)
	}
	if want := map[string]int{"status": 1, "body": 1, "calls": 1}; !maps.Equal(s.given[0].times, want) {
		t.Errorf("made %v, want %v", s.given[0].times, want)
	}
}

func TestAMemberThatIsNoValueIsABugAndEndsTheRunErrored(t *testing.T) {
	p := flowOf(t, "  steps:\n    - {id: a, action: sys.call, assert: [status == 200]}\n    - {id: b, action: sys.call, assert: [absent == 1]}\n")
	e, err := New(Config{Sink: unread{p.sink}, Stepper: &instant{&plugin.Response{Members: made{"status": int64(200), "absent": 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r", KeepContext: true})
	if out.Status != event.Errored || out.Error == nil || !strings.Contains(out.Error.Message, "absent: a int is no value") {
		t.Errorf("got %s, %+v, want it errored by the member", out.Status, out.Error)
	}
	if a := finished(t, p.sink.of("r"), "a"); a.Status != event.Passed {
		t.Errorf("a step that did not read it is %s", a.Status)
	}
}

func TestAResultOverItsLimitIsAnArtifactAlsoWhereNothingWasMade(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call, assert: [status == 200]}]\n")
	large := big{made{"status": int64(200), "body": strings.Repeat("x", maxResultBytes)}}
	e, err := New(Config{Sink: unread{p.sink}, Stepper: &instant{&plugin.Response{Members: large}}})
	if err != nil {
		t.Fatal(err)
	}
	e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
	i := slices.IndexFunc(p.sink.of("r"), func(e *event.Event) bool { return e.Type == event.TypeStepArtifact })
	if i < 0 || !strings.Contains(string(p.sink.of("r")[i].Artifact.Data), `"status":200`) {
		t.Errorf("a large result is no artifact, or not the whole of it")
	}
}

// big says that it is large.
type big struct{ made }

func (big) Size() int { return maxResultBytes + 1 }
