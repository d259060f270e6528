package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Call is the functions of the scripted system.
//
//	echo(…)    what it was asked: [args, root, dir, run]
//	picky(x)   refuses its argument
//	gone()     its process is gone
//	bare()     an error without words for people
//	garbage()  no JSON
//	slow()     waits until it may not any more
func (s *system) Call(ctx context.Context, name string, req *plugin.FunctionRequest) (json.RawMessage, error) {
	switch name + "." + req.Function {
	case "sys.echo":
		return json.RawMessage(fmt.Sprintf(`{"args": %s, "root": %q, "dir": %q, "run": %q}`, req.Args, req.Root, req.Dir, req.RunID)), nil
	case "sys.picky":
		return nil, &plugin.Error{Code: plugin.CodeConfig, Blame: plugin.BlameDefinition, Message: "want a text", Hint: "quote it"}
	case "sys.gone":
		return nil, &plugin.Error{Code: plugin.CodePlugin, Blame: plugin.BlamePlugin, Message: "exited", Details: []string{"segmentation fault"}}
	case "sys.garbage":
		return json.RawMessage(`{`), nil
	case "sys.slow":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errors.New("no words")
}

func TestFunctionsOfPluginsInExpressions(t *testing.T) {
	tests := map[string]struct {
		step   string
		status event.Status
		words  string // of the error, or of the failed assertion
		blame  string
	}{
		"exact arguments":                     {`assert: ["sys.echo(12345678901234567890.10, null, body.n).args == [12345678901234567890.10, null, 0.10]"]`, event.Passed, "", ""},
		"no arguments":                        {`assert: ["sys.echo().args == []"]`, event.Passed, "", ""},
		"where files are":                     {`assert: ["sys.echo().root == '/project'", "sys.echo().run == 'r'"]`, event.Passed, "", ""},
		"a claim that does not hold":          {`assert: ["sys.echo(1).args[0] == 2"]`, event.Failed, "sys.echo", ""},
		"a wrong argument in an assertion":    {`assert: ["sys.picky(body.n)"]`, event.Failed, "want a text", ""},
		"a wrong argument in a placeholder":   {`config: {x: "${sys.picky(1)}"}`, event.Errored, "want a text", "definition"},
		"a crash in an assertion":             {`assert: ["sys.gone()"]`, event.Errored, "exited", "plugin"},
		"an error without words":              {`assert: ["sys.bare()"]`, event.Errored, "no words", "plugin"},
		"no JSON":                             {`assert: ["sys.garbage()"]`, event.Errored, "no JSON value", "plugin"},
		"a function that waits":               {`assert: ["sys.slow()"]`, event.Errored, "within 10s", "plugin"},
		"a crash in `when`":                   {`when: sys.gone()`, event.Errored, "exited", "plugin"},
		"assert_none does not turn it around": {`assert_none: ["sys.gone()"]`, event.Errored, "exited", "plugin"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				step := test.step
				if !strings.HasPrefix(step, "config") {
					step = "config: {body: {n: 0.10}}\n      " + step
				}
				p := flowOf(t, "  steps:\n    - id: a\n      action: sys.call\n      "+step+"\n")
				_, events := p.runOnce(t.Context(), t, "r")
				f := finished(t, events, "a")
				if f.Status != test.status {
					t.Fatalf("got %s, want %s (%+v)", f.Status, test.status, f.Error)
				}
				var words []string
				if f.Error != nil {
					words = append(append(words, f.Error.Message), f.Error.Details...)
				}
				for _, a := range f.Assertions {
					words = append(words, a.Expression, a.Message)
				}
				if got := strings.Join(words, "\n"); !strings.Contains(got, test.words) {
					t.Errorf("got %q, want %q in it", got, test.words)
				}
				if test.blame != "" && (f.Error == nil || f.Error.Blame != test.blame) {
					t.Errorf("got %+v, want blame %s", f.Error, test.blame)
				}
			})
		})
	}
}

func TestNoFunctionsCannotBeCalled(t *testing.T) {
	p := flowOf(t, "  steps:\n    - {id: a, action: sys.call, assert: [\"sys.echo()\"]}\n")
	e, err := New(Config{Stepper: p.system, Sink: p.sink, FS: p.files})
	if err != nil {
		t.Fatal(err)
	}
	if out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"}); out.Status == event.Passed {
		t.Error("a claim that nobody could judge passed")
	}
}
