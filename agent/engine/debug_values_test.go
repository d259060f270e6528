package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/testmesh/testmesh/flow/event"
)

// setIn runs a flow that sets a variable at step `here`, and gives what step
// `read` logged afterwards.
func setIn(t *testing.T, text, name, expression string) (logged string, c Change) {
	t.Helper()
	_, events := debugged(t, text, &byScript{before: on("here", func(s *Stop) Decision {
		c = set(t, s, name, expression)
		return Proceed
	})})
	for _, e := range events {
		if e.Type == event.TypeStepLog && e.Step.ID == "read" {
			logged = e.Log.Message
		}
	}
	return logged, c
}

func TestSetChangesWhatIsReadAfterwards(t *testing.T) {
	const head = `  env: {E: one}
  input: {i: {type: any, default: 1}}
`
	steps := func(message string) string {
		return head + `  steps:
    - {id: gave, action: set, config: {o: 1}}
    - {id: here, action: log, config: {message: here}}
    - {id: read, action: log, config: {message: "` + message + `"}}
`
	}
	for claim, test := range map[string]struct{ name, message, want string }{
		"an output":                          {"o", "${o} ${gave.o} ${steps.gave.o}", "5 5 5"},
		"an output by its step":              {"gave.o", "${o} ${gave.o}", "5 5"},
		"a value of env":                     {"E", "${E} ${env.E}", "5 5"},
		"a value of env by its name space":   {"env.E", "${E} ${env.E}", "5 5"},
		"an input, where it is read by name": {"i", "${i} ${input.i}", "5 1"},
	} {
		t.Run(claim, func(t *testing.T) {
			got, c := setIn(t, steps(test.message), test.name, "2 + 3")
			if got != test.want || !c.Known {
				t.Errorf("read %q, want %q; %+v", got, test.want, c)
			}
			if keeps := map[bool]string{true: "input.i"}[test.name == "i"]; c.Keeps != keeps {
				t.Errorf("keeps %q, want %q", c.Keeps, keeps)
			}
		})
	}
}

func TestSetInALoopHoldsForItsIteration(t *testing.T) {
	got, c := setIn(t, `  input: {fresh: {type: any, default: 1}}
  steps:
    - id: each
      action: for_each
      config:
        items: [1, 2]
        steps:
          - {id: here, action: log, config: {message: here}}
          - {id: in, action: set, config: {sum: "${fresh + 1}"}}
    - {id: read, action: log, config: {message: "${sum}"}}
`, "fresh", "41")
	if got != "42" || c.Keeps != "input.fresh" || c.Old != int64(1) {
		t.Errorf("read %q, %+v", got, c)
	}
}

func TestSetRefusesWhatItWouldNotChange(t *testing.T) {
	want := map[string]string{
		"item":     "given by what the step is in",
		"input":    "as a whole",
		"gave":     "is a step",
		"env.NO":   "reads no env.NO",
		"later.o":  `no step "later" has ended`,
		"1a":       "not a name",
		"a.b.c":    "not a name",
		"gave.x y": "not a name",
	}
	got := map[string]string{}
	debugged(t, `  steps:
    - {id: gave, action: set, config: {o: 1}}
    - {id: each, action: for_each, config: {items: [1], steps: [{id: here, action: log, config: {message: a}}]}}
    - {id: later, action: set, config: {o: 1}}
`, &byScript{before: on("here", func(s *Stop) Decision {
		for name := range want {
			if _, err := s.Set(name, "1"); err != nil {
				got[name] = err.Error()
			}
		}
		if _, err := s.Set("o", "nothing.there"); err == nil || !strings.Contains(err.Error(), "missing") {
			t.Errorf("an expression without a value: %v", err)
		}
		return Proceed
	})})
	for name, text := range want {
		if !strings.Contains(got[name], text) {
			t.Errorf("set %s: %q, want %q in it", name, got[name], text)
		}
	}
}

func TestEvaluateGivesOperandsAndPlaceholders(t *testing.T) {
	out, _ := debugged(t, "  steps:\n    - {id: a, action: sys.call, config: {status: 201, body: {n: 3}}}\n", &byScript{after: on("a", func(s *Stop) Decision {
		v, operands, err := s.Evaluate("body.n + 1 == 5")
		if err != nil || v != false || len(operands) == 0 {
			t.Errorf("got %v, %v, %v", v, operands, err)
		}
		if v, _, err := s.Evaluate("status is ${status}"); err != nil || v != "status is 201" {
			t.Errorf("got %v, %v", v, err)
		}
		if _, _, err := s.Evaluate("body.m"); err == nil {
			t.Error("a path that is missing has a value")
		}
		if _, _, err := s.Evaluate("1 +"); err == nil {
			t.Error("half an expression has a value")
		}
		return Proceed
	})})
	if out.Status != event.Passed || out.Reason != "" {
		t.Errorf("looking changed the run: %s, %q", out.Status, out.Reason)
	}
}

