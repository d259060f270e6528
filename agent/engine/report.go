package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/redact"
)

// reporter numbers, stamps and masks the events of one run and hands them to
// the sink. After the first error of the sink it says nothing more.
type reporter struct {
	sink   Sink
	ctx    context.Context // of the run, never cancelled
	now    func() time.Time
	mask   *redact.Masker
	run    *Run        // what every event says of it
	broken func(error) // told of the sink's first error
	dead   atomic.Bool // the sink has failed
	mu     sync.Mutex
	seq    int64
}

// emit reports e. It is called concurrently by parallel steps.
func (r *reporter) emit(e event.Event) { r.report(&e) }

// report is emit of an event that its caller has made for it.
func (r *reporter) report(e *event.Event) {
	if r.dead.Load() {
		return
	}
	if !r.mask.Empty() {
		maskEvent(r.mask, e)
	}
	e.BatchID, e.RunID, e.Attempt, e.Flow = r.run.BatchID, r.run.RunID, r.run.Attempt, r.run.Program.Name
	if err := r.send(e); err != nil && r.dead.CompareAndSwap(false, true) {
		r.broken(err)
	}
}

func (r *reporter) send(e *event.Event) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("sink panicked: %v", p)
		}
	}()
	if r.dead.Load() {
		return nil
	}
	r.seq++
	e.Seq = r.seq
	e.Time = r.now()
	return r.sink.Emit(r.ctx, e)
}
