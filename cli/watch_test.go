package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/testmesh/testmesh/plugins"
)

// noKeys is a keyboard that has no modes.
type noKeys struct{ restored chan struct{} }

func (k noKeys) Keys() (func(), error) { return func() { close(k.restored) }, nil }

func (k noKeys) Raw() (func(), error) { return func() {}, nil }

func (noKeys) Size() (columns, lines int, ok bool) { return 100, 40, true }

// watched is a `testmesh watch` that goes on, on a terminal.
type watched struct {
	dir      string
	out      lockedBuffer
	seen     int // bytes of out
	keys     *io.PipeWriter
	signals  chan os.Signal
	ended    chan int
	keyboard noKeys
}

func startWatch(t *testing.T, files map[string]string, args ...string) *watched {
	t.Helper()
	in, keys := io.Pipe()
	w := &watched{
		dir: t.TempDir(), keys: keys, signals: make(chan os.Signal, 2), ended: make(chan int, 1),
		keyboard: noKeys{make(chan struct{})},
	}
	t.Cleanup(func() { _ = keys.Close() })
	for name, text := range files {
		w.write(t, name, text)
	}
	s := &State{
		Args: append([]string{"watch"}, args...), Stdin: in, Stdout: &w.out, Stderr: &w.out, Dir: w.dir, Version: "v1.2.3",
		LookupEnv: func(name string) (string, bool) { return map[string]string{"TERM": "dumb"}[name], name == "TERM" },
		Signals:   w.signals,
		Terminal:  func() (int, bool) { return 100, true }, Keyboard: w.keyboard,
	}
	for _, p := range plugins.Builtins("v1.2.3") {
		s.Plugins = append(s.Plugins, Builtin{Descriptor: p.Descriptor, New: p.New})
	}
	go func() { w.ended <- Main(t.Context(), s) }()
	return w
}

func (w *watched) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// says waits until the output has the texts, one after the other.
func (w *watched) says(t *testing.T, texts ...string) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, text := range texts {
		for {
			all := w.out.String()
			if at := strings.Index(all[w.seen:], text); at >= 0 {
				w.seen += at + len(text)
				break
			}
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("it did not say %q:\n%s", text, all[w.seen:])
			}
		}
	}
}

func (w *watched) press(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(w.keys, keys); err != nil {
		t.Fatal(err)
	}
}

