package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// witness is a system under test outside of TestMesh: it counts what really reached
// it, and who was at work at the same time.
type witness struct {
	*httptest.Server
	mu      sync.Mutex
	pays    map[string]int // requests that must not be repeated, by run
	tidied  map[string]int // teardowns, by run
	working map[string]int // requests under way, by run
	overlap int
	hold    chan struct{} // closed: /work answers
}

func newWitness(t *testing.T) *witness {
	w := &witness{pays: map[string]int{}, tidied: map[string]int{}, working: map[string]int{}, hold: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/pay/{run}", func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pays[r.PathValue("run")]++
	})
	mux.HandleFunc("/tidied/{run}", func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tidied[r.PathValue("run")]++
	})
	mux.HandleFunc("/tidying/{run}", func(_ http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.tidied[r.PathValue("run")]++
		hold := w.hold
		w.mu.Unlock()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/work/{run}", func(_ http.ResponseWriter, r *http.Request) {
		run := r.PathValue("run")
		w.mu.Lock()
		if w.working[run]++; w.working[run] > 1 {
			w.overlap++
		}
		hold := w.hold
		w.mu.Unlock()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
		w.mu.Lock()
		w.working[run]--
		w.mu.Unlock()
	})
	w.Server = httptest.NewServer(mux)
	t.Cleanup(w.Close)
	return w
}

func (w *witness) atWork() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.working {
		n += one
	}
	return n
}

// site is a control plane of one process, with agents in others.
type site struct {
	t        *testing.T
	dir, url string
	env      []string
	server   *exec.Cmd
}

func newSite(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") // a free port, for more than one start
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: t.TempDir(), url: "http://" + address}
	s.env = append(environment(s.dir), "TESTMESH_SERVER="+s.url)
	for _, line := range s.start(address) {
		if word, key, ok := strings.Cut(strings.TrimSpace(line), "Administrator  "); ok && word == "" {
			s.env = append(s.env, "TESTMESH_KEY="+strings.Fields(key)[0])
		}
	}
	return s
}

// process starts the binary, and ends it with the test.
func (s *site) process(args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), args...)
	cmd.Env, cmd.Dir = s.env, s.dir
	log, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("%s-%d.log", args[0], time.Now().UnixNano())))
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = log
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && s.t.Failed() {
			s.t.Logf("%v\n%s", args, text)
		}
	})
	return cmd
}

func (s *site) start(address string) (said []string) {
	s.t.Helper()
	s.server = s.process("server", "--data", filepath.Join(s.dir, "server"), "--addr", address)
	out, err := s.server.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said = append(said, lines.Text())
		if strings.HasPrefix(lines.Text(), "Next") {
			return said
		}
	}
	s.t.Fatalf("the server did not start: %q", said)
	return nil
}

