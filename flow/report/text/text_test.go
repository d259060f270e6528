package text

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
)

func TestColumns(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "é": 1, "e\u0301": 1, "深い": 4, "ＡＢ": 4, "🚀": 2, "a\u200db": 2, "한": 2, "ｶ": 1,
	} {
		if got := Columns(s); got != want {
			t.Errorf("Columns(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for claim, c := range map[string]struct{ in, want string }{
		"plain text stays":                 {"añ 深\tb\nc", "añ 深\tb\nc"},
		"ESC is shown":                     {"\x1b[31mred", `\x1b[31mred`},
		"C1 controls are shown":            {"a\u009b2J", `a\x9b2J`},
		"the right-to-left override":       {"a\u202eb", `a\u202eb`},
		"line separators":                  {"a\u2028b", `a\u2028b`},
		"bytes that are no UTF-8":          {"a\xffb", `a\xffb`},
		"a replacement character stays":    {"a\ufffdb", "a\ufffdb"},
		"the line ends of Windows are one": {"a\r\nb\rc", "a\nb\\x0dc"},
	} {
		t.Run(claim, func(t *testing.T) {
			if got := Clean(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := OneLine("a\nb\tc"); got != "a b c" {
		t.Errorf("OneLine gave %q", got)
	}
}

func TestClip(t *testing.T) {
	for claim, c := range map[string]struct {
		style   Style
		in      string
		columns int
		want    string
	}{
		"what fits stays":              {Style{}, "abc", 3, "abc"},
		"the mark counts":              {Style{}, "abcd", 3, "ab…"},
		"ASCII has a wider mark":       {Style{ASCII: true}, "abcdef", 5, "ab..."},
		"a wide character is not half": {Style{}, "深い紅茶", 4, "深…"},
		"no room at all":               {Style{ASCII: true}, "abcdef", 2, ".."},
		"none":                         {Style{}, "abc", 0, ""},
	} {
		t.Run(claim, func(t *testing.T) {
			got := c.style.Clip(c.in, c.columns)
			if got != c.want || Columns(got) > c.columns {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDurations(t *testing.T) {
	for ms, want := range map[float64]string{
		0: "0.0ms", 9.94: "9.9ms", 38: "38ms", 999.9: "999ms", 1210: "1.21s", 59999: "59.99s", 60000: "1m00s", 3725000: "1h02m",
	} {
		if got := duration(ms); got != want {
			t.Errorf("duration(%v) = %q, want %q", ms, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	file := "flow:\n  name: x\n\n  steps:\n    - id: a\n      config:\n        match: key == \"{{ordr_id}}\"\n"
	for claim, c := range map[string]struct {
		problem source.Problem
		want    string
	}{
		"an unknown name has its line, carets and what was possible": {
			source.Problem{
				Code: source.CodeName, Pos: source.Pos{File: "flows/checkout.yaml", Line: 7, Column: 26}, Text: "ordr_id",
				Message: `unknown variable "ordr_id"`, Hint: `did you mean "order_id"? Step create_order saves it on line 14.`,
				InScope: []string{"base_url", "order_id"}, Fix: `        match: key == "{{order_id}}"`,
			},
			`INVALID flows/checkout.yaml                                               E-NAME
    ┌─ flows/checkout.yaml:7:26
    │
  5 │     - id: a
  6 │       config:
  7 │         match: key == "{{ordr_id}}"
    │                          ^^^^^^^ unknown variable "ordr_id"
    │
    = help      did you mean "order_id"? Step create_order saves it on line 14.
    = in scope  base_url, order_id
    = write     match: key == "{{order_id}}"

`,
		},
		"a note about a whole file has no excerpt": {
			source.Problem{Severity: source.Note, Code: source.CodeFile, Pos: source.Pos{File: "a.yaml"}, Message: "is empty"},
			"NOTE  a.yaml                                                              E-FILE\n    is empty\n\n",
		},
		"the end of the file can be to blame": {
			source.Problem{Code: source.CodeYAML, Pos: source.Pos{File: "a.yaml", Line: 8, Column: 1}, Message: "ends early"},
			"INVALID a.yaml                                                            E-YAML\n    ┌─ a.yaml:8:1\n    │\n  6 │       config:\n  7 │         match: key == \"{{ordr_id}}\"\n  8 │\n    │ ^ ends early\n    │\n\n",
		},
		"a line that the file does not have": {
			source.Problem{Code: source.CodeYAML, Pos: source.Pos{File: "a.yaml", Line: 99, Column: 1}, Message: "x"},
			"INVALID a.yaml                                                            E-YAML\n    ┌─ a.yaml:99:1\n    │ x\n    │\n\n",
		},
		"the command line": {
			source.Problem{Code: source.CodeUsage, Message: "no such flag"},
			"INVALID command line                                                     E-USAGE\n    no such flag\n\n",
		},
	} {
		t.Run(claim, func(t *testing.T) {
			var b bytes.Buffer
			Style{Width: 80}.Problem(&b, c.problem, []byte(file))
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// poison fills every text of a value with what would steer a terminal.
func poison(v reflect.Value, depth int) {
	const text = "\x1b[2J\x9b\u202ex\r\n\x07\xff"
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		if v.IsNil() && depth < 6 {
			v.Set(reflect.New(v.Type().Elem()))
		}
		if !v.IsNil() {
			poison(v.Elem(), depth+1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			poison(v.Field(i), depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 && depth < 6 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range 2 {
				poison(v.Index(i), depth+1)
			}
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{text: []any{text}, "status": text, "body": text, "body_error": text}))
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		key, item := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		poison(key, depth+1)
		poison(item, depth+1)
		m.SetMapIndex(key, item)
		v.Set(m)
	case reflect.Bool:
		v.SetBool(depth%2 == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	}
}

func poisoned() []*event.Event {
	var out []*event.Event
	for _, kind := range []event.Type{
		event.TypeBatchStarted, event.TypeRunStarted, event.TypeStepStarted, event.TypeStepLog, event.TypeStepExchange,
		event.TypeStepArtifact, event.TypeStepRetrying, event.TypeStepFinished, event.TypeResourceTracked,
		event.TypeResourceRemoved, event.TypeResourceOrphaned, event.TypeRunFinished, event.TypeBatchFinished,
	} {
		for _, status := range event.Statuses {
			e := &event.Event{}
			poison(reflect.ValueOf(e), 0)
			e.Type = kind
			e.StepFinished.Status, e.RunFinished.Status, e.Retrying.Status = status, status, status
			if kind == event.TypeRunFinished {
				out = append(out, &event.Event{Type: event.TypeRunStarted, RunID: e.RunID, Flow: e.Flow, RunStarted: e.RunStarted})
			}
			out = append(out, e)
		}
	}
	return out
}

// No data reaches the terminal's ear: whatever is in an event, in a flow file
// or in a next command.
func TestNoOutputSteersTheTerminal(t *testing.T) {
	const poison = "\x1b[2J\u202e\x07\r"
	for _, format := range []Format{List, Line, Dot, Quiet, Verbose} {
		for _, ascii := range []bool{false, true} {
			var out bytes.Buffer
			w := New(&out, Options{
				Format: format, Style: Style{ASCII: ascii}, Counter: true,
				Place:  func(file string) string { return file + poison },
				Source: func(string) []byte { return []byte(strings.Repeat(poison+"\t line\n", 5)) },
				Next: func(*event.Event, *event.Step, *event.StepFinished) []string {
					return []string{poison}
				},
			})
			for _, e := range poisoned() {
				if err := w.Write(e); err != nil {
					t.Fatal(err)
				}
			}
			if out.Len() == 0 {
				t.Fatal("nothing was printed")
			}
			for i, r := range out.String() {
				if r != '\n' && steers(r) {
					t.Fatalf("%s: %q in the output: %q", format, r, out.String()[max(0, i-200):i+10])
				}
			}
		}
	}
	var b bytes.Buffer
	p := source.Problem{Code: poison, Pos: source.Pos{File: poison, Line: 1, Column: 1}, Text: poison, Message: poison, Hint: poison, InScope: []string{poison}, Fix: poison}
	Style{}.Problem(&b, p, []byte(poison))
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && steers(r) }); i >= 0 {
		t.Errorf("a problem prints %q", b.String()[i:])
	}
}

func failing(i int, message string) []*event.Event {
	id, flow := fmt.Sprintf("r%05d", i), fmt.Sprintf("flow %05d", i)
	step := &event.Step{ID: "a", Path: []string{"a"}, Action: "http.request", Phase: event.PhaseSteps, File: "f.yaml", Line: 1}
	failed := &event.StepFinished{Status: event.Errored, Error: &event.Error{Code: "E-CONN", Message: message}, Tries: 1}
	return []*event.Event{
		{Type: event.TypeRunStarted, RunID: id, Flow: flow, RunStarted: &event.RunStarted{File: "f.yaml"}},
		{Type: event.TypeStepFinished, RunID: id, Flow: flow, Step: step, StepFinished: failed},
		{Type: event.TypeRunFinished, RunID: id, Flow: flow, RunFinished: &event.RunFinished{Status: event.Errored, Steps: event.Counts{event.Errored: 1}}},
	}
}

func TestTenThousandFailuresAreBounded(t *testing.T) {
	for claim, c := range map[string]struct {
		message func(i int) string
		blocks  int
		says    []string
	}{
		"each for its own cause": {
			func(i int) string { return fmt.Sprintf("refused: port %d", i) }, maxFailures,
			[]string{"9950 more failures are not shown here", "10000 errored"},
		},
		"all for one cause": {
			func(int) string { return "refused" }, 1,
			[]string{"flow 00001 › a", "and 9991 more", "10000 errored"},
		},
	} {
		t.Run(claim, func(t *testing.T) {
			var out bytes.Buffer
			w := New(&out, Options{Format: Quiet})
			for i := range 10_000 {
				for _, e := range failing(i, c.message(i)) {
					if err := w.Write(e); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := len(w.runs); n != 0 {
				t.Errorf("%d runs are still kept", n)
			}
			if err := w.Write(&event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{ExitCode: 3}}); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(out.String(), "\nERROR flow"); got != c.blocks {
				t.Errorf("%d failures are printed, want %d", got, c.blocks)
			}
			for _, want := range c.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output does not say %q", want)
				}
			}
		})
	}
}

func TestOneRunIsBounded(t *testing.T) {
	var out bytes.Buffer
	w := New(&out, Options{Format: Quiet})
	send := func(e *event.Event) {
		t.Helper()
		if e.RunID, e.Flow = "r", "loop"; w.Write(e) != nil {
			t.Fatal(w.Err())
		}
	}
	send(&event.Event{Type: event.TypeRunStarted, RunStarted: &event.RunStarted{}})
	for i := range 1000 {
		step := &event.Step{ID: "a", Path: []string{fmt.Sprintf("each[%d]", i), "a"}, Action: "http.request"}
		send(&event.Event{Type: event.TypeStepExchange, Step: step, Exchange: &event.Exchange{Summary: "GET"}})
		send(&event.Event{Type: event.TypeStepFinished, Step: step, StepFinished: &event.StepFinished{Status: event.Failed, Assertions: []event.Assertion{{Expression: "x"}}}})
		send(&event.Event{Type: event.TypeResourceOrphaned, Step: step, Resource: &event.Resource{Type: "user", ID: "u"}})
	}
	send(&event.Event{Type: event.TypeRunFinished, RunFinished: &event.RunFinished{Status: event.Failed}})
	send(&event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{ExitCode: 1}})
	for _, want := range []string{"980 more failures are not shown", "left behind in loop: 980 more"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output does not say %q", want)
		}
	}
}

func TestTheOrderIsThatOfTheBatch(t *testing.T) {
	run := func(order []int) string {
		var out bytes.Buffer
		w := New(&out, Options{Format: Quiet})
		for _, i := range order {
			for _, e := range failing(i, fmt.Sprint("refused ", i)) {
				if err := w.Write(e); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Write(&event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{}}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if diff := cmp.Diff(run([]int{1, 2, 3, 4}), run([]int{3, 1, 4, 2})); diff != "" {
		t.Errorf("runs that end in another order give another report:\n%s", diff)
	}
}

// What a system answered is said in its own words, whatever form its status has.
func TestTheResponseOfAFailedStep(t *testing.T) {
	for claim, c := range map[string]struct {
		result map[string]any
		want   string
	}{
		"a number with its text": {map[string]any{"status": int64(404), "status_text": "Not Found"}, "= response  404 Not Found\n"},
		"a name with a message":  {map[string]any{"status": map[string]any{"code": int64(5), "name": "NOT_FOUND", "message": "no such order"}}, "= response  NOT_FOUND: no such order\n"},
		"a name alone":           {map[string]any{"status": map[string]any{"name": "OK", "message": ""}}, "= response  OK\n"},
		"details":                {map[string]any{"status": map[string]any{"name": "ABORTED", "details": []any{"why"}}}, `= details   ["why"]`},
		"a map of another form":  {map[string]any{"status": map[string]any{"up": true}}, `= response  {"up":true}`},
	} {
		t.Run(claim, func(t *testing.T) {
			events := failing(1, "x")
			events[1].StepFinished = &event.StepFinished{Status: event.Failed, Result: c.result, Assertions: []event.Assertion{{Expression: "x"}}}
			var out bytes.Buffer
			w := New(&out, Options{Format: Quiet})
			for _, e := range events {
				if err := w.Write(e); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Write(&event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{}}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("got\n%s\nwithout %q", out.String(), c.want)
			}
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestBrokenOutputIsAnError(t *testing.T) {
	w := New(brokenWriter{}, Options{})
	var err error
	for _, e := range failing(1, "x") {
		err = w.Write(e)
	}
	if err != io.ErrClosedPipe || w.Err() != io.ErrClosedPipe { //nolint:errorlint // it is handed on as it came
		t.Errorf("got %v and %v", err, w.Err())
	}
}

// The verdict is green only where something passed, nothing else happened and
// the exit code agrees.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		statuses []event.Status
		exit     int
		want     string
	}{
		{[]event.Status{event.Passed, event.Skipped}, 0, "PASS"},
		{[]event.Status{event.Passed}, 3, "ERROR"},
		{nil, 0, "NOTHING"},
		{[]event.Status{event.Skipped}, 4, "NOTHING"},
		{[]event.Status{event.Passed, event.Failed, event.Errored}, 1, "FAIL"},
		{[]event.Status{event.Passed, event.Errored, event.Cancelled}, 3, "ERROR"},
		{[]event.Status{event.Passed, event.Cancelled}, 130, "STOPPED"},
		{[]event.Status{event.Passed}, 5, "STOPPED"},
	} {
		var out bytes.Buffer
		w := New(&out, Options{Format: Quiet})
		for _, s := range c.statuses {
			if err := w.Write(&event.Event{Type: event.TypeRunFinished, Flow: "f", RunFinished: &event.RunFinished{Status: s}}); err != nil {
				t.Fatal(err)
			}
		}
		out.Reset()
		if err := w.Write(&event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{ExitCode: c.exit}}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains("\n"+out.String(), "\n"+c.want+"  ") {
			t.Errorf("%v, exit %d: want %s in %q", c.statuses, c.exit, c.want, out.String())
		}
	}
}
