package syntax

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/source"
)

func TestBadFlowsAreExplained(t *testing.T) {
	golden(t, "parse", func(t *testing.T, name string, data []byte) string {
		_, problems := Parse(name, data)
		if len(problems.Errors()) == 0 {
			t.Error("the flow was accepted")
		}
		for _, p := range problems {
			if p.Severity == source.Error && (p.Pos.Line == 0 || p.Message == "" || strings.HasSuffix(p.Message, ".")) {
				t.Errorf("place and sentence: %+v", p)
			}
			checkFix(t, name, data, p)
		}
		return render(data, problems)
	})
}

// parseOne is the only flow of a text, which must be without errors.
func parseOne(t *testing.T, text string) *Flow {
	t.Helper()
	file, problems := Parse("f", []byte(text))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if len(file.Flows) != 1 {
		t.Fatalf("got %d flows", len(file.Flows))
	}
	return file.Flows[0]
}

const everything = `flow:
  name: Create and fetch
  description: d
  version: 1.10
  suite: users
  author: me
  tags: [smoke, users]
  input:
    role: {type: string, default: null, enum: [viewer, admin], required: true, description: r, secret: true}
    any:
  env_file: .env
  env:
    API: ${API:x}
    TOKEN: {value: "${T}", secret: true}
    MAP: {value: 1}
  files: ["a/*.json"]
  data: rows.csv
  matrix: {browser: [a, b]}
  after: [seed]
  target: {env: "${E}", match: {zone: [eu-1, eu-2]}, not: {trust: low}}
  locks: [db]
  config: {timeout: 1m30s, teardown_timeout: 500ms, fail_fast: false, max_concurrent: 3, retry: {max_attempts: 2}, on_agent_loss: rerun}
  setup: [{action: log}]
  steps:
    - id: create
      name: Create ${x}
      description: d
      tags: [api]
      disabled: true
      needs: []
      when: a == 1
      action: http.request
      config: {method: POST}
      effect: once
      timeout: 5s
      retry: {max_attempts: 3, delay: 1s, backoff: exponential, jitter: 0.2, max_delay: 30s, retry_on: [status >= 500, timeout], retry_on_not: [status == 401]}
      assert: [status == 201, {expression: a, message: m}]
      assert_any: [a]
      assert_none: [b]
      match: {status: 201}
      output: {id: body.id, token: {value: body.t, secret: true}}
      on_failure: ignore
      error_steps: [{action: log}]
      on_timeout: [{action: log}]
      track: {resource_type: user, resource_id: "${body.id}", cleanup: {action: http.request}}
    - action: http.request
      eventually: {within: 10s, every: 250ms}
  teardown: [{action: log}]
  on_error: [{action: log}]
  output: {user_id: "${create.body.id}"}
`

func TestEveryKeyArrives(t *testing.T) {
	f := parseOne(t, everything)
	s := f.Steps[0]
	got := map[string]any{
		"name": f.Name.Value, "description": f.Description.Value, "version": f.Version.Value, "suite": f.Suite.Value, "author": f.Author.Value,
		"tags": values(f.Tags), "input": fmt.Sprint(f.Input[0].Name.Value, f.Input[0].Type.Value, f.Input[0].Default.Kind, len(f.Input[0].Enum), f.Input[0].Required.Value, f.Input[0].Secret, f.InputGiven, f.Input[1].Default == nil),
		"env": fmt.Sprint(f.EnvFile.Value, f.Env[0].Value.Text, f.Env[1].Value.Text, f.Env[1].Secret, f.Env[2].Value.Kind), "files": values(f.Files),
		"data": f.Data.Text + f.DataAs, "matrix": fmt.Sprint(f.Matrix[0].Key.Value, len(f.Matrix[0].Values)), "after": values(f.After),
		"target": fmt.Sprint(f.Target.Env.Text, len(f.Target.Match), f.Target.Not[0].Value.Text), "locks": f.Locks[0].Text,
		"config": fmt.Sprint(f.Config.Timeout.Value, f.Config.TeardownTimeout.Value, f.Config.FailFast.Value, f.Config.MaxConcurrent.Value, f.Config.Retry.MaxAttempts.Value, f.Config.OnAgentLoss.Value),
		"lists":  fmt.Sprint(len(f.Setup), len(f.Steps), len(f.Teardown), len(f.OnError)), "output": f.Output[0].Value.Text,
		"step":    fmt.Sprint(s.ID.Value, s.Generated, s.Name.Text, s.Description.Value, values(s.Tags), s.Disabled.Value, s.Needs != nil, len(s.Needs), s.When.Text, s.Action.Value, s.Config.Get("method").Text, s.Effect.Value, s.Timeout.Value),
		"retry":   fmt.Sprint(s.Retry.MaxAttempts.Value, s.Retry.Delay.Value, s.Retry.Backoff.Value, s.Retry.Jitter.Value, s.Retry.MaxDelay.Value, len(s.Retry.RetryOn), s.Retry.RetryOnNot[0].Text),
		"checks":  fmt.Sprint(len(s.Assert), s.Assert[1].Get("message").Text, len(s.AssertAny), len(s.AssertNone), s.Match.Get("status").Value),
		"outputs": fmt.Sprint(s.Output[0].Name.Value, s.Output[0].Secret, s.Output[1].Value.Text, s.Output[1].Secret), "after failure": fmt.Sprint(s.OnFailure.Value, len(s.ErrorSteps), len(s.OnTimeout)),
		"track":      fmt.Sprint(s.Track[0].ResourceType.Text, s.Track[0].ResourceID.Text, s.Track[0].Cleanup.Action.Value),
		"eventually": fmt.Sprint(f.Steps[1].Eventually.Within.Value, f.Steps[1].Eventually.Every.Value, f.Steps[1].Needs == nil, f.Steps[1].Generated),
	}
	want := map[string]any{
		"name": "Create and fetch", "description": "d", "version": "1.10", "suite": "users", "author": "me", "tags": []string{"smoke", "users"},
		"input": "rolestringnull2 true true true true", "env": ".env${API:x}${T} true map", "files": []string{"a/*.json"},
		"data": "rows.csv", "matrix": "browser2", "after": []string{"seed"}, "target": "${E}1low", "locks": "db",
		"config": "1m30s 500ms false 3 2rerun", "lists": "1 2 1 1", "output": "${create.body.id}",
		"step": "createfalseCreate ${x}d[api]truetrue0a == 1http.requestPOSTonce5s", "retry": "3 1sexponential0.2 30s 2status == 401",
		"checks": "2m1 1 201", "outputs": "idfalsebody.ttrue", "after failure": "ignore1 1", "track": "user${body.id}http.request", "eventually": "10s 250ms true true",
	}
	for k, w := range want {
		if strings.Join(strings.Fields(fmt.Sprint(w)), "") != strings.Join(strings.Fields(fmt.Sprint(got[k])), "") {
			t.Errorf("%s: got %v, want %v", k, got[k], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d keys are compared, %d expected", len(got), len(want))
	}
}

func values(fs []Field[string]) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.Value
	}
	return out
}

