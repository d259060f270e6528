package html

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
)

// page is one to try: a script that would end itself, were it not written as it is.
var page = Page{Theme: []byte("theme()"), Script: []byte("show('</script><!--')"), Style: []byte("b{color:red}")}

// script is how the page has it.
const script = `show('<\/script><\!--')`

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

func started(id, flow string) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, Time: noon, RunID: id, Flow: flow, RunStarted: &event.RunStarted{File: "a/f.yaml", Tags: []string{flow}}}
}

func end(id string, status event.Status, reason string) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, Time: noon, RunID: id, RunFinished: &event.RunFinished{Status: status, Reason: reason, DurationMS: 12.5}}
}

func at(step string) *event.Step {
	return &event.Step{ID: step, Path: []string{step}, Action: "http.request", Phase: event.PhaseSteps, File: "a/f.yaml", Line: 4, Try: 1}
}

func stepped(id, step string, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, Time: noon, RunID: id, StepFinished: &end, Step: at(step)}
}

func exchanged(id, step string, response any) *event.Event {
	return &event.Event{Type: event.TypeStepExchange, Time: noon, RunID: id, Step: at(step), Exchange: &event.Exchange{Summary: "GET /", Response: response}}
}

// write gives the page, and checks what every page keeps.
func write(t *testing.T, exit int, events ...*event.Event) string {
	t.Helper()
	var out bytes.Buffer
	w := New(&out, page)
	events = append([]*event.Event{{Type: event.TypeBatchStarted, Time: noon, BatchStarted: &event.BatchStarted{Seed: 7, Notes: []string{"<note>"}}}}, events...)
	events = append(events, &event.Event{Type: event.TypeBatchFinished, Time: noon.Add(time.Second), BatchFinished: &event.BatchFinished{ExitCode: exit, Reason: "<why>"}})
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.runs) != 0 {
		t.Errorf("%d runs are kept after their end", len(w.runs))
	}
	inert(t, out.String())
	return out.String()
}

var (
	blocks = regexp.MustCompile(`(?s)<script type="application/json" class="(run|events|file|batch)"( data-sha256="[0-9a-f]*")?>(.*?)</script>\n`)
	tags   = regexp.MustCompile(`<[^>]*>?`)
	known  = regexp.MustCompile(`^</?(!doctype html|html( lang="en")?|head|meta [^<]*|title|style|body|section|h2|h3|pre|p|b|noscript|div( id="root")?|script( type="module")?)>$`)
)

