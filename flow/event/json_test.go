package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/testmesh/testmesh/flow/value"
)

var (
	noon = time.Date(2031, 2, 3, 12, 0, 0, 120_000_000, time.UTC)
	pay  = &Step{
		ID: "pay", Name: "Pay", Action: "http.request", Phase: PhaseSteps,
		Path: []string{"checkout", "each[2]", "pay"}, File: "shop/pay.yaml", Line: 14, Try: 2,
	}
)

const (
	runHead  = `,"seq":7,"time":"2031-02-03T12:00:00.12Z","batch_id":"b","run_id":"r","attempt":1,"flow":"Pay"`
	stepHead = runHead + `,"step_id":"pay","name":"Pay","action":"http.request","phase":"steps",` +
		`"path":["checkout","each[2]","pay"],"file":"shop/pay.yaml","line":14,"try":2`
	artifactHead = runHead + `,"step_id":"pay","step_name":"Pay","action":"http.request","phase":"steps",` +
		`"path":["checkout","each[2]","pay"],"file":"shop/pay.yaml","line":14,"try":2`
)

func inRun(e Event) *Event {
	e.Seq, e.Time, e.BatchID, e.RunID, e.Attempt, e.Flow = 7, noon, "b", "r", 1, "Pay"
	return &e
}

func inStep(e Event) *Event {
	e.Step = pay
	return inRun(e)
}

func number(t *testing.T, text string) any {
	t.Helper()
	n, err := value.ParseNumber(text)
	if err != nil {
		t.Fatalf("parse number %s: %v", text, err)
	}
	return n
}

