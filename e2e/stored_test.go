package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// said runs a command, and holds what it prints against some words.
func (s *site) said(code int, words string, args ...string) string {
	s.t.Helper()
	out := s.run(code, args...)
	if !strings.Contains(out, words) {
		s.t.Errorf("testmesh %s printed\n%s\nwant %q in it", strings.Join(args, " "), out, words)
	}
	return out
}

// input runs a command with a stdin.
func (s *site) input(code int, in string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), args...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.env, s.dir, strings.NewReader(in)
	out, _ := cmd.CombinedOutput() // its code is looked at
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("testmesh %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// decode reads what a command prints with -o json.
func (s *site) decode(into any, args ...string) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.run(0, append(args, "-o", "json")...)), into); err != nil {
		s.t.Fatal(err)
	}
}

// A person logs in once; what the command line and the environment say wins.
func TestLogin(t *testing.T) {
	s := newSite(t)
	key := ""
	s.env = slices.DeleteFunc(s.env, func(v string) bool {
		name, value, _ := strings.Cut(v, "=")
		if name == "TESTMESH_KEY" {
			key = value
		}
		return name == "TESTMESH_KEY" || name == "TESTMESH_SERVER" || name == "XDG_CONFIG_HOME"
	})
	s.env = append(s.env, "XDG_CONFIG_HOME="+filepath.Join(s.dir, "config"))
	s.said(2, "testmesh login ADDRESS", "runs")
	s.said(6, "hint: testmesh login", "runs", "--server", s.url)
	if out := s.input(6, "tma_wrong\n", "login", s.url); !strings.Contains(out, "not known here") || strings.Contains(out, "tma_wrong") {
		t.Errorf("got %s", out)
	}
	s.said(0, "", "login", "--list")
	if out := s.input(0, key+"\n", "login", s.url); !strings.Contains(out, "logged in at "+s.url) || strings.Contains(out, key) {
		t.Errorf("got %s", out)
	}
	file := filepath.Join(s.dir, "config", "testmesh", "servers.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v and %v", info.Mode(), err)
	}
	s.run(0, "runs")
	if out := s.said(0, "* "+s.url, "login", "--list"); strings.Contains(out, key) {
		t.Errorf("the key is shown: %s", out)
	}
	// The key is for its server, and not for another one.
	s.said(6, "cannot be reached", "runs", "--server", "http://127.0.0.1:1")
	s.said(6, "not known here", "runs", "--key", "tma_other")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	s.said(2, "others can read the keys", "runs")
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	s.said(2, "no login at http://nowhere", "login", "--use", "http://nowhere")
	s.said(0, "logged out", "logout")
	s.said(2, "which control plane", "runs")
	s.said(2, "no such login", "logout")
}

const alpha = `flow:
  name: Alpha
  tags: [smoke]
  env: {REGION: here}
  output: {x: "${one.x}"}
  steps:
    - {id: one, action: transform, config: {input: {x: 41}, transforms: {x: $.x}}}
    - {id: two, action: log, config: {message: "x is ${one.x} in ${env.REGION}"}}
`

const beta = "flow:\n  name: Beta\n  steps:\n    - {id: one, action: assert, assert: [\"1 + 1 == 3\"]}\n"

