package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fields is an event as it was printed.
type fields map[string]any

func (f fields) text(name string) string {
	s, _ := f[name].(string)
	return s
}

// path is where the step of an event stands, from the outside in.
func (f fields) path() []string {
	var path []string
	list, _ := f["path"].([]any)
	for _, part := range list {
		path = append(path, fmt.Sprint(part))
	}
	return path
}

// TestEventsOfOneFlowWithEverything runs testdata/acceptance.testmesh.yaml
// against the demo application and compares every event.
func TestEventsOfOneFlowWithEverything(t *testing.T) {
	events, addr := acceptance(t)
	checkOrder(t, events)
	for _, e := range events {
		steadyEvent(e)
	}
	text := strings.ReplaceAll(printed(t, inPlace(events)), addr, "DEMO_ADDR")
	golden := filepath.Join("testdata", "acceptance.events")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestEveryFieldOfTheEventsIsDocumented looks each of them up in docs/events.md.
func TestEveryFieldOfTheEventsIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "events.md"))
	if err != nil {
		t.Fatal(err)
	}
	events, _ := acceptance(t)
	missing := map[string]bool{}
	look := func(name string) {
		if !strings.Contains(string(page), name) {
			missing[name] = true
		}
	}
	for _, e := range events {
		look(e.text("type"))
		for name, v := range e {
			look(name)
			list, _ := v.([]any)
			if m, ok := v.(map[string]any); ok && name == "error" {
				list = []any{m}
			}
			if name != "assertions" && name != "error" && name != "values" {
				continue
			}
			for _, item := range list {
				for inner := range item.(map[string]any) {
					look(inner)
				}
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("docs/events.md does not have %v", missing)
	}
}

// acceptance runs the flow and gives its events and the application's address.
func acceptance(t *testing.T) ([]fields, string) {
	t.Helper()
	dir := t.TempDir()
	server, err := startDemo(dir, environment(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	})
	const name = "acceptance.testmesh.yaml"
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), "run", name, "--format", "jsonl", "--seed", "1")
	cmd.Dir, cmd.Env = dir, append(environment(dir), "DEMO_URL="+server.url)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("got %v, want exit code 1\n%s", err, out)
	}
	var events []fields
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		var e fields
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		events = append(events, e)
	}
	return events, strings.TrimPrefix(server.url, "http://")
}

// checkOrder wants what holds for every stream: seq counts, each started step
// finishes once and after its children, nothing follows the end.
func checkOrder(t *testing.T, events []fields) {
	t.Helper()
	seq := 0
	open := map[string]bool{}
	for i, e := range events {
		kind := e.text("type")
		at := strings.Join(e.path(), "/")
		if !strings.HasPrefix(kind, "batch.") {
			seq++
			if got := fmt.Sprint(e["seq"]); got != fmt.Sprint(seq) {
				t.Errorf("event %d (%s): got seq %s, want %d", i, kind, got, seq)
			}
		}
		switch kind {
		case "step.started":
			if open[at] {
				t.Errorf("%s started twice", at)
			}
			open[at] = true
		case "step.finished":
			if !open[at] && e.text("status") != "skipped" {
				t.Errorf("%s finished without having started", at)
			}
			delete(open, at)
			for other := range open {
				if strings.HasPrefix(other, at+"/") {
					t.Errorf("%s finished before %s", at, other)
				}
			}
		case "run.finished":
			if i != len(events)-2 {
				t.Errorf("run.finished is event %d of %d", i, len(events))
			}
		}
	}
	if len(open) > 0 {
		t.Errorf("never finished: %v", open)
	}
}

// inPlace brings the events of parallel branches, which may come in any order,
// into that of their places.
func inPlace(events []fields) []fields {
	out := slices.Clone(events)
	from := slices.IndexFunc(out, func(e fields) bool { return len(e.path()) > 1 && e.path()[0] == "both" })
	to := from
	for to < len(out) && len(out[to].path()) > 1 && out[to].path()[0] == "both" {
		to++
	}
	slices.SortStableFunc(out[from:to], func(a, b fields) int { return slices.Compare(a.path(), b.path()) })
	return out
}

// steadyEvent replaces what no two runs share.
func steadyEvent(e fields) {
	delete(e, "seq") // checkOrder has counted
	steadyValue(map[string]any(e))
}

func steadyValue(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			steadyValue(item)
		}
	case map[string]any:
		for name, inner := range v {
			switch name {
			case "time", "duration_ms", "timings", "batch_id", "run_id", "version", "Date", "date", "Traceparent", "traceparent", "User-Agent":
				v[name] = "<" + strings.ToLower(name) + ">"
			case "curl":
				v[name] = "<curl>"
			default:
				steadyValue(inner)
			}
		}
	}
}

// printed is one block an event: its fields in alphabetical order.
func printed(t *testing.T, events []fields) string {
	t.Helper()
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}