func cases(t *testing.T) map[string]struct {
	event *Event
	line  string
} {
	failure := &Error{
		Code: "E-CONN", Message: "refused", Hint: "start it", Blame: "system",
		Details: []string{"a", "b"}, Line: 3, Column: 5, Width: 7,
	}
	failureText := `"error":{"code":"E-CONN","message":"refused","hint":"start it","blame":"system","details":["a","b"],"line":3,"column":5,"width":7}`
	return map[string]struct {
		event *Event
		line  string
	}{
		"batch.started has only its own fields": {
			&Event{Type: TypeBatchStarted, Time: noon, BatchID: "b", BatchStarted: &BatchStarted{Runs: 2, Files: []string{"a.yaml"}, Seed: 9, Notes: []string{"n"}}},
			`{"v":1,"type":"batch.started","time":"2031-02-03T12:00:00.12Z","batch_id":"b","runs":2,"files":["a.yaml"],"seed":9,"notes":["n"]}`,
		},
		"batch.finished always has its exit code": {
			&Event{Type: TypeBatchFinished, Time: noon, BatchID: "b", BatchFinished: &BatchFinished{Counts: Counts{Passed: 2, Skipped: 1}, ExitCode: 0, Reason: "x"}},
			`{"v":1,"type":"batch.finished","time":"2031-02-03T12:00:00.12Z","batch_id":"b","counts":{"passed":2,"skipped":1},"exit_code":0,"reason":"x"}`,
		},
		"run.started says where the run comes from": {
			inRun(Event{Type: TypeRunStarted, RunStarted: &RunStarted{
				File: "f.yaml", Version: "ab", Suite: "s", Tags: []string{"t"}, Environment: "e",
				Row: &Row{Index: 0, Name: "ada"}, Iteration: 1, Agent: "g", Seed: -4,
			}}),
			`{"v":1,"type":"run.started"` + runHead + `,"file":"f.yaml","version":"ab","suite":"s","tags":["t"],"environment":"e","row":{"index":0,"name":"ada"},"iteration":1,"agent":"g","seed":-4}`,
		},
		"step.started names the step": {
			inStep(Event{Type: TypeStepStarted}),
			`{"v":1,"type":"step.started"` + stepHead + `}`,
		},
		"step.log keeps its data": {
			inStep(Event{Type: TypeStepLog, Log: &Log{Level: "warn", Message: "a\nb", Data: []any{int64(1), nil}}}),
			`{"v":1,"type":"step.log"` + stepHead + `,"level":"warn","message":"a\nb","data":[1,null]}`,
		},
		"step.exchange keeps numbers exact": {
			inStep(Event{Type: TypeStepExchange, Exchange: &Exchange{
				Protocol: "HTTP/1.1", Summary: "GET", Request: map[string]any{"n": number(t, "12345678901234567890.12345")},
				Response: map[string]any{"status": int64(200)}, Timings: map[string]float64{"total": 1.5, "dns": 0.25}, Curl: "curl x",
			}}),
			`{"v":1,"type":"step.exchange"` + stepHead + `,"protocol":"HTTP/1.1","summary":"GET","request":{"n":12345678901234567890.12345},"response":{"status":200},"timings":{"dns":0.25,"total":1.5},"curl":"curl x"}`,
		},
		"step.artifact has the artifact's name and the step's as step_name": {
			inStep(Event{Type: TypeStepArtifact, Artifact: &Artifact{Name: "page.png", MediaType: "image/png", Size: 3, SHA256: "ff"}}),
			`{"v":1,"type":"step.artifact"` + artifactHead + `,"name":"page.png","media_type":"image/png","size":3,"sha256":"ff"}`,
		},
		"step.coverage says of what": {
			inStep(Event{Type: TypeStepCoverage, Coverage: &Coverage{Of: "GraphQL x", Unit: "fields", Items: []string{"Query.a"}, All: []string{"Query.a", "Query.b"}}}),
			`{"v":1,"type":"step.coverage"` + stepHead + `,"of":"GraphQL x","unit":"fields","items":["Query.a"],"all":["Query.a","Query.b"]}`,
		},
		"step.retrying says why and when": {
			inStep(Event{Type: TypeStepRetrying, Retrying: &Retrying{
				Status: Errored, Error: failure, Assertions: []Assertion{{Expression: "status == 200"}}, NextInMS: 1000,
			}}),
			`{"v":1,"type":"step.retrying"` + stepHead + `,"status":"errored",` + failureText +
				`,"assertions":[{"expression":"status == 200","passed":false}],"next_in_ms":1000}`,
		},
		"step.finished holds verdict, result and what was in play": {
			inStep(Event{Type: TypeStepFinished, StepFinished: &StepFinished{
				Status: Failed, Reason: "r", Tries: 2, Waited: true, DurationMS: 12.5, Effect: "once", Ignored: true,
				Result: map[string]any{"a": int64(1)}, HasResult: true,
				Assertions: []Assertion{{
					Expression: "a == 2", Implicit: true, Message: "m", HasActual: true, Expected: int64(2), HasExpected: true,
					Operands: []Operand{{Text: "a", Value: int64(1)}, {Text: "b.c", Missing: "b has d"}, {Text: "x", Error: "bad"}, {Text: "n"}},
					Diff:     []Change{{Path: "a", Expected: int64(2), ActualMissing: true}, {Path: "b", ExpectedMissing: true}},
					DiffMore: 3, Line: 4, Column: 6, Width: 2,
				}, {Expression: "cut", Errored: true}},
				Outputs: map[string]any{"id": "u1"}, Error: failure,
				Values: []Used{{Name: "API", Value: "http://x", Origin: "--var"}, {Name: "n", Origin: "o"}},
			}}),
			`{"v":1,"type":"step.finished"` + stepHead + `,"status":"failed","reason":"r","tries":2,"waited":true,"duration_ms":12.5,"effect":"once","ignored":true,"result":{"a":1},` +
				`"assertions":[{"expression":"a == 2","implicit":true,"passed":false,"message":"m","actual":null,"expected":2,` +
				`"operands":[{"text":"a","value":1},{"text":"b.c","missing":"b has d"},{"text":"x","error":"bad"},{"text":"n","value":null}],` +
				`"diff":[{"path":"a","expected":2},{"path":"b","actual":null}],"diff_more":3,"line":4,"column":6,"width":2},` +
				`{"expression":"cut","passed":false,"errored":true}],"outputs":{"id":"u1"},` + failureText +
				`,"values":[{"name":"API","value":"http://x","origin":"--var"},{"name":"n","value":null,"origin":"o"}]}`,
		},
		"a result that is null is there, a preview is another field": {
			inStep(Event{Type: TypeStepFinished, StepFinished: &StepFinished{Status: Passed, HasResult: true, ResultPreview: "{…"}}),
			`{"v":1,"type":"step.finished"` + stepHead + `,"status":"passed","duration_ms":0,"result":null,"result_preview":"{…"}`,
		},
		"a resource has its own type and id": {
			inStep(Event{Type: TypeResourceOrphaned, Resource: &Resource{Type: "user", ID: "u1", Reason: "gone"}}),
			`{"v":1,"type":"resource.orphaned"` + stepHead + `,"resource_type":"user","resource_id":"u1","reason":"gone"}`,
		},
		"run.finished counts steps and assertions by status": {
			inRun(Event{Type: TypeRunFinished, RunFinished: &RunFinished{
				Status: Errored, Reason: "run_timeout", DurationMS: 3, Row: &Row{Index: 2},
				Steps: Counts{Passed: 1, Errored: 1}, Assertions: Counts{Failed: 4}, Outputs: map[string]any{"x": true},
			}}),
			`{"v":1,"type":"run.finished"` + runHead + `,"status":"errored","reason":"run_timeout","duration_ms":3,"row":{"index":2},"counts":{"steps":{"passed":1,"errored":1},"assertions":{"failed":4}},"outputs":{"x":true}}`,
		},
	}
}

