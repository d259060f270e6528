package debug

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// noPlugins is what flows of control actions need.
type noPlugins struct{}

func (noPlugins) Execute(context.Context, *plugin.Request, plugin.Stream) (*plugin.Response, error) {
	return nil, errors.New("there are no plugins here")
}

func (noPlugins) EndRun(string) {}

// events hands events to a debugger's record.
type events struct {
	*Record
	mu sync.Mutex
}

func (e *events) Emit(_ context.Context, ev *event.Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.Write(ev)
}

// session is a run of a flow under a debugger with a list of commands.
type session struct {
	text     string
	edited   string // what reload reads; empty: it is refused
	breaks   []string
	start    string
	commands string
	console  Console // instead of the commands
}

func program(t *testing.T, text string) *flow.Program {
	t.Helper()
	programs, problems := flow.NewLoader(flow.Options{FS: fstest.MapFS{"f.yaml": {Data: []byte(text)}}}).Flows("f.yaml")
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return programs[0]
}

// run gives what was printed, how the run ended and the debugger.
func (s session) run(t *testing.T) (string, engine.Outcome, *Debugger) {
	t.Helper()
	var out bytes.Buffer
	console := s.console
	if console == nil {
		console = NewScript(strings.NewReader(s.commands), &out, nil)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	noTeardown := make(chan struct{})
	p := program(t, s.text)
	d, err := New(Config{
		Console: console, Style: text.Style{}, Program: p, Start: s.start,
		Source: func(string) []byte { return []byte(s.text) },
		Reload: func() (*flow.Program, error) {
			if s.edited == "" {
				return nil, ErrSaid
			}
			return program(t, s.edited), nil
		},
		Quit: func(teardown bool) {
			cancel(errors.New("quit"))
			if !teardown {
				close(noTeardown)
			}
		},
	}, s.breaks)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{Stepper: noPlugins{}, Sink: &events{Record: d.Events()}})
	if err != nil {
		t.Fatal(err)
	}
	end := e.Run(ctx, engine.Run{Program: p, RunID: "r", Debugger: d, NoTeardown: noTeardown})
	return out.String(), end, d
}

const nested = `flow:
  name: nested
  env: {E: one}
  steps:
    - {id: a, action: set, config: {total: 3}}
    - id: each
      action: for_each
      config:
        items: [1, 2]
        steps:
          - {id: in, action: log, config: {message: "in ${item}"}}
          - {id: last, action: log, config: {message: "last ${item}"}}
    - {id: b, action: log, config: {message: "b ${E}"}}
  teardown:
    - {id: down, action: log, config: {message: down}}
`

// stops are the steps at which a transcript stands still.
func stops(out string) string {
	var found []string
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "▸ "); ok {
			found = append(found, strings.Fields(rest)[0])
		}
	}
	return strings.Join(found, " ")
}

func TestCommandsStopWhereTheySay(t *testing.T) {
	for claim, test := range map[string]struct {
		session
		want string
	}{
		"the first step":                     {session{}, "a"},
		"step goes into containers":          {session{commands: "step\nstep\nstep"}, "a each each[0]/in each[0]/last"},
		"next goes over them":                {session{commands: "next\nnext"}, "a each b"},
		"out leaves them":                    {session{commands: "step\nstep\nout"}, "a each each[0]/in b"},
		"to teardown":                        {session{commands: "n\nn\nn"}, "a each b down"},
		"a step that continue names":         {session{commands: "continue each[1]/in"}, "a each[1]/in"},
		"a breakpoint by id":                 {session{breaks: []string{"in"}, commands: "c"}, "each[0]/in each[1]/in"},
		"a breakpoint by path":               {session{breaks: []string{"each[1]/last"}, commands: "c"}, "each[1]/last"},
		"a breakpoint by line":               {session{breaks: []string{"f.yaml:9"}, commands: "c"}, "each"},
		"a breakpoint with a condition":      {session{breaks: []string{"in when item == 2"}, commands: "c"}, "each[1]/in"},
		"a condition that has no value":      {session{breaks: []string{"a when total == 3", "b"}, commands: "c"}, "b"},
		"a breakpoint that was deleted":      {session{commands: "break b\nbreak down\ndelete 2\nc\nc"}, "a down"},
		"after a step that is tried":         {session{commands: "try\nnext"}, "a a each"},
		"where a saved context ends":         {session{start: "b"}, "b"},
		"skip goes on at the next one":       {session{commands: "next\nskip"}, "a each b"},
		"no further than the commands reach": {session{commands: "# nothing\n\n"}, "a"},
	} {
		t.Run(claim, func(t *testing.T) {
			test.text = nested
			out, end, _ := test.run(t)
			if got := stops(out); got != test.want {
				t.Errorf("stops at %q, want %q\n%s", got, test.want, out)
			}
			if end.Status != event.Passed {
				t.Errorf("the run is %s: %s", end.Status, end.Reason)
			}
		})
	}
}

