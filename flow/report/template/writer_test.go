package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

// still is a clock that stands.
func still() time.Time { return noon }

func parse(t *testing.T, text string) *Template {
	t.Helper()
	tpl, problems := Parse("x.report.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return tpl
}

func started(id, flow string, s event.RunStarted) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, Time: noon, RunID: id, Flow: flow, RunStarted: &s}
}

func finished(id string, status event.Status) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, Time: noon.Add(time.Second), RunID: id, RunFinished: &event.RunFinished{Status: status, DurationMS: 12.5, Steps: event.Counts{event.Passed: 2}}}
}

func stepEnded(run, step string, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, Time: noon, RunID: run, StepFinished: &end, Step: &event.Step{
		ID: step, Path: []string{step}, Action: "http.request", Phase: event.PhaseSteps, File: "a/f.yaml", Line: 4, Try: 1,
	}}
}

func wrong(expression string) event.StepFinished {
	return event.StepFinished{Status: event.Failed, Tries: 1, Assertions: []event.Assertion{{
		Expression: expression, Message: "no", Line: 7, Column: 3, HasActual: true, Actual: int64(2), HasExpected: true, Expected: map[string]any{"a": int64(1)},
	}}}
}

// batch puts events between those of a batch.
func batch(exit int, events ...*event.Event) []*event.Event {
	first := &event.Event{Type: event.TypeBatchStarted, Time: noon, BatchID: "b1", BatchStarted: &event.BatchStarted{Runs: 3, Seed: 7, Files: []string{"a/f.yaml"}}}
	last := &event.Event{Type: event.TypeBatchFinished, Time: noon.Add(1500 * time.Millisecond), BatchID: "b1", BatchFinished: &event.BatchFinished{ExitCode: exit, Reason: "because"}}
	return append(append([]*event.Event{first}, events...), last)
}

// three is a batch of a run that passed, one that failed twice and one that was
// not judged.
func three() []*event.Event {
	return batch(1,
		started("r1", "fine", event.RunStarted{File: "a/f.yaml", Tags: []string{"x", "y"}}),
		stepEnded("r1", "get", event.StepFinished{Status: event.Passed, Tries: 1, HasResult: true, Result: map[string]any{"status": int64(200)}}),
		finished("r1", event.Passed),
		started("r2", "<bad>", event.RunStarted{Row: &event.Row{Index: 1, Name: "ada"}}),
		stepEnded("r2", "one", wrong("a == 1")), stepEnded("r2", "two", wrong("b == 2")),
		finished("r2", event.Failed),
		started("r3", "gone", event.RunStarted{}),
		stepEnded("r3", "ping", event.StepFinished{Status: event.Errored, Tries: 1, Error: &event.Error{Code: "E-CONN", Message: "nobody", Hint: "start it", Blame: "system"}}),
		finished("r3", event.Errored))
}

// write gives the report, and the error at its end.
func write(t *testing.T, tpl *Template, events []*event.Event) (string, error) {
	t.Helper()
	var out bytes.Buffer
	w := tpl.New(&out, Options{Now: still})
	for i, e := range events {
		if err := w.Write(e); err != nil {
			if i < len(events)-1 {
				t.Fatalf("%s: %v: runs must not stop for a report", e.Type, err)
			}
			return out.String(), err
		}
	}
	return out.String(), nil
}

