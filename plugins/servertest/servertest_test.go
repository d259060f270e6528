package servertest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// project is a folder with the file that .ci/services writes, and the test runs
// in a folder below it.
func project(t *testing.T, env string) {
	t.Helper()
	root := t.TempDir()
	below := filepath.Join(root, "plugins", "sql")
	for _, dir := range []string{filepath.Join(root, ".cache", "services"), below} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, ".cache", "services", "env"), []byte(env), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	for _, line := range os.Environ() { // whatever this test itself is run with
		if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, prefix) {
			t.Setenv(name, "")
		}
	}
}

func TestValueIsReadFromTheFileOfTheProject(t *testing.T) {
	project(t, "TESTMESH_TEST_REDIS_URL=redis://u:p@127.0.0.1:1/0?a=b\nTESTMESH_TEST_REDIS_TLS_CA='/with a blank/ca.pem'\n")
	if got, want := Value(t, "REDIS_URL"), "redis://u:p@127.0.0.1:1/0?a=b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Value(t, "REDIS_TLS_CA"), "/with a blank/ca.pem"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheEnvironmentComesFirst(t *testing.T) {
	project(t, "TESTMESH_TEST_REDIS_URL=redis://file\nTESTMESH_TEST_KAFKA_BROKERS=a:1\n")
	t.Setenv("TESTMESH_TEST_REDIS_URL", "redis://environment")
	t.Setenv("REDIS_URL", "redis://of-something-else")
	if got, want := Environ(t), []string{"KAFKA_BROKERS=a:1", "REDIS_URL=redis://environment"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// ended is a test that says by a panic how it was ended.
type ended struct{ testing.TB }

func (ended) Helper() {}

func (ended) Fatal(args ...any) { panic(args[0]) }

func (ended) Fatalf(format string, args ...any) {
	panic(format + " " + args[1].(string))
}

func TestATestWithoutItsServerFails(t *testing.T) {
	project(t, "")
	for name, ask := range map[string]func(testing.TB){
		"one":         func(t testing.TB) { Value(t, "REDIS_URL") },
		"all of them": func(t testing.TB) { Environ(t) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if said, _ := recover().(string); !strings.Contains(said, "make services") {
					t.Errorf("it ended with %q, want what to type", said)
				}
			}()
			ask(ended{t})
		})
	}
}
