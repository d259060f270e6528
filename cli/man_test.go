package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestManual(t *testing.T) {
	dir := t.TempDir()
	env := []string{"SOURCE_DATE_EPOCH=1800000000"}
	out, errs, code := command(t, dir, env, "man", "man1")
	if code != 0 || !strings.Contains(out, "pages in man1") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	for page, wants := range map[string][]string{
		"testmesh.1": {
			`.TH "TESTMESH" 1 "2027\-01\-15" "testmesh v1.2.3" "TestMesh"`, ".BR testmesh\\-run (1),", ".SH NAME\ntestmesh \\-",
		},
		"testmesh-run.1": {
			`.BR "\-t, \-\-tag" " stringArray"`, ".SH EXAMPLES", "Exit codes: 0 passed", ".BR testmesh (1)", ".SH OPTIONS OF EVERY COMMAND", "(default auto)",
		},
		"testmesh-demo-serve.1": {"127.0.0.1:7071"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, "man1", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s does not have %q:\n%s", page, want, text)
			}
		}
		for i, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, ".") && !strings.HasPrefix(line, ".TH ") && !strings.HasPrefix(line, ".SH ") &&
				!strings.HasPrefix(line, ".B") && line != ".TP" && line != ".PP" && line != ".nf" && line != ".fi" {
				t.Errorf("%s:%d: %q is no macro that is used here", page, i+1, line)
			}
		}
	}
	again := t.TempDir()
	if _, errs, code := command(t, again, env, "man", "man1"); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if out, err := exec.Command("diff", "-r", dir, again).CombinedOutput(); err != nil {
		t.Errorf("the same source gives other pages: %s", out)
	}
}

func TestManualRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := command(t, dir, nil, "man", "file"); code != 2 || !strings.Contains(errs, "make the folder") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := command(t, dir, []string{"SOURCE_DATE_EPOCH=soon"}, "man", "x"); code != 2 || !strings.Contains(errs, "SOURCE_DATE_EPOCH") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestRoff(t *testing.T) {
	for in, want := range map[string]string{
		`a\b`: `a\eb`, "--tag": `\-\-tag`, ".x\n'y\nz": "\\&.x\n\\&'y\nz",
	} {
		if got := roff(in); got != want {
			t.Errorf("roff(%q) = %q, want %q", in, got, want)
		}
	}
}
