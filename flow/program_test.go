package flow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
)

// compiles is the program of a.yaml, which has no errors.
func compiles(t *testing.T, files map[string]string) *Program {
	t.Helper()
	l := NewLoader(Options{Catalog: testCatalog(t), FS: projectFiles(files)})
	programs, problems := l.Flows("a.yaml")
	if len(problems.Errors()) > 0 || len(programs) != 1 {
		t.Fatalf("got %d programs, %v", len(programs), problems)
	}
	return programs[0]
}

const head = "flow:\n  name: F\n"

func oneStep(step string) map[string]string {
	return map[string]string{"a.yaml": head + "  steps:\n    - " + strings.ReplaceAll(strings.TrimSpace(step), "\n", "\n      ") + "\n"}
}

func TestConfigDefaults(t *testing.T) {
	p := compiles(t, oneStep("{action: log, config: {message: x}}"))
	want := Config{Timeout: 5 * time.Minute, TeardownTimeout: time.Minute, FailFast: true, MaxConcurrent: 10, OnAgentLoss: "stop"}
	if diff := cmp.Diff(want, p.Config); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !p.AnyInput || p.Line != 2 || p.File != "a.yaml" || p.Dir != "." {
		t.Errorf("got %+v", p)
	}
}

func TestConfigGiven(t *testing.T) {
	p := compiles(t, map[string]string{"a.yaml": head + `
  config: {timeout: 1m, teardown_timeout: 2s, fail_fast: false, max_concurrent: 3, on_agent_loss: rerun, retry: {max_attempts: 4, retry_on: [status >= 500, timeout]}}
  setup: [{id: s, action: log, config: {message: x}}]
  steps:
    - {id: a, action: log, config: {message: x}}
    - {id: b, action: log, on_failure: ignore, config: {message: x}}
`})
	want := Config{Timeout: time.Minute, TeardownTimeout: 2 * time.Second, MaxConcurrent: 3, OnAgentLoss: "rerun", Retry: p.Config.Retry}
	if diff := cmp.Diff(want, p.Config, cmp.AllowUnexported(), cmp.Comparer(func(a, b *expr.Expr) bool { return a.Text() == b.Text() })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r := p.Config.Retry
	if r.MaxAttempts != 4 || r.Delay != time.Second || r.Backoff != "constant" || r.MaxDelay != 30*time.Second || len(r.RetryOn) != 2 {
		t.Errorf("retry: got %+v", r)
	}
	if a, b := p.Steps[0].OnFailure, p.Steps[1].OnFailure; a != Continue || b != Ignore {
		t.Errorf("on_failure: got %s and %s, want continue from fail_fast: false, and ignore", a, b)
	}
}

func TestStepDefaults(t *testing.T) {
	p := compiles(t, oneStep("{action: http_request, config: {url: x}}"))
	s := p.Steps[0]
	if s.ID != "http_request_1" || s.Action != "http.request" || s.Timeout != 30*time.Second || s.OnFailure != Stop || s.Dir != "." {
		t.Errorf("got %+v", s)
	}
	if s.Spec == nil || s.Control != nil || s.Expectation == nil || s.Effect != testmeshv1.Effect_EFFECT_UNSPECIFIED || s.Retry != nil {
		t.Errorf("got %+v", s)
	}
	if got := s.Expectation.Source(); got != "status < 400" {
		t.Errorf("expectation: got %q", got)
	}
}

func TestNeedsAreIndices(t *testing.T) {
	p := compiles(t, map[string]string{"a.yaml": head + `
  steps:
    - {id: a, action: log, config: {message: x}}
    - {id: b, action: log, config: {message: x}}
    - {id: c, needs: [], action: log, config: {message: x}}
    - {id: d, needs: [a, c], action: log, config: {message: x}}
    - {id: e, needs: [f], action: log, config: {message: x}}
    - {id: f, needs: [d], action: log, config: {message: x}}
`})
	var got [][]int
	for _, s := range p.Steps {
		got = append(got, s.Needs)
	}
	if diff := cmp.Diff([][]int{nil, {0}, {}, {0, 2}, {5}, {3}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSetupAndTeardownOfFolders(t *testing.T) {
	p := compiles(t, map[string]string{
		"folder.yaml": "setup: [{action: log, config: {message: x}}]\nteardown: [{action: log, config: {message: x}}]\n",
		"a.yaml":      head + "  setup: [{action: log, config: {message: x}}]\n  steps: [{action: log, config: {message: x}}]\n  teardown: [{action: log, config: {message: x}}]\n",
	})
	ids := func(steps []*Step) (out []string) {
		for _, s := range steps {
			out = append(out, s.ID)
		}
		return out
	}
	got := [][]string{ids(p.Setup), ids(p.Steps), ids(p.Teardown)}
	want := [][]string{{"folder_log_1", "log_1"}, {"log_2"}, {"log_3", "folder_log_2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFolderAuth(t *testing.T) {
	files := map[string]string{
		"folder.yaml":     "auth: {type: bearer, token: outer}\n",
		"sub/folder.yaml": "auth: {type: bearer, token: inner}\nsetup: [{action: http.request, config: {url: x}}]\n",
		"sub/b.yaml":      head + "  steps:\n    - {action: http.request, config: {url: x}}\n    - {action: http.request, config: {url: x, auth: {type: basic}}}\n    - {action: mock.start}\n",
	}
	l := NewLoader(Options{Catalog: testCatalog(t), FS: projectFiles(files)})
	programs, problems := l.Flows("sub/b.yaml")
	if len(programs) != 1 {
		t.Fatal(problems)
	}
	p := programs[0]
	var got []any
	for _, s := range append(p.Setup, p.Steps...) {
		v, _ := s.Config.Static()
		got = append(got, v.(map[string]any)["auth"])
	}
	inner := map[string]any{"type": "bearer", "token": "inner"}
	if diff := cmp.Diff([]any{inner, inner, map[string]any{"type": "basic"}, nil}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p.Setup[0].Dir != "sub" || p.Setup[0].Pos.File != "sub/folder.yaml" {
		t.Errorf("the step of the folder stands at %v, dir %q", p.Setup[0].Pos, p.Setup[0].Dir)
	}
}

func TestLateTemplatesStay(t *testing.T) {
	p := compiles(t, oneStep(`{action: mock.start, config: {name: "{{ 1 + 1 }}", reply: {text: "{{path.id}} ${2 + 2}", list: ["{{a}}"]}}}`))
	v, err := p.Steps[0].Config.Eval(&expr.Env{})
	want := map[string]any{"name": int64(2), "reply": map[string]any{"text": "{{path.id}} 4", "list": []any{"{{a}}"}}}
	if err != nil || !cmp.Equal(v, want) {
		t.Errorf("got %v, %v, want %v", v, err, want)
	}
}

func TestControls(t *testing.T) {
	p := compiles(t, map[string]string{
		"in.json": `{"a": 1}`,
		"a.yaml": head + `
  steps:
    - {action: delay, config: {duration: 5ms}}
    - {action: fail, when: "UUID == 'x'", config: {message: no}}
    - {action: log, config: {level: warn, message: x, data: {a: 1}}}
    - {action: wait_for, config: {url: "tcp://x:1", timeout: 3s}}
    - {action: for_each, config: {items: [1, "a"], item_name: n, index_name: i, parallel: true, min_items: 1, max_iterations: 5, continue_on_error: true, steps: [{action: log, config: {message: "${n} ${i}"}}]}}
    - {action: for_each, config: {range: {start: 1, end: 3, step: 2}, parallel: 4, steps: [{action: log, config: {message: x}}]}}
    - {action: parallel, config: {fail_fast: true, max_concurrent: 2, branches: [{name: l, steps: [{action: log, config: {message: x}}]}, {steps: [{action: log, config: {message: x}}, {action: log, config: {message: x}}]}]}}
    - {action: parallel, config: {steps: [{action: log, config: {message: x}}, {action: log, config: {message: x}}]}}
    - {action: wait_until, config: {condition: "seen == 1", interval: 10ms, steps: [{action: set, config: {seen: 1}}]}}
    - {action: transform, config: {input: {list: [1, 2]}, operations: [{extract: "$.list", save_as: all}, {filter: "item > 1"}, {map: "item * 2"}, {join: "-", save_as: joined}, {format: "<${_}>", save_as: text}]}}
    - {action: transform, config: {input_file: in.json, transforms: {a: $.a, b: a + 1}}}
    - {action: assert, config: {data: text, assertions: ["anything == 1"]}}
    - {action: condition, config: {if: "seen == 1", then: [{action: log, config: {message: x}}]}}
`,
	})
	var got []string
	for _, s := range p.Steps {
		got = append(got, describeControl(s.Control))
	}
	want := []string{
		"delay 5ms", "fail no", "log warn x", "wait_for tcp://x:1 3s 1s",
		"for_each list n i at once 10 min 1 max 5 goes on true steps 1", "for_each range item index at once 4 min 0 max 1000 goes on false steps 1",
		"parallel 2 true l:1 :2", "parallel 10 false :1 :1", "wait_until seen == 1 30s 10ms steps 1",
		"transform extract>all filter map join>joined format>text", "transform a b file", "assert data", "condition 1 0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p.Bundle["in.json"] == "" {
		t.Error("in.json is not in the bundle")
	}
}

func describeControl(c Control) string {
	switch c := c.(type) {
	case *Delay:
		return "delay " + c.Duration.Source()
	case *Fail:
		return "fail " + c.Message.Source()
	case *Log:
		return "log " + c.Level + " " + c.Message.Source()
	case *WaitFor:
		return fmt.Sprintf("wait_for %s %s %s", c.URL.Source(), c.Timeout, c.Interval)
	case *ForEach:
		kind := "items"
		switch {
		case c.List != nil:
			kind = "list"
		case c.Range != nil:
			kind = "range"
		}
		return fmt.Sprintf("for_each %s %s %s at once %d min %d max %d goes on %v steps %d", kind, c.ItemName, c.IndexName, c.Parallel, c.MinItems, c.MaxIterations, c.ContinueOnError, len(c.Steps))
	case *Parallel:
		s := fmt.Sprintf("parallel %d %v", c.MaxConcurrent, c.FailFast)
		for _, b := range c.Branches {
			s += fmt.Sprintf(" %s:%d", b.Name, len(b.Steps))
		}
		return s
	case *WaitUntil:
		return fmt.Sprintf("wait_until %s %s %s steps %d", c.Condition.Text(), c.Timeout, c.Interval, len(c.Steps))
	case *Transform:
		s := "transform"
		for _, o := range c.Transforms {
			s += " " + o.Name
		}
		for _, o := range c.Operations {
			s += " " + o.Kind
			if o.SaveAs != "" {
				s += ">" + o.SaveAs
			}
		}
		if c.InputFile != nil {
			s += " file"
		}
		return s
	case *Assert:
		if c.Data != nil {
			return "assert data"
		}
		return "assert"
	case *Condition:
		return fmt.Sprintf("condition %d %d", len(c.Then), len(c.Else))
	}
	return fmt.Sprintf("%T", c)
}

func TestHandlersAndTracks(t *testing.T) {
	p := compiles(t, oneStep(`
id: a
action: http.request
config: {method: POST, url: x}
effect: idempotent
eventually: {within: 2s}
assert_any: [status == 200]
assert_none: [status == 500]
match: {status: 200}
error_steps: [{id: e, action: log, config: {message: "${failed_step.id} ${a.status:none}"}}]
on_timeout: [{id: o, action: log, config: {message: x}}]
track: {resource_type: user, resource_id: "${body.id}", cleanup: {action: http.request, config: {method: DELETE, url: "x/${body.id}"}}}
`))
	s := p.Steps[0]
	if s.Effect != testmeshv1.Effect_EFFECT_IDEMPOTENT || s.Eventually == nil || *s.Eventually != (Eventually{Within: 2 * time.Second, Every: 250 * time.Millisecond}) {
		t.Errorf("effect %v, eventually %v", s.Effect, s.Eventually)
	}
	if len(s.AssertAny) != 1 || len(s.AssertNone) != 1 || s.Match == nil || s.MatchPos.Line == 0 {
		t.Errorf("claims: got %+v", s)
	}
	if len(s.ErrorSteps) != 1 || s.ErrorSteps[0].ID != "e" || len(s.OnTimeout) != 1 || s.OnTimeout[0].ID != "o" {
		t.Errorf("handlers: got %v, %v", s.ErrorSteps, s.OnTimeout)
	}
	if len(s.Track) != 1 || s.Track[0].Cleanup == nil || s.Track[0].Cleanup.Spec == nil || s.Track[0].ResourceType.Source() != "user" {
		t.Errorf("track: got %+v", s.Track)
	}
}

func TestVersion(t *testing.T) {
	files := map[string]string{
		"b.json": "{}",
		"a.yaml": head + "  steps: [{action: http.request, config: {url: x, body_file: b.json}}]\n",
	}
	first := compiles(t, files).Version
	if again := compiles(t, files).Version; again != first || len(first) != 64 {
		t.Errorf("twice the same files give %s and %s", first, again)
	}
	files["b.json"] = "{ }"
	if other := compiles(t, files).Version; other == first {
		t.Error("another file gives the same version")
	}
}

func TestPluginsAreThoseOfAllThatIsRun(t *testing.T) {
	l := NewLoader(Options{Catalog: testCatalog(t), AllowMissingPlugins: true, FS: projectFiles(map[string]string{
		"called.yaml": "flow: {name: Called, steps: [{action: mock.start, config: {reply: x}}]}\n",
		"a.yaml": head + `  steps:
    - {action: log, config: {message: "no plugin's"}}
    - {action: http.request, config: {url: x}}
    - {action: http.request, config: {url: y}}
    - {action: kafka.produce, config: {topic: t}}
    - {action: run_flow, config: {flow: called.yaml}}
`,
		"b.yaml": head + "  steps: [{action: assert, assert: ['mock.luhn(1)']}]\n",
	})})
	for file, want := range map[string][]string{"a.yaml": {"http", "kafka", "mock"}, "b.yaml": {"mock"}} {
		programs, problems := l.Flows(file)
		if len(problems.Errors()) > 0 || len(programs) != 1 {
			t.Fatalf("%s: got %d programs, %v", file, len(programs), problems)
		}
		if diff := cmp.Diff(want, programs[0].Plugins); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestDataAsOneValue(t *testing.T) {
	p := compiles(t, map[string]string{
		"users.json": `{"list": [1, 2]}`,
		"a.yaml":     head + "  data_source: {type: json, file: users.json}\n  steps: [{action: log, config: {message: \"${data.list}\"}}]\n",
	})
	if p.Data == nil || p.Data.As != "data" || !cmp.Equal(p.Data.Value, map[string]any{"list": []any{int64(1), int64(2)}}) {
		t.Errorf("got %+v", p.Data)
	}
	if runs, problems := p.Runs(Selection{}); len(runs) != 1 || len(problems) > 0 {
		t.Errorf("got %d runs, %v, want one", len(runs), problems)
	}
}

func TestLoaderFlow(t *testing.T) {
	l := NewLoader(Options{FS: projectFiles(map[string]string{
		"two.yaml": "flow: {name: A, steps: [{action: log, config: {message: x}}]}\n---\nflow: {name: B, steps: [{action: log, config: {message: x}}]}\n",
		"one.yaml": "flow: {name: C, steps: [{action: log, config: {message: x}}]}\n",
	})})
	for _, tt := range []struct{ path, name, want, problem string }{
		{"two.yaml", "B", "B", ""},
		{"one.yaml", "", "C", ""},
		{"two.yaml", "", "", "two.yaml holds 2 flows"},
		{"two.yaml", "AB", "", `two.yaml has no flow "AB"`},
		{"none.yaml", "", "", `there is no file "none.yaml"`},
	} {
		p, problems := l.Flow(tt.path, tt.name)
		switch {
		case tt.problem == "" && (p == nil || p.Name != tt.want):
			t.Errorf("%s#%s: got %v, %v", tt.path, tt.name, p, problems)
		case tt.problem != "" && (p != nil || len(problems) == 0 || problems[0].Message != tt.problem):
			t.Errorf("%s#%s: got %v, %v, want %q", tt.path, tt.name, p, problems, tt.problem)
		}
	}
	if p, problems := l.Program("one.yaml", 1); p != nil || len(problems) == 0 {
		t.Errorf("flow 2 of a file with one: got %v, %v", p, problems)
	}
}

func TestCompileOfAParsedFile(t *testing.T) {
	file, problems := syntax.Parse("stdin.yaml", []byte(head+"  steps: [{action: log, config: {message: x}}]\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	p, problems := Compile(file, 0, Options{})
	if p == nil || p.Name != "F" || len(problems) > 0 || len(p.Bundle) != 1 {
		t.Errorf("got %v, %v", p, problems)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "  steps:\n    - action: log\n      config:\n        message: x\n        data:\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "          - \"${wrong_%d} ${also_%d:x} ${env.no_%d}\"\n", i, i, i)
	}
	l := NewLoader(Options{FS: projectFiles(map[string]string{"a.yaml": b.String()})})
	programs, problems := l.Flows("a.yaml")
	if len(programs) != 0 || len(problems) < 400 || len(problems) > maxProblems+1 {
		t.Errorf("got %d programs and %d problems", len(programs), len(problems))
	}
	for _, p := range problems {
		if p.Code != source.CodeName {
			t.Errorf("got %v", p)
			break
		}
	}
}

func TestManyStepsAndNames(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "  steps:\n")
	for i := range 999 {
		fmt.Fprintf(&b, "    - {id: s%d, needs: [%s], action: set, config: {x: 1}}\n", i, map[bool]string{true: "", false: fmt.Sprintf("s%d", i-1)}[i == 0])
	}
	b.WriteString("    - {action: log, config: {message: \"${x} ${s500.x}\"}}\n")
	p := compiles(t, map[string]string{"a.yaml": b.String()})
	if len(p.Steps) != 1000 {
		t.Errorf("got %d steps", len(p.Steps))
	}
}