// project is a folder of its own below a site, in which commands run.
func (s *site) project(name string, files map[string]string) *site {
	s.t.Helper()
	p := *s
	p.dir = filepath.Join(s.dir, name)
	for file, text := range files {
		full := filepath.Join(p.dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(p.dir, ".testmesh"), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return &p
}

// Two people share flows by the control plane, and neither loses what is his.
func TestPushAndPull(t *testing.T) {
	s := newSite(t)
	ada := s.project("ada", map[string]string{"flows/alpha.testmesh.yaml": alpha, "flows/beta.testmesh.yaml": beta})
	ada.said(6, "has no flows", "pull")
	ada.said(0, "new  flows/alpha.testmesh.yaml", "status")
	ada.said(0, "revision 1: 2 added, 0 changed, 0 deleted", "push")
	ada.said(0, "the same as revision 1", "status")
	ada.said(0, "revision 1: 0 added", "push")
	ada.said(0, "flows/alpha.testmesh.yaml  Alpha", "flows", "--tag", "smoke")
	if got := ada.run(0, "flows", "show", "flows/alpha.testmesh.yaml"); got != alpha {
		t.Errorf("got %q", got)
	}
	ada.said(6, "no stored flow", "flows", "show", "flows/none.yaml")

	bob := s.project("bob", nil)
	bob.said(0, "revision 1: 2 written, 0 removed, 0 kept", "pull")
	bob.file("flows/alpha.testmesh.yaml", strings.Replace(alpha, "Alpha", "Alpha two", 1))
	bob.said(0, "changed  flows/alpha.testmesh.yaml", "status")
	bob.said(0, "revision 2: 0 added, 1 changed, 0 deleted", "push")
	// What it was is there still.
	var kept struct {
		Revisions []struct {
			Revision string `json:"revision"`
			Current  bool   `json:"current"`
		} `json:"revisions"`
	}
	if ada.decode(&kept, "flows", "revisions", "flows/alpha.testmesh.yaml"); len(kept.Revisions) != 2 || kept.Revisions[0].Revision != "2" || !kept.Revisions[0].Current || kept.Revisions[1].Revision != "1" {
		t.Errorf("got the revisions %v", kept)
	}
	ada.said(0, "1 *", "flows", "revisions", "flows/beta.testmesh.yaml")
	if got := ada.run(0, "flows", "show", "flows/alpha.testmesh.yaml", "--revision", "1"); got != alpha {
		t.Errorf("revision 1 is %q", got)
	}
	ada.said(6, "there is no revision of flows/alpha.testmesh.yaml 9", "flows", "show", "flows/alpha.testmesh.yaml", "--revision", "9")

	// Ada has not seen it.
	ada.file("flows/beta.testmesh.yaml", strings.Replace(beta, "Beta", "Beta two", 1))
	ada.said(0, "changed there", "status")
	ada.said(6, "somebody else has pushed", "push")
	ada.said(0, "revision 2: 1 written, 0 removed, 1 kept", "pull")
	ada.said(0, "revision 3", "push")
	bob.file("flows/beta.testmesh.yaml", strings.Replace(beta, "Beta", "Beta of Bob", 1))
	bob.said(2, "flows/beta.testmesh.yaml: changed here and there", "pull")
	bob.said(0, "revision 3: 1 written", "pull", "--force")
	var status struct {
		Revision int64               `json:"revision"`
		Files    []map[string]string `json:"files"`
	}
	if bob.decode(&status, "status"); status.Revision != 3 || len(status.Files) != 0 {
		t.Errorf("got %v", status)
	}
	if err := os.Remove(filepath.Join(ada.dir, "flows", "beta.testmesh.yaml")); err != nil {
		t.Fatal(err)
	}
	ada.said(0, "gone  flows/beta.testmesh.yaml", "status")
	ada.said(0, "1 deleted", "push")
	bob.said(0, "0 written, 1 removed", "pull")
	// What is wrong is not pushed.
	ada.file("flows/alpha.testmesh.yaml", "flow:\n  name: Alpha\n  stpes: []\n")
	ada.said(2, `did you mean "steps"`, "push")
	// A project that has not seen what is stored does not replace it.
	carol := s.project("carol", map[string]string{"own.testmesh.yaml": beta})
	carol.said(6, "this project has seen 0", "push")
	carol.said(0, "revision 5: 1 added, 0 changed, 1 deleted", "push", "--force")
}

// Stored flows are run by name or tag, with an environment of the control plane, whose
// secrets are never shown again; runs are looked at, reported and run again.
func TestStoredFlowsAreRunAndRunAgain(t *testing.T) {
	s := newSite(t)
	p := s.project("p", map[string]string{"flows/alpha.testmesh.yaml": alpha, "flows/beta.testmesh.yaml": beta})
	p.file("staging.yaml", "env:\n  REGION: there\n")
	p.run(0, "push")
	s.agent("one")
	if out := p.input(0, "hunter22\n", "env", "put", "staging", "staging.yaml", "--secret", "PASSWORD"); strings.Contains(out, "hunter22") || !strings.Contains(out, "revision 1, with 1 secrets") {
		t.Errorf("got %s", out)
	}
	if out := p.said(0, "PASSWORD", "env", "show", "staging") + p.run(0, "env", "show", "staging", "-o", "json") + p.said(0, "PASSWORD", "env", "list"); strings.Contains(out, "hunter22") {
		t.Errorf("the secret is shown: %s", out)
	}
	p.input(2, "", "env", "put", "staging", "--secret", "OTHER")
	p.said(6, "is at revision 1", "env", "put", "staging", "staging.yaml", "--base", "7")
	elsewhere := s.project("elsewhere", nil)
	elsewhere.said(1, "1 failed, 1 passed", "run", "--remote", "--stored")
	elsewhere.said(0, "PASS  1 passed", "run", "--remote", "--stored", "--tag", "smoke", "--env", "staging")
	elsewhere.said(0, "PASS  1 passed", "run", "--remote", "--stored", "Alpha")
	elsewhere.said(1, "FAIL  1 failed", "run", "--remote", "--stored", "flows/beta.testmesh.yaml")
	elsewhere.said(2, "no stored flow is", "run", "--remote", "--stored", "flows/none")
	elsewhere.said(4, "nothing is selected", "run", "--remote", "--stored", "--tag", "none")
	elsewhere.said(6, "no environment", "run", "--remote", "--stored", "--env", "moon")
	elsewhere.said(2, "write --remote --stored", "run", "--stored")
	elsewhere.file("rows.csv", "name\nada\ngrace\n")
	elsewhere.said(0, "PASS  2 passed", "run", "--remote", "--stored", "Alpha", "--data", "rows.csv")
	elsewhere.file("broken.jsonl", "{}\n{]\n")
	elsewhere.said(6, "broken.jsonl:2", "run", "--remote", "--stored", "Alpha", "--data", "broken.jsonl")
	// Who would take it is known before.
	elsewhere.said(0, "1 of 1 agents fit", "agents", "match", "--flow", "flows/alpha.testmesh.yaml")
	elsewhere.said(0, "it has no label zone, wanted moon or mars", "agents", "match", "zone=moon", "zone=mars")
	elsewhere.said(0, "os is linux, which the run does not want", "agents", "match", "os!=linux")
	elsewhere.said(2, "is no LABEL=VALUE", "agents", "match", "moon")

	var list struct {
		Runs []struct {
			ID      string `json:"id"`
			BatchID string `json:"batch_id"`
		} `json:"runs"`
	}
	p.decode(&list, "runs", "--env", "staging", "--status", "passed", "--since", "1h", "--flow", "Alpha")
	if len(list.Runs) != 1 {
		t.Fatalf("got %v, want the run at staging", list)
	}
	run := list.Runs[0]
	// Also what has ended is found by the agent that had it.
	p.said(0, run.ID, "runs", "--agent", "one", "--status", "passed")
	p.said(6, `no agent is named "two"`, "runs", "--agent", "two")
	p.said(0, "in there", "logs", "--agent", "one", "--flow", "Alpha")
	p.said(0, "in there", "logs", run.ID)
	p.said(0, `outputs  {"x":41}`, "results", run.ID)
	p.run(0, "results", "--batch", run.BatchID, "--report", "junit=report.xml")
	report, err := os.ReadFile(filepath.Join(p.dir, "report.xml"))
	if err != nil || !strings.Contains(string(report), `tests="1" failures="0" errors="0"`) {
		t.Errorf("got %v: %s", err, report)
	}
	p.said(0, "SHA256", "artifacts", run.ID)
	p.said(6, "stored no file", "artifacts", run.ID, "--get", "none.png")
	p.said(0, "it has ended", "runs", "why", run.ID)
	p.said(0, "waiting", "runs", "queue")
	p.said(0, "REASON", "runs", "quarantine", "list")
	p.said(6, "", "runs", "quarantine", "release", run.ID)
	p.said(0, "0 changed", "runs", "priority", "high", run.ID)
	p.said(2, "no priority", "runs", "priority", "urgent", run.ID)
	p.said(2, "no status", "runs", "--status", "green")
	p.said(0, "passed", "runs", "rerun", run.ID, "--wait")
	p.said(0, "passed", "runs", "rerun", run.ID, "--from", "two", "--wait")
	p.said(6, "no step tow", "runs", "rerun", run.ID, "--from", "tow")
	p.decode(&list, "runs", "--status", "failed", "--limit", "1")
	p.said(1, "failed", "runs", "rerun", "--batch", list.Runs[0].BatchID, "--failed", "--wait")
	var results struct {
		Results []struct {
			Status string `json:"status"`
			Steps  []struct {
				ID         string `json:"id"`
				Assertions []struct {
					Expression string `json:"expression"`
					Passed     bool   `json:"passed"`
				} `json:"assertions"`
			} `json:"steps"`
		} `json:"results"`
	}
	p.decode(&results, "results", list.Runs[0].ID)
	if r := results.Results; len(r) != 1 || r[0].Status != "failed" || len(r[0].Steps) != 1 || r[0].Steps[0].Assertions[0].Passed {
		t.Errorf("got %+v", r)
	}
	p.said(0, "deleted", "env", "delete", "staging")
	p.said(6, "no environment", "env", "delete", "staging")
}
