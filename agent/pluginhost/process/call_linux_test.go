package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// several is a pool of three plugins.
func several(t *testing.T, limits Limits) *Pool {
	t.Helper()
	return poolOf(t, Config{
		Programs: []pluginhost.Program{programOf("good", "good"), programOf("other", "other"), programOf("stubborn", "stubborn")},
		Limits:   limits,
	})
}

// begin runs an action beside the test.
func begin(p *Pool, runID, action, text string) (ended chan error) {
	ended = make(chan error, 1)
	go func() {
		_, err := run(p, runID, action, text)
		ended <- err
	}()
	return ended
}

// underWay waits until so many calls are.
func underWay(t *testing.T, p *Pool, name string, calls int) {
	t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		got := 0
		if i := serving(p, name); i != nil {
			i.mu.Lock()
			got = i.calls
			i.mu.Unlock()
			if res, err := i.wire.Health(context.Background()); err == nil && got == calls && int(res.GetExecuting()) == calls {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%d calls are under way, want %d", got, calls)
		}
	}
}

func serving(p *Pool, name string) *instance {
	s := p.plugins[name]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.serving
}

func await(t *testing.T, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		t.Fatal("the call did not end")
		return nil
	}
}

func TestAPluginThatEndsDuringACallIsToBlame(t *testing.T) {
	tests := map[string]struct{ action, want, words string }{
		"it panics beside the call":  {"crash", "plugin good crashed with exit code 2: panic: a bug with", "goroutine "},
		"it ends as if all was well": {"leave", "plugin good ended without being asked to, with exit code 0", ""},
		"it exits":                   {"exit", "plugin good crashed with exit code 3", ""},
		"a signal ends it":           {"kill", "plugin good crashed with ", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := several(t, Limits{})
			if _, err := run(p, "r9", "other.echo", ""); err != nil {
				t.Fatal(err)
			}
			beside := begin(p, "r2", "good.slow", "")
			underWay(t, p, "good", 1)
			_, err := run(p, "r1", "good."+test.action, "")
			for _, err := range []error{err, await(t, beside)} { // both were in that process
				e := faultOf(t, err)
				if e.Blame != plugin.BlamePlugin || e.Code != plugin.CodePlugin || !strings.HasPrefix(e.Message, test.want) || e.Failed {
					t.Errorf("got %s of %s: %s, want %s", e.Code, e.Blame, e.Message, test.want)
				}
				if words := strings.Join(e.Details, "\n"); !strings.Contains(words, test.words) || len(e.Details) > lastLines {
					t.Errorf("the last words are %q", e.Details)
				}
			}
			if _, err := run(p, "r9", "other.echo", ""); err != nil {
				t.Errorf("another run, with another plugin: %v", err)
			}
			if _, err := run(p, "r3", "good.echo", ""); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

func TestAPanicInACallIsNoCrash(t *testing.T) {
	p := good(t)
	before, err := run(p, "r1", "good.echo", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = run(p, "r1", "good.panic", "")
	if e := faultOf(t, err); e.Blame != plugin.BlamePlugin || e.Message != "plugin good panicked: a bug" || len(e.Details) == 0 {
		t.Errorf("got %s: %s %q", e.Blame, e.Message, e.Details)
	}
	if after, err := run(p, "r1", "good.echo", ""); err != nil || after["pid"] != before["pid"] {
		t.Errorf("got %v, %v, want the same process", after, err)
	}
}

func TestGarbageAfterTheHandshakeIsWordsAndNothingElse(t *testing.T) {
	p := good(t)
	for range 3 {
		if _, err := run(p, "r1", "good.flood", "and so on"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := run(p, "r1", "good.exit", "")
	if e := faultOf(t, err); e.Message != "plugin good crashed with exit code 3: and so on" {
		t.Errorf("got %s", clipText(e.Message))
	}
	if p.plugins["good"].started != 1 {
		t.Errorf("it was started %d times", p.plugins["good"].started)
	}
}

// pid reads the id that a process has in our own namespace.
func pid(t *testing.T, p *Pool, name string) int {
	t.Helper()
	id, err := strconv.Atoi(serving(p, name).child.ID())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestACancelledCallEndsInThePluginsOwnWords(t *testing.T) {
	p := good(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Execute(ctx, &plugin.Request{Action: "good.slow", RunID: "r1"}, nil)
		ended <- err
	}()
	underWay(t, p, "good", 1)
	first := pid(t, p, "good")
	cancel(errors.New("the run was cancelled"))
	if e := faultOf(t, await(t, ended)); e.Code != plugin.CodeTimeout || !strings.Contains(e.Message, "it was cancelled: ") {
		t.Errorf("got %s: %s", e.Code, e.Message)
	}
	if _, err := run(p, "r1", "good.echo", ""); err != nil || pid(t, p, "good") != first {
		t.Errorf("the process was replaced (%v)", err)
	}
}

func TestACallThatIgnoresItsEndIsLeftBehind(t *testing.T) {
	p := several(t, Limits{Drain: 500 * time.Millisecond})
	if _, err := run(p, "r3", "stubborn.echo", ""); err != nil {
		t.Fatal(err)
	}
	first := pid(t, p, "stubborn")
	beside := begin(p, "r2", "stubborn.slow", "")
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Execute(ctx, &plugin.Request{Action: "stubborn.hang", RunID: "r1"}, nil)
		ended <- err
	}()
	underWay(t, p, "stubborn", 2)
	cancel(errors.New("the run was cancelled"))
	began := time.Now()
	e := faultOf(t, await(t, ended))
	if e.Blame != plugin.BlamePlugin || !strings.HasPrefix(e.Message, "plugin stubborn did not end the call within 2s") {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
	t.Logf("left behind after %v", time.Since(began).Round(time.Millisecond))
	if _, err := run(p, "r4", "stubborn.echo", ""); err != nil || pid(t, p, "stubborn") == first {
		t.Errorf("%v, want a new process for new calls", err)
	}
	if e := faultOf(t, await(t, beside)); !strings.HasPrefix(e.Message, "plugin stubborn was ended during the call, because another of its calls did not stop") {
		t.Errorf("the call beside it: %s", e.Message)
	}
	for end := time.Now().Add(patience); syscall.Kill(first, 0) == nil; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the old process lives")
		}
	}
}

func TestAPluginThatIsStoppedIsEnded(t *testing.T) {
	p := several(t, Limits{HealthEvery: 300 * time.Millisecond})
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Fatal(err)
	}
	stuck := begin(p, "r1", "good.slow", "")
	underWay(t, p, "good", 1)
	if err := syscall.Kill(pid(t, p, "good"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if e := faultOf(t, await(t, stuck)); e.Blame != plugin.BlamePlugin || !strings.HasPrefix(e.Message, "plugin good did not answer when asked 2 times whether it is well") {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

// What fills the window of the connection waits for the plugin to read.
func TestACallThatAStoppedPluginDoesNotReadEndsInTime(t *testing.T) {
	p := several(t, Limits{HealthEvery: patience})
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid(t, p, "good"), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	config := json.RawMessage(`{"text":"` + strings.Repeat("x", 8<<20) + `"}`)
	ctx, release := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer release()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Execute(ctx, &plugin.Request{Action: "good.echo", RunID: "r1", Config: config}, nil)
		ended <- err
	}()
	if e := faultOf(t, await(t, ended)); e.Blame != plugin.BlamePlugin || !strings.HasPrefix(e.Message, "plugin good did not end the call within 2s") {
		t.Errorf("got %s: %s", e.Blame, e.Message)
	}
}

func TestAPluginThatSaysItIsUnwellIsReplaced(t *testing.T) {
	p := several(t, Limits{HealthEvery: 50 * time.Millisecond})
	if _, err := run(p, "r1", "good.unwell", "the disk is full"); err != nil {
		t.Fatal(err)
	}
	first := pid(t, p, "good")
	beside := begin(p, "r2", "good.echo", "")
	for end := time.Now().Add(patience); ; <-time.After(5 * time.Millisecond) {
		if i := serving(p, "good"); i == nil || i.child.ID() != strconv.Itoa(first) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it still serves")
		}
	}
	if err := await(t, beside); err != nil {
		t.Errorf("a call under way: %v", err)
	}
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Error(err)
	}
	s := p.plugins["good"]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.Message != "plugin good says that it is not well: the disk is full" {
		t.Errorf("got %v", s.last)
	}
}

// Runs come and go while their plugins crash, hang, panic and are replaced. All
// that is asked for here is that every call ends, in words for people.
func TestEverythingAtOnce(t *testing.T) {
	p := several(t, Limits{Faults: 10000, Backoff: time.Microsecond, Drain: 200 * time.Millisecond, HealthEvery: 100 * time.Millisecond})
	actions := []string{"echo", "count", "panic", "fault", "print", "slow", "echo", "count", "exit", "echo", "crash", "hang", "nothing"}
	var wait sync.WaitGroup
	ended := make(chan error, 1)
	for worker := range 12 {
		wait.Go(func() {
			for step := range 2 * len(actions) / patiently {
				id := fmt.Sprint("r", worker, "-", step/4)
				name := []string{"good", "other"}[(worker+step)%2]
				ctx, release := context.WithTimeout(context.Background(), patiently*300*time.Millisecond)
				res, err := p.Execute(ctx, &plugin.Request{
					Action: name + "." + actions[(worker*5+step)%len(actions)], RunID: id, Config: []byte(`{"text":"x"}`),
					Mask: func(text string) string { return text },
				}, nil)
				release()
				var known *plugin.Error
				if (res == nil) == (err == nil) || err != nil && (!errors.As(err, &known) || known.Blame == "" || known.Message == "") {
					t.Errorf("got %v, %v", res, err)
				}
				if step%4 == 3 {
					p.EndRun(id)
				}
			}
		})
	}
	go func() {
		wait.Wait()
		ended <- p.Close()
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * patience):
		t.Fatal("a call never ended")
	}
	noneLeft(t, marker(p.cfg.Dir))
}