func TestSectionsAreWrittenInTheirOrder(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"all of them": {
			`{escape: none, header: "H ", run: "R${run.number}(", step: "s${step.number} ", failure: "f${failure.number} ", run_end: ")", footer: " F"}`,
			"H R1(s1 )R2(s1 s2 f1 f2 )R3(s1 f1 ) F",
		},
		"a header that knows the end": {
			`{escape: none, header: "${batch.failed}+${batch.errored} of ${batch.total}: ", run: "${run.status} ", footer: "${batch.status} ${batch.exit_code}"}`,
			"1+1 of 3: passed failed errored failed 1",
		},
		"only where": {
			`{escape: none, run: {when: run.status != "passed", text: "${run.name}\n"}}`,
			"<bad> [row 2 ada]\ngone\n",
		},
		"no run, nothing in it": {
			`{escape: none, run: {when: run.status == "passed", text: "[", separator: ","}, step: "${step.id}", failure: "!", run_end: "]"}`,
			"[get]",
		},
		"separators": {
			`{escape: none, run: {text: "[", separator: ", "}, step: {text: "${step.id}", separator: "+"}, run_end: "]"}`,
			"[get], [one+two], [ping]",
		},
		"separators across runs": {
			`{escape: none, header: "(", failure: {text: "${failure.id}", separator: ","}, footer: ")"}`,
			"(one,two,ping)",
		},
		"limits": {
			`{escape: none, run: "", failure: {limit: 1, text: "${failure.id} "}, footer: "and ${left_out.failure} more"}`,
			"one and 2 more",
		},
		"a limit of runs is one of what is in them": {
			`{escape: none, header: "${left_out.run} left: ", run: {limit: 1, text: "${run.flow} "}, step: "${step.id}"}`,
			"2 left: fine get",
		},
		"data is escaped, the text is not": {
			`{escape: html, run: {when: run.row == 2, text: "<b>${run.flow}</b>"}}`,
			"<b>&lt;bad&gt;</b>",
		},
		"other braces stay": {`{escape: none, header: "{{ x }} $${y}"}`, "{{ x }} ${y}"},
		"the fields of a run": {
			`{escape: none, run: {when: run.number == 2, text: "${run.id} ${run.row} ${run.row_name} ${run.why} ${run.code} ${run.line} ${run.duration_ms} ${run.started} ${run.failures} ${run.steps.passed} ${run.file}|"}}`,
			"r2 2 ada one: a == 1: no E-ASSERT 7 12.5 2031-02-03T12:00:00Z 2 2 |",
		},
		"the fields of a step": {
			`{escape: none, run: {when: run.number == 1, text: "${join(run.tags, \"+\")} "}, step: "${step.path} ${step.action} ${step.status} ${step.result.status} ${step.assertions.total} ${step.tries}"}`,
			"x+y get http.request passed 200 0 1",
		},
		"the fields of a failure": {
			`{escape: none, run: {when: run.number != 1, text: ""}, failure: {limit: 1, text: "${failure.path} ${failure.file}:${failure.line}:${failure.column} ${failure.status} ${failure.code} ${failure.message} ${failure.expected} ${failure.actual}${failure.hint}"}}`,
			`one a/f.yaml:7:3 failed E-ASSERT a == 1: no {"a":1} 2`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := write(t, parse(t, "report: "+test.text), three())
			if got != test.want || err != nil {
				t.Errorf("got  %q, %v\nwant %q", got, err, test.want)
			}
		})
	}
}

// TestEveryFieldCanBeRead prints every field of every section where nothing is
// set: a text never fails because there is no row or no error.
func TestEveryFieldCanBeRead(t *testing.T) {
	events := batch(3, started("r", "", event.RunStarted{}), &event.Event{Type: event.TypeStepFinished, RunID: "r", Step: &event.Step{}, StepFinished: &event.StepFinished{Status: event.Failed}},
		&event.Event{Type: event.TypeRunFinished, RunID: "r", RunFinished: &event.RunFinished{}})
	for _, section := range sections {
		var paths []string
		var walk func(prefix string, fields []field)
		walk = func(prefix string, fields []field) {
			for _, f := range fields {
				late := f.atEnd && section != sectionHeader && section != sectionFooter
				switch {
				case late || f.name == "result": // of a step without one it is null
				case f.nested:
					walk(prefix+f.name+".", f.below)
				default:
					paths = append(paths, "${"+prefix+f.name+"}")
				}
			}
		}
		walk("", roots(section))
		got, err := write(t, parse(t, fmt.Sprintf("report: {escape: none, %s: %q}", section, "<"+strings.Join(paths, ",")+">")), events)
		if err != nil || strings.Count(got, ",") < len(paths)-1 {
			t.Errorf("%s: %v\n%s", section, err, got)
		}
	}
}

func TestHostileAnswersStayData(t *testing.T) {
	hostile := "\x1b[31m\"}]<script>\u202e\x00|`"
	events := batch(1, started("r", hostile, event.RunStarted{File: hostile}), stepEnded("r", "s", wrong(hostile)), finished("r", event.Failed))
	got, err := write(t, parse(t, `report: {escape: json, failure: "[\"${run.flow}\",\"${failure.message}\",\"${failure.explanation}\"]"}`), events)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	if err := json.Unmarshal([]byte(got), &list); err != nil || len(list) != 3 || strings.ContainsAny(got, "\x1b\u202e\x00") {
		t.Errorf("%v: %q", err, got)
	}
}

func TestWhatCannotBeWrittenIsSaidAtTheEnd(t *testing.T) {
	tests := map[string]struct{ text, want, out string }{
		"what an answer does not hold": {`{escape: none, header: "H", step: "${step.result.status} ", footer: "F"}`, "3 texts of it are missing, the first one for: x.report.yaml:1:46: step.result.status is missing", "H200 F"},
		"one text alone":               {`{escape: none, header: "H", footer: "${1 / (batch.passed - 1)}"}`, "a text of it is missing: x.report.yaml:1:", "H"},
		"a when that is no truth":      {`{escape: none, run: {when: run.outputs, text: a}, footer: F}`, "when is true or false, not a", "F"},
		"an expression without end":    {`{escape: none, header: "${len(1..900000 | map(# * 2) | filter(# > 3) | map(# + 1))}", footer: F}`, "x.report.yaml:1:", "F"},
		"a text that is far too long":  {`{escape: none, header: "` + strings.Repeat(`${repeat(\"x\", 16000)}`, 70) + `", footer: F}`, "the text is over 1 MiB", "F"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := write(t, parse(t, "report: "+test.text), three())
			if err == nil || !strings.Contains(err.Error(), test.want) || got != test.out {
				t.Errorf("got %q, %v\nwant %q, %s", got, err, test.out, test.want)
			}
		})
	}
}

