package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var flagName = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)

// TestEveryFlagOfRunHasAScript looks each flag of the help up in the scripts: a
// flag that does nothing must not stay unnoticed.
func TestEveryFlagOfRunHasAScript(t *testing.T) {
	out, err := exec.Command(filepath.Join(binDir, "testmesh"), "run", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("scripts", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "exec testmesh run ") || strings.HasPrefix(line, "exitcode ") {
				scripts.WriteString(line)
			}
		}
	}
	found := flagName.FindAllStringSubmatch(string(out), -1)
	if len(found) < 20 {
		t.Fatalf("found %d flags in the help, want at least 20\n%s", len(found), out)
	}
	for _, match := range found {
		if !strings.Contains(scripts.String(), " "+match[1]+" ") && !strings.Contains(scripts.String(), " "+match[1]+"\n") && match[1] != "--help" {
			t.Errorf("no script uses %s", match[1])
		}
	}
}
