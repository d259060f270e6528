package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// instant answers at once, so that what is measured is the engine.
type instant struct{ response *plugin.Response }

func (s *instant) Execute(context.Context, *plugin.Request, plugin.Stream) (*plugin.Response, error) {
	return s.response, nil
}

func (*instant) EndRun(string) {}

type discard struct{}

func (discard) Emit(context.Context, *event.Event) error { return nil }
func (discard) Wants() event.Wants                       { return event.Wants{} }

// BenchmarkStep is the engine's own cost of a request with three assertions and
// an extraction, a hundred of them in a run.
func BenchmarkStep(b *testing.B) {
	const steps = 100
	var text strings.Builder
	text.WriteString("flow:\n  name: Bench\n  env: {API: \"http://127.0.0.1:7071\"}\n  steps:\n")
	for i := range steps {
		fmt.Fprintf(&text, "    - {id: s%d, action: sys.call, config: {method: POST, headers: {url: \"${API}/orders\"}, body: {name: Ada}}, assert: [status == 201, 'body.name == \"Ada\"', body.total > 10], output: {id%d: body.id}}\n", i, i)
	}
	p := newProject(b, []txtar.File{{Name: "flow.yaml", Data: []byte(text.String())}})
	e, err := New(Config{Sink: discard{}, Stepper: &instant{&plugin.Response{
		Result: []byte(`{"status":201,"headers":{"content-type":"application/json","date":"Mon, 03 Feb 2031 12:00:00 GMT"},"body":{"id":"3f2b","name":"Ada","total":59.80},"calls":1}`),
	}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if out := e.Run(context.Background(), Run{Program: p.programs[0], RunID: "r"}); out.Status != event.Passed {
			b.Fatalf("%s: %s", out.Status, out.Reason)
		}
		n += steps
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/step")
}

// BenchmarkRun is the cost of a run with one step.
func BenchmarkRun(b *testing.B) {
	p := newProject(b, []txtar.File{{Name: "flow.yaml", Data: []byte("flow:\n  name: Bench\n  steps: [{id: s, action: sys.call}]\n")}})
	e, err := New(Config{Sink: discard{}, Stepper: &instant{&plugin.Response{Result: []byte(`{"status":200}`)}}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Run(context.Background(), Run{Program: p.programs[0], RunID: "r"})
	}
}
