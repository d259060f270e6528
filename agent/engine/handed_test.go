package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestOutputsAreHandedOverWhereTheyAreAskedFor(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: set, config: {city: Oslo}}]\n")
	for keep, want := range map[bool]map[string]any{true: {"city": "Oslo"}, false: nil} {
		out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: fmt.Sprint(keep), KeepVariables: keep})
		if diff := cmp.Diff(want, out.Variables); out.Status != event.Passed || diff != "" {
			t.Errorf("with KeepVariables %v the run %s (-want +got):\n%s", keep, out.Status, diff)
		}
	}
}

// configs keeps what plugins are sent.
type configs struct {
	Stepper
	mu  sync.Mutex
	got []*plugin.Request
}

func (c *configs) Execute(ctx context.Context, req *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
	c.mu.Lock()
	c.got = append(c.got, req)
	c.mu.Unlock()
	return c.Stepper.Execute(ctx, req, out)
}

func TestEachStepSendsItsOwnConfigInEveryRun(t *testing.T) {
	p := flowOf(t, "  input: {n: {type: integer}}\n  steps:\n"+
		"    - {id: a, action: sys.call, config: {result: {v: 1}}}\n"+
		"    - {id: b, action: sys.call, config: {result: {v: \"${n}\"}}}\n"+
		"    - {id: c, action: sys.call, config: {result: {v: 3}}}\n")
	sent := &configs{Stepper: newSystem()}
	e, err := New(Config{Stepper: sent, Sink: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for n := range int64(3) {
		out := e.Run(t.Context(), Run{Program: p.programs[0], RunID: fmt.Sprint(n), Input: map[string]any{"n": n}})
		if out.Status != event.Passed {
			t.Fatalf("run %d %s: %v", n, out.Status, out.Error)
		}
		want = append(want, `{"result":{"v":1}}`, fmt.Sprintf(`{"result":{"v":%d}}`, n), `{"result":{"v":3}}`)
	}
	for _, req := range sent.got {
		got = append(got, string(req.Config))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