func TestGeneratedIDs(t *testing.T) {
	f := parseOne(t, `flow:
  name: f
  setup:
    - action: http.request
  steps:
    - action: http_request
    - id: http_request_3
      action: log
    - action: for_each
      config:
        items: a
        steps:
          - action: http.request
          - action: log
    - action: log
      error_steps: [{action: log}]
    - action: http.request
`)
	each := f.Steps[2]
	got := []string{f.Setup[0].ID.Value, f.Steps[0].ID.Value, each.ID.Value, each.Nested.Steps[0].ID.Value, each.Nested.Steps[1].ID.Value, f.Steps[3].ID.Value, f.Steps[3].ErrorSteps[0].ID.Value, f.Steps[4].ID.Value}
	want := []string{"http_request_1", "http_request_2", "for_each_1", "http_request_4", "log_1", "log_2", "log_3", "http_request_5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNestedStepsLeaveTheConfig(t *testing.T) {
	f := parseOne(t, `flow:
  name: f
  steps:
    - action: condition
      config: {if: a, then: [{action: log}], else: [{action: log}, {action: fail}]}
    - action: for_each
      config: {items: "[1]", parallel: 3, steps: [{action: log}]}
    - action: parallel
      config: {max_concurrent: 2, branches: [{name: a, steps: [{action: log}]}, {steps: [{action: log}]}]}
    - action: wait_until
      config: {condition: a, steps: [{action: log}], on_timeout: [{action: fail}]}
    - action: assert
      config: {data: x, assertions: [a, b]}
    - action: set
      config: {steps: [1], assert: 2}
    - action: http.request
      config: {steps: [1], then: 2}
`)
	for i, want := range []string{"if", "items parallel", "max_concurrent", "condition", "data", "steps assert", "steps then"} {
		var keys []string
		for _, e := range f.Steps[i].Config.Entries {
			keys = append(keys, e.Key.Text)
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("%s keeps %q, want %q", f.Steps[i].Action.Value, got, want)
		}
	}
	s := f.Steps
	got := fmt.Sprint(len(s[0].Nested.Then), len(s[0].Nested.Else), len(s[1].Nested.Steps), len(s[2].Nested.Branches), s[2].Nested.Branches[0].Name.Value, len(s[3].Nested.Steps), len(s[3].OnTimeout), len(s[4].Assert), s[5].Nested == nil, s[6].Nested == nil)
	if want := "1 2 1 2a1 1 2 true true"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDialectsThatHaveNoOtherSpelling(t *testing.T) {
	f := parseOne(t, `flow:
  name: f
  data_source: {type: csv, file: rows.csv}
  config: {inherit_tags: false}
  target: {agent_tags: {env: staging}}
  steps:
    - action: http_request
      debug: {breakpoint: true}
      config: {save_to_file: out.json, poll: {enabled: false, timeout: 3s}, url: x}
    - action: http_request
      save_to_file: out.json
      retry: {enabled: false}
      auto_track: {enabled: false, id_path: a, delete_url: b}
    - action: plugin.with_poll
      config: {poll: {every: 3s}}
    - action: assert
      config: {expression: a == 1, message: m}
`)
	s := f.Steps
	if f.Data.Text != "rows.csv" || f.DataAs != "data" || f.Config.InheritTags.Or(true) || f.Target.Env.Text != "staging" || len(f.Target.Match) != 0 {
		t.Errorf("flow: %+v %+v %+v", f.Data, f.Config, f.Target)
	}
	if !s[0].Breakpoint || s[0].SaveTo.Text != "out.json" || s[0].Eventually != nil || len(s[0].Config.Entries) != 1 {
		t.Errorf("first step: %+v", s[0])
	}
	if s[1].SaveTo.Text != "out.json" || s[1].Retry != nil || len(s[1].Track) != 0 {
		t.Errorf("second step: %+v", s[1])
	}
	if s[2].Eventually != nil || s[2].Config.Get("poll") == nil {
		t.Error("the poll of a plugin was taken")
	}
	if got := s[3].Assert[0]; got.Get("expression").Text != "a == 1" || got.Get("message").Text != "m" {
		t.Errorf("assert: %+v", got)
	}
}

func TestLimits(t *testing.T) {
	step := "    - action: log\n"
	deep := func(n int) string {
		out, indent := "flow:\n  name: f\n  steps:\n", "    "
		for range n - 1 {
			out += indent + "- action: for_each\n" + indent + "  config:\n" + indent + "    items: a\n" + indent + "    steps:\n"
			indent += "      "
		}
		return out + indent + "- action: log\n"
	}
	for _, c := range []struct {
		claim, in string
		message   string // "": accepted
	}{
		{"a thousand steps", "flow:\n  name: f\n  steps:\n" + strings.Repeat(step, 1000), ""},
		{"a step more", "flow:\n  name: f\n  steps:\n" + strings.Repeat(step, 1001), "the flow has more than 1000 steps"},
		{"ten levels", deep(10), ""},
		{"eleven levels", deep(11), "steps nest deeper than 10 levels"},
		{"255 characters", "flow:\n  name: " + strings.Repeat("é", 255) + "\n  steps:\n" + step, ""},
		{"256 characters", "flow:\n  name: " + strings.Repeat("é", 256) + "\n  steps:\n" + step, "the name has 256 characters, it may have 1 to 255"},
		{"a long id", "flow:\n  name: f\n  steps:\n    - {action: log, id: " + strings.Repeat("a", 65) + "}\n", `"` + strings.Repeat("a", 65) + `" is no id`},
		{"a duration of weeks", "flow:\n  name: f\n  config: {timeout: 5000h}\n  steps:\n" + step, `timeout is a duration, not the text "5000h"`},
	} {
		_, problems := Parse("f", []byte(c.in))
		switch errs := problems.Errors(); {
		case c.message == "" && len(errs) > 0:
			t.Errorf("%s: %v", c.claim, errs)
		case c.message != "" && (len(errs) != 1 || errs[0].Message != c.message):
			t.Errorf("%s: got %v, want %s", c.claim, errs, c.message)
		}
	}
	many := "flow:\n  name: f\n  steps:\n" + strings.Repeat("    - {x: 1}\n", 900)
	if _, problems := Parse("f", []byte(many)); len(problems) > maxProblems {
		t.Errorf("%d problems", len(problems))
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"0": 0, "0s": 0, "250ms": 250 * time.Millisecond, "1m30s": 90 * time.Second, "1.5h": 90 * time.Minute} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "5", "s", "-5s", "+5s", "5us", "5ns", "5µs", "5 s", "1d", "5S", "1e3s", "ms", "9999999999h", "5ss"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q is %v", in, got)
		}
	}
}

