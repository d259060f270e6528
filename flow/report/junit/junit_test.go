package junit

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

// valid asks xmllint (Debian: libxml2-utils) whether a document keeps the dialect.
func valid(t *testing.T, document string) error {
	t.Helper()
	cmd := exec.Command("xmllint", "--noout", "--huge", "--schema", "testdata/junit.xsd", "-")
	cmd.Stdin = strings.NewReader(document)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %.2000s", err, out)
	}
	return nil
}

func started(id, flow string, s event.RunStarted) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, Time: noon, RunID: id, Flow: flow, RunStarted: &s}
}

func finished(id string, status event.Status, reason string) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, Time: noon, RunID: id, RunFinished: &event.RunFinished{Status: status, Reason: reason, DurationMS: 12.5}}
}

func stepped(id, step string, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, Time: noon, RunID: id, StepFinished: &end, Step: &event.Step{
		ID: step, Path: []string{step}, Action: "http.request", Phase: event.PhaseSteps, File: "a/f.yaml", Line: 4,
	}}
}

func write(t *testing.T, o Options, events ...*event.Event) string {
	t.Helper()
	document := plainly(t, o, events...)
	if err := valid(t, document); err != nil {
		t.Errorf("not valid: %v\n%.3000s", err, document)
	}
	return document
}

// plainly is write for documents that are too large for xmllint's tables.
func plainly(t *testing.T, o Options, events ...*event.Event) string {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, o)
	events = append([]*event.Event{{Type: event.TypeBatchStarted, Time: noon, BatchStarted: &event.BatchStarted{Runs: 1, Files: []string{"b/f.yaml", "a/f.yaml"}}}}, events...)
	events = append(events, &event.Event{Type: event.TypeBatchFinished, Time: noon.Add(time.Second), BatchFinished: &event.BatchFinished{}})
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestTheSchemaRefusesWhatIsWrong(t *testing.T) {
	good := write(t, Options{}, started("r", "x", event.RunStarted{File: "a/f.yaml"}), finished("r", event.Failed, "no"))
	for claim, change := range map[string][2]string{
		"a count that is missing":   {` tests="1"`, ``},
		"a time without a dot":      {`time="0.013"`, `time="1"`},
		"an element that is none":   {`<failure`, `<broken`},
		"a case without a name":     {`<testcase name="x"`, `<testcase name=""`},
		"an outcome without a type": {` type="failed"`, ``},
		"two cases of one name":     {`</testcase>`, `</testcase><testcase name="x" classname="a.f" time="0.000"></testcase>`},
		"two outcomes":              {`</testcase>`, `<error message="m" type="t"></error></testcase>`},
	} {
		t.Run(claim, func(t *testing.T) {
			bad := strings.Replace(strings.Replace(good, "<failure", "<failure", 1), change[0], change[1], 1)
			if bad == good {
				t.Fatalf("%q is not in the document:\n%s", change[0], good)
			}
			if claim == "an element that is none" {
				bad = strings.Replace(bad, "</failure", "</broken", 1)
			}
			if valid(t, bad) == nil {
				t.Errorf("the schema accepts it:\n%s", bad)
			}
		})
	}
}

