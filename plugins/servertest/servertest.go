// Package servertest tells tests where the real servers are that `make services`
// started. It starts none: a test without its server fails and says what to type.
package servertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Value gives what `make services` wrote under a name ("POSTGRES_URL") to
// .cache/services/env; a variable of the environment named TESTMESH_TEST_ and it
// comes first.
func Value(t testing.TB, name string) string {
	t.Helper()
	if v := os.Getenv("TESTMESH_TEST_" + name); v != "" { //nolint:forbidigo // what tests run against is said by their environment
		return v
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, ".cache", "services", "env"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "TESTMESH_TEST_"+name+"="); ok {
				return v
			}
		}
	}
	t.Fatalf("there is no server for TESTMESH_TEST_%s: type make services", name)
	return ""
}
