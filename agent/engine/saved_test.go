package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/testmesh/testmesh/flow/event"
)

func TestSavedContextIsReadAsItWasPrinted(t *testing.T) {
	want := &SavedContext{Flow: "F", RunID: "r", Steps: map[string]SavedStep{
		"a": {Status: event.Passed, Outputs: map[string]any{"id": int64(7)}, Result: map[string]any{"price": 59.8, "none": nil}, HasResult: true},
		"b": {Status: event.Skipped},
	}}
	text, err := PrintContext(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadContext(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
}

func TestReadContextRefusesWhatWasNotPrinted(t *testing.T) {
	for claim, c := range map[string]struct{ text, want string }{
		"what is not JSON":         {"{", "ends early"},
		"another document":         {`{"flow":"x"}`, "was not written by --save-context"},
		"another version":          {`{"v":9,"steps":{}}`, "was not written by --save-context"},
		"a step that is no object": {`{"v":1,"steps":{"a":1}}`, "step a is not an object"},
	} {
		t.Run(claim, func(t *testing.T) {
			if _, err := ReadContext([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := PrintContext(nil); err == nil {
		t.Error("a run without context was printed")
	}
}

func TestContextOfARunHoldsItsStepsMasked(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call, config: {body: {t: tok-1234}}, output: {t: {value: body.t, secret: true}}}]\n")
	run := Run{Program: p.programs[0], RunID: "r"}
	if out := p.engine(t).Run(t.Context(), run); out.Context != nil {
		t.Error("a context was kept and nobody asked for it")
	}
	run.KeepContext, run.RunID = true, "r2"
	out := p.engine(t).Run(t.Context(), run)
	text, err := PrintContext(out.Context)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"flow":"Test","run_id":"r2","steps":{"a":{"outputs":{"t":"‹secret:t›"},"result":{"body":{"t":"‹secret:t›"},"calls":1,"status":200},"status":"passed"}},"v":1}` + "\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
}

func TestLocksArePrintedAsTheRunHasThem(t *testing.T) {
	flow := func(locks string) *project {
		return newProject(t, []txtar.File{{Name: "flow.yaml", Data: []byte("flow:\n  name: L\n  locks: " + locks + "\n  input: {shop: {type: string, default: eu}, n: {type: integer}}\n  env: {DB: orders}\n  steps: [{id: a, action: sys.call}]\n")}})
	}
	run := func(p *project, n any) ([]string, error) {
		return p.engine(t).Locks(Run{Program: p.programs[0], RunID: "r", Input: map[string]any{"n": n}})
	}
	got, err := run(flow(`["db-${DB}", "shop-${input.shop}-${n}"]`), int64(3))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"db-orders", "shop-eu-3"}, got); diff != "" {
		t.Errorf("locks (-want +got):\n%s", diff)
	}
	if got, err := run(flow("[]"), int64(3)); err != nil || got != nil {
		t.Errorf("without locks: %v, %v", got, err)
	}
	if _, err := run(flow(`["db"]`), "three"); err == nil || !strings.Contains(err.Error(), "declared integer") {
		t.Errorf("a wrong input: %v", err)
	}
}