func TestCommandsAnswer(t *testing.T) {
	for claim, test := range map[string]struct{ commands, want string }{
		"print":                       {"next\nprint total + 1", "total + 1 = 4"},
		"print of an operator":        {"next\np total == 4 and total > 1", "    total == 4 = false"},
		"print of nothing":            {"p totl", "totl is missing"},
		"vars":                        {"next\nvars", "  total = 3  step a, line 5"},
		"vars that were not read":     {"vars E", "nothing has read it yet: print env.E"},
		"vars of nothing":             {"vars zzz", "there are none"},
		"set":                         {"next\nset total = 4\np total", "total = 4  was 3"},
		"set of an unknown name":      {"next\nset totla = 4", "nothing was called totla so far: did you mean \"total\"?"},
		"where":                       {"continue in\nwhere", "  each[0]\n    in  log  f.yaml:11"},
		"steps":                       {"next\nsteps", "  ✓ a  set  f.yaml:5\n▸ · each"},
		"list":                        {"list each", "    12 │           - {id: last"},
		"a result":                    {"try\nresult", "total = 3"},
		"no assertions":               {"try\nasserts", "nothing was claimed of this step"},
		"breakpoints":                 {"break in when item == 2\nbreak", "  1  on failure\n  2  in when item == 2"},
		"no breakpoints":              {"delete\nbreak", "there are no breakpoints\n"},
		"display, at every stop":      {"next\ndisplay total\nnext", "total = 3\n(debug) next"},
		"help":                        {"help", "h, ?, help"},
		"a condition without a value": {"break each when zzz > 1\nc", "breakpoint 2: zzz is missing, so its condition does not hold here"},
	} {
		t.Run(claim, func(t *testing.T) {
			out, _, d := session{text: nested, commands: test.commands}.run(t)
			if !strings.Contains(out, test.want) {
				t.Errorf("want %q in\n%s", test.want, out)
			}
			if err := d.Mistake(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMistakesEndAListOfCommands(t *testing.T) {
	for commands, want := range map[string]string{
		"nxet":                    `did you mean "next"`,
		"frobnicate":              "help lists them",
		"next now":                "next takes nothing",
		"break nowhere":           `no step "nowhere"`,
		"break inn":               `did you mean "in"`,
		"break f.yaml:1":          "no step of this flow stands at f.yaml:1",
		"break f.yaml:x":          "is not a line",
		"break a when 1 +":        "when 1 +",
		"continue failure":        "continue goes to a step",
		"delete 9":                "there is no breakpoint 9",
		"set total":               "write set NAME = EXPR",
		"set total == 3":          "write set NAME = EXPR",
		"set input = 3":           "cannot be changed as a whole",
		"out":                     "in nothing but the flow",
		"retry":                   "has not run yet",
		"result":                  "has not run yet",
		"asserts":                 "has not run yet",
		"try\nskip":               "has run",
		"try\ntry":                "has run",
		"print":                   "write print EXPR",
		"response":                "nothing was exchanged so far",
		"response a":              "has exchanged nothing",
		"curl zzz":                `no step "zzz"`,
		"reload":                  "the flow is not valid",
		"list zzz":                `no step "zzz"`,
		"quit! at once":           "takes nothing",
		"break on failure when 1": "has no condition",
	} {
		t.Run(commands, func(t *testing.T) {
			out, end, d := session{text: nested, commands: commands + "\ncontinue"}.run(t)
			if err := d.Mistake(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			if end.Status != event.Cancelled || !strings.Contains(out, "✓ down") {
				t.Errorf("the run is %s\n%s", end.Status, out)
			}
		})
	}
}

const failing = `flow:
  name: failing
  steps:
    - {id: set, action: set, config: {total: 3}}
    - id: polled
      action: wait_until
      config:
        condition: done
        max_duration: 1s
        interval: 10ms
        steps: [{id: poll, action: set, config: {done: true}, assert: [1 == 1]}]
    - id: box
      action: for_each
      config:
        items: [1]
        steps:
          - {id: check, action: assert, assert: [total == 4, total > 0]}
`

func TestFailureStopsAndIsMended(t *testing.T) {
	out, end, d := session{text: failing, breaks: []string{"failure"}, commands: "asserts\nset total = 4\nretry\ncontinue"}.run(t)
	if end.Status != event.Passed || d.Events().Hand() != "set total, retried box[0]/check" {
		t.Errorf("%s by hand: %q\n%s", end.Status, d.Events().Hand(), out)
	}
	if got := stops(out); got != "box[0]/check box[0]/check" {
		t.Errorf("stops at %q\n%s", got, out)
	}
	if !strings.Contains(out, "✗ total == 4  line 17\n        expected 4 (number), got 3 (number)\n") || !strings.Contains(out, "✓ total > 0") {
		t.Error(out)
	}
}

func TestFailureOfAContainerIsShownOnce(t *testing.T) {
	out, end, _ := session{text: failing, breaks: []string{"failure"}, commands: "continue\ncontinue"}.run(t)
	if got := stops(out); got != "box[0]/check" || end.Status != event.Failed {
		t.Errorf("stops at %q, %s\n%s", got, end.Status, out)
	}
}

func TestEditedFlowIsReadAgain(t *testing.T) {
	s := session{text: failing, edited: strings.Replace(failing, "total == 4", "total == 3", 1), breaks: []string{"failure"}, commands: "reload\nretry"}
	if out, end, _ := s.run(t); end.Status != event.Passed {
		t.Errorf("%s\n%s", end.Status, out)
	}
	s.edited = strings.Replace(failing, "id: check", "id: other", 1)
	out, _, d := s.run(t)
	if err := d.Mistake(); err == nil || !strings.Contains(err.Error(), "reordered") {
		t.Errorf("got %v\n%s", err, out)
	}
}

func TestQuitRunsTeardownUnlessItIsNow(t *testing.T) {
	for command, want := range map[string]string{"quit": "✓ down", "quit!": "○ down"} {
		out, end, d := session{text: nested, commands: "next\n" + command}.run(t)
		if end.Status == event.Passed || !strings.Contains(out, want) || d.Mistake() != nil {
			t.Errorf("%s: %s, %v\n%s", command, end.Status, d.Mistake(), out)
		}
	}
}

func TestPauseStopsAtTheNextStep(t *testing.T) {
	var out bytes.Buffer
	p := program(t, nested)
	d, err := New(Config{Console: NewScript(strings.NewReader("continue"), &out, nil), Program: p}, []string{"down"})
	if err != nil {
		t.Fatal(err)
	}
	if d.Pause() || !d.Pause() {
		t.Error("it does not tell whether a pause is asked for")
	}
	e, err := engine.New(engine.Config{Stepper: noPlugins{}, Sink: &events{Record: d.Events()}})
	if err != nil {
		t.Fatal(err)
	}
	e.Run(t.Context(), engine.Run{Program: p, RunID: "r", Debugger: d})
	if got := stops(out.String()); got != "a down" || !strings.Contains(out.String(), "paused") {
		t.Errorf("stops at %q\n%s", got, &out)
	}
}

func TestCompletionsFitTheCommand(t *testing.T) {
	d, err := New(Config{Program: program(t, nested)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.names = []string{"total", "token", "user"}
	for line, want := range map[string]string{
		"qu":               "quit quit!",
		"print to":         "print total|print token",
		"print total + us": "print total + user",
		"set tot":          "set total",
		"c la":             "c last",
		"break fa":         "break failure",
		"zzz a":            "",
		"list ":            "list a|list b|list down|list each|list in|list last",
	} {
		got := strings.Join(d.Completions(line), "|")
		if line == "qu" {
			got = strings.ReplaceAll(got, "|", " ")
		}
		if got != want {
			t.Errorf("%q completes to %q, want %q", line, got, want)
		}
	}
}
