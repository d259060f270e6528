package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// fake is a plugin that does what an action's name says.
type fake struct {
	mu      sync.Mutex
	ended   []string
	closed  int
	closing error
}

func (*fake) Describe() *testmeshv1.Descriptor { return &testmeshv1.Descriptor{Name: "fake"} }

func (f *fake) Execute(ctx context.Context, req *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
	switch req.Action {
	case "fake.panic":
		panic("a bug")
	case "fake.fail":
		return nil, &plugin.Error{Code: plugin.CodeConn, Message: "connection refused"}
	case "fake.wait":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &plugin.Response{Result: []byte(`{"run":"` + req.RunID + `"}`)}, nil
}

func (f *fake) EndRun(runID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if runID == "bad" {
		panic("no such run")
	}
	f.ended = append(f.ended, runID)
}

func (f *fake) Close() error {
	f.closed++
	if f.closing != nil && f.closing.Error() == "panic" {
		panic("closing")
	}
	return f.closing
}

func hostOf(f *fake) (h *Host, made *atomic.Int64) {
	made = new(atomic.Int64)
	return New(Config{Resident: map[string]func() plugin.Plugin{
		"fake":   func() plugin.Plugin { made.Add(1); return f },
		"broken": func() plugin.Plugin { panic("cannot be made") },
	}}), made
}

func execute(h *Host, action string) (*plugin.Response, error) {
	return h.Execute(context.Background(), &plugin.Request{Action: action, RunID: "r1"}, nil)
}

func TestATryGoesToThePluginOfItsAction(t *testing.T) {
	h, made := hostOf(&fake{})
	if made.Load() != 0 {
		t.Error("a plugin was made before a step needed it")
	}
	for range 2 {
		res, err := execute(h, "fake.do")
		if err != nil || string(res.Result) != `{"run":"r1"}` {
			t.Errorf("got %v, %v", res, err)
		}
	}
	if made.Load() != 1 {
		t.Errorf("the plugin was made %d times, want once", made.Load())
	}
}

func TestFaultsHaveTheirBlame(t *testing.T) {
	tests := map[string]struct {
		action string
		code   string
		blame  plugin.Blame
		want   string
	}{
		"a panic is the plugin's":           {"fake.panic", plugin.CodePlugin, plugin.BlamePlugin, "plugin fake panicked: a bug"},
		"also while it is made":             {"broken.do", plugin.CodePlugin, plugin.BlamePlugin, "plugin broken panicked: cannot be made"},
		"a plugin that is not there":        {"kafka.publish", plugin.CodePlugin, plugin.BlameAgent, "plugin kafka is not installed on this machine"},
		"an action without a dot":           {"nothing", plugin.CodePlugin, plugin.BlameAgent, "plugin nothing is not installed"},
		"an error of the plugin's own goes": {"fake.fail", plugin.CodeConn, "", "connection refused"},
	}
	h, _ := hostOf(&fake{})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := execute(h, test.action)
			var known *plugin.Error
			if !errors.As(err, &known) || res != nil {
				t.Fatalf("got %v, %v, want a *plugin.Error alone", res, err)
			}
			if known.Code != test.code || known.Blame != test.blame || !strings.Contains(known.Message, test.want) {
				t.Errorf("got %s of %q: %s, want %s of %q: %s", known.Code, known.Blame, known.Message, test.code, test.blame, test.want)
			}
		})
	}
	if _, err := execute(h, "fake.do"); err != nil {
		t.Errorf("after a panic the next try got %v", err)
	}
}

func TestLastWordsSayWhereThePluginPanicked(t *testing.T) {
	h, _ := hostOf(&fake{})
	_, err := execute(h, "fake.panic")
	var known *plugin.Error
	if !errors.As(err, &known) {
		t.Fatal(err)
	}
	words := strings.Join(known.Details, "\n")
	if !strings.Contains(words, "(*fake).Execute") || len(words) > 3000 {
		t.Errorf("got %d bytes:\n%s", len(words), words)
	}
}

func TestRunsEndInEveryStartedPlugin(t *testing.T) {
	f := &fake{}
	h, made := hostOf(f)
	h.EndRun("before")
	if made.Load() != 0 {
		t.Error("the end of a run made a plugin")
	}
	_, _ = execute(h, "fake.do")
	h.EndRun("r1")
	h.EndRun("bad")
	h.EndRun("r2")
	if got := strings.Join(f.ended, " "); got != "r1 r2" {
		t.Errorf("ended %q, want r1 r2", got)
	}
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "end run bad: plugin fake panicked: no such run") {
		t.Errorf("got %v, want the panic at the end of a run", err)
	}
}