// ends wants this exit code and the terminal given back.
func (w *watched) ends(t *testing.T, want int) {
	t.Helper()
	select {
	case code := <-w.ended:
		if code != want {
			t.Errorf("exit code %d, want %d\n%s", code, want, w.out.String())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("it did not end\n%s", w.out.String())
	}
	select {
	case <-w.keyboard.restored:
	default:
		t.Error("the terminal was not given back")
	}
}

const (
	goodFlow = "flow:\n  name: good\n  steps:\n    - {id: a, action: assert, assert: [1 == 1]}\n"
	badFlow  = "flow:\n  name: bad\n  steps:\n    - {id: a, action: assert, assert: [1 == 2]}\n"
	slowFlow = "flow:\n  name: slow\n  steps:\n    - {id: a, action: log, config: {message: begun}}\n    - {id: b, action: delay, config: {duration: 60s}, timeout: 90s}\n" +
		"  teardown:\n    - {id: z, action: log, config: {message: torn down}}\n"
)

func TestWatchObeysKeys(t *testing.T) {
	w := startWatch(t, map[string]string{"good.testmesh.yaml": goodFlow, "bad.testmesh.yaml": badFlow})
	w.says(t, "first run → bad, good", "FAIL", "2 flows: 1 not passed (bad), 1 passed", "q quit")
	w.press(t, "f")
	w.says(t, "by hand → bad", "FAIL", "q quit")
	w.press(t, "\r")
	w.says(t, "by hand → bad, good", "q quit")
	w.write(t, "bad.testmesh.yaml", strings.Replace(badFlow, "1 == 2", "2 == 2", 1))
	w.says(t, "bad.testmesh.yaml changed → bad", "PASS", "2 flows: 2 passed", "q quit")
	w.press(t, "r")
	w.says(t, "by hand → bad\n", "q quit")
	w.press(t, "f")
	w.says(t, "everything that ran passed")
	w.press(t, "?")
	w.says(t, "run what did not pass")
	w.press(t, "q")
	w.ends(t, 0)
}

func TestWatchStopsWhatRunsAndGoesOn(t *testing.T) {
	w := startWatch(t, map[string]string{"slow.testmesh.yaml": slowFlow, ".other": ""}, "--format", "verbose")
	w.says(t, "info begun")
	w.press(t, "x")
	w.says(t, "runs go on: s stops them")
	w.press(t, "s")
	w.says(t, "info torn down", "STOPPED", "1 flow: 1 not passed (slow)", "q quit")
	w.write(t, "slow.testmesh.yaml", strings.Replace(slowFlow, "60s", "0s", 1))
	w.says(t, "slow.testmesh.yaml changed → slow", "PASS", "q quit")
	w.signals <- os.Interrupt
	w.ends(t, 0)
}

func TestWatchIsLeftWhileSomethingRuns(t *testing.T) {
	for claim, test := range map[string]struct {
		leave func(t *testing.T, w *watched)
		code  int
	}{
		"by key":     {func(t *testing.T, w *watched) { t.Helper(); w.press(t, "q") }, 130},
		"by ^C":      {func(_ *testing.T, w *watched) { w.signals <- os.Interrupt }, 130},
		"by SIGTERM": {func(_ *testing.T, w *watched) { w.signals <- syscall.SIGTERM }, 143},
	} {
		t.Run(claim, func(t *testing.T) {
			w := startWatch(t, map[string]string{"slow.testmesh.yaml": slowFlow}, "--format", "verbose")
			w.says(t, "info begun")
			test.leave(t, w)
			w.says(t, "stopping: running steps are cancelled", "info torn down")
			w.ends(t, test.code)
		})
	}
}

func TestWatchSeesToOtherChangesWhenTheRunsHaveEnded(t *testing.T) {
	slow := strings.Replace(slowFlow, "60s", "2s", 1)
	w := startWatch(t, map[string]string{"slow.testmesh.yaml": slow, "aaa.testmesh.yaml": goodFlow}, "--format", "verbose")
	w.says(t, "info begun")
	w.write(t, "aaa.testmesh.yaml", strings.Replace(goodFlow, "1 == 1", "3 == 3", 1))
	w.says(t, "aaa.testmesh.yaml changed: seen to when the runs have ended", "PASS  2 passed", "aaa.testmesh.yaml changed → good", "PASS  1 passed", "q quit")
	w.press(t, "q")
	w.ends(t, 0)
}

func TestWatchRunsWhatAFlowComesAfter(t *testing.T) {
	after := strings.Replace(badFlow, "  steps:", "  after: [good]\n  steps:", 1)
	w := startWatch(t, map[string]string{"good.testmesh.yaml": goodFlow, "bad.testmesh.yaml": after}, "--postpone", "--clear")
	w.says(t, "2 flows: 2 not run yet", "q quit")
	w.write(t, "bad.testmesh.yaml", strings.Replace(after, "1 == 2", "2 == 2", 1))
	w.says(t, "\x1b[2J", "bad.testmesh.yaml changed → bad, good", "PASS  2 passed", "2 flows: 2 passed")
	w.press(t, "q")
	w.ends(t, 0)
}

func TestWatchWaitsForAFlow(t *testing.T) {
	w := startWatch(t, map[string]string{"notes.txt": ""})
	w.says(t, "nothing is selected", "q quit")
	w.press(t, "a")
	w.says(t, "nothing is selected", "q quit")
	w.write(t, "good.testmesh.yaml", goodFlow)
	w.says(t, "good.testmesh.yaml added → good", "PASS", "q quit")
	if err := os.Remove(filepath.Join(w.dir, "good.testmesh.yaml")); err != nil {
		t.Fatal(err)
	}
	w.says(t, "good.testmesh.yaml removed", "nothing is selected", "q quit")
	w.press(t, "q")
	w.ends(t, 0)
}

func TestWatchRunsEverythingWhenTheEnvironmentChanges(t *testing.T) {
	w := startWatch(t, map[string]string{"good.testmesh.yaml": goodFlow, "bad.testmesh.yaml": badFlow, "local.env": "A=1\n"}, "--env-file", "local.env")
	w.says(t, "first run → bad, good", "q quit")
	w.write(t, "local.env", "A=2\n")
	w.says(t, "local.env changed → bad, good", "q quit")
	w.press(t, "q")
	w.ends(t, 0)
}
