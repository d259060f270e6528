package tap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/event"
)

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

// document is what a strict reader of TAP 14 gets from a text.
type document struct {
	points []point
	plan   int
	bail   string
}

type point struct {
	ok        bool
	name      string
	directive string // SKIP or TODO
	reason    string
	block     map[string]any // its outermost texts and numbers
}

// parse reads TAP 14 and refuses what the specification does not give a meaning:
// the version line first, one plan (at the start or the end), numbers in their
// order, \ only before \ or #, a YAML block of two spaces right after its point.
func parse(text string) (d document, err error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if !strings.HasSuffix(text, "\n") || lines[0] != "TAP version 14" {
		return d, errors.New("the first line is not the version, or the last has no end")
	}
	d.plan = -1
	testLine := regexp.MustCompile(`^(not )?ok ([0-9]+) - (\S.*)$`)
	for i := 1; i < len(lines); i++ {
		line := lines[i]
		if d.bail != "" {
			return d, fmt.Errorf("line %d: something follows the bail out", i+1)
		}
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "Bail out!"):
			d.bail = strings.TrimSpace(strings.TrimPrefix(line, "Bail out!"))
		case strings.HasPrefix(line, "1.."):
			number, _, _ := strings.Cut(line[3:], " # ")
			if d.plan >= 0 {
				return d, errors.New("two plans")
			}
			if d.plan, err = strconv.Atoi(number); err != nil {
				return d, err
			}
		case line == "  ---":
			end := i + 1
			for end < len(lines) && lines[end] != "  ..." {
				if !strings.HasPrefix(lines[end], "  ") {
					return d, fmt.Errorf("line %d: not inside of the block", end+1)
				}
				end++
			}
			if end == len(lines) || len(d.points) == 0 || d.points[len(d.points)-1].block != nil || !testLine.MatchString(lines[i-1]) {
				return d, fmt.Errorf("line %d: a block without an end, or without a test point", i+1)
			}
			if d.points[len(d.points)-1].block, err = keys(lines[i+1 : end]); err != nil {
				return d, err
			}
			i = end
		default:
			m := testLine.FindStringSubmatch(line)
			if m == nil {
				return d, fmt.Errorf("line %d is none of TAP: %q", i+1, line)
			}
			p := point{ok: m[1] == ""}
			if m[2] != strconv.Itoa(len(d.points)+1) {
				return d, fmt.Errorf("line %d: number %s", i+1, m[2])
			}
			if p.name, p.directive, p.reason, err = description(m[3]); err != nil {
				return d, fmt.Errorf("line %d: %w", i+1, err)
			}
			d.points = append(d.points, p)
		}
	}
	if d.plan < len(d.points) {
		return d, fmt.Errorf("a plan of %d for %d points", d.plan, len(d.points))
	}
	return d, nil
}

// keys reads the YAML that blocks are written in: a key with a scalar as JSON
// writes it, a key with what is indented below it, or an item of a list.
func keys(lines []string) (map[string]any, error) {
	out := map[string]any{}
	item := regexp.MustCompile(`^  ( *)(- )?(?:([a-z_]+):(?: (.+))?|(".*"))$`)
	for _, line := range lines {
		m := item.FindStringSubmatch(line)
		if m == nil || m[5] != "" && m[2] == "" || len(m[1])%2 != 0 {
			return nil, fmt.Errorf("not a line of YAML as it is written here: %q", line)
		}
		if text := m[4] + m[5]; text != "" {
			var v any
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			if m[1]+m[2] != "" {
				continue
			}
			if _, twice := out[m[3]]; twice {
				return nil, fmt.Errorf("the key %q is there twice", m[3])
			}
			out[m[3]] = v
		}
	}
	return out, nil
}

func description(s string) (name, directive, reason string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i+1 == len(s) || s[i+1] != '\\' && s[i+1] != '#' {
				return "", "", "", errors.New("a lone backslash")
			}
			i++
			b.WriteByte(s[i])
		case '#':
			directive, reason, _ = strings.Cut(strings.TrimSpace(s[i+1:]), " ")
			if directive != "SKIP" && directive != "TODO" {
				return "", "", "", fmt.Errorf("directive %q", directive)
			}
			return strings.TrimSpace(b.String()), directive, reason, nil
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), "", "", nil
}

func TestTheReaderRefusesWhatIsWrong(t *testing.T) {
	for claim, text := range map[string]string{
		"no version":             "1..0\n",
		"another version":        "TAP version 13\n1..0\n",
		"no plan":                "TAP version 14\nok 1 - a\n",
		"two plans":              "TAP version 14\n1..1\nok 1 - a\n1..1\n",
		"a number twice":         "TAP version 14\nok 1 - a\nok 1 - b\n1..2\n",
		"a bare number sign":     "TAP version 14\nok 1 - a # b\n1..1\n",
		"a lone backslash":       "TAP version 14\nok 1 - a\\b\n1..1\n",
		"a line that is nothing": "TAP version 14\nhello\n1..0\n",
		"an open block":          "TAP version 14\nnot ok 1 - a\n  ---\n  a: 1\n1..1\n",
		"a block of nothing":     "TAP version 14\n  ---\n  a: 1\n  ...\n1..1\n",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("%s is accepted", claim)
		}
	}
}