func TestAppendJSONAndBack(t *testing.T) {
	for claim, c := range cases(t) {
		t.Run(claim, func(t *testing.T) {
			line := AppendJSON([]byte("before "), c.event)
			if diff := cmp.Diff("before "+c.line, string(line)); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
			got, err := Decode([]byte(c.line))
			if err != nil {
				t.Fatalf("decode: %v", err)
			}
			exact := cmp.Comparer(func(a, b *value.Decimal) bool { return value.Equal(a, b) })
			if diff := cmp.Diff(c.event, got, exact, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func TestArtifactDataIsNotPrinted(t *testing.T) {
	e := inStep(Event{Type: TypeStepArtifact, Artifact: &Artifact{Name: "a", Data: []byte("payload")}})
	if line := string(AppendJSON(nil, e)); strings.Contains(line, "payload") {
		t.Errorf("line holds the artifact's data: %s", line)
	}
}

func TestDecodePassesOverUnknownFields(t *testing.T) {
	e, err := Decode([]byte(`{"v":1,"type":"step.started","time":"2031-02-03T12:00:00Z","later":{"a":1},"step_id":"s"}`))
	if err != nil || e.Step.ID != "s" {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	head := `{"v":1,"time":"2031-02-03T12:00:00Z",`
	for claim, c := range map[string]struct{ line, want string }{
		"what is not JSON":           {`{"v":`, "ends early"},
		"what is not an object":      {`[1]`, "this array is not an event"},
		"another version":            {`{"v":2}`, "version 2 is not 1"},
		"a line without a version":   {`{}`, "version 0 is not 1"},
		"an unknown type":            {head + `"type":"step.jumped"}`, `"step.jumped" is not a type of event`},
		"a bad time":                 {`{"v":1,"type":"step.started","time":"noon"}`, "time: not a time"},
		"a status that is none":      {head + `"type":"step.finished","status":"green"}`, `"green" is not a status`},
		"a missing status":           {head + `"type":"run.finished"}`, `"" is not a status`},
		"text where a number is due": {head + `"type":"step.started","line":"4"}`, "line: unexpected string"},
		"a fraction as seq":          {head + `"type":"step.started","seq":1.5}`, "seq: unexpected number"},
		"a bad duration":             {head + `"type":"run.finished","status":"passed","duration_ms":"1"}`, "duration_ms: unexpected string"},
		"a path of numbers":          {head + `"type":"step.started","path":[1]}`, "path: unexpected number in the list"},
		"assertions of numbers":      {head + `"type":"step.finished","status":"passed","assertions":[1]}`, "assertions: unexpected number"},
		"a count of no status":       {head + `"type":"batch.finished","counts":{"green":1}}`, `counts: "green" is not a status`},
	} {
		t.Run(claim, func(t *testing.T) {
			_, err := Decode([]byte(c.line))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"v":1,"type":"run.finished","time":"2031-02-03T12:00:00Z","status":"passed","counts":{"steps":{"passed":1}}}`))
	f.Add([]byte(`{"v":1,"type":"step.finished","time":"2031-02-03T12:00:00Z","status":"failed","assertions":[{"operands":[{"text":"x"}]}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := Decode(line)
		if err != nil {
			return
		}
		once := AppendJSON(nil, e)
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("decode what was printed: %v\n%s", err, once)
		}
		if twice := AppendJSON(nil, again); string(once) != string(twice) {
			t.Errorf("printed twice:\n%s\n%s", once, twice)
		}
	})
}
