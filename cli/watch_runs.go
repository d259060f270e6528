package cli

import (
	"context"
	"os"
	"path"
	"sync"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/flow/event"
)

// performing is the runs that go on.
type performing struct {
	plan    *plan
	tracker *flowTracker
	inputs  string // as they were when the runs began
	ended   chan performed
	cancel  context.CancelCauseFunc
	kill    func() // teardown too
	cause   error  // why they were stopped
	signals int
	leaving error // how the command ends after them; nil: it goes on

	mu    sync.Mutex
	aside *State // prints beside the output of the runs; nil until they begin
}

// performed is how runs ended.
type performed struct{ err error }

// perform runs a plan on a goroutine of its own.
func (w *watching) perform(pl *plan) {
	ctx, cancel := context.WithCancelCause(context.Background())
	noTeardown := make(chan struct{})
	p := &performing{
		plan: pl, tracker: newFlowTracker(pl.flows), inputs: w.inputs, ended: make(chan performed, 1),
		cancel: cancel, kill: sync.OnceFunc(func() { close(noTeardown) }),
	}
	w.running = p
	go func() {
		_, err := w.s.perform(w.f, pl, w.style, performance{
			writers: []eventWriter{p.tracker},
			begin: func(s *State) (context.Context, <-chan struct{}, func()) {
				p.beside(s)
				return ctx, noTeardown, func() { p.beside(nil) }
			},
		})
		cancel(nil)
		p.ended <- performed{err}
	}()
}

func (p *performing) beside(s *State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aside = s
}

// stop ends the runs, with teardown.
func (p *performing) stop(cause error) {
	if p.cause == nil {
		p.cause = cause
	}
	p.cancel(cause)
}

// signal takes a signal: the first stops what runs, the second its teardown.
func (w *watching) signal(sig os.Signal) (leave bool, err error) {
	code := batch.ExitInterrupted
	if sig != os.Interrupt {
		code = batch.ExitTerminated
	}
	p := w.running
	if p == nil {
		if code == batch.ExitTerminated {
			return true, &exitError{code: code}
		}
		return true, nil
	}
	p.signals++
	switch p.signals {
	case 1:
		w.say("stopping: running steps are cancelled, teardown runs. Again to stop at once.")
		p.leaving = &exitError{code: code}
		p.stop(&batch.SignalError{ExitCode: code})
	case 2:
		w.say("stopping now: what teardown and clean-up did not remove is left behind.")
		p.kill()
	}
	return false, nil
}

// key answers a key. leave: the command ends.
func (w *watching) key(key byte) (leave bool) {
	if w.running != nil {
		switch key {
		case 's':
			w.say("stopping: running steps are cancelled, teardown runs")
			w.running.stop(&batch.SignalError{ExitCode: batch.ExitInterrupted})
		case 'q':
			leave, _ = w.signal(os.Interrupt)
		case '?', 'h':
			w.say("s stops what runs, q or ^C stops it and quits")
		case '\r', '\n', ' ':
		default:
			w.say("runs go on: s stops them")
		}
		return leave
	}
	var want map[string]bool
	switch key {
	case '\r', '\n', 'a':
		want = w.all()
	case 'f':
		if want = w.bad(); len(want) == 0 && w.trouble == nil {
			w.say("everything that ran passed")
			return false
		}
	case 'r':
		if want = w.last; len(want) == 0 && w.trouble == nil {
			w.say("nothing ran yet")
			return false
		}
	case 'c':
		w.clearScreen()
		w.idle()
		return false
	case 'q':
		return true
	case '?', 'h':
		w.help()
		return false
	default:
		return false
	}
	w.turn(want)
	return false
}

// flowTracker follows which flows of a batch have ended, and how.
type flowTracker struct {
	mu    sync.Mutex
	left  map[string]int // runs that have not ended, by flow
	worst map[string]event.Status
	runs  map[string]string // run to flow
}

func newFlowTracker(flows []batch.Flow) *flowTracker {
	t := &flowTracker{left: map[string]int{}, worst: map[string]event.Status{}, runs: map[string]string{}}
	for _, fl := range flows {
		t.left[flowKey(fl.Program)] += len(fl.Runs)
	}
	return t
}

// Wants implements eventWriter.
func (t *flowTracker) Wants() event.Wants { return event.Wants{} }

// Write implements eventWriter.
func (t *flowTracker) Write(e *event.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Type {
	case event.TypeRunStarted:
		t.runs[e.RunID] = path.Clean(e.RunStarted.File) + "#" + e.Flow
	case event.TypeRunFinished:
		key := t.runs[e.RunID]
		delete(t.runs, e.RunID)
		t.left[key]--
		if status := e.RunFinished.Status; severity(status) > severity(t.worst[key]) {
			t.worst[key] = status
		}
	}
	return nil
}

// severity orders statuses: one run that was stopped leaves its flow to be run
// again, whatever the others came to.
func severity(s event.Status) int {
	for i, known := range [...]event.Status{event.Passed, event.Skipped, event.Failed, event.Errored, event.Cancelled} {
		if s == known {
			return i + 1
		}
	}
	return 0
}

func (t *flowTracker) unfinished() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[string]bool{}
	for key, n := range t.left {
		if n > 0 {
			out[key] = true
		}
	}
	return out
}

// status is how the runs of a flow ended; empty: none has.
func (t *flowTracker) status(key string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.worst[key])
}
