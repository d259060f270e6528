// Package servertest tells tests where the real servers are that `make services`
// started. It starts none: a test without its server fails and says what to type.
package servertest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// prefix sets these names apart from those that a system under test reads.
const prefix = "TESTMESH_TEST_"

// Value gives what `make services` wrote under a name ("POSTGRES_URL") to
// .cache/services/env; a variable of the environment named TESTMESH_TEST_ and it
// comes first.
func Value(t testing.TB, name string) string {
	t.Helper()
	v := values(t)[name]
	if v == "" {
		t.Fatalf("there is no server for %s%s: type make services", prefix, name)
	}
	return v
}

// Environ gives everything that Value knows as NAME=value: what a flow is run with
// that reads ${POSTGRES_URL}.
func Environ(t testing.TB) []string {
	t.Helper()
	all := values(t)
	if len(all) == 0 {
		t.Fatal("there are no servers: type make services")
	}
	var env []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		env = append(env, name+"="+all[name])
	}
	return env
}

// values are the lines of the file of the nearest folder upwards that has one,
// and over them those of the environment.
func values(t testing.TB) map[string]string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, ".cache", "services", "env"))
		if err == nil {
			read(all, strings.Split(string(text), "\n"))
			break
		}
	}
	read(all, os.Environ()) //nolint:forbidigo // what tests run against is said by their environment
	return all
}

// read takes up the lines TESTMESH_TEST_NAME=value; a value may stand in single
// quotes, because a shell reads the file too.
func read(all map[string]string, lines []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		if name, ours := strings.CutPrefix(name, prefix); ours && value != "" {
			all[name] = strings.Trim(value, "'")
		}
	}
}