func TestIsFlowFile(t *testing.T) {
	for _, c := range []struct {
		path, data string
		want       bool
	}{
		{"a.testmesh.yaml", "", true},
		{"dir/A.TESTMESH.YML", "broken: [", true},
		{"a.yaml", "# c\nflow:\n", true},
		{"a.yaml", "\ufeff\"flow\": x\n", true},
		{"a.yml", "name: x\ndescription: y\nsteps: []\n", true},
		{"a.yaml", "{flow: {name: x}}", true},
		{"a.yaml", "{name: x, steps: []}", true},
		{"a.yaml", "x: 1\n---\nflow:\n\tbroken\n", true},
		{"a.yaml", "name: x\n---\nsteps: []\n", false},
		{"a.yaml", "name: x\n", false},
		{"a.yaml", "x:\n  flow: 1\n  name: a\n  steps: []\n", false},
		{"a.yaml", "flow:er: 1\n", false},
		{"a.yaml", "flowers: 1\n", false},
		{"a.yaml", "{a: 1}", false},
		{"a.yaml", "", false},
		{"a.json", "{\"flow\": {}}", false},
		{"folder.yaml", "name: x\nsteps: []\n", false},
		{".testmesh/config.yaml", "flow:\n", false},
		{"a.yaml", "flow:\n" + strings.Repeat("#", source.MaxSize), false},
	} {
		if got := IsFlowFile(c.path, []byte(c.data)); got != c.want {
			t.Errorf("%s %.40q: got %t", c.path, c.data, got)
		}
	}
}
