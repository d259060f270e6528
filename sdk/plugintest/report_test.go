package plugintest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func outcomes(t *testing.T, c Config) map[string]Outcome {
	t.Helper()
	all, err := Check(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Outcome{}
	for _, o := range all {
		found[o.ID] = o
	}
	return found
}

func TestWhatTheManifestLacksIsSkippedAndNeverPassed(t *testing.T) {
	c := victimConfig(t, "none")
	c.Conformance, c.Descriptor = Conformance{}, nil
	all := outcomes(t, c)
	for id, section := range map[string]string{
		"unknown-key": "echo", "broken-requests": "echo", "result": "echo", "text": "echo", "surrogates": "echo", "large": "echo",
		"binary": "binary", "numbers": "json", "null": "json", "nesting": "json", "bad-config": "bad", "concurrent": "echo",
		"deadline": "slow", "cancel-call": "slow", "cancel-cut": "slow", "after-cancel": "slow", "waiting": "echo", "health-load": "slow",
		"sessions-apart": "session", "session-close": "session", "session-cut": "session", "secrets": "secret", "files": "file",
		"observe": "observe", "idempotent": "idempotent", "functions": "functions", "function-arguments": "functions", "leak": "echo",
	} {
		if o := all[id]; o.Status != Skipped || !strings.HasPrefix(o.Message, "add conformance."+section) {
			t.Errorf("%s: got %s: %q, want it skipped with what to add to conformance.%s", id, o.Status, o.Message, section)
		}
	}
	if o := all["descriptor-locked"]; o.Status != Skipped {
		t.Errorf("got %+v, want what nobody wrote down skipped", o)
	}
	if o := all["handshake"]; o.Status != Passed {
		t.Errorf("got %+v, want what needs no manifest passed", o)
	}
}

func TestAManifestMaySayWhyACaseCannotBeTried(t *testing.T) {
	c := residentConfig(t, "trims", "binary", "text")
	c.Conformance.Binary = nil
	c.Conformance.Without = map[string]string{"binary": "the protocol carries text", "text": "it trims, and that is fine"}
	all := outcomes(t, c)
	if o := all["binary"]; o.Status != Inapplicable || !strings.Contains(o.Message, "the protocol carries text") {
		t.Errorf("got %+v, want it inapplicable with the reason", o)
	}
	if o := all["text"]; o.Status != Failed {
		t.Errorf("got %+v, want a case that can be tried to be tried", o)
	}
}

// bare is a plugin without functions, files and effects that can be repeated.
type bare struct{ *victim }

func (bare) Describe() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{
		Name: "kit", Version: "1.0.0", Summary: "Little.", Actions: []*testmeshv1.Action{action("echo", "", "", testmeshv1.Effect_EFFECT_ONCE)},
	}
}

func TestWhatAPluginDoesNotHaveIsInapplicable(t *testing.T) {
	ids := []string{"functions", "function-arguments", "files", "observe", "idempotent"}
	c := residentConfig(t, "", ids...)
	c.Conformance = Conformance{}
	c.Plugin = func() plugin.Plugin { return bare{newVictim("")} }
	for id, o := range outcomes(t, c) {
		if o.Status != Inapplicable {
			t.Errorf("%s: got %s: %q, want inapplicable", id, o.Status, o.Message)
		}
	}
}

func TestAPluginThatDoesNotStartFailsOnceAndPassesNothing(t *testing.T) {
	all, err := Check(t.Context(), victimConfig(t, "banner"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		want := Skipped
		switch o.ID {
		case "handshake":
			want = Failed
		case "by-hand", "describe-command": // need no handshake
			want = Passed
		}
		if o.Status != want {
			t.Errorf("%s: got %s: %q, want %s", o.ID, o.Status, o.Message, want)
		}
	}
	if len(all) != len(cases()) {
		t.Errorf("got %d outcomes of %d cases", len(all), len(cases()))
	}
}

func TestAFolderWithALongPathIsNotTheEnd(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 80))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	c := victimConfig(t, "none", "handshake")
	c.Temp = long
	if o := outcomes(t, c)["handshake"]; o.Status != Failed || !strings.Contains(o.Message, "too long for sockets") {
		t.Errorf("got %+v, want it to say that the chosen path is too long", o)
	}
	c.Temp = ""
	t.Setenv("TMPDIR", long)
	if o := outcomes(t, c)["handshake"]; o.Status != Passed {
		t.Errorf("got %+v, want another folder where the system's has a long path", o)
	}
}

func TestAProgramThatIsNotThereIsSaidAsSuch(t *testing.T) {
	c := victimConfig(t, "none", "handshake")
	c.Command = []string{"./no-such-plugin"}
	if o := outcomes(t, c)["handshake"]; o.Status != Failed || !strings.Contains(o.Message, "find ./no-such-plugin") {
		t.Errorf("got %+v, want it to say that the program is not there", o)
	}
}

