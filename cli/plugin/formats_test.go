package plugin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// someChecks are one of each kind.
func someChecks() []check {
	return []check{
		{suite: "conformance", name: "handshake", title: "it says hello", status: "passed", took: 1500 * time.Microsecond},
		{suite: "conformance", name: "text", title: "text comes # back", status: "failed", message: "got \"a\"\nwant b", fix: "print nothing", took: 2 * time.Millisecond},
		{suite: "conformance", name: "binary", title: "bytes", status: "skipped", message: "add conformance.binary"},
		{suite: "flows", name: "a flow", title: "a flow", status: "errored", message: "connection refused"},
	}
}

func printedChecks(t *testing.T, format string) string {
	t.Helper()
	var b strings.Builder
	w, err := (&tool{Config{Stdout: &b, Version: "1.0.0"}}).checkWriter(format)
	if err != nil {
		t.Fatal(err)
	}
	w.begin(&pluginstore.Manifest{Name: "toy", Version: "1.2.0"})
	for _, c := range someChecks() {
		w.add(c)
	}
	if err := w.end(someChecks()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestChecksAsText(t *testing.T) {
	want := `toy 1.2.0

conformance
  ok     handshake  it says hello
  FAIL   text  text comes # back
         got "a"
         want b
         print nothing
  skip   binary  bytes
         add conformance.binary

flows
  ERROR  a flow
         connection refused

FAIL  1 passed · 1 failed · 1 errored · 1 skipped
`
	if diff := cmp.Diff(want, printedChecks(t, "text")); diff != "" {
		t.Error(diff)
	}
}

func TestChecksAsTAP(t *testing.T) {
	want := `TAP version 14
ok 1 - conformance handshake: it says hello
  ---
  duration_ms: 1
  ...
not ok 2 - conformance text: text comes \# back
  ---
  duration_ms: 2
  severity: failed
  message: "got \"a\"\nwant b"
  fix: "print nothing"
  ...
ok 3 - conformance binary: bytes # SKIP add conformance.binary
  ---
  duration_ms: 0
  ...
not ok 4 - flows a flow
  ---
  duration_ms: 0
  severity: errored
  message: "connection refused"
  ...
1..4
`
	if diff := cmp.Diff(want, printedChecks(t, "tap")); diff != "" {
		t.Error(diff)
	}
}

func TestChecksAsCTRF(t *testing.T) {
	var got struct {
		ReportFormat, SpecVersion string
		Results                   struct {
			Tool    map[string]string
			Summary map[string]float64
			Tests   []map[string]any
		}
	}
	if err := json.Unmarshal([]byte(printedChecks(t, "ctrf")), &got); err != nil {
		t.Fatal(err)
	}
	s := got.Results.Summary
	if got.ReportFormat != "CTRF" || s["tests"] != 4 || s["passed"] != 1 || s["failed"] != 1 || s["skipped"] != 1 || s["other"] != 1 || s["stop"] < s["start"] {
		t.Errorf("got %+v", got)
	}
	if last := got.Results.Tests[3]; last["status"] != "other" || last["rawStatus"] != "errored" || last["message"] != "connection refused" {
		t.Errorf("got %v, want an errored flow that is not failed", last)
	}
	if first := got.Results.Tests[0]; first["message"] != nil {
		t.Errorf("what passed has the message %v", first["message"])
	}
}

func TestReportsOfFlowsKeepFailedAndErroredApart(t *testing.T) {
	list, err := ofCTRF([]byte(`{"results": {"tests": [
		{"name": "a", "status": "passed", "rawStatus": "passed", "duration": 12},
		{"name": "b", "status": "failed", "rawStatus": "errored", "message": "refused"},
		{"name": "c", "status": "failed"}, {"name": "d", "status": "other"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list {
		got = append(got, c.name+" "+c.status)
	}
	if diff := cmp.Diff([]string{"a passed", "b errored", "c failed", "d errored"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := ofCTRF([]byte("{")); err == nil {
		t.Error("half a report was taken")
	}
}

func TestOutcomesOfTheKit(t *testing.T) {
	for status, want := range map[plugintest.Status]string{
		plugintest.Passed: "passed", plugintest.Skipped: "skipped", plugintest.Inapplicable: "skipped", plugintest.Failed: "failed", "": "failed",
	} {
		if got := ofOutcome(plugintest.Outcome{Status: status}); got.status != want {
			t.Errorf("%q: got %s, want %s", status, got.status, want)
		}
	}
}

func TestTheReferenceOfAPlugin(t *testing.T) {
	w := newWorld(t)
	w.want(0, []string{"docs", "../toy"})
	want := "Version 1.2.0. It may: network · environment: TOY_HOME.\n\n## toy.do\n\nDo it.\n\nIt passes.\n\n| Config | | |\n|---|---|---|\n" +
		"| `text` | string, default `\"x\"` | What \\| to do. |\n\n| Result | | |\n|---|---|---|\n| `text` | string | What was done. |\n\n" +
		"```yaml\n- action: toy.do\n  config: {text: hello}\n```\n\n## Functions\n\n- `toy.twice(x)`: Twice.\n"
	if diff := cmp.Diff(want, w.out); diff != "" {
		t.Error(diff)
	}

	// A README has a place for it, or says where to make one; a new one has.
	w.want(exitUsage, []string{"docs", "../toy", "--write"}, "has no place for the reference", docsBegin)
	readme := filepath.Join(w.plugin, "README.md")
	w.write(readme, "# Toy\n\n"+docsBegin+"\nold\n"+docsEnd+"\n\nThe end.\n")
	w.want(exitFailed, []string{"docs", "../toy", "--check"}, "out of date", "testmesh plugin docs --write")
	w.want(0, []string{"docs", "../toy", "--write"}, "toy/README.md")
	w.want(0, []string{"docs", "../toy", "--check"})
	text, err := os.ReadFile(readme)
	if err != nil || !strings.HasPrefix(string(text), "# Toy\n") || !strings.HasSuffix(string(text), docsEnd+"\n\nThe end.\n") || strings.Contains(string(text), "old") {
		t.Errorf("got %s, %v", text, err)
	}
	if err := os.Remove(readme); err != nil {
		t.Fatal(err)
	}
	w.want(0, []string{"docs", "../toy", "--write"})
	w.want(0, []string{"docs", "../toy", "--check"})
}

func TestAChangeIsSeen(t *testing.T) {
	w := newWorld(t)
	look := func() string {
		t.Helper()
		text, err := fingerprint(w.plugin)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := look()
	for _, name := range []string{"bin/toy", "dist/x", "node_modules/x/y", ".git/index"} {
		w.write(filepath.Join(w.plugin, name), "built")
	}
	if look() != before {
		t.Error("what a build leaves behind counts as a change")
	}
	w.write(filepath.Join(w.plugin, "describe.sh"), toyDescribe+"#")
	if look() == before {
		t.Error("another text of a file does not count")
	}
	before = look()
	w.write(filepath.Join(w.plugin, "more/new.go"), "")
	if look() == before {
		t.Error("a new file does not count")
	}
}