func (s *site) agent(name string, flags ...string) *exec.Cmd {
	s.t.Helper()
	a := s.process(append([]string{"agent", "--token", strings.TrimSpace(s.run(0, "agents", "token")), "--data", filepath.Join(s.dir, name), "--name", name}, flags...)...)
	if err := a.Start(); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// run runs a command that ends with a code, and gives what it printed.
func (s *site) run(code int, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "testmesh"), args...)
	cmd.Env, cmd.Dir = s.env, s.dir
	out, err := cmd.Output()
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
		out = append(out, exit.Stderr...)
	} else if err != nil {
		s.t.Fatal(err)
	}
	if got != code {
		s.t.Fatalf("testmesh %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// records are the runs that the control plane lists.
func (s *site) records() (list []struct {
	ID       string
	Status   string
	Reason   string
	Attempts []struct{ AgentName, Outcome string }
},
) {
	s.t.Helper()
	var answer struct {
		Runs []struct {
			ID       string `json:"id"`
			Status   string `json:"status"`
			Reason   string `json:"reason"`
			Attempts []struct {
				AgentName string `json:"agent_name"`
				Outcome   string `json:"outcome"`
			} `json:"attempts"`
		} `json:"runs"`
	}
	if err := json.Unmarshal([]byte(s.run(0, "runs", "-o", "json")), &answer); err != nil {
		s.t.Fatal(err)
	}
	for _, r := range answer.Runs {
		one := struct {
			ID       string
			Status   string
			Reason   string
			Attempts []struct{ AgentName, Outcome string }
		}{ID: r.ID, Status: strings.TrimPrefix(r.Status, "RUN_STATUS_"), Reason: r.Reason}
		for _, a := range r.Attempts {
			one.Attempts = append(one.Attempts, struct{ AgentName, Outcome string }{a.AgentName, a.Outcome})
		}
		list = append(list, one)
	}
	return list
}

// until polls a claim, and reports why it did not hold in time.
func until(t *testing.T, what string, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %v", what, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (s *site) file(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// background runs flows of the site without waiting for them.
func (s *site) background(args ...string) (ended <-chan int) {
	s.t.Helper()
	cmd := s.process(append([]string{"run", "--remote"}, args...)...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	code := make(chan int, 1)
	go func() {
		_ = cmd.Wait() // its code says how it ended
		code <- cmd.ProcessState.ExitCode()
	}()
	return code
}

// An agent that is killed before anything that must not be repeated began loses its
// run to another one; what was acknowledged is not lost, and not done twice.
func TestAKilledAgentsRunBeginsAnewElsewhere(t *testing.T) {
	w, s := newWitness(t), newSite(t)
	s.file("reads.testmesh.yaml", `flow:
  name: Reads
  steps:
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
    - {id: pay, action: http.request, config: {method: POST, url: "`+w.URL+`/pay/${run.id}"}}
`)
	first := s.agent("first")
	ended := s.background("reads.testmesh.yaml")
	until(t, "the first agent's work", func() error {
		if w.atWork() != 1 {
			return fmt.Errorf("%d at work", w.atWork())
		}
		return nil
	})
	if err := first.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	// The same agent starts anew, and says itself what it has lost.
	again := s.process("agent", "--data", filepath.Join(s.dir, "first"), "--name", "first")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the second attempt", func() error {
		if r := s.records(); len(r) != 1 || len(r[0].Attempts) != 2 || r[0].Attempts[0].Outcome != "lost" {
			return fmt.Errorf("%v", r)
		}
		return nil
	})
	close(w.hold)
	if code := <-ended; code != 0 {
		t.Errorf("got exit code %d", code)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for run, n := range w.pays {
		if n != 1 {
			t.Errorf("run %s paid %d times", run, n)
		}
	}
	if len(w.pays) != 1 || w.overlap != 0 {
		t.Errorf("%d runs paid, and %d requests overlapped", len(w.pays), w.overlap)
	}
}

// After a once step began, a loss is not repeated: the run is errored, never passed,
// and never failed.
func TestALossAfterAOnceStepIsIndeterminate(t *testing.T) {
	w, s := newWitness(t), newSite(t)
	s.file("pays.testmesh.yaml", `flow:
  name: Pays
  steps:
    - {id: pay, action: http.request, config: {method: POST, url: "`+w.URL+`/pay/${run.id}"}}
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
`)
	agent := s.agent("only")
	ended := s.background("pays.testmesh.yaml")
	until(t, "the work", func() error {
		if w.atWork() != 1 {
			return fmt.Errorf("%d at work", w.atWork())
		}
		return nil
	})
	if err := agent.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = agent.Wait() // it was killed
	again := s.process("agent", "--data", filepath.Join(s.dir, "only"), "--name", "only")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != 3 {
		t.Errorf("got exit code %d, want 3", code)
	}
	r := s.records()
	if len(r) != 1 || r[0].Status != "ERRORED" || !strings.Contains(r[0].Reason, "indeterminate: agent only was lost after step pay began") || len(r[0].Attempts) != 1 {
		t.Errorf("got %v", r)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for run, n := range w.pays {
		if n != 1 {
			t.Errorf("run %s paid %d times", run, n)
		}
	}
}

// A control plane that is killed loses nothing that it has acknowledged, and the agent
// brings home what it did meanwhile.
func TestAKilledControlPlaneLosesNothing(t *testing.T) {
	w, s := newWitness(t), newSite(t)
	s.file("many.testmesh.yaml", `flow:
  name: Many
  steps:
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
    - {id: pay, action: http.request, config: {method: POST, url: "`+w.URL+`/pay/${run.id}"}}
`)
	const runs = 20
	s.agent("one")
	s.agent("two")
	ended := s.background("many.testmesh.yaml", "--repeat", fmt.Sprint(runs), "--parallel", "100")
	until(t, "eight at work", func() error {
		if w.atWork() != 8 {
			return fmt.Errorf("%d at work", w.atWork())
		}
		return nil
	})
	if err := s.server.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = s.server.Wait() // it was killed
	close(w.hold)
	s.start(strings.TrimPrefix(s.url, "http://"))
	if code := <-ended; code != 0 {
		t.Errorf("got exit code %d", code)
	}
	r := s.records()
	for _, one := range r {
		started := 0
		for _, at := range one.Attempts {
			if at.Outcome != "returned" { // an offer that the kill cut off never started
				started++
			}
		}
		if one.Status != "PASSED" || started != 1 {
			t.Errorf("got %v, want it passed at the first attempt that started", one)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(r) != runs || len(w.pays) != runs || w.overlap != 0 {
		t.Errorf("%d runs are listed, %d paid, %d requests overlapped; want %d, %d, 0", len(r), len(w.pays), w.overlap, runs, runs)
	}
	for run, n := range w.pays {
		if n != 1 {
			t.Errorf("run %s paid %d times", run, n)
		}
	}
}

func TestADrainedAgentFinishesWhatItHas(t *testing.T) {
	w, s := newWitness(t), newSite(t)
	s.file("long.testmesh.yaml", `flow:
  name: Long
  steps: [{id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}]
`)
	agent := s.agent("one")
	ended := s.background("long.testmesh.yaml")
	until(t, "the work", func() error {
		if w.atWork() != 1 {
			return fmt.Errorf("%d at work", w.atWork())
		}
		return nil
	})
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	close(w.hold)
	if code := <-ended; code != 0 {
		t.Errorf("got exit code %d", code)
	}
	if err := agent.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
}

// An agent that may not wait for its runs gives them to others: nobody wanted them to end.
func TestWhatAnAgentHasNoTimeForIsAnothers(t *testing.T) {
	w, s := newWitness(t), newSite(t)
	s.file("long.testmesh.yaml", `flow:
  name: Long
  steps: [{id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}]
  teardown: [{id: tidy, action: http.request, config: {method: DELETE, url: "`+w.URL+`/tidied/${run.id}"}}]
`)
	s.file("paid.testmesh.yaml", `flow:
  name: Paid
  steps:
    - {id: pay, action: http.request, config: {method: POST, url: "`+w.URL+`/pay/${run.id}"}}
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
`)
	one := s.agent("one", "--drain", "1s")
	ended := s.background("long.testmesh.yaml", "paid.testmesh.yaml")
	until(t, "the work", func() error {
		if w.atWork() != 2 {
			return fmt.Errorf("%d at work", w.atWork())
		}
		return nil
	})
	if err := one.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := one.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	close(w.hold)
	s.agent("two")
	if code := <-ended; code != 3 {
		t.Errorf("got exit code %d", code)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range s.records() {
		switch attempts := len(r.Attempts); {
		case w.pays[r.ID] == 0 && (r.Status != "PASSED" || attempts != 2 || r.Attempts[0].Outcome != "drained" || w.tidied[r.ID] != 2):
			t.Errorf("the one that may be repeated was tidied %d times and is %v", w.tidied[r.ID], r)
		case w.pays[r.ID] == 1 && (r.Status != "ERRORED" || attempts != 1 || !strings.Contains(r.Reason, "indeterminate: agent one ended after step pay began")):
			t.Errorf("the one that may not is %v", r)
		}
	}
	if len(w.pays) != 1 || w.overlap != 0 {
		t.Errorf("%d paid, %d requests overlapped", len(w.pays), w.overlap)
	}
}

// An agent whose teardown hangs is ended by a third signal, and another one tears down.
func TestWhatAnAgentHasNoTimeToTearDownIsAnothers(t *testing.T) {
	w, s := newWitness(t), newSite(t)
	s.file("paid.testmesh.yaml", `flow:
  name: Paid
  steps:
    - {id: pay, action: http.request, config: {method: POST, url: "`+w.URL+`/pay/${run.id}"}}
    - {id: work, action: http.request, config: {url: "`+w.URL+`/work/${run.id}"}, timeout: 1m}
  teardown: [{id: tidy, action: http.request, config: {method: DELETE, url: "`+w.URL+`/tidying/${run.id}"}, timeout: 1m}]
`)
	one := s.agent("one")
	ended := s.background("paid.testmesh.yaml")
	signal := func(want string, holds func() bool) {
		t.Helper()
		until(t, want, func() error {
			if !holds() {
				return errors.New("it is not so")
			}
			return nil
		})
		if err := one.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	tidied := func() (n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, times := range w.tidied {
			n += times
		}
		return n
	}
	signal("the work", func() bool { return w.atWork() == 1 })
	signal("the drain", func() bool {
		text, err := os.ReadFile(one.Stderr.(*os.File).Name())
		return err == nil && strings.Contains(string(text), "draining: ")
	})
	signal("the teardown", func() bool { return tidied() == 1 })
	if err := one.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	close(w.hold)
	s.agent("two")
	if code := <-ended; code != 3 {
		t.Errorf("got exit code %d", code)
	}
	r := s.records()
	if len(r) != 1 || r[0].Status != "ERRORED" || !strings.Contains(r[0].Reason, "indeterminate") || len(r[0].Attempts) != 2 || r[0].Attempts[0].Outcome != "lost" || r[0].Attempts[1].AgentName != "two" {
		t.Errorf("got %v", r)
	}
	if tidied() != 2 || len(w.pays) != 1 {
		t.Errorf("%d teardowns, %d paid", tidied(), len(w.pays))
	}
}
