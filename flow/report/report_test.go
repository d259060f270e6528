// Package report holds no code: its test shows the same event streams to every
// report below it and compares whole outputs.
package report

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

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
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/value"
)

// noon is when every stream begins.
var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden prints the events of each archive as the lines of its comment ask:
// a report, for text with its format and options. The outputs are the sections
// of the same names.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			golden(t, name)
		})
	}
}

func golden(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	var outputs []string
	for line := range strings.Lines(string(archive.Comment)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			asked[line] = true
			outputs = append(outputs, line)
		}
	}
	sources, wants := map[string][]byte{}, map[string]string{}
	var kept []txtar.File
	for _, f := range archive.Files {
		if asked[f.Name] {
			wants[f.Name] = string(f.Data)
			continue
		}
		sources[f.Name] = f.Data
		kept = append(kept, f)
	}
	events := stream(t, sources["events"])
	for _, spec := range outputs {
		got := show(t, spec, events, sources)
		kept = append(kept, txtar.File{Name: spec, Data: []byte(got)})
		if !*update {
			if diff := cmp.Diff(wants[spec], got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", spec, diff)
			}
		}
	}
	if *update {
		archive.Files = kept
		if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// stream reads events, one JSON object a line, and fills in what is the same
// for all: version, times 100 ms apart, ids, the run's flow and file.
func stream(t *testing.T, lines []byte) []*event.Event {
	t.Helper()
	var out []*event.Event
	heads := map[string]map[string]any{}
	seqs := map[string]int64{}
	at := time.Duration(0)
	for line := range strings.Lines(string(lines)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		v, err := value.Decode([]byte(line))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		m := v.(map[string]any)
		fill := func(key string, v any) {
			if _, ok := m[key]; !ok {
				m[key] = v
			}
		}
		if ms, ok := value.Float(m["at"]); ok {
			at = time.Duration(ms) * time.Millisecond
		} else {
			at += 100 * time.Millisecond
		}
		fill("v", int64(1))
		fill("time", noon.Add(at).Format(time.RFC3339Nano))
		fill("batch_id", "b1")
		kind := m["type"].(string)
		if !strings.HasPrefix(kind, "batch.") {
			fill("run_id", "r1")
			id := m["run_id"].(string)
			seqs[id]++
			fill("seq", seqs[id])
			fill("attempt", int64(1))
			if kind == "run.started" {
				heads[id] = m
			}
			fill("flow", heads[id]["flow"])
			if step, ok := m["step_id"]; ok {
				fill("file", heads[id]["file"])
				fill("path", []any{step})
				fill("phase", "steps")
				fill("try", int64(1))
			}
		}
		e, err := event.Decode([]byte(value.Compact(m)))
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, e)
	}
	return out
}

// show prints events as one report. Escape sequences are shown as ^[, carriage
// returns as ^M.
func show(t *testing.T, spec string, events []*event.Event, sources map[string][]byte) string {
	t.Helper()
	var out bytes.Buffer
	var w interface{ Write(*event.Event) error }
	words := strings.Fields(spec)
	switch words[0] {
	case "jsonl":
		w = jsonl.New(&out)
	case "json":
		w = json.New(&out)
	case "junit":
		w = junit.New(&out, junit.Options{Attachment: func(e *event.Event) string { return "/artifacts/" + e.Artifact.Name }})
	case "ctrf":
		w = ctrf.New(&out, ctrf.Options{Version: "1.0.0"})
	case "github":
		w = github.New(&out, github.Options{Place: func(file string) string { return "tests/" + file }})
	case "csv":
		w = csv.New(&out)
	case "html":
		w = html.New(&out, html.Page{})
	case "tap":
		w = tap.New(&out)
	case "allure":
		w = allure.New(allure.Options{Version: "1.0.0", Create: func(name string) (io.WriteCloser, error) { return newMember(&out, name), nil }})
	default:
		w = text.New(&out, options(t, words, sources))
	}
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
	}
	if words[0] == "junit" {
		keepsDialect(t, out.Bytes())
	}
	if words[0] == "html" { // without the head, which does not change with the events
		_, page, _ := strings.Cut(out.String(), "<body>\n")
		return page
	}
	return strings.NewReplacer("\x1b", "^[", "\r", "^M").Replace(out.String())
}

// member is a file of a folder, printed below its name.
type member struct{ out *bytes.Buffer }

func newMember(out *bytes.Buffer, name string) member {
	fmt.Fprintf(out, "== %s\n", name)
	return member{out}
}

// Write breaks a line of JSON where a step begins: a golden file is read.
func (m member) Write(p []byte) (int, error) {
	m.out.Write(bytes.ReplaceAll(p, []byte(`,{"`), []byte(",\n  {\"")))
	return len(p), nil
}

func (m member) Close() error {
	m.out.WriteString("\n")
	return nil
}

// keepsDialect asks xmllint (Debian: libxml2-utils).
func keepsDialect(t *testing.T, document []byte) {
	t.Helper()
	cmd := exec.Command("xmllint", "--noout", "--schema", "junit/testdata/junit.xsd", "-")
	cmd.Stdin = bytes.NewReader(document)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("junit: %v: %s", err, out)
	}
}

func options(t *testing.T, words []string, sources map[string][]byte) text.Options {
	o := text.Options{Format: text.Format(words[0]), Width: 80, Source: func(path string) []byte { return sources[path] }}
	for _, word := range words[1:] {
		switch name, arg, _ := strings.Cut(word, "="); name {
		case "ascii":
			o.Style.ASCII = true
		case "color":
			o.Style.Color = true
		case "counter":
			o.Counter = true
		case "next":
			o.Next = func(run *event.Event, step *event.Step, _ *event.StepFinished) []string {
				return []string{"testmesh run " + run.RunStarted.File + " --format verbose", "testmesh debug " + step.ID}
			}
		case "place":
			o.Place = func(file string) string { return "../" + file }
		case "width":
			if _, err := fmt.Sscan(arg, &o.Width); err != nil {
				t.Fatalf("%s: %v", word, err)
			}
		default:
			t.Fatalf("no option %q", word)
		}
	}
	return o
}
