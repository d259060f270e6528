package engine

import (
	"context"
	"testing"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// promptStepper promises to return in time.
type promptStepper struct {
	Stepper
	calls int
}

func (p *promptStepper) Prompt(string) bool { return true }

func (p *promptStepper) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	p.calls++
	if p.calls == 2 {
		panic("nil map")
	}
	return p.Stepper.Execute(ctx, req, out)
}

func TestAPromptStepperNeedsNoGoroutineAndItsPanicIsItsOwn(t *testing.T) {
	p := flowOf(t, `  config: {fail_fast: false}
  steps:
    - {id: a, action: sys.call}
    - {id: b, action: sys.call, needs: [a]}
    - {id: c, action: sys.call, needs: [a, b]}
`)
	e, err := New(Config{Stepper: &promptStepper{Stepper: p.system}, Sink: p.sink, FS: p.files})
	if err != nil {
		t.Fatal(err)
	}
	out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: "r"})
	if out.Status != event.Errored || out.Steps[event.Passed] != 2 || out.Steps[event.Errored] != 1 {
		t.Errorf("got %s %v, want the second call errored and the others passed", out.Status, out.Steps)
	}
	for _, got := range p.sink.of("r") {
		if f := got.StepFinished; f != nil && f.Status == event.Errored && f.Error.Blame != "plugin" {
			t.Errorf("a panic of the plugin is blamed on %q", f.Error.Blame)
		}
	}
	if len(e.workers.idle) != 0 {
		t.Errorf("%d goroutines were made for calls that need none", len(e.workers.idle))
	}
}
