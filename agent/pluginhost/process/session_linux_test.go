package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestARunHearsThatItsSessionIsGone(t *testing.T) {
	p := good(t)
	for want := 1; want <= 2; want++ {
		if got, err := run(p, "r1", "good.count", ""); err != nil || got["count"] != float64(want) {
			t.Fatalf("got %v, %v, want %d", got, err, want)
		}
	}
	_, _ = run(p, "r2", "good.exit", "")
	lines := &logged{}
	res, err := p.Execute(context.Background(), &plugin.Request{Action: "good.count", RunID: "r1"}, lines)
	if err != nil || string(res.Result) != `{"count":1,"runs":1}` {
		t.Fatalf("got %v, %v", res, err)
	}
	if len(lines.lines) != 1 || !strings.HasPrefix(lines.lines[0], "warn: plugin good was started again since this run last used it") {
		t.Errorf("the step's log has %q", lines.lines)
	}
	_, err = run(p, "r2", "good.fault", "")
	if e := faultOf(t, err); !strings.HasPrefix(e.Hint, "plugin good was started again") || e.Field != "port" || len(e.Details[0]) > maxMessage+3 {
		t.Errorf("got %+v", e)
	}
	_, err = run(p, "r2", "good.fault", "")
	if e := faultOf(t, err); e.Hint != "" {
		t.Errorf("it was said twice: %s", e.Hint)
	}
}

// logged is a stream that keeps the log.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Log(level, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, level+": "+message)
}
func (l *logged) Exchange(plugin.Exchange)        {}
func (l *logged) Artifact(string, string, []byte) {}

func TestARunsEndIsItsSessionsEnd(t *testing.T) {
	p := good(t)
	for _, id := range []string{"r1", "r2"} {
		if _, err := run(p, id, "good.count", ""); err != nil {
			t.Fatal(err)
		}
	}
	p.EndRun("r1")
	p.EndRun("nobody")
	if got, err := run(p, "r2", "good.count", ""); err != nil || got["count"] != float64(2) || got["runs"] != float64(1) {
		t.Errorf("got %v, %v, want r2's part alone", got, err)
	}
}

