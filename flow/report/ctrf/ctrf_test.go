package ctrf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

func started(id, flow string, s event.RunStarted) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, Time: noon, RunID: id, Flow: flow, RunStarted: &s}
}

func finished(id string, status event.Status, reason string) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, Time: noon.Add(13 * time.Millisecond), RunID: id, RunFinished: &event.RunFinished{Status: status, Reason: reason, DurationMS: 12.5}}
}

func at(step string, try int) *event.Step {
	return &event.Step{ID: step, Path: []string{step}, Action: "http.request", Phase: event.PhaseSteps, File: "a/f.yaml", Line: 4, Try: try}
}

func stepped(id, step string, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, RunID: id, StepFinished: &end, Step: at(step, max(end.Tries, 1))}
}

func retrying(id, step string, try int, message string) *event.Event {
	return &event.Event{Type: event.TypeStepRetrying, RunID: id, Step: at(step, try), Retrying: &event.Retrying{Status: event.Errored, Error: &event.Error{Message: message}}}
}

func write(t *testing.T, events ...*event.Event) []byte {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, Options{Version: "1.2.3", Attachment: func(e *event.Event) string { return "/tmp/" + e.Artifact.Name }})
	events = append([]*event.Event{{Type: event.TypeBatchStarted, Time: noon, BatchID: "b", BatchStarted: &event.BatchStarted{}}}, events...)
	events = append(events, &event.Event{Type: event.TypeBatchFinished, Time: noon.Add(time.Second), BatchFinished: &event.BatchFinished{ExitCode: 1, Reason: "because"}})
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := check(out.Bytes()); err != nil {
		t.Errorf("not CTRF: %v\n%.3000s", err, out.String())
	}
	return out.Bytes()
}

