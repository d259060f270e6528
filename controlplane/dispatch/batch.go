package dispatch

import (
	"context"
	"fmt"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// batch is what the runs of a batch have to do with each other.
type batch struct {
	id       string
	source   *apiv1.Source
	expanded bool
	live     map[string]bool // runs that have not ended
	with     int             // of them with agents
	served   int64           // when one was last given to an agent, in the order of these
	flows    map[string]*progress
	runs     map[string]apiv1.RunStatus // as they were last noted
	bad      bool                       // a run did not pass
	// lanes are, by file and number of a flow, its runs in their order, where they go
	// one after the other.
	lanes map[string]*lane
}

// progress is how far the runs of one flow are.
type progress struct {
	open   int
	failed bool // one has ended and did not pass
}

// lane are runs that go one after the other.
type lane struct {
	order map[int32]*apiv1.Run
	agent string
	ended time.Time
}

func newBatch(record *apiv1.Batch) *batch {
	return &batch{
		id: record.GetId(), source: record.GetSource(), expanded: record.GetExpanded(), live: map[string]bool{},
		flows: map[string]*progress{}, runs: map[string]apiv1.RunStatus{}, lanes: map[string]*lane{},
	}
}

// made takes in batches that were made whole, and gives the ids of them and their runs.
// It reads nothing: there may be a thousand a second.
func (l *lead) made(list []Made) (ids map[string]bool) {
	ids = map[string]bool{}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range list {
		id := m.Batch.GetId()
		if l.batches[id] != nil {
			continue // it was read since, and that is newer
		}
		b := newBatch(m.Batch)
		for _, r := range m.Runs {
			b.note(r)
		}
		l.batches[id], ids[id] = b, true
		for _, r := range m.Runs {
			l.wait(b, r)
			ids[r.GetId()] = true
		}
	}
	return ids
}

// wait puts a run into the queue.
func (l *lead) wait(b *batch, r *apiv1.Run) {
	l.queue.put(r)
	if len(r.GetSpec().GetAfter()) > 0 || b.source.GetStopOnFailure() {
		l.bound[r.GetId()] = true
	}
}

// batch finds or reads what a run belongs to.
func (l *lead) batch(ctx context.Context, r *apiv1.Run) (*batch, error) {
	if b := l.batches[r.GetBatchId()]; b != nil {
		return b, nil
	}
	record, err := l.cfg.State.Batch(ctx, r.GetBatchId())
	if err != nil {
		return nil, fmt.Errorf("read batch %s: %w", r.GetBatchId(), err)
	}
	b := newBatch(record)
	l.batches[b.id] = b
	all, err := l.cfg.State.RunsOfBatch(ctx, b.id)
	if err != nil {
		return nil, fmt.Errorf("read the runs of batch %s: %w", b.id, err)
	}
	for _, other := range all {
		b.note(other)
	}
	return b, nil
}

func flowKey(r *apiv1.Run) string { return r.GetSpec().GetFlow() }

func withAgent(s apiv1.RunStatus) bool {
	return s == apiv1.RunStatus_RUN_STATUS_OFFERED || s == apiv1.RunStatus_RUN_STATUS_RUNNING || s == apiv1.RunStatus_RUN_STATUS_FINISHING
}

// note takes in how a run is now.
func (b *batch) note(r *apiv1.Run) {
	old, known := b.runs[r.GetId()]
	status := r.GetStatus()
	b.runs[r.GetId()] = status
	f := b.flows[flowKey(r)]
	if f == nil {
		f = &progress{}
		b.flows[flowKey(r)] = f
	}
	if !known {
		f.open++
		b.live[r.GetId()] = true
		b.enter(r)
	}
	if withAgent(old) && known {
		b.with--
	}
	if withAgent(status) {
		b.with++
	}
	if terminal(r) && (!known || old < apiv1.RunStatus_RUN_STATUS_PASSED) {
		f.open--
		delete(b.live, r.GetId())
		f.failed = f.failed || status != apiv1.RunStatus_RUN_STATUS_PASSED
		b.bad = b.bad || status == apiv1.RunStatus_RUN_STATUS_FAILED || status == apiv1.RunStatus_RUN_STATUS_ERRORED
		b.left(r)
	}
}

func (b *batch) gone(id string) { delete(b.live, id) }

// idle: nothing of it is left to run.
func (b *batch) idle() bool { return b.expanded && len(b.live) == 0 }

func (b *batch) ordered() bool {
	return b.source.GetDelay().AsDuration() > 0 || b.source.GetKeepVariables()
}

func laneKey(r *apiv1.Run) string {
	return fmt.Sprintf("%s#%d", r.GetSpec().GetFile(), r.GetSpec().GetIndex())
}

func (b *batch) enter(r *apiv1.Run) {
	if !b.ordered() {
		return
	}
	k := b.lanes[laneKey(r)]
	if k == nil {
		k = &lane{order: map[int32]*apiv1.Run{}}
		b.lanes[laneKey(r)] = k
	}
	k.order[r.GetNumber()] = r
}

func (b *batch) left(r *apiv1.Run) {
	k := b.lanes[laneKey(r)]
	if k == nil {
		return
	}
	delete(k.order, r.GetNumber())
	k.ended = r.GetFinished().AsTime()
	if at := latest(r); at != nil {
		k.agent = at.GetAgentId()
	}
}

// first says whether a run is the next of its lane, and whose it is then.
func (b *batch) first(r *apiv1.Run, now time.Time) (next bool, agent, why string) {
	k := b.lanes[laneKey(r)]
	if k == nil {
		return true, "", ""
	}
	for number := range k.order {
		if number < r.GetNumber() {
			return false, "", "the row before it has not ended"
		}
	}
	if wait := k.ended.Add(b.source.GetDelay().AsDuration()).Sub(now); !k.ended.IsZero() && wait > 0 {
		return false, "", "the delay between rows"
	}
	if b.source.GetKeepVariables() {
		agent = k.agent
	}
	return true, agent, ""
}

// before says what must end before a run may begin; hopeless: it never may.
func (b *batch) before(r *apiv1.Run) (waits, hopeless string) {
	if b.source.GetStopOnFailure() && b.bad {
		return "", "fail_fast"
	}
	for _, name := range r.GetSpec().GetAfter() {
		f := b.flows[name]
		switch {
		case f == nil && !b.expanded, f != nil && (f.open > 0 || !b.expanded):
			waits = "after " + name
		case f == nil:
			return "", "after " + name + ", which is not in this batch"
		case f.failed:
			return "", "after " + name + ", which did not pass"
		}
	}
	if limit := int(b.source.GetParallelism()); waits == "" && limit > 0 && b.with >= limit {
		waits = fmt.Sprintf("%d runs of its batch are with agents, as many as may", b.with)
	}
	return waits, ""
}