func TestWhatTheDebuggerIsToldIsMasked(t *testing.T) {
	const secret = "correct-horse"
	p := newProject(t, []txtar.File{
		{Name: "flow.yaml", Data: []byte("flow:\n  name: Test\n  steps:\n    - {id: a, action: set, config: {x: \"${secret.KEY}\"}}\n    - {id: b, action: log, config: {message: \"${x}\"}}\n")},
		{Name: "options.yaml", Data: []byte("secrets: {KEY: " + secret + "}\n")},
	})
	var told []string
	d := &byScript{before: on("b", func(s *Stop) Decision {
		v, _, err := s.Evaluate("x")
		if err != nil {
			t.Error(err)
		}
		told = append(told, v.(string))
		for _, v := range s.Variables() {
			text, _ := v.Value.(string)
			told = append(told, text)
		}
		_, _, err = s.Evaluate(`x.no + 1`)
		told = append(told, err.Error())
		c := set(t, s, "y", `x + "!"`)
		told = append(told, c.New.(string))
		return Proceed
	})}
	out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "r", Debugger: d})
	if out.Status != event.Passed || len(told) < 4 {
		t.Fatalf("got %s, told %q", out.Status, told)
	}
	if all := strings.Join(told, "\n"); strings.Contains(all, secret) {
		t.Errorf("told the secret: %s", all)
	}
}

func TestVariablesAreWhatTheStepCanRead(t *testing.T) {
	var got []string
	debugged(t, `  env: {E: one, F: two}
  input: {i: {type: any, default: 1}}
  steps:
    - {id: gave, action: set, config: {o: "${E}"}}
    - {id: each, action: for_each, config: {items: [7], steps: [{id: here, action: log, config: {message: "${F}"}}]}}
`, &byScript{before: on("here", func(s *Stop) Decision {
		for _, v := range s.Variables() {
			line := v.Group + " " + v.Name
			if v.Unread {
				line += " unread"
			}
			got = append(got, line)
		}
		return Proceed
	})})
	want := []string{"loop index", "loop item", "output o", "step gave", "input i", "env E", "env F unread"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReloadedStepsRunFromThereOn(t *testing.T) {
	const text = `  steps:
    - {id: a, action: sys.call, assert: ["status == 404"]}
    - {id: each, action: for_each, config: {items: [1], steps: [{id: in, action: log, config: {message: OLD}}]}}
    - {id: b, action: log, config: {message: OLD}}
  teardown: [{id: down, action: log, config: {message: OLD}}]
`
	edited := flowOf(t, strings.NewReplacer("404", "200", "OLD", "new").Replace(text)).programs[0]
	out, events := debugged(t, text, &byScript{after: on("a", func(s *Stop) Decision {
		if err := s.Reload(edited); err != nil {
			t.Error(err)
		}
		return Retry
	})})
	if out.Status != event.Passed || out.Reason != "in the debugger: read the flow again, retried a" {
		t.Errorf("got %s, %q", out.Status, out.Reason)
	}
	var logged []string
	for _, e := range events {
		if e.Type == event.TypeStepLog && e.Log.Level == "info" {
			logged = append(logged, e.Step.ID+" "+e.Log.Message)
		}
	}
	if diff := cmp.Diff([]string{"in new", "b new", "down new"}, logged); diff != "" {
		t.Error(diff)
	}
}

func TestReloadRefusesOtherSteps(t *testing.T) {
	const text = "  steps: [{id: a, action: sys.call}, {id: b, action: sys.call}]\n"
	for claim, other := range map[string]string{
		"a step more":     "  steps: [{id: a, action: sys.call}, {id: b, action: sys.call}, {id: c, action: sys.call}]\n",
		"another order":   "  steps: [{id: b, action: sys.call}, {id: a, action: sys.call}]\n",
		"another need":    "  steps: [{id: a, action: sys.call}, {id: b, needs: [], action: sys.call}]\n",
		"now a container": "  steps: [{id: a, action: for_each, config: {items: [1], steps: [{id: in, action: sys.call}]}}, {id: b, action: sys.call}]\n",
	} {
		t.Run(claim, func(t *testing.T) {
			edited := flowOf(t, other).programs[0]
			out, _ := debugged(t, text, &byScript{before: on("a", func(s *Stop) Decision {
				if err := s.Reload(edited); !errors.Is(err, errReordered) {
					t.Errorf("got %v", err)
				}
				return Proceed
			})})
			if out.Status != event.Passed || out.Reason != "" {
				t.Errorf("got %s, %q", out.Status, out.Reason)
			}
		})
	}
}
