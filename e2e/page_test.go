package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// look opens a page in Chromium and gives what was seen. .ci/setup installs both
// Chromium and what drives it: without them this fails.
func look(t *testing.T, page, word string) (map[string]any, error) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join("..", ".ci", "tools", "page.mjs"), chromium, page, word)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, stderr.String())
	}
	var seen map[string]any
	if err := json.Unmarshal(out, &seen); err != nil {
		t.Fatal(err)
	}
	return seen, nil
}

// TestThePageWorksInABrowser opens the HTML report from the disk.
func TestThePageWorksInABrowser(t *testing.T) {
	const wrong = `failed wrong \ # -- <b> & 日本`
	dir, _ := runEndings(t, "--report", "html=report.html")
	seen, err := look(t, filepath.Join(dir, "report.html"), "unjudged")
	if err != nil {
		t.Fatal(err)
	}
	list := func(key string) []string {
		var out []string
		for _, v := range seen[key].([]any) {
			out = append(out, strings.TrimSpace(fmt.Sprint(v)))
		}
		return out
	}
	failed := []string{wrong, wrong + " [iteration 2]", "failed rows [row 3]", "failed rows [row 3]"}
	errored := []string{"errored unjudged", "errored unjudged [iteration 2]"}
	runs := slices.Concat(failed, errored, []string{"skipped later", "skipped later [iteration 2]"})
	for key, want := range map[string][]string{
		"filters": {"failed 4", "errored 2", "skipped 2", "passed 6"},
		"failed":  failed, "failed_or_errored": slices.Concat(failed, errored),
		"found": errored, "found_nothing": nil, "steps": {"passed begin", "errored ping", "passed bye"},
		"first_open": {strings.TrimPrefix(wrong, "failed ")},
		// Nothing is loaded, nothing complains, everything can be read.
		"complaints": nil, "requests": nil, "faint": nil, "faint_dark": nil,
	} {
		if diff := cmp.Diff(want, list(key)); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	if got := list("runs"); len(got) != 14 || !slices.Equal(got[:8], runs) || !strings.HasPrefix(got[13], "passed ") {
		t.Errorf("what did not pass does not stand first: %q", got)
	}
	for key, want := range map[string]any{
		"verdict": "FAIL", "title": "FAIL 6 passed 4 failed 2 errored 2 skipped · TestMesh", "pressed": "true", "before": 0.0, "markup": 0.0,
		"too_wide": 0.0, "plain_verdict": "FAIL", "plain_controls": false, "plain_failures": 6.0,
	} {
		if seen[key] != want {
			t.Errorf("%s is %v, want %v", key, seen[key], want)
		}
	}
	if seen["back"] == seen["back_dark"] {
		t.Errorf("light and dark are both %v", seen["back"])
	}
	if text := fmt.Sprint(seen["unfolded"]); !strings.Contains(text, "E-CONN connection refused: 127.0.0.1:1") {
		t.Errorf("the unfolded run does not say what was wrong: %s", text)
	}
}

// TestAPageOfManyRunsOpens has a page of 1,500 runs filtered and searched.
func TestAPageOfManyRunsOpens(t *testing.T) {
	dir := t.TempDir()
	flows := "flow: {name: many, steps: [{id: a, action: log, config: {message: hello}}]}\n---\n" +
		"flow: {name: unjudged, steps: [{id: a, action: assert, assert: [\"1 == 2\"]}]}\n---\n" +
		"flow: {name: gone, steps: [{id: a, action: http.request, config: {url: \"http://127.0.0.1:1/\"}}]}\n"
	if err := os.WriteFile(filepath.Join(dir, "many.testmesh.yaml"), []byte(flows), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), "run", "many.testmesh.yaml", "--format", "quiet", "--repeat", "500", "--parallel", "4", "--report", "html=report.html")
	cmd.Dir, cmd.Env = dir, environment(dir)
	if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("%v\n%.2000s", err, out)
	}
	seen, err := look(t, filepath.Join(dir, "report.html"), "unjudged")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"runs": 1500, "failed": 500, "failed_or_errored": 1000, "found": 500, "complaints": 0} {
		if got := len(seen[key].([]any)); got != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
	if ms := seen["opened_ms"].(float64); ms > 30_000 {
		t.Errorf("the page took %v ms to open", ms)
	}
}

// TestABrokenPageIsSeen shows the check pages that do not work.
func TestABrokenPageIsSeen(t *testing.T) {
	dir, _ := runEndings(t, "--report", "html=report.html")
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]struct{ old, new, want string }{
		"a script that the policy does not allow": {`"use strict";`, `"use strict"; /**/`, "Content Security Policy"},
		"a script that fails":                     {`<input id="search"`, `<input id="find"`, "TypeError"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "broken.html")
			text := strings.Replace(string(page), broken.old, broken.new, 1)
			if text == string(page) {
				t.Fatal("nothing is broken")
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := look(t, path, "unjudged"); err == nil || !strings.Contains(err.Error(), broken.want) {
				t.Errorf("got %v, want an error with %q", err, broken.want)
			}
		})
	}
}