// inert checks that a page has no element but the ones that it is made of, that
// its data is JSON, and that it names no address.
func inert(t *testing.T, text string) {
	t.Helper()
	for _, m := range blocks.FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[3], "<") || !json.Valid([]byte(m[3])) {
			t.Errorf("the data is no JSON, or can be left:\n%.500s", m[3])
		}
	}
	text = strings.Replace(blocks.ReplaceAllString(text, ""), script, "", 1)
	for _, tag := range tags.FindAllString(text, -1) {
		if !known.MatchString(tag) {
			t.Errorf("the page has an element that is not its own: %.200q", tag)
		}
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	text := write(t, 0)
	want := `content="default-src 'none'; script-src '` + hash(page.Theme) + `' '` + hash([]byte(script)) + `'; style-src '` + hash(page.Style) +
		`'; img-src data: blob:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"`
	if !strings.Contains(text, want) || !strings.Contains(text, "<style>"+string(page.Style)+"</style>") || !strings.Contains(text, `<script type="module">`+script+"</script>") || !strings.Contains(text, "<script>theme()</script>") {
		t.Errorf("the policy does not allow the page's own style and scripts, or more than these:\n%s", text)
	}
	for _, bad := range []string{"http:", "https:", "//cdn", "url(", "@import", "src=", "href="} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

func TestHostileTextIsTextNeverMarkup(t *testing.T) {
	for _, text := range []string{
		"</script><script>alert(1)</script>", "<!--<script>", "]]><img src=x onerror=alert(1)>", `" onclick="alert(1)`, "</pre></details></main>",
		"\x1b[2J\x00\u202e", "\xff\xfe<b>", "日本 🎉", "&lt;script&gt;", "<style>*{display:none}</style>", "<\u2028script>", "javascript:alert(1)",
	} {
		page := write(t, 1, started(text, text), exchanged(text, text, map[string]any{text: text}),
			&event.Event{Type: event.TypeStepLog, RunID: text, Step: at(text), Log: &event.Log{Level: text, Message: text, Data: []any{text}}},
			&event.Event{Type: event.TypeStepArtifact, RunID: text, Step: at(text), Artifact: &event.Artifact{Name: text, MediaType: text, Data: []byte("never")}},
			&event.Event{Type: event.TypeStepRetrying, RunID: text, Step: at(text), Retrying: &event.Retrying{Status: event.Failed, Error: &event.Error{Message: text}}},
			&event.Event{Type: event.TypeResourceOrphaned, RunID: text, Step: at(text), Resource: &event.Resource{Type: text, ID: text, Reason: text}},
			stepped(text, text, event.StepFinished{
				Status: event.Failed, Reason: text, Result: text, HasResult: true, Error: &event.Error{Code: text, Message: text, Details: []string{text}, Hint: text},
				Assertions: []event.Assertion{{Expression: text, Message: text, Actual: text, HasActual: true, Diff: []event.Change{{Path: text, Expected: text, Actual: text}}}},
				Values:     []event.Used{{Name: text, Value: text, Origin: text}},
			}),
			end(text, event.Failed, text))
		if strings.Count(page, `class="run"`) != 1 || strings.Count(page, `class="events"`) != 1 {
			t.Errorf("%q: not one run", text)
		}
	}
}

func TestStatusesAreWordsAndNothingIsGreenByDefault(t *testing.T) {
	for status, want := range map[event.Status]string{
		event.Passed: "PASSED", event.Skipped: "SKIPPED", event.Failed: "FAILED", event.Errored: "ERRORED", event.Cancelled: "CANCELLED", "": "ERRORED", "odd": "ERRORED",
	} {
		page := write(t, 1, started("r", "x"), end("r", status, "why"))
		if !strings.Contains(page, `"status":"RUN_STATUS_`+want+`"`) || !strings.Contains(page, "1 "+strings.ToLower(want)) {
			t.Errorf("%q is not said to be %s", status, want)
		}
	}
	for status, want := range map[event.Status]string{event.Passed: "ERROR", event.Failed: "FAIL", event.Errored: "ERROR", event.Skipped: "NOTHING", event.Cancelled: "STOPPED"} {
		if page := write(t, 3, started("r", "x"), end("r", status, "")); !strings.Contains(page, "<b>"+want+"</b>") || !strings.Contains(page, `"exit_code":3`) {
			t.Errorf("%s with exit code 3: the page says something else than %s", status, want)
		}
	}
	if page := write(t, 0, started("r", "x"), end("r", event.Passed, "")); !strings.Contains(page, "<b>PASS</b>") {
		t.Error("the page of what passed does not say PASS")
	}
	if page := write(t, 0); !strings.Contains(page, "<b>NOTHING</b>") {
		t.Error("the page of nothing is green")
	}
}

func TestAFailureCanBeReadWithoutTheScript(t *testing.T) {
	page := write(t, 1, started("r", "x"), stepped("r", "warm", event.StepFinished{Status: event.Failed, Ignored: true, Reason: "cold"}),
		stepped("r", "pay", event.StepFinished{Status: event.Failed, Assertions: []event.Assertion{{Expression: "a < 1", Message: "got 2", Line: 9, Diff: []event.Change{{Path: "$.x", Expected: int64(1), Actual: int64(2)}}}}}),
		end("r", event.Failed, ""))
	for _, want := range []string{
		"<noscript><section><h2>failed: x</h2><p>pay: a &lt; 1: got 2</p>", "<h3>pay</h3><pre>a &lt; 1\n  got 2\n  $.x: expected 1, got 2</pre>", "<h3>warm</h3><pre>cold</pre>",
		`"notes":["\u003cnote>"]`, `"reason":"\u003cwhy>"`, `"seed":7`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

func TestStoredFilesAreInThePage(t *testing.T) {
	stored := func(sum string, size int) *event.Event {
		return &event.Event{Type: event.TypeStepArtifact, Time: noon, RunID: "r", Step: at("s"), Artifact: &event.Artifact{Name: "a.png", SHA256: sum, Size: int64(size), Data: bytes.Repeat([]byte{'x'}, size)}}
	}
	text := write(t, 0, started("r", "x"), stored("aa", 3), stored("aa", 3), stored("bb", maxFile+1), end("r", event.Passed, ""))
	if n := strings.Count(text, `class="file" data-sha256="aa">"eHh4"</script>`); n != 1 {
		t.Errorf("a file that was stored twice is %d times in the page", n)
	}
	if strings.Contains(text, `data-sha256="bb"`) {
		t.Error("a file that is too large is in the page")
	}
	var out bytes.Buffer
	w := New(&out, page)
	for i := range maxFiles/maxFile + 2 {
		if err := w.Write(stored(fmt.Sprintf("%02d", i), maxFile)); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(out.String(), `class="file"`); n != maxFiles/maxFile {
		t.Errorf("%d files of %d bytes are in the page", n, maxFile)
	}
}

// details are the events that the script gets of the first run.
func details(t *testing.T, page string) []map[string]any {
	t.Helper()
	var list []map[string]any
	for _, m := range blocks.FindAllStringSubmatch(page, -1) {
		if m[1] == "events" && list == nil {
			if err := json.Unmarshal([]byte(m[3]), &list); err != nil {
				t.Fatal(err)
			}
		}
	}
	return list
}

func TestDetailsHaveWhatTheScriptShows(t *testing.T) {
	got := details(t, write(t, 1, started("r", "x"), exchanged("r", "s", "<hello>"),
		stepped("r", "s", event.StepFinished{Status: event.Passed, Result: "the same", HasResult: true, DurationMS: 2}),
		stepped("r", "set", event.StepFinished{Status: event.Passed, Result: map[string]any{"a": int64(1)}, HasResult: true}),
		end("r", event.Passed, "")))
	var short []string
	for _, e := range got {
		short = append(short, fmt.Sprintf("%v%v%v%v%v", e["type"], e["path"], e["response"], e["result"], e["run_id"]))
	}
	want := []string{"step.exchange[s]<hello><nil><nil>", "step.finished[s]<nil><nil><nil>", "step.finished[set]<nil>map[a:1]<nil>", "run.finished<nil><nil><nil><nil>"}
	if diff := cmp.Diff(want, short); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSizesAreBoundedAndCutsAreSaid(t *testing.T) {
	long := strings.Repeat("é", 100_000)
	var list []any
	deep := any("bottom")
	for range 10_000 {
		list = append(list, long)
	}
	for range 1000 {
		deep = map[string]any{"a": deep}
	}
	page := write(t, 1, started("r", long), exchanged("r", "s", map[string]any{"list": list[:20], "many": make([]any, 10_000), "deep": deep}), end("r", event.Passed, ""))
	for _, want := range []string{"(cut: 200000 bytes)", "(cut: 9900 more)", "cut: an object of 1"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	page = write(t, 1, started("r", "x"), exchanged("r", "s", list), end("r", event.Passed, ""))
	if !strings.Contains(page, "1 more events are left out") || len(page) > 100_000 {
		t.Errorf("an event too large for its run is in a page of %d bytes, or nothing says that it is not", len(page))
	}
	many := []*event.Event{started("r", "x")}
	for i := range 5000 {
		many = append(many, exchanged("r", fmt.Sprint("s", i), long))
	}
	bad := event.StepFinished{Status: event.Failed, Error: &event.Error{Message: "the last word"}}
	got := details(t, write(t, 1, append(many, stepped("r", "last", bad), end("r", event.Failed, ""))...))
	if n := len(got); n > 200 || got[n-3]["type"] != "step.finished" || got[n-2]["type"] != "run.finished" || !strings.Contains(fmt.Sprint(got[n-1]["message"]), "events are left out") {
		t.Errorf("%d events, the last are %v", n, got[max(n-3, 0):])
	}
	claims := event.StepFinished{Status: event.Failed, Assertions: make([]event.Assertion, 500)}
	for i := range claims.Assertions {
		claims.Assertions[i].Passed = i != 400
	}
	got = details(t, write(t, 1, started("r", "x"), stepped("r", "s", claims), end("r", event.Failed, "")))
	if list := got[0]["assertions"].([]any); len(list) != maxItems+1 || list[0].(map[string]any)["passed"] == true {
		t.Errorf("%d assertions, the first is %v", len(list), list[0])
	}
}

// counter fails after a number of bytes, and counts what came.
type counter struct{ bytes, limit int }

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	if c.limit > 0 && c.bytes > c.limit {
		return 0, errors.New("disk full")
	}
	return len(p), nil
}

func TestTenThousandRunsAreWrittenInBoundedMemory(t *testing.T) {
	out := &counter{}
	w := New(out, page)
	if err := w.Write(&event.Event{Type: event.TypeBatchStarted, Time: noon, BatchStarted: &event.BatchStarted{}}); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	body := strings.Repeat("<x>", 20_000)
	for i := range 10_000 {
		id := fmt.Sprint("r", i)
		status := event.Passed
		if i%10 == 0 {
			status = event.Failed
		}
		for _, e := range []*event.Event{started(id, id), exchanged(id, "s", body), exchanged(id, "t", body), stepped(id, "s", event.StepFinished{Status: status}), end(id, status, "")} {
			if err := w.Write(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are kept after 10,000 runs", grown)
	}
	if out.bytes > maxPage+10_000*2000 || out.bytes < 64<<20 {
		t.Errorf("the page has %d bytes", out.bytes)
	}
	var page bytes.Buffer
	w.out = &page
	for _, e := range []*event.Event{started("p", "late"), exchanged("p", "s", "x"), end("p", event.Passed, ""), started("f", "late"), exchanged("f", "s", "x"), end("f", event.Failed, "")} {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	passed, failed, _ := strings.Cut(page.String(), `"id":"f"`)
	if !strings.Contains(passed, "the steps are left out") || !strings.Contains(failed, "step.exchange") {
		t.Errorf("of a large page, runs that passed lose their steps first, and say so:\n%.2000s", page.String())
	}
}

func TestAFullDiskIsAnError(t *testing.T) {
	w := New(&counter{limit: 10}, page)
	if err := w.Write(&event.Event{Type: event.TypeBatchStarted, BatchStarted: &event.BatchStarted{}}); err == nil {
		t.Error("no error")
	}
}
