// Package e2e tries the built binary as a person does: commands in, text and
// exit codes out. Its scripts are in scripts/, and the snippets of every
// document are run here too. It never imports the product, so that nothing is
// tested that is not in the one file people download.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/testmesh/testmesh/plugins/servertest"
)

var update = flag.Bool("update", false, "write what commands print into the scripts that compare it")

// coverDir is where the binary leaves its coverage; empty: it is built without.
var coverDir = os.Getenv("TESTMESH_COVERDIR")

// binDir holds the testmesh that TestMain built.
var binDir string

// goEnv are the settings of Go and npm that building a plugin needs, as
// NAME=value: a home of its own would begin with an empty cache.
var goEnv []string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "testmesh-e2e")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	binDir = dir
	args := []string{"build", "-trimpath", "-o", filepath.Join(dir, "testmesh")}
	if coverDir != "" {
		args = append(args, "-cover", "-covermode=atomic", "-coverpkg=./...")
	}
	build := exec.Command("go", append(args, "./cmd/testmesh")...)
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build testmesh: %w\n%s", err, out)
	}
	names := []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOTOOLCHAIN"}
	values, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		return 0, fmt.Errorf("ask go for its settings: %w", err)
	}
	for i, value := range strings.Split(strings.TrimSpace(string(values)), "\n") {
		goEnv = append(goEnv, names[i]+"="+value)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return 0, err
	}
	goEnv = append(goEnv, "TESTMESH_SOURCE="+root) // what new plugins are built with
	if home, err := os.UserHomeDir(); err == nil {
		goEnv = append(goEnv, "npm_config_cache="+filepath.Join(home, ".npm"))
	}
	return m.Run(), nil
}

// environment is what a script, or the snippets of a document, run with: the
// binary first on the path, a home of their own, no colour.
func environment(home string) []string {
	env := []string{
		"PATH=" + binDir + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + home,
		"XDG_CONFIG_HOME=" + filepath.Join(home, ".config"),
		"XDG_CACHE_HOME=" + filepath.Join(home, ".cache"),
		"NO_COLOR=1",
		"LANG=C.UTF-8",
	}
	if coverDir != "" {
		env = append(env, "GOCOVERDIR="+coverDir)
	}
	return append(env, goEnv...)
}

func TestScripts(t *testing.T) {
	servers := servertest.Environ(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "scripts",
		UpdateScripts:       *update,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, ".home")
			examples, err := filepath.Abs("../examples")
			if err != nil {
				return err
			}
			env.Vars = slices.Concat(env.Vars, environment(home), servers, []string{"EXAMPLES=" + examples})
			return os.MkdirAll(home, 0o755)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"demo":     demo,
			"exitcode": exitcode,
			"steady":   func(ts *testscript.TestScript, neg bool, args []string) { steady(ts, neg, args, servers) },
			"appears":  appears,
			"damage":   damage,
			"serve":    serve,
		},
	})
}

// demo starts the demo application on a free port, with the flags given, and
// sets DEMO_URL and DEMO_ADDR. It ends with the script.
//
//	demo [flag...]
func demo(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("demo has no negation")
	}
	server, err := startDemo(ts.MkAbs("."), append(environment(ts.Getenv("HOME")), "GORACE="+ts.Getenv("GORACE")), args...)
	ts.Check(err)
	ts.Defer(func() { ts.Check(server.stop()) })
	ts.Setenv("DEMO_URL", server.url)
	ts.Setenv("DEMO_ADDR", strings.TrimPrefix(server.url, "http://"))
}

// exitcode runs a command and wants this very exit code: `! exec` would take an
// errored run, or a crash, for a failed one. stdout and stderr work as after exec.
//
//	exitcode 3 testmesh run flow.testmesh.yaml
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N command [argument...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// steady replaces what differs from run to run in the last stdout, so that a cmp
// can follow: the addresses of the demo application and of the real servers
// (POSTGRES_URL's is POSTGRES_ADDR), durations, ids, the work folder.
func steady(ts *testscript.TestScript, neg bool, args, servers []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: steady")
	}
	text := ts.ReadFile("stdout")
	if addr := ts.Getenv("DEMO_ADDR"); addr != "" {
		text = strings.ReplaceAll(text, addr, "DEMO_ADDR")
	}
	for name, addr := range addresses(servers) {
		text = strings.ReplaceAll(text, addr, name)
	}
	text = strings.ReplaceAll(text, ts.MkAbs("."), "WORK")
	_, err := fmt.Fprint(ts.Stdout(), steadied(text))
	ts.Check(err)
}

var (
	durations = regexp.MustCompile(` *\b\d+(\.\d+)? ?(ns|µs|ms|s|m\d+s|m)\b`)
	ids       = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	times     = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\b`)
)

// steadied writes <time>, <id> and <instant> for what no two runs share.
func steadied(text string) string {
	text = times.ReplaceAllString(text, "<instant>")
	text = ids.ReplaceAllString(text, "<id>")
	// A column of durations is as wide as its widest, so the padding goes too.
	return durations.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, " ") {
			return " <time>"
		}
		return "<time>"
	})
}
