package cli

import (
	"fmt"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/text"
)

// running is what goes on in a batch, for what is shown while it goes on. It is
// not safe for concurrent use.
type running struct {
	batch  bool // it has started and not ended
	since  time.Time
	total  int
	done   int
	counts event.Counts
	flaky  int
	runs   []*runningFlow // in the order they started
}

// runningFlow is one run that has not ended.
type runningFlow struct {
	id, name string
	since    time.Time
	steps    int // finished
	retried  bool
	open     []openStep // started and not finished, the latest last
}

type openStep struct {
	step  *event.Step
	since time.Time
}

func (r *running) see(e *event.Event, now time.Time) {
	switch e.Type {
	case event.TypeBatchStarted:
		*r = running{batch: true, since: now, total: e.BatchStarted.Runs, counts: event.Counts{}}
	case event.TypeBatchFinished:
		r.batch, r.runs = false, nil
	case event.TypeRunStarted:
		name := e.Flow
		if e.RunStarted.Row != nil {
			name = fmt.Sprintf("%s [row %d]", name, e.RunStarted.Row.Index+1)
		}
		r.runs = append(r.runs, &runningFlow{id: e.RunID, name: text.OneLine(name), since: now})
	case event.TypeRunFinished:
		r.ended(e)
	case event.TypeStepStarted:
		if f := r.find(e.RunID); f != nil && len(f.open) < maxOpenSteps {
			f.open = append(f.open, openStep{e.Step, now})
		}
	case event.TypeStepFinished:
		if f := r.find(e.RunID); f != nil {
			f.finished(e)
		}
	}
}

// maxOpenSteps bounds what is remembered of a run's parallel steps: the latest
// one is shown.
const maxOpenSteps = 1000

func (r *running) find(id string) *runningFlow {
	for _, f := range r.runs {
		if f.id == id {
			return f
		}
	}
	return nil
}

func (r *running) ended(e *event.Event) {
	r.done++
	if r.counts == nil {
		r.counts = event.Counts{}
	}
	r.counts[e.RunFinished.Status]++
	for i, f := range r.runs {
		if f.id == e.RunID {
			if f.retried && e.RunFinished.Status == event.Passed {
				r.flaky++
			}
			r.runs = append(r.runs[:i:i], r.runs[i+1:]...)
			return
		}
	}
}

func (f *runningFlow) finished(e *event.Event) {
	if e.StepFinished.Status == event.Skipped {
		return
	}
	f.steps++
	f.retried = f.retried || cause.Flaky(e.StepFinished)
	for i := len(f.open) - 1; i >= 0; i-- {
		if s := f.open[i].step; s.ID == e.Step.ID && len(s.Path) == len(e.Step.Path) && samePath(s.Path, e.Step.Path) {
			f.open = append(f.open[:i], f.open[i+1:]...)
			return
		}
	}
}

func samePath(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// clock prints a time that went by as 0:09 or 1:02:03.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
