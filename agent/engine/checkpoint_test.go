package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/testmesh/testmesh/flow/event"
)

const leavesThings = `-- flow.yaml --
flow:
  name: Leaves things
  env: {MARK: "run-${RANDOM_ID}"}
  steps:
    - id: login
      action: sys.call
      config: {method: GET, body: {token: s3cr3t-token, junk: [1, 2, 3]}}
      output: {token: {value: body.token, secret: true}}
    - id: order
      action: sys.call
      config: {body: {id: "o-1", unused: x, deep: {n: 12345678901234567890.5}}, headers: {X-Mark: "${MARK}", X-Attempt: "${run.attempt}"}}
      track: {resource_type: order, resource_id: "${body.id}", cleanup: {action: sys.call, config: {headers: {X-Remove: "${body.id}"}}, assert: ["status == 200", "order.body.id == 'o-1'"]}}
    - id: users
      action: for_each
      config:
        items: '["ada", "bob"]'
        steps:
          - {id: create, action: sys.call, config: {body: {id: "${item}"}}, track: {resource_type: user, resource_id: "${body.id}", cleanup: {action: sys.call, config: {headers: {X-Remove: "${body.id}"}}}}}
  teardown:
    - {id: down, action: sys.call, config: {headers: {X-Order: "${order.body.id}", X-Deep: "${order.body.deep.n}", X-Token: "${token}", X-Mark: "${MARK}", X-Attempt: "${run.attempt}", X-Status: "${FLOW_STATUS}", X-Outcome: "${outcome('users')}"}}}
`

// kept runs a flow and gives every checkpoint of it, in order.
func kept(t *testing.T, p *project, attempt int) (list []Checkpoint) {
	t.Helper()
	var mu sync.Mutex
	r := Run{Program: p.programs[0], BatchID: "batch", RunID: "run-1", Attempt: attempt, Seed: 7, Keep: func(take func() Checkpoint) {
		c := take()
		mu.Lock()
		defer mu.Unlock()
		list = append(list, c)
	}}
	if out := p.engine(t).Run(t.Context(), r); out.Status != event.Passed {
		t.Fatalf("the flow itself is %s: %s", out.Status, out.Reason)
	}
	return list
}

func (s *system) headers() (list []map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, req := range s.seen {
		var config struct {
			Headers map[string]any `json:"headers"`
		}
		if json.Unmarshal(req.Config, &config) == nil && config.Headers != nil {
			list = append(list, config.Headers)
		}
	}
	return list
}

func TestATeardownElsewhereDoesWhatTheOneThatWasLostWouldHave(t *testing.T) {
	archive := txtar.Parse([]byte(leavesThings))
	first := newProject(t, files(archive))
	list := kept(t, first, 3)
	lost := list[slices.IndexFunc(list, func(c Checkpoint) bool { return len(c.Resources) == 3 })+1] // the loop has ended
	if got, want := fmt.Sprint(lost.Resources), "[order o-1 user ada user bob]"; got != want {
		t.Errorf("got resources %s, want %s", got, want)
	}
	if text := string(lost.Data); strings.Contains(text, "unused") || strings.Contains(text, "junk") {
		t.Errorf("the checkpoint holds what nobody reads: %s", text)
	}
	if last := list[len(list)-1]; len(last.Resources) != 0 {
		t.Errorf("in the end there is %v", last.Resources)
	}
	whole := first.system.headers()
	at := slices.IndexFunc(whole, func(h map[string]any) bool { return h["X-Order"] != nil })
	want := fmt.Sprint(whole[at:])

	second := newProject(t, files(archive))
	out := second.engine(t).Run(t.Context(), Run{
		Program: second.programs[0], BatchID: "batch", RunID: "run-1", Attempt: 4, Seed: 7, Teardown: &Teardown{Data: lost.Data, Attempt: 3, Status: event.Passed, Reason: "lost"},
	})
	got := fmt.Sprint(second.system.headers())
	want = strings.Replace(want, "X-Status:passed", "X-Status:errored", 1)
	if got != want {
		t.Errorf("got calls\n%s\nwant\n%s", got, want)
	}
	if out.Status != event.Errored || out.Reason != "lost" || len(out.Left) != 0 {
		t.Errorf("a teardown is no verdict, and this one left nothing: got %s %q %v", out.Status, out.Reason, out.Left)
	}
	text := string(lines(second.sink.of("run-1")))
	if strings.Contains(text, "s3cr3t-token") {
		t.Errorf("a secret of the attempt before is shown:\n%s", text)
	}
	if n := strings.Count(text, `"resource.removed"`); n != 3 {
		t.Errorf("%d resources were removed in\n%s", n, text)
	}
}

// files are those of an archive as the tests of this package take them.
func files(a *txtar.Archive) []txtar.File { return a.Files }

func TestATeardownWithoutACheckpointRunsWhatNeedsNone(t *testing.T) {
	p := newProject(t, files(txtar.Parse([]byte("-- flow.yaml --\nflow:\n  name: A\n  steps:\n    - {id: a, action: sys.call, config: {}}\n  teardown:\n    - {id: down, action: sys.call, config: {headers: {X: y}}}\n    - {id: lost, action: sys.call, config: {headers: {X: \"${a.body.id}\"}}}\n"))))
	out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "run-1", Attempt: 2, Teardown: &Teardown{Attempt: 1, Status: event.Cancelled, Reason: "enough"}})
	if out.Status != event.Cancelled || out.Reason != "enough" {
		t.Errorf("got %s %q", out.Status, out.Reason)
	}
	if len(out.Left) != 1 || !strings.HasPrefix(out.Left[0], "teardown did not complete: step lost") {
		t.Errorf("got left %q", out.Left)
	}
	if got := fmt.Sprint(p.system.headers()); got != "[map[X:y]]" {
		t.Errorf("got calls %s", got)
	}
}