func TestOutcomesAreReportedAsTheyCome(t *testing.T) {
	var seen []string
	all, err := Check(t.Context(), residentConfig(t, "no-field", "descriptor", "bad-config", "text"), func(o Outcome) { seen = append(seen, o.ID) })
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"descriptor", "bad-config", "text"}; !slices.Equal(seen, want) {
		t.Errorf("got %q, want %q", seen, want)
	}
	if got, want := Summary(all), "2 passed, 1 failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, o := range all {
		if o.Title == "" || o.Why == "" || o.Fix == "" {
			t.Errorf("%s does not say what it is about: %+v", o.ID, o)
		}
	}
	if got, want := Summary(nil), "nothing was tried"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAConfigThatNothingCanBeTriedWithIsAnError(t *testing.T) {
	resident := func() plugin.Plugin { return newVictim("") }
	for name, c := range map[string]Config{
		"neither command nor plugin": {},
		"both":                       {Command: []string{"x"}, Plugin: resident},
		"a case that is not there":   {Plugin: resident, Only: []string{"no-such-case"}},
		"a reason for none":          {Plugin: resident, Conformance: Conformance{Without: map[string]string{"no-such-case": "x"}}},
	} {
		if all, err := Check(t.Context(), c, nil); err == nil {
			t.Errorf("%s: got %d outcomes, want an error", name, len(all))
		}
	}
}

func TestACancelledContextEndsTheCheck(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	all, err := Check(ctx, residentConfig(t, "none"), func(Outcome) { cancel() })
	if err == nil || len(all) != 1 {
		t.Errorf("got %d outcomes, %v, want one and an error", len(all), err)
	}
}

func TestTheKitLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	c := victimConfig(t, "none", "cancel-call", "session-cut", "exit", "host-death")
	if got, want := Summary(mustCheck(t, c)), "4 passed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := Summary(mustCheck(t, residentConfig(t, "none", "cancel-call", "session-cut"))), "2 passed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func mustCheck(t *testing.T, c Config) []Outcome {
	t.Helper()
	all, err := Check(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fakeT is a test that does not fail the test that runs it.
type fakeT struct {
	ctx   context.Context
	lines *[]string
}

type stopped struct{}

func (f fakeT) Helper()                  {}
func (f fakeT) Context() context.Context { return f.ctx }
func (f fakeT) Log(args ...any)          { *f.lines = append(*f.lines, "log: "+fmt.Sprint(args...)) }

func (f fakeT) Fatal(args ...any) {
	*f.lines = append(*f.lines, "fatal: "+fmt.Sprint(args...))
	panic(stopped{})
}

func (f fakeT) Skip(args ...any) {
	*f.lines = append(*f.lines, "skip: "+fmt.Sprint(args...))
	panic(stopped{})
}

func (f fakeT) Run(name string, run func(fakeT)) bool {
	defer func() {
		if r := recover(); r != nil && r != (stopped{}) {
			panic(r)
		}
	}()
	*f.lines = append(*f.lines, "run: "+name)
	run(f)
	return true
}

func TestRunGivesEachCaseAsASubtest(t *testing.T) {
	c := residentConfig(t, "no-field", "descriptor", "bad-config", "binary", "functions")
	c.Plugin = func() plugin.Plugin { return bare{newVictim("no-field")} }
	c.Conformance.Binary, c.Conformance.Functions = nil, nil
	var lines []string
	Run(fakeT{t.Context(), &lines}, c)
	got := strings.Join(lines, "\n")
	for _, want := range []string{
		"run: descriptor\n", "run: bad-config\nfatal: a wrong value", "why: people find", "fix: check the config",
		"run: binary\nskip: add conformance.binary", "run: functions\nlog: does not apply:the plugin has no functions",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant %q in it", got, want)
		}
	}
	lines = nil
	func() {
		defer func() { _ = recover() }()
		Run(fakeT{t.Context(), &lines}, Config{})
	}()
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "fatal: ") {
		t.Errorf("got %q, want one fatal line for an empty config", lines)
	}
}

func TestTheSectionOfTheManifestIsReadAsItsTagsSay(t *testing.T) {
	text := `{"server": ["a"], "echo": {"action": "a.b", "config": {"x": "${payload}"}, "result": "y.0", "limit": 5},
		"bad": {"action": "a.b", "config": {}, "field": "x"}, "idempotent": {"action": "a.c", "config": {}, "check": {"action": "a.d", "config": {}}, "ignore": ["t"]},
		"functions": [{"name": "f", "args": [1], "result": 2, "bad_args": ["x"]}],
		"session": {"write": {"action": "a.w", "config": {}}, "read": {"action": "a.r", "config": {}, "result": "v"}}, "without": {"slow": "never"}}`
	var c Conformance
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	switch {
	case c.Echo.Action != "a.b" || c.Echo.Result != "y.0" || c.Echo.Limit != 5, c.Bad.Field != "x",
		c.Idempotent.Check.Action != "a.d" || c.Idempotent.Ignore[0] != "t", string(c.Functions[0].BadArgs) != `["x"]`,
		c.Session.Read.Action != "a.r" || c.Session.Read.Result != "v", c.Without["slow"] != "never", c.Server[0] != "a":
		t.Errorf("got %+v", c)
	}
}