func TestSecretsOfEveryRunAreHiddenInLastWords(t *testing.T) {
	var mu sync.Mutex
	var printed []string
	p := poolOf(t, Config{
		Programs: []pluginhost.Program{programOf("good", "good")},
		Log:      func(name, line string) { mu.Lock(); defer mu.Unlock(); printed = append(printed, name+": "+line) },
	})
	hide := func(secret string) func(string) string {
		return func(text string) string { return strings.ReplaceAll(text, secret, "***") }
	}
	execute := func(runID, action, text, secret string) error {
		config, err := json.Marshal(config{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Execute(context.Background(), &plugin.Request{Action: action, RunID: runID, Config: config, Mask: hide(secret)}, nil)
		return err
	}
	if err := execute("ended", "good.print", "gone-secret", "gone-secret"); err != nil {
		t.Fatal(err)
	}
	p.EndRun("ended")
	if err := execute("other", "good.print", "other-secret", "other-secret"); err != nil {
		t.Fatal(err)
	}
	e := faultOf(t, execute("r1", "good.crash", "my-secret other-secret gone-secret", "my-secret"))
	said := e.Message + "\n" + strings.Join(e.Details, "\n")
	if strings.Contains(said, "-secret") || !strings.Contains(e.Message, "*** *** ***") {
		t.Errorf("got %s", said)
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(printed, "\n")
	if strings.Contains(all, "-secret") || !strings.Contains(all, "good: ***") {
		t.Errorf("it printed %s", all)
	}
}

func TestAPluginThatFailsAgainAndAgainIsRefused(t *testing.T) {
	p := several(t, Limits{Backoff: time.Millisecond, Window: time.Hour})
	for range defaultFaults {
		_, err := run(p, "r1", "good.exit", "")
		if e := faultOf(t, err); !strings.HasPrefix(e.Message, "plugin good crashed with exit code 3") {
			t.Fatalf("got %s", e.Message)
		}
	}
	_, err := run(p, "r1", "good.echo", "")
	e := faultOf(t, err)
	if e.Blame != plugin.BlamePlugin || !strings.HasPrefix(e.Message, "plugin good failed 3 times within 60 min and is not started again for ") || !strings.HasPrefix(e.Details[0], "plugin good crashed") {
		t.Errorf("got %s: %s %q", e.Blame, e.Message, e.Details)
	}
	if _, err := run(p, "r1", "other.echo", ""); err != nil {
		t.Errorf("another plugin: %v", err)
	}
	s := p.plugins["good"]
	s.mu.Lock()
	for i := range s.faults {
		s.faults[i] = s.faults[i].Add(-time.Hour)
	}
	s.mu.Unlock()
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

func TestTheFirstPauseIsShortAndTheNextOnesAreLonger(t *testing.T) {
	p := several(t, Limits{Backoff: 100 * time.Millisecond})
	for fault, pause := range []time.Duration{0, 100 * time.Millisecond, 400 * time.Millisecond} {
		began := time.Now()
		_, _ = run(p, "r1", "good.exit", "")
		if took := time.Since(began); took < pause*3/4 { // it counts from the fault
			t.Errorf("after %d faults it was started within %v, want a pause of %v", fault, took, pause)
		}
	}
}

func TestAStartThatManyWaitForIsOne(t *testing.T) {
	p := good(t)
	var wait sync.WaitGroup
	pids := make(chan any, 100)
	for i := range 100 {
		wait.Go(func() {
			got, err := run(p, fmt.Sprint("r", i), "good.echo", "x")
			if err != nil {
				t.Error(err)
				return
			}
			pids <- got["pid"]
		})
	}
	wait.Wait()
	close(pids)
	seen := map[any]bool{}
	for pid := range pids {
		seen[pid] = true
	}
	s := p.plugins["good"]
	if s.started != 1 || len(seen) != 1 {
		t.Errorf("%d processes were started, %d answered, want one", s.started, len(seen))
	}
}

func TestAStepThatEndsBeforeThePluginIsUpSaysSo(t *testing.T) {
	p := poolOf(t, Config{Programs: []pluginhost.Program{programOf("bad", "silent")}, Limits: Limits{StartTimeout: 2 * time.Second}})
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Execute(ctx, &plugin.Request{Action: "bad.echo"}, nil)
		ended <- err
	}()
	cancel(errors.New("the run was cancelled"))
	if e := faultOf(t, await(t, ended)); e.Blame != plugin.BlameAgent || e.Message != "plugin bad was still starting when the step ended: the run was cancelled" {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
}

func TestFunctionsAreCalledInTheSameProcess(t *testing.T) {
	p := good(t)
	got, err := p.Call(context.Background(), "good", &plugin.FunctionRequest{Function: "same", Args: []byte(`[1.50, "a"]`)})
	if err != nil || string(got) != `[1.50, "a"]` {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := run(p, "r1", "good.echo", ""); err != nil || p.plugins["good"].started != 1 {
		t.Errorf("%v, %d processes", err, p.plugins["good"].started)
	}
}

func TestOnlyItsOwnPluginsAreRun(t *testing.T) {
	p := good(t)
	if !p.Has("good") || p.Has("http") {
		t.Error("it has other plugins than it was given")
	}
	_, err := run(p, "r1", "http.request", "")
	if e := faultOf(t, err); e.Blame != plugin.BlameAgent || !strings.Contains(e.Message, "plugin http is not installed") {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
	_, err = p.Call(context.Background(), "http", &plugin.FunctionRequest{})
	if e := faultOf(t, err); e.Blame != plugin.BlameAgent {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	p := good(t)
	ended := begin(p, "r1", "good.slow", "")
	underWay(t, p, "good", 1)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if e := faultOf(t, await(t, ended)); e.Blame != plugin.BlameTestMesh || !strings.Contains(e.Message, "was ended by its host during the call") {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
	_, err := run(p, "r1", "good.echo", "")
	if e := faultOf(t, err); e.Blame != plugin.BlameTestMesh || !strings.Contains(e.Message, "after its host had closed") {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
}

func TestCloseEndsAStartUnderWay(t *testing.T) {
	p := poolOf(t, Config{Programs: []pluginhost.Program{programOf("bad", "silent")}, Limits: Limits{StartTimeout: 10 * patience}})
	ended := begin(p, "r1", "bad.echo", "")
	mark := marker(p.cfg.Dir)
	for end := time.Now().Add(patience); len(left(mark)) == 0; <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it was not started")
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if e := faultOf(t, await(t, ended)); e.Blame != plugin.BlameTestMesh {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
	noneLeft(t, mark)
	if entries, err := os.ReadDir(p.cfg.Dir); err != nil || len(entries) > 0 {
		t.Errorf("its folder still holds %v (%v)", entries, err)
	}
}