func tests(t *testing.T, document []byte) []map[string]any {
	t.Helper()
	var doc struct {
		Results struct{ Tests []map[string]any }
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Results.Tests
}

func TestTheCheckRefusesWhatIsWrong(t *testing.T) {
	good := string(write(t, started("r", "x", event.RunStarted{File: "a/f.yaml"}), retrying("r", "s", 1, "no"),
		stepped("r", "s", event.StepFinished{Status: event.Failed, Tries: 2}), finished("r", event.Failed, "no")))
	for claim, change := range map[string][2]string{
		"another format":          {`"CTRF"`, `"XTRF"`},
		"a key that is none":      {`"retries"`, `"retires"`},
		"a status that is none":   {`"status":"failed"`, `"status":"errored"`},
		"a test without a name":   {`"name":"x",`, ``},
		"a count that is wrong":   {`"tests":1`, `"tests":2`},
		"a duration with a point": {`"duration":13`, `"duration":12.5`},
		"an id that is none":      {`"id":"`, `"id":"x`},
		"an empty suite":          {`"suite":["a","f"]`, `"suite":[]`},
		"an attempt of zero":      {`"attempt":1`, `"attempt":0`},
	} {
		t.Run(claim, func(t *testing.T) {
			bad := strings.Replace(good, change[0], change[1], 1)
			if bad == good {
				t.Fatalf("%q is not in the document:\n%s", change[0], good)
			}
			if check([]byte(bad)) == nil {
				t.Errorf("it is accepted:\n%s", bad)
			}
		})
	}
}

func TestWhatIsNotPassedOrSkippedIsFailedAndSaysWhich(t *testing.T) {
	for status, want := range map[event.Status]string{
		event.Passed: "passed", event.Skipped: "skipped", event.Failed: "failed", event.Errored: "failed", event.Cancelled: "failed", "": "failed",
	} {
		got := tests(t, write(t, started("r", "x", event.RunStarted{}), finished("r", status, "why")))[0]
		if got["status"] != want || got["rawStatus"] != string(status) || (got["message"] == "why") != (status != event.Passed) {
			t.Errorf("%q gives %v", status, got)
		}
	}
}

func TestARunIsTheSameTestNextTime(t *testing.T) {
	s := event.RunStarted{File: "a/f.yaml", Row: &event.Row{Index: 1, Name: "ada"}}
	got := tests(t, write(t, started("r1", "x", s), finished("r1", event.Passed, ""), started("r2", "x", s), finished("r2", event.Failed, ""),
		started("r3", "y", s), finished("r3", event.Passed, "")))
	if got[0]["id"] != got[1]["id"] || got[0]["id"] == got[2]["id"] {
		t.Errorf("ids %v, %v, %v", got[0]["id"], got[1]["id"], got[2]["id"])
	}
	if diff := cmp.Diff(map[string]any{"row": 2.0, "name": "ada"}, got[0]["parameters"]); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestFlakyIsAPassAfterATryThatWasNone(t *testing.T) {
	run := func(end event.StepFinished, status event.Status) map[string]any {
		return tests(t, write(t, started("r", "x", event.RunStarted{}), retrying("r", "s", 1, "no"), retrying("r", "s", 2, "no, no"),
			stepped("r", "s", end), finished("r", status, "")))[0]
	}
	got := run(event.StepFinished{Status: event.Passed, Tries: 3}, event.Passed)
	attempts := got["retryAttempts"].([]any)
	if got["flaky"] != true || got["retries"] != 2.0 || len(attempts) != 3 || attempts[1].(map[string]any)["message"] != "s: no, no" || attempts[2].(map[string]any)["status"] != "passed" {
		t.Errorf("got %v", got)
	}
	if got := run(event.StepFinished{Status: event.Passed, Tries: 3, Waited: true}, event.Passed); got["flaky"] != nil || got["retries"] != nil {
		t.Errorf("a wait is flaky: %v", got)
	}
	if got := run(event.StepFinished{Status: event.Failed, Tries: 3}, event.Failed); got["flaky"] != nil || got["retries"] != 2.0 {
		t.Errorf("a failed run is flaky: %v", got)
	}
}

func TestWhatStandsBesideAVerdict(t *testing.T) {
	got := tests(t, write(t, started("r", "x", event.RunStarted{File: "a/f.testmesh.yaml", Tags: []string{"smoke"}}),
		stepped("r", "warm", event.StepFinished{Status: event.Failed, Ignored: true, Reason: "cold", Tries: 1, DurationMS: math.NaN()}),
		&event.Event{Type: event.TypeStepArtifact, RunID: "r", Step: at("warm", 1), Artifact: &event.Artifact{Name: "page.png", MediaType: "image/png"}},
		&event.Event{Type: event.TypeResourceOrphaned, RunID: "r", Step: at("warm", 1), Resource: &event.Resource{Type: "user", ID: "u1", Reason: "500"}},
		finished("r", event.Passed, "")))[0]
	delete(got, "id")
	want := map[string]any{
		"name": "x", "status": "passed", "rawStatus": "passed", "duration": 13.0, "type": "e2e", "filePath": "a/f.testmesh.yaml",
		"start": float64(noon.UnixMilli()), "stop": float64(noon.UnixMilli() + 13), "suite": []any{"a", "f"}, "tags": []any{"smoke"},
		"attachments": []any{map[string]any{"name": "page.png", "contentType": "image/png", "path": "/tmp/page.png"}},
		"steps": []any{map[string]any{"name": "warm", "status": "failed", "extra": map[string]any{
			"rawStatus": "failed", "action": "http.request", "durationMs": 0.0, "line": 4.0, "ignored": true, "message": "cold",
		}}},
		"extra": map[string]any{"testmesh": map[string]any{
			"runId": "r", "ignoredFailures": []any{"warm: cold"}, "leftBehind": []any{"user u1: 500"},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHostileTextStaysText(t *testing.T) {
	for _, text := range []string{"", "\x1b[2Jx\x00", `"},{`, "\xff\u2028\u202e", "日本 🎉", strings.Repeat("é", 50_000)} {
		got := tests(t, write(t, started(text, text, event.RunStarted{File: text, Tags: []string{text}, Row: &event.Row{Name: text}}),
			stepped(text, text, event.StepFinished{Status: event.Failed, Error: &event.Error{Code: text, Message: text, Blame: text}}),
			&event.Event{Type: event.TypeStepArtifact, RunID: text, Step: at("s", 1), Artifact: &event.Artifact{Name: text, MediaType: text}},
			finished(text, event.Failed, text)))
		if len(got) != 1 || len(fmt.Sprint(got)) > 30_000 {
			t.Errorf("%.40q gives %d tests of %d bytes", text, len(got), len(fmt.Sprint(got)))
		}
	}
}

// counter fails after a number of bytes, and counts what came.
type counter struct{ bytes, largest, limit int }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	c.largest = max(c.largest, len(p))
	if c.limit > 0 && c.bytes > c.limit {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestTenThousandRunsAreWrittenAsTheyEnd(t *testing.T) {
	out := &counter{}
	w := New(out, Options{})
	text := strings.Repeat("x", 20_000)
	for i := range 10_000 {
		id := fmt.Sprint("r", i)
		for _, e := range []*event.Event{started(id, "x", event.RunStarted{}), stepped(id, "s", event.StepFinished{Status: event.Failed, Error: &event.Error{Message: text}}), finished(id, event.Failed, "")} {
			if err := w.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.runs) != 0 {
			t.Fatalf("%d runs are kept after their end", len(w.runs))
		}
	}
	if out.largest > 20_000 || out.bytes < 10_000*100 {
		t.Errorf("%d bytes, of one run up to %d", out.bytes, out.largest)
	}
}

func TestOneRunIsBounded(t *testing.T) {
	w := New(&counter{}, Options{})
	w.Write(started("r", "x", event.RunStarted{}))
	for i := range 5000 {
		w.Write(retrying("r", fmt.Sprint("open", i), 1, "no"))
		w.Write(retrying("r", "s", i+1, "no"))
		w.Write(stepped("r", fmt.Sprint("s", i), event.StepFinished{Status: event.Passed}))
	}
	r := w.runs["r"]
	if len(r.steps) != maxSteps || r.left != 5000-maxSteps || len(r.tries) != maxOpen || len(r.tries["s"]) != maxAttempts {
		t.Errorf("%d steps and %d more, tries of %d steps, %d of one", len(r.steps), r.left, len(r.tries), len(r.tries["s"]))
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	w := New(&counter{limit: 10}, Options{})
	if err := w.Write(&event.Event{Type: event.TypeBatchStarted, BatchStarted: &event.BatchStarted{}}); err == nil {
		t.Error("no error")
	}
}