func TestACheckpointThatCannotBeReadTearsNothingDown(t *testing.T) {
	for name, data := range map[string]string{
		"half of one":               `{"v":1,"outputs"`,
		"of another version":        `{"v":2}`,
		"of another flow":           `{"v":1,"tracked":[{"type":"a","id":"b","cleanup":"flow.yaml:99:1"}]}`,
		"with a secret of one byte": `{"v":1,"hidden":{"x":"SHORT"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, files(txtar.Parse([]byte(leavesThings))))
			out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "run-1", Teardown: &Teardown{Data: []byte(data), Attempt: 1}})
			if out.Status != event.Errored || len(out.Left) != 1 || len(p.system.headers()) != 0 {
				t.Errorf("got %s %q and calls %v", out.Status, out.Left, p.system.headers())
			}
		})
	}
}

func TestAFlowThatLeavesNothingKeepsNothing(t *testing.T) {
	p := newProject(t, files(txtar.Parse([]byte("-- flow.yaml --\nflow:\n  name: A\n  steps:\n    - {id: a, action: sys.call, config: {}}\n"))))
	if list := kept(t, p, 1); len(list) != 0 {
		t.Errorf("got %d checkpoints", len(list))
	}
}

// ledger is a control plane that settles.
type ledger struct {
	mu      sync.Mutex
	claimed map[string]chan struct{}
	outcome map[string][]byte
	fail    error
}

func (l *ledger) Claim(ctx context.Context, key string) ([]byte, error) {
	l.mu.Lock()
	if l.fail != nil {
		l.mu.Unlock()
		return nil, l.fail
	}
	c := l.claimed[key]
	if c == nil {
		l.claimed[key] = make(chan struct{})
		l.mu.Unlock()
		return nil, nil
	}
	l.mu.Unlock()
	select {
	case <-c:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcome[key], nil
}

func (l *ledger) Settle(_ context.Context, key string, outcome []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome[key] = outcome
	close(l.claimed[key])
	return nil
}

const callsOnce = `-- flow.yaml --
flow:
  name: Caller
  steps:
    - {id: login, action: run_flow, config: {flow: login.yaml, once: batch}}
    - {id: use, action: sys.call, config: {headers: {X: "${login.token}"}}}
-- login.yaml --
flow:
  name: Login
  steps:
    - {id: get, action: sys.call, config: {status: STATUS, body: {token: s3cr3t-token}}}
  output: {token: {value: get.body.token, secret: true}}
`

func TestOnceInABatchHoldsAcrossAgents(t *testing.T) {
	l := &ledger{claimed: map[string]chan struct{}{}, outcome: map[string][]byte{}}
	var calls []string
	for n := range 2 { // two engines, which share nothing else
		p := newProject(t, files(txtar.Parse([]byte(strings.Replace(callsOnce, "STATUS", "200", 1)))))
		out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "run-1", Once: l})
		if out.Status != event.Passed {
			t.Errorf("run %d is %s: %s", n, out.Status, out.Reason)
		}
		for _, req := range p.system.seen {
			calls = append(calls, req.StepID)
		}
		if text := string(lines(p.sink.of("run-1"))); strings.Contains(text, "s3cr3t-token") && n == 1 {
			t.Errorf("run %d shows the secret output of another:\n%s", n, text)
		}
	}
	if got, want := fmt.Sprint(calls), "[get use use]"; got != want {
		t.Errorf("got calls %s, want %s", got, want)
	}
}

func TestAFailureOfOnceIsEveryones(t *testing.T) {
	l := &ledger{claimed: map[string]chan struct{}{}, outcome: map[string][]byte{}}
	for n := range 2 {
		p := newProject(t, files(txtar.Parse([]byte(strings.Replace(callsOnce, "STATUS", "500", 1)))))
		if out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "run-1", Once: l}); out.Status != event.Failed {
			t.Errorf("run %d is %s: %s", n, out.Status, out.Reason)
		}
	}
}

func TestOnceThatCannotBeSettledIsErrored(t *testing.T) {
	for name, l := range map[string]*ledger{
		"no answer":      {fail: errors.New("no route")},
		"an odd outcome": {claimed: map[string]chan struct{}{}, outcome: map[string][]byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t, files(txtar.Parse([]byte(strings.Replace(callsOnce, "STATUS", "200", 1)))))
			var once Once = l
			if l.fail == nil {
				once = odd{}
			}
			if out := p.engine(t).Run(t.Context(), Run{Program: p.programs[0], RunID: "run-1", Once: once}); out.Status != event.Errored {
				t.Errorf("it is %s: %s", out.Status, out.Reason)
			}
		})
	}
}

// odd gives an outcome without a status.
type odd struct{}

func (odd) Claim(context.Context, string) ([]byte, error) { return []byte(`{"outputs":{}}`), nil }
func (odd) Settle(context.Context, string, []byte) error  { return nil }
