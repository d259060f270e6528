package plain

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/value"
)

func TestNamesSayWhichRun(t *testing.T) {
	for want, s := range map[string]event.RunStarted{
		"x":                           {},
		"x [row 3 ada]":               {Row: &event.Row{Index: 2, Name: "ada"}, Iteration: 4},
		"x [row 1] (staging)":         {Row: &event.Row{}, Environment: "staging", Agent: "local"},
		"x [iteration 2] (qa, eu-1)":  {Iteration: 2, Environment: "qa", Agent: "eu-1"},
		"x [row 1 a b] (staging, eu)": {Row: &event.Row{Name: "a\n\x00b"}, Environment: "staging", Agent: "eu"},
	} {
		if got := Name(&event.Event{Flow: "x", RunStarted: &s}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := Name(&event.Event{Flow: "\x00\n", RunStarted: &event.RunStarted{}}); got != "unnamed" {
		t.Errorf("a flow without a name is %q", got)
	}
}

func TestCleanDropsWhatNoReaderWants(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 日本 🎉\t\n":        "plain é 日本 🎉\t\n",
		"\x1b[31;1mred\x1b[0m":    "red",
		"\x1b]0;title\x07after":   "]0;titleafter",
		"a\x00b\x08c\x7fd\u009be": "abcde",
		"\u202eevil\u2066x":       "evilx",
		"one\u2028two\u0085three": "one\ntwo\nthree",
		"bad\xffbyte":             "bad\ufffdbyte",
		"\ufeffmark\ufffe":        "mark",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLinesAreOneLineAndWholeCharacters(t *testing.T) {
	for limit := range 20 {
		got := Line("  ééé\nééé\tééé", limit)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\t") || len(got) > limit+len("…") {
			t.Errorf("limit %d: %q", limit, got)
		}
	}
	if got, want := Cut("éé", 3), "é… (cut: 4 bytes)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func failure(end event.StepFinished) *cause.Failure {
	return &cause.Failure{Step: &event.Step{Path: []string{"loop[1]", "pay"}, Line: 7}, End: &end}
}

func TestFailuresAreExplained(t *testing.T) {
	broken := event.StepFinished{
		Status: event.Failed, Result: map[string]any{"body": "hello"},
		Assertions: []event.Assertion{
			{Expression: "a == 1", Passed: true},
			{Expression: "b == 2", Message: "got 3", Line: 9, Column: 5, DiffMore: 4, Diff: []event.Change{
				{Path: "$.x", Expected: int64(1), ActualMissing: true},
			}},
		},
	}
	none := event.StepFinished{Status: event.Errored, Error: &event.Error{Code: "E-CONN", Message: "refused", Hint: "start it", Details: []string{"dial"}}}
	for claim, c := range map[string]struct {
		f                        *cause.Failure
		message, code, explained string
		line, column             int
	}{
		"an assertion": {
			failure(broken), "b == 2: got 3", "E-ASSERT",
			"b == 2\n  got 3\n  $.x: expected 1, got nothing\n  4 more differences\nbody: hello", 9, 5,
		},
		"an error": {failure(none), "E-CONN refused", "E-CONN", "E-CONN refused\n  dial\n  hint: start it", 7, 0},
		"a reason": {failure(event.StepFinished{Status: event.Cancelled, Reason: "stopped"}), "stopped", "", "stopped", 7, 0},
		"nothing":  {failure(event.StepFinished{Status: event.Errored}), "errored", "", "errored", 7, 0},
	} {
		t.Run(claim, func(t *testing.T) {
			line, column := Place(c.f)
			got := []any{Message(c.f.End), Code(c.f.End), Explain(c.f), line, column}
			if diff := cmp.Diff([]any{c.message, c.code, c.explained, c.line, c.column}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplanationsAreBounded(t *testing.T) {
	long := strings.Repeat("é", 50_000)
	end := event.StepFinished{Status: event.Failed, Result: map[string]any{"body": long}, Error: &event.Error{Message: long, Details: make([]string, 5000)}}
	for range 500 {
		end.Assertions = append(end.Assertions, event.Assertion{Expression: long, Message: long, Diff: make([]event.Change, 500)})
	}
	if n := len(Explain(failure(end))); n > maxExplained+100 {
		t.Errorf("%d bytes", n)
	}
	if got := Message(&end); len(got) > maxMessage+len("…") || !strings.HasSuffix(got, "…") {
		t.Errorf("a message of %d bytes", len(got))
	}
}

func TestWhyIsTheFirstFailureThatCounts(t *testing.T) {
	r := cause.New(&event.Event{})
	for status, want := range map[event.Status]string{event.Passed: "", event.Errored: "lost", event.Skipped: "lost"} {
		if got := Why(r, &event.RunFinished{Status: status, Reason: "lost"}); got != want {
			t.Errorf("%s: got %q, want %q", status, got, want)
		}
	}
	if got := Why(r, &event.RunFinished{Status: event.Errored}); got != "no step says why" {
		t.Errorf("got %q", got)
	}
	r.Failures = []*cause.Failure{{Step: &event.Step{ID: "w"}, Ignored: true}, failure(event.StepFinished{Status: event.Failed, Reason: "no"})}
	if got := Why(r, &event.RunFinished{Status: event.Failed}); got != "loop[1] › pay: no" {
		t.Errorf("got %q", got)
	}
}

func TestRetriesSayWhy(t *testing.T) {
	for want, r := range map[string]event.Retrying{
		"a == 1: got 2":  {Assertions: []event.Assertion{{Expression: "a == 1", Message: "got 2"}}},
		"E-CONN refused": {Error: &event.Error{Code: "E-CONN", Message: "refused"}},
		"failed":         {Status: event.Failed},
	} {
		if got := Retry(&r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestIDsAreUUIDsOfTheirNames(t *testing.T) {
	if got, want := ID("test", "a.yaml", "x"), ID("test", "a.yaml", "x"); got != want {
		t.Errorf("the same names give %s and %s", got, want)
	}
	if ID("a", "b") == ID("ab") {
		t.Error("names run into each other")
	}
	if got := ID("a"); len(got) != 36 || got[14] != '8' || !strings.ContainsRune("89ab", rune(got[19])) {
		t.Errorf("%s is no UUID of version 8", got)
	}
}

func TestShortValuesSayWhereTheyAreCut(t *testing.T) {
	deep := any("bottom")
	for range maxDepth + 5 {
		deep = map[string]any{"in": deep}
	}
	long := make([]any, maxItems+7)
	for i := range long {
		long[i] = int64(i)
	}
	tests := map[string]struct {
		in   any
		want string
	}{
		"a value as it is": {map[string]any{"a": []any{int64(1), nil, true}}, `{"a":[1,null,true]}`},
		"a long text":      {strings.Repeat("x", maxString+1), "… (cut: 4097 bytes)"},
		"a long list":      {long, "… (cut: 7 more)"},
		"a deep value":     {deep, "cut: an object of 1"},
	}
	for name, test := range tests {
		if got := value.Compact(Shorten(test.in)); !strings.Contains(got, test.want) || len(got) > 2*maxString {
			t.Errorf("%s: got %s, want %s in it", name, got, test.want)
		}
	}
}

func TestARunIsFoundAgain(t *testing.T) {
	id := func(flow string, s event.RunStarted) string { return RunID(&event.Event{Flow: flow, RunStarted: &s}) }
	seen := map[string]string{}
	for name, got := range map[string]string{
		"a flow":      id("x", event.RunStarted{File: "a.yaml", Iteration: 1}),
		"another":     id("y", event.RunStarted{File: "a.yaml"}),
		"a file":      id("x", event.RunStarted{File: "b.yaml"}),
		"a row":       id("x", event.RunStarted{File: "a.yaml", Row: &event.Row{}}),
		"another row": id("x", event.RunStarted{File: "a.yaml", Row: &event.Row{Index: 1}}),
		"a name":      id("x", event.RunStarted{File: "a.yaml", Row: &event.Row{Name: "ada"}}),
		"a repeat":    id("x", event.RunStarted{File: "a.yaml", Iteration: 2}),
		"staging":     id("x", event.RunStarted{File: "a.yaml", Environment: "staging"}),
	} {
		if other, there := seen[got]; there {
			t.Errorf("%s is taken for %s", name, other)
		}
		seen[got] = name
	}
	if id("x", event.RunStarted{File: "a.yaml", Agent: "eu-1", Seed: 4, Tags: []string{"t"}}) != id("x", event.RunStarted{File: "a.yaml", Agent: "eu-2", Seed: 5}) {
		t.Error("a run has another id on another agent")
	}
}