func TestLongValuesSayWhereTheyAreCut(t *testing.T) {
	got, err := write(t, parse(t, `report: {escape: none, header: "${repeat(\"x\", 100000)}"}`), three())
	if err != nil || len(got) > maxPlaceholder+50 || !strings.HasSuffix(got, "… (cut: 100000 bytes)") {
		t.Errorf("%v, %d bytes: …%s", err, len(got), got[max(len(got)-50, 0):])
	}
}

func TestAReportHasAnEnd(t *testing.T) {
	tpl := parse(t, `report: {escape: none, run: "${repeat(\"x\", 16000)}`+strings.Repeat(`${repeat(\"x\", 16000)}`, 60)+`", footer: "${left_out.run} left"}`)
	var out bytes.Buffer
	w := tpl.New(&out, Options{Now: still})
	var events []*event.Event
	for i := range 80 {
		id := fmt.Sprint("r", i)
		events = append(events, started(id, "x", event.RunStarted{}), finished(id, event.Passed))
	}
	var last error
	for _, e := range batch(0, events...) {
		last = w.Write(e)
	}
	if last == nil || !strings.Contains(last.Error(), "over 64 MiB") || out.Len() > maxOutput || !strings.HasSuffix(out.String(), " left") {
		t.Errorf("%d bytes, %v", out.Len(), last)
	}
}

func TestTimeHasAnEnd(t *testing.T) {
	at := noon
	tpl := parse(t, `report: {escape: none, run: "${run.name}", footer: F}`)
	var out bytes.Buffer
	w := tpl.New(&out, Options{Now: func() time.Time { at = at.Add(time.Second); return at }})
	var events []*event.Event
	for i := range 100 {
		id := fmt.Sprint("r", i)
		events = append(events, started(id, "x", event.RunStarted{}), finished(id, event.Passed))
	}
	var last error
	for _, e := range batch(0, events...) {
		last = w.Write(e)
	}
	if last == nil || !strings.Contains(last.Error(), "take over 1m0s") || out.Len() == 0 || out.Len() > 60 {
		t.Errorf("got %q, %v", out.String(), last)
	}
}

func TestExchangesAreWantedOnlyWhereTheyAreShown(t *testing.T) {
	for text, want := range map[string]bool{"${failure.message}": false, "${failure.request}": true, "${failure.curl}": true, "${failure.explanation}": true, "${failure}": true} {
		if got := parse(t, fmt.Sprintf("report: {escape: none, failure: %q}", text)).New(nil, Options{Now: still}).Wants().Exchanges; got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestStepsOfARunAreBounded(t *testing.T) {
	tpl := parse(t, `report: {escape: none, step: "${step.number} ${step.result ?? \"\"}\n", footer: "${left_out.step} left"}`)
	var events []*event.Event
	events = append(events, started("r", "x", event.RunStarted{}))
	for i := range 3 * maxSteps {
		events = append(events, stepEnded("r", fmt.Sprint("s", i), event.StepFinished{Status: event.Passed, HasResult: true, Result: strings.Repeat("x", 100_000)}))
	}
	got, err := write(t, tpl, batch(0, append(events, finished("r", event.Passed))...))
	if err != nil || len(got) > 2*maxKept || !strings.HasSuffix(got, fmt.Sprint(3*maxSteps-strings.Count(got, "\n"), " left")) {
		t.Errorf("%v, %d bytes, …%s", err, len(got), got[max(len(got)-50, 0):])
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAFullDiskIsAnError(t *testing.T) {
	w := parse(t, `report: {escape: none, header: H}`).New(full{}, Options{Now: still})
	if err := w.Write(batch(0)[0]); err == nil {
		t.Error("no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("report: {escape: none, header: \"${batch.id}\", run: {text: a, when: run.row > 2, limit: 3}}")
	f.Add("report:\n  escape: html\n  failure: |\n    <b>${failure.message ?? run.name}</b>\n")
	f.Fuzz(func(t *testing.T, text string) {
		tpl, problems := Parse("x.report.yaml", []byte(text))
		if (tpl == nil) != (len(problems.Errors()) > 0) {
			t.Fatalf("a template and problems: %v", problems)
		}
		for _, p := range problems {
			if p.Pos.Line < 1 || p.Message == "" || p.Code == "" {
				t.Errorf("a problem that says nothing: %+v", p)
			}
		}
		if tpl == nil {
			return
		}
		w := tpl.New(&bytes.Buffer{}, Options{Now: still})
		for _, e := range three() {
			if err := w.Write(e); err != nil {
				if located := (*expr.Located)(nil); errors.As(err, &located) && located.Pos.Line < 1 {
					t.Errorf("an error without a place: %v", err)
				}
			}
		}
	})
}
