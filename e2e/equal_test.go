package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// equalFlows are executed in three ways, and have to tell the same of it: what passes,
// what fails, and what cannot be judged.
var equalFlows = []string{
	"flows/checkout.testmesh.yaml", "flows/condition.testmesh.yaml", "flows/data-driven.testmesh.yaml", "flows/handlers.testmesh.yaml",
	"flows/loop.testmesh.yaml", "flows/parallel.testmesh.yaml", "flows/retry.testmesh.yaml", "flows/sub-flow.testmesh.yaml", "flows/transform.testmesh.yaml",
	"failing/failed-price.yaml", "failing/failed-status.yaml", "failing/failed-match.yaml", "failing/failed-sub-flow.yaml", "failing/failed-missing-path.yaml",
	"failing/errored-refused.yaml", "failing/errored-drop.yaml", "failing/errored-timeout.yaml",
}

// A flow gives the same events by `run`, through a server and an agent in processes of
// their own, and in `dev`.
func TestAFlowGivesTheSameEventsEverywhere(t *testing.T) {
	local, mesh, dev := runLocally(t), runOnAnAgent(t), runInDev(t)
	for _, flow := range equalFlows {
		t.Run(flow, func(t *testing.T) {
			want := local(t, flow)
			if len(want) < 3 {
				t.Fatalf("by run there are %d lines: %q", len(want), want)
			}
			for way, run := range map[string]func(*testing.T, string) []string{"through an agent": mesh, "in dev": dev} {
				if diff := cmp.Diff(want, run(t, flow)); diff != "" {
					t.Errorf("%s (-run +%s):\n%s", way, way, diff)
				}
			}
		})
	}
}

// project is a copy of the examples, so that what is written there is nobody's.
func project(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("..", "examples"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// told runs a command that prints events, and gives those of the runs.
func told(t *testing.T, dir string, env []string, demo string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 && exit.ExitCode() != 3) {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	var events []fields
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.UseNumber()
		var e fields
		if err := dec.Decode(&e); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if !strings.HasPrefix(e.text("type"), "batch.") { // of the command, not of the run
			events = append(events, e)
		}
	}
	return compared(t, events, demo)
}

// compared is what of events is the same wherever they come from: those of concurrent
// steps in the order of their paths.
func compared(t *testing.T, events []fields, demo string) (list []string) {
	t.Helper()
	place := map[string]string{} // of the runs of a command, which may end in any order
	for _, e := range events {
		if e.text("type") == "run.started" {
			row, err := json.Marshal([]any{e["flow"], e["row"], e["iteration"]})
			if err != nil {
				t.Fatal(err)
			}
			place[e.text("run_id")] = string(row)
		}
	}
	slices.SortStableFunc(events, func(a, b fields) int {
		if c := strings.Compare(place[a.text("run_id")], place[b.text("run_id")]); c != 0 {
			return c
		}
		return slices.Compare(concurrent(a), concurrent(b))
	})
	for _, e := range events {
		for _, name := range []string{"attempt", "agent", "agent_name", "seed", "next_in_ms"} {
			delete(e, name)
		}
		anonymous(map[string]any(e))
		steadyEvent(e)
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		line := orderIDs.ReplaceAllString(strings.ReplaceAll(string(text), demo, "DEMO_ADDR"), "<order>")
		list = append(list, steadied(line))
	}
	return list
}

// orderIDs are what the application counts orders by, whoever comes first.
var orderIDs = regexp.MustCompile(`\bord_[0-9a-f]{12}\b`)

// concurrent is the place of a step where others may go at the same time.
func concurrent(e fields) []string {
	if p := e.path(); len(p) > 1 {
		return p
	}
	return nil
}

// anonymous takes out the header that names the attempt of an agent.
func anonymous(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			anonymous(item)
		}
	case map[string]any:
		delete(v, "X-Testmesh-Run")
		for _, inner := range v {
			anonymous(inner)
		}
	}
}

// runLocally is `testmesh run`.
func runLocally(t *testing.T) func(*testing.T, string) []string {
	dir := project(t)
	home := t.TempDir()
	demo, err := startDemo(dir, environment(home))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := demo.stop(); err != nil {
			t.Error(err)
		}
	})
	env := append(environment(home), "API_BASE_URL="+demo.url)
	return func(t *testing.T, flow string) []string {
		return told(t, dir, env, strings.TrimPrefix(demo.url, "http://"), "run", flow, "--format", "jsonl")
	}
}

// runOnAnAgent is `testmesh run --remote`, with the server and the agent in processes of
// their own.
func runOnAnAgent(t *testing.T) func(*testing.T, string) []string {
	dir, s := project(t), newSite(t)
	demo, err := startDemo(dir, environment(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := demo.stop(); err != nil {
			t.Error(err)
		}
	})
	s.env = append(s.env, "API_BASE_URL="+demo.url)
	a := s.process("agent", "--token", strings.TrimSpace(s.run(0, "agents", "token")), "--data", filepath.Join(s.dir, "agent"), "--name", "agent",
		"--allow-env", "API_BASE_URL")
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, flow string) []string {
		return told(t, dir, s.env, strings.TrimPrefix(demo.url, "http://"), "run", "--remote", flow, "--format", "jsonl")
	}
}

// runInDev is `testmesh dev --run`, all of it in one process.
func runInDev(t *testing.T) func(*testing.T, string) []string {
	dir := project(t)
	home := t.TempDir()
	return func(t *testing.T, flow string) []string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		demo := l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return told(t, dir, environment(home), demo, "dev", "--ephemeral", "--addr", "127.0.0.1:0", "--demo-addr", demo, "--run", flow, "--format", "jsonl")
	}
}