func TestClose(t *testing.T) {
	tests := map[string]struct {
		closing error
		want    string
	}{
		"closes what was started":      {nil, ""},
		"says what went wrong":         {errors.New("still busy"), "close plugin fake: still busy"},
		"holds a panic":                {errors.New("panic"), "close plugin fake: plugin fake panicked: closing"},
		"says nothing of what was not": {nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := &fake{closing: test.closing}
			h, _ := hostOf(f)
			started := 0
			if !strings.Contains(name, "was not") {
				_, _ = execute(h, "fake.do")
				started = 1
			}
			if got := fmt.Sprint(h.Close()); got != test.want && (test.want != "" || got != "<nil>") {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if err := h.Close(); err != nil || f.closed != started {
				t.Errorf("a second Close gave %v, closed %d times, want %d", err, f.closed, started)
			}
			var known *plugin.Error
			if _, err := execute(h, "fake.do"); !errors.As(err, &known) || known.Blame != plugin.BlameTestMesh {
				t.Errorf("after Close a try got %v", err)
			}
		})
	}
}

func TestTriesSideBySideShareOnePlugin(t *testing.T) {
	f := &fake{}
	h, made := hostOf(f)
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			action := []string{"fake.do", "fake.panic", "fake.fail", "fake.wait"}[i%4]
			res, err := h.Execute(ctx, &plugin.Request{Action: action, RunID: "r1"}, nil)
			if (action == "fake.do") != (err == nil && res != nil) {
				t.Errorf("%s gave %v, %v", action, res, err)
			}
		})
		wait.Go(func() { h.EndRun(fmt.Sprint(i)) })
	}
	cancel()
	wait.Wait()
	if made.Load() != 1 {
		t.Errorf("the plugin was made %d times, want once", made.Load())
	}
	if err := h.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// far is a Remote that notes what it is asked.
type far struct {
	mu    sync.Mutex
	asked []string
}

func (f *far) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what)
}

func (f *far) Has(name string) bool { return name == "tcp" || name == "fake" }

func (f *far) Execute(_ context.Context, req *plugin.Request, _ plugin.Stream) (*plugin.Response, error) {
	f.note("execute " + req.Action)
	return &plugin.Response{Result: []byte(`{}`)}, nil
}

func (f *far) Call(_ context.Context, name string, req *plugin.FunctionRequest) (json.RawMessage, error) {
	f.note("call " + name + " " + req.Function)
	return json.RawMessage("true"), nil
}

func (f *far) EndRun(runID string) { f.note("end " + runID) }

func (f *far) Close() error {
	f.note("close")
	return errors.New("a process is left")
}

func TestWhatIsNotResidentIsTheRemotes(t *testing.T) {
	remote, local := &far{}, &fake{}
	h := New(Config{Resident: map[string]func() plugin.Plugin{"fake": func() plugin.Plugin { return local }}, Remote: remote})
	for action, want := range map[string]bool{"tcp.send": true, "fake.do": true, "kafka.publish": false} {
		if _, err := execute(h, action); (err == nil) != want {
			t.Errorf("%s: %v", action, err)
		}
	}
	if h.Prompt("tcp.send") || !h.Prompt("fake.do") {
		t.Error("a plugin that others wrote is trusted to return")
	}
	if got, err := h.Call(context.Background(), "tcp", &plugin.FunctionRequest{Function: "open"}); err != nil || string(got) != "true" {
		t.Errorf("got %s, %v", got, err)
	}
	h.EndRun("r1")
	if err := h.Close(); err == nil || !strings.Contains(err.Error(), "a process is left") {
		t.Errorf("close: %v, want what the remote said", err)
	}
	if err := h.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
	if got := strings.Join(remote.asked, ", "); got != "execute tcp.send, call tcp open, end r1, close" {
		t.Errorf("the remote was asked to %s", got)
	}
}

// caller is a resident plugin with one function.
type caller struct{ fake }

func (*caller) Call(_ context.Context, req *plugin.FunctionRequest) (json.RawMessage, error) {
	if req.Function == "panic" {
		panic("a bug")
	}
	return req.Args, nil
}

func TestFunctionsOfResidentPlugins(t *testing.T) {
	h := New(Config{Resident: map[string]func() plugin.Plugin{
		"luhn": func() plugin.Plugin { return &caller{} }, "fake": func() plugin.Plugin { return &fake{} },
	}})
	tests := map[string]struct{ plugin, function, want string }{
		"a function":              {"luhn", "valid", ""},
		"a panic":                 {"luhn", "panic", "plugin luhn panicked: a bug"},
		"of one that has none":    {"fake", "valid", "plugin fake has no functions, and valid was called"},
		"of one that is not here": {"kafka", "valid", "plugin kafka is not installed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := h.Call(context.Background(), test.plugin, &plugin.FunctionRequest{Function: test.function, Args: []byte("[1]")})
			if test.want == "" && (err != nil || string(got) != "[1]") || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
