package report

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/allure"
	"github.com/testmesh/testmesh/flow/report/csv"
	"github.com/testmesh/testmesh/flow/report/ctrf"
	"github.com/testmesh/testmesh/flow/report/github"
	"github.com/testmesh/testmesh/flow/report/html"
	"github.com/testmesh/testmesh/flow/report/json"
	"github.com/testmesh/testmesh/flow/report/jsonl"
	"github.com/testmesh/testmesh/flow/report/junit"
	"github.com/testmesh/testmesh/flow/report/tap"
	"github.com/testmesh/testmesh/flow/report/template"
)

// nowhere is a file of a folder that keeps nothing.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Close() error                { return nil }

// TestMemoryDoesNotGrowWithTheBatch writes thousands of runs, of which one in ten
// does not pass, into every report that writes them as they end: what it still
// holds then may be a little a run, an id or a name, and never the run.
func TestMemoryDoesNotGrowWithTheBatch(t *testing.T) {
	custom, problems := template.Parse("x.report.yaml", []byte(`report: {escape: html, header: "<ul>", run: "<li>${run.name}</li>", step: "${step.result.body ?? \"\"}", footer: "${batch.total}</ul>"}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	writers := map[string]struct {
		w interface{ Write(*event.Event) error }
		// perRun is what may stay of a run, in bytes.
		perRun int64
	}{
		"jsonl":    {jsonl.New(io.Discard), 10},
		"json":     {json.New(io.Discard), 10},
		"tap":      {tap.New(io.Discard), 10},
		"ctrf":     {ctrf.New(io.Discard, ctrf.Options{}), 10},
		"github":   {github.New(io.Discard, github.Options{Place: func(f string) string { return f }}), 10},
		"csv":      {csv.New(io.Discard), 10},
		"html":     {html.New(io.Discard, html.Page{}), 10},
		"template": {custom.New(io.Discard, template.Options{Now: func() time.Time { return noon }}), 10},
		"allure":   {allure.New(allure.Options{Create: func(string) (io.WriteCloser, error) { return nowhere{}, nil }}), 200}, // its history id
		"junit":    {junit.New(io.Discard, junit.Options{}), 5000},                                                            // one document, sorted at the end; bounded by its own limits
	}
	for name, test := range writers {
		t.Run(name, func(t *testing.T) {
			send := func(from, to int) {
				t.Helper()
				for i := from; i < to; i++ {
					for _, e := range oneRun(i) {
						if err := test.w.Write(e); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			first := &event.Event{Type: event.TypeBatchStarted, Time: noon, BatchID: "b", BatchStarted: &event.BatchStarted{Runs: 10_000}}
			if err := test.w.Write(first); err != nil {
				t.Fatal(err)
			}
			runs := 4000
			if name == "html" || name == "allure" { // the largest of them
				runs = 10_000
			}
			send(0, 1000)
			before := heap()
			send(1000, runs)
			more := int64(runs - 1000)
			if grown, limit := heap()-before, more*test.perRun+256<<10; grown > limit {
				t.Errorf("%d more runs are %d bytes in memory, %d a run; want at most %d", more, grown, grown/more, limit)
			}
			last := &event.Event{Type: event.TypeBatchFinished, Time: noon, BatchID: "b", BatchFinished: &event.BatchFinished{ExitCode: 1}}
			if err := test.w.Write(last); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one finalised
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// oneRun is a run of two steps with an exchange each.
func oneRun(n int) []*event.Event {
	id := fmt.Sprint("r", n)
	body := strings.Repeat("x", 400)
	events := []*event.Event{{
		Type: event.TypeRunStarted, Time: noon, BatchID: "b", RunID: id, Flow: fmt.Sprint("flow ", n),
		RunStarted: &event.RunStarted{File: fmt.Sprintf("flows/%d/f.testmesh.yaml", n%100), Environment: "staging", Tags: []string{"smoke"}},
	}}
	status := event.Passed
	for s := range 2 {
		step := &event.Step{ID: fmt.Sprint("s", s), Path: []string{fmt.Sprint("s", s)}, Action: "http.request", Phase: event.PhaseSteps, File: "f.yaml", Line: s + 3, Try: 1}
		end := &event.StepFinished{Status: event.Passed, Tries: 1, DurationMS: 1, HasResult: true, Result: map[string]any{"status": int64(200), "body": body}}
		if n%10 == 0 && s == 1 {
			status = event.Failed
			end.Status, end.Assertions = status, []event.Assertion{{Expression: "status == 201", Message: fmt.Sprint("got 200 in ", n)}}
		}
		events = append(events,
			&event.Event{Type: event.TypeStepExchange, Time: noon, RunID: id, Step: step, Exchange: &event.Exchange{Protocol: "HTTP/1.1", Summary: "GET /x → 200", Response: map[string]any{"body": body}}},
			&event.Event{Type: event.TypeStepFinished, Time: noon, RunID: id, Step: step, StepFinished: end})
	}
	return append(events, &event.Event{Type: event.TypeRunFinished, Time: noon, BatchID: "b", RunID: id, RunFinished: &event.RunFinished{Status: status, DurationMS: 5}})
}
