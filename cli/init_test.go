package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInitMakesAProjectThatRuns(t *testing.T) {
	dir := t.TempDir()
	out, errs, code := command(t, dir, nil, "init", "hello world")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{
		"created  flows/hello.testmesh.yaml", "flows/broken.testmesh.yaml", "environments/local.yaml", ".testmesh/schema.json", ".testmesh/.gitignore",
		"cd 'hello world'", "testmesh demo serve", "testmesh run --tag smoke",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	project := filepath.Join(dir, "hello world")
	api := serveDemoApplication(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"validate"}, 0, "VALID  2 flows"},
		{[]string{"validate", "--env", "local"}, 0, "VALID  2 flows"},
		{[]string{"fmt", "--check"}, 0, ""},
		{[]string{"run", "--tag", "smoke", "--var", "API=" + api}, 0, "PASS  1 passed · 3 steps"},
		{[]string{"run", "--tag", "broken", "--var", "API=" + api}, 1, "expected 59.80 (number), got 58.9"},
		{[]string{"run", "--last-failed", "--explain"}, 0, "broken"},
	} {
		out, errs, code := command(t, project, nil, c.args...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "environments", "local.yaml")
	if err := os.MkdirAll(filepath.Dir(mine), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, errs, code := command(t, dir, nil, "init")
	if code != 2 || !strings.Contains(errs, "environments/local.yaml exists already") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if text, err := os.ReadFile(mine); err != nil || string(text) != "mine" {
		t.Errorf("the file is %q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestInitDoesNotFollowALinkOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "flows")); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := command(t, dir, nil, "init"); code != 2 {
		t.Errorf("exit %d: %s", code, errs)
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("it wrote %v, %v", entries, err)
	}
}