// cases reads back the names of the test cases and what each has in it.
func cases(t *testing.T, document string) map[string]string {
	t.Helper()
	var doc struct {
		Suites []struct {
			Cases []struct {
				Name  string `xml:"name,attr"`
				Inner string `xml:",innerxml"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(document), &doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range doc.Suites {
		for _, c := range s.Cases {
			out[c.Name] = c.Inner
		}
	}
	return out
}

func TestNamesAreUniqueAndInOrder(t *testing.T) {
	run := func(order ...int) string {
		specs := []event.RunStarted{
			{File: "a/f.yaml"},
			{File: "a/f.yaml", Row: &event.Row{Index: 0, Name: "ada"}, Environment: "staging", Agent: "eu-1"},
			{File: "a/f.yaml", Row: &event.Row{Index: 2}, Agent: "local"},
			{File: "a/f.yaml", Row: &event.Row{Index: 2}, Agent: "local"},
			{File: "b/f.yaml", Iteration: 3, Environment: "staging"},
			{File: "a/f.yaml", Row: &event.Row{Index: 2}},
		}
		var events []*event.Event
		for _, i := range order {
			id := fmt.Sprint("r", i)
			events = append(events, started(id, "x", specs[i]), finished(id, event.Passed, ""))
		}
		return write(t, Options{}, events...)
	}
	document := run(0, 1, 2, 3, 4, 5)
	if diff := cmp.Diff(document, run(4, 2, 5, 0, 3, 1)); diff != "" {
		t.Errorf("another order of ends gives another document:\n%s", diff)
	}
	var names []string
	for line := range strings.Lines(document) {
		if _, rest, ok := strings.Cut(line, `<testcase name="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			names = append(names, name)
		}
	}
	want := []string{"x", "x [row 1 ada] (staging, eu-1)", "x [row 3]", "x [row 3] #2", "x [row 3] #3", "x [iteration 3] (staging)"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestTextsAreCleanAndBounded(t *testing.T) {
	long := strings.Repeat("é", 50_000)
	document := write(t, Options{},
		started("r", "x", event.RunStarted{File: "a/f.yaml"}),
		stepped("r", "s", event.StepFinished{Status: event.Failed, Assertions: []event.Assertion{{
			Expression: "\x1b[31mred\x1b[0m\x00]]>", Message: long,
		}}, Result: map[string]any{"status": int64(500), "body": long}}),
		finished("r", event.Failed, ""),
	)
	if n := len(document); n > 2*maxText+2000 {
		t.Errorf("the document has %d bytes", n)
	}
	for _, want := range []string{"(cut: 10", "red]]", `type="assertion"`, "…\" type"} {
		if !strings.Contains(document, want) {
			t.Errorf("the document does not say %q:\n%.1500s", want, document)
		}
	}
	if strings.Contains(document, "\x1b") || strings.Contains(document, "[31m") {
		t.Errorf("an escape is left in the document")
	}
}

func TestTenThousandRunsStayWithinWhatIsRead(t *testing.T) {
	var events []*event.Event
	text := strings.Repeat("x", 2_000)
	for i := range 10_000 {
		id := fmt.Sprint("r", i)
		events = append(events, started(id, fmt.Sprint("flow ", i), event.RunStarted{File: "a/f.yaml"}))
		for s := range 16 {
			events = append(events, stepped(id, fmt.Sprint("s", s), event.StepFinished{Status: event.Passed}))
		}
		events = append(events, stepped(id, "bad", event.StepFinished{Status: event.Failed, Error: &event.Error{Code: "E-WAIT", Message: text}}), finished(id, event.Failed, ""))
	}
	document := plainly(t, Options{}, events...)
	if n := len(document); n > 30<<20 {
		t.Errorf("the document has %d bytes", n)
	}
	if n := strings.Count(document, "<") - strings.Count(document, "</"); n > 250_000 {
		t.Errorf("the document has %d elements", n)
	}
	if !strings.Contains(document, "17 more are not listed") || !strings.Contains(document, `tests="10000" failures="10000"`) {
		t.Error("the document does not say what is left out, or counts wrong")
	}
}

func TestWhatStandsBesideAVerdict(t *testing.T) {
	order := &event.Step{ID: "order", Path: []string{"order"}, Action: "http.request"}
	document := write(t, Options{Attachment: func(e *event.Event) string { return "/tmp/" + e.Artifact.Name }},
		started("r", "x", event.RunStarted{File: "a/f.testmesh.yaml", Tags: []string{"smoke"}}),
		stepped("r", "warm", event.StepFinished{Status: event.Failed, Ignored: true, Reason: "cold"}),
		stepped("r", "again", event.StepFinished{Status: event.Passed, Tries: 3}),
		&event.Event{Type: event.TypeStepArtifact, RunID: "r", Step: order, Artifact: &event.Artifact{Name: "page.png"}},
		&event.Event{Type: event.TypeResourceOrphaned, RunID: "r", Step: order, Resource: &event.Resource{Type: "user", ID: "u1", Reason: "500"}},
		finished("r", event.Passed, ""),
	)
	got := cases(t, document)["x"]
	for _, want := range []string{
		`name="tag" value="smoke"`, `name="step[failed]" value="warm"`, `name="flaky" value="true"`, `name="attachment" value="/tmp/page.png"`,
		"[[ATTACHMENT|/tmp/page.png]]", "ignored: warm: cold", "again passed on try 3", "left behind: user u1: 500",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the case does not have %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "<failure") || !strings.Contains(document, `classname="a.f"`) {
		t.Errorf("an ignored failure fails the case, or its class is wrong:\n%s", document)
	}
}

func TestStatuses(t *testing.T) {
	for status, want := range map[event.Status]string{
		event.Passed:    "",
		event.Failed:    `<failure message="why" type="failed">`,
		event.Errored:   `<error message="why" type="errored">`,
		event.Cancelled: `<error message="why" type="cancelled">`,
		event.Skipped:   `<skipped message="why">`,
	} {
		got := cases(t, write(t, Options{}, started("r", "x", event.RunStarted{File: "f.yaml"}), finished("r", status, "why")))["x"]
		if want == "" && strings.TrimSpace(got) != "" || !strings.Contains(got, want) {
			t.Errorf("%s gives %q, want %q", status, got, want)
		}
	}
	got := write(t, Options{}, started("r", "x", event.RunStarted{}), finished("r", event.Errored, ""))
	if !strings.Contains(got, `message="no step says why"`) {
		t.Errorf("an error without a reason: %s", got)
	}
}

func TestKindsAreCauses(t *testing.T) {
	for code, want := range map[string]string{
		"E-CONN": "connection", "E-DNS": "connection", "E-TLS": "connection", "E-TIMEOUT": "timeout", "E-RUNTIME": "timeout",
		"E-PLUGIN": "plugin", "E-WAIT": "wait", "": "errored",
	} {
		if got := kind(&event.StepFinished{Status: event.Errored, Error: &event.Error{Code: code}}); got != want {
			t.Errorf("%q is %q, want %q", code, got, want)
		}
	}
}

// Whatever stands in events, the document keeps the dialect.
func TestHostileEventsKeepTheDialect(t *testing.T) {
	const text = "\x1b[2J\x00\ufffe]]>\n\t<&\"'\xff"
	var fill func(v reflect.Value, depth int)
	fill = func(v reflect.Value, depth int) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(text)
		case reflect.Pointer:
			if depth < 6 {
				v.Set(reflect.New(v.Type().Elem()))
				fill(v.Elem(), depth+1)
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type() != reflect.TypeFor[time.Time]() {
					fill(v.Field(i), depth+1)
				}
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() != reflect.Uint8 && depth < 6 {
				v.Set(reflect.MakeSlice(v.Type(), 2, 2))
				fill(v.Index(0), depth+1)
				fill(v.Index(1), depth+1)
			}
		case reflect.Interface:
			v.Set(reflect.ValueOf(map[string]any{"status": text, "body": text}))
		case reflect.Int, reflect.Int64:
			v.SetInt(-3)
		case reflect.Float64:
			v.SetFloat(-1)
		}
	}
	for _, status := range event.Statuses {
		var events []*event.Event
		for _, kind := range []event.Type{event.TypeRunStarted, event.TypeStepFinished, event.TypeStepArtifact, event.TypeResourceOrphaned, event.TypeRunFinished} {
			e := &event.Event{}
			fill(reflect.ValueOf(e).Elem(), 0)
			e.Type, e.StepFinished.Status, e.RunFinished.Status = kind, status, status
			events = append(events, e)
		}
		document := write(t, Options{Attachment: func(e *event.Event) string { return e.Artifact.Name }}, events...)
		if strings.Contains(document, "\x1b") {
			t.Errorf("%s: an escape is left:\n%s", status, document)
		}
	}
}