func write(t *testing.T, runs int, exit int, events ...*event.Event) document {
	t.Helper()
	var out bytes.Buffer
	w := New(&out)
	events = append([]*event.Event{{Type: event.TypeBatchStarted, BatchStarted: &event.BatchStarted{Runs: runs, Notes: []string{"a\nok 7 - b"}}}}, events...)
	events = append(events, &event.Event{Type: event.TypeBatchFinished, BatchFinished: &event.BatchFinished{ExitCode: exit}})
	for _, e := range events {
		if err := w.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	d, err := parse(out.String())
	if err != nil {
		t.Errorf("not TAP 14: %v\n%s", err, out.String())
	}
	return d
}

func started(id, flow string) *event.Event {
	return &event.Event{Type: event.TypeRunStarted, Time: noon, RunID: id, Flow: flow, RunStarted: &event.RunStarted{File: "a/f.yaml"}}
}

func finished(id string, status event.Status, reason string) *event.Event {
	return &event.Event{Type: event.TypeRunFinished, Time: noon, RunID: id, RunFinished: &event.RunFinished{Status: status, Reason: reason, DurationMS: 12.5}}
}

func stepped(id, step string, end event.StepFinished) *event.Event {
	return &event.Event{Type: event.TypeStepFinished, RunID: id, StepFinished: &end, Step: &event.Step{
		ID: step, Path: []string{step}, Action: "http.request", Phase: event.PhaseSteps, File: "a/f.yaml", Line: 4,
	}}
}

func TestOnlyPassedAndSkippedAreOK(t *testing.T) {
	for status, want := range map[event.Status]bool{
		event.Passed: true, event.Skipped: true, event.Failed: false, event.Errored: false, event.Cancelled: false, "": false,
	} {
		p := write(t, 1, 1, started("r", "x"), finished("r", status, "why")).points[0]
		if p.ok != want || (p.directive == "SKIP") != (status == event.Skipped) {
			t.Errorf("%q gives %+v", status, p)
		}
		if !want && (p.block["status"] != string(status) || p.block["message"] != "why") {
			t.Errorf("%q explains itself with %v", status, p.block)
		}
	}
}

func TestTheWholeIsNeverGreenByDefault(t *testing.T) {
	if d := write(t, 3, 3, started("r", "x"), finished("r", event.Passed, "")); d.plan != 3 || d.bail == "" {
		t.Errorf("two runs are missing, and the document says %+v", d)
	}
	if d := write(t, 0, 2); d.plan != 0 || d.bail != "exit code 2" {
		t.Errorf("nothing ran, and the document says %+v", d)
	}
	if d := write(t, 1, 0, started("r", "x"), finished("r", event.Passed, "")); d.plan != 1 || d.bail != "" {
		t.Errorf("all passed, and the document says %+v", d)
	}
}

func TestHostileTextStaysText(t *testing.T) {
	for _, text := range []string{
		"# SKIP", `\# TODO \`, "a\nok 2 - b", "\x1b[2Jx\x00\u2028not ok 9", "...\n  ...\n1..0", "Bail out!", "é \xff 日本 \"'", "\u202eabc",
	} {
		d := write(t, 2, 1, started("r", text),
			stepped("r", text, event.StepFinished{Status: event.Failed, Assertions: []event.Assertion{{Expression: text, Message: text}}, Error: &event.Error{Code: text, Message: text, Details: []string{text}}}),
			&event.Event{Type: event.TypeResourceOrphaned, RunID: "r", Step: &event.Step{}, Resource: &event.Resource{Type: text, ID: text, Reason: text}},
			finished("r", event.Failed, text), started("s", text), finished("s", event.Skipped, text))
		if len(d.points) != 2 || d.bail != "" || d.points[0].ok || d.points[0].directive != "" || d.points[1].directive != "SKIP" {
			t.Errorf("%q becomes %+v", text, d)
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
	w := New(out)
	text := strings.Repeat("x", 20_000)
	for i := range 10_000 {
		id := fmt.Sprint("r", i)
		for _, e := range []*event.Event{started(id, text), stepped(id, "s", event.StepFinished{Status: event.Failed, Error: &event.Error{Message: text}}), finished(id, event.Failed, "")} {
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

func TestAFullDiskIsAnError(t *testing.T) {
	w := New(&counter{limit: 10})
	if err := w.Write(&event.Event{Type: event.TypeBatchStarted, BatchStarted: &event.BatchStarted{}}); err == nil {
		t.Error("no error")
	}
}
