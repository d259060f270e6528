package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// endings are flows that end in every way that a run of its own accord can.
const endings = `flow: {name: fine, tags: [smoke, critical], steps: [{id: hello, action: log, config: {message: hello}}]}
---
flow:
  name: "wrong \\ # -- <b> & 日本"
  steps:
    - {id: numbers, action: set, config: {total: 58.90, token: "${secret.api_token}"}}
    - {id: check, action: assert, assert: ["total == 59.80", "token == 'x'"]}
    - {id: never, action: log, needs: [check], config: {message: no}}
---
flow:
  name: unjudged
  setup: [{id: begin, action: log, config: {message: "ok 1 - not a test point"}}]
  teardown: [{id: bye, action: log, config: {message: bye}}]
  steps: [{id: ping, action: http.request, config: {url: "http://127.0.0.1:1/"}}]
---
flow: {name: later, after: ["wrong \\ # -- <b> & 日本"], steps: [{id: hello, action: log, config: {message: hello}}]}
---
flow:
  name: rows
  data: [{name: ada, n: 1}, {name: "b,\"c\"\n", n: 2}, {n: 3}]
  input: {n: {type: integer}}
  steps: [{id: check, action: assert, assert: ["n < 3"]}]
`

// read has a report read by its format's own reader, which .ci/setup installs.
func read(t *testing.T, kind, path string) map[string]any {
	t.Helper()
	cmd := exec.Command("node", filepath.Join("..", ".ci", "tools", "readers.mjs"), kind, path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", kind, err, stderr.String())
	}
	var seen map[string]any
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

// pick leaves of a map what a test is about.
func pick(m map[string]any, keys ...string) map[string]any {
	out := map[string]any{}
	for _, k := range keys {
		out[k] = m[k]
	}
	return out
}

// runEndings runs the flows of endings twice and gives the folder that it ran in,
// with the reports asked for, and how many runs ended how.
func runEndings(t *testing.T, flags ...string) (dir string, counts map[string]float64) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "endings.testmesh.yaml"), []byte(endings), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), append([]string{"run", "endings.testmesh.yaml", "--format", "jsonl", "--repeat", "2"}, flags...)...)
	cmd.Dir, cmd.Env = dir, append(environment(dir), "TESTMESH_SECRET_api_token=top-secret-value")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Fatalf("exit code %d, want 1: %v\n%s\n%s", code, err, out, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var last struct{ Counts map[string]float64 }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]float64{"passed": 6, "failed": 4, "errored": 2, "skipped": 2}, last.Counts); diff != "" {
		t.Fatalf("the batch did not end as it should: %s", diff)
	}
	return dir, last.Counts
}

// TestFormatsAreReadByTheirOwnReaders writes one batch in every format that
// others define, and has each read back: what they count must be what happened.
func TestFormatsAreReadByTheirOwnReaders(t *testing.T) {
	dir, n := runEndings(t, "--report", "ctrf=ctrf.json", "--report", "tap=run.tap", "--report", "allure=results")
	bad, total := n["failed"]+n["errored"], n["passed"]+n["failed"]+n["errored"]+n["skipped"]
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte("top-secret-value")) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	t.Run("ctrf", func(t *testing.T) {
		want := map[string]any{"tests": total, "passed": n["passed"], "failed": bad, "skipped": n["skipped"]}
		if diff := cmp.Diff(want, pick(read(t, "ctrf", filepath.Join(dir, "ctrf.json")), "tests", "passed", "failed", "skipped")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("tap", func(t *testing.T) {
		want := map[string]any{"version": 14.0, "tests": total, "passed": n["passed"], "failed": bad, "skipped": n["skipped"], "plan": total, "explained": bad, "bailout": ""}
		if diff := cmp.Diff(want, read(t, "tap", filepath.Join(dir, "run.tap"))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("allure", func(t *testing.T) {
		want := map[string]any{
			"tests": total, "passed": n["passed"], "failed": n["failed"], "broken": n["errored"], "skipped": n["skipped"],
			"ids": total, "before": n["errored"], "after": n["errored"], "attachments": n["errored"], "categories": 5.0, "globals": []any{},
		}
		got := read(t, "allure", filepath.Join(dir, "results"))
		if diff := cmp.Diff(want, pick(got, "tests", "passed", "failed", "broken", "skipped", "ids", "before", "after", "attachments", "categories", "globals")); diff != "" {
			t.Error(diff)
		}
		if got := fmt.Sprint(got["environment"].(map[string]any)["exit.code"]); got != "1" {
			t.Errorf("the environment has exit code %s", got)
		}
	})
}

// TestReadersRefuseWhatIsWrong shows each reader a report with one mistake.
func TestReadersRefuseWhatIsWrong(t *testing.T) {
	tests := map[string]struct{ kind, name, text, want string }{
		"a plan that lies":            {"tap", "x.tap", "TAP version 14\nok 1 - a\n1..2\n", "not TAP"},
		"a line of no meaning":        {"tap", "x.tap", "TAP version 14\nok 1 - a\nwhat is this\n1..1\n", "not TAP"},
		"a number twice":              {"tap", "x.tap", "TAP version 14\nok 1 - a\nok 1 - b\n1..2\n", "not TAP"},
		"a status that is not CTRF's": {"ctrf", "x.json", `{"reportFormat":"CTRF","specVersion":"0.0.0","results":{"tool":{"name":"x"},"summary":{"tests":1,"passed":0,"failed":0,"skipped":0,"pending":0,"other":0,"start":1,"stop":2},"tests":[{"name":"a","status":"errored","duration":1}]}}`, "not CTRF"},
		"a summary that lies":         {"ctrf", "x.json", `{"reportFormat":"CTRF","specVersion":"0.0.0","results":{"tool":{"name":"x"},"summary":{"tests":1,"passed":1,"failed":0,"skipped":0,"pending":0,"other":0,"start":1,"stop":2},"tests":[{"name":"a","status":"failed","duration":1}]}}`, "the summary has"},
		"a file Allure does not know": {"allure", "x.txt", "x", "does not know"},
		"a result that is no JSON":    {"allure", "x-result.json", "{", "refuses"},
		"a result without an id":      {"allure", "x-result.json", `{"name":"a","fullName":"a","status":"passed","start":1,"stop":2}`, "is missing"},
		"an attachment without file":  {"allure", "x-result.json", `{"uuid":"1","historyId":"1","testCaseId":"1","name":"a","fullName":"a","status":"passed","start":1,"stop":2,"attachments":[{"name":"x","source":"y-attachment.txt"}]}`, "no file"},
		"a file that nobody names":    {"allure", "x-attachment.txt", "x", "are referred to"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, test.name)
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if test.kind == "allure" {
				path = dir
			}
			out, err := exec.Command("node", filepath.Join("..", ".ci", "tools", "readers.mjs"), test.kind, path).CombinedOutput()
			if err == nil || !strings.Contains(string(out), test.want) {
				t.Errorf("error %v, want one with %q:\n%s", err, test.want, out)
			}
		})
	}
}
