package dispatch

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// made is a batch of runs of a flow each, as a change brings it.
func made(id string, source *apiv1.Source, runs ...*apiv1.Run) Made {
	for i, r := range runs {
		r.BatchId, r.Workspace, r.Number, r.Priority, r.Status, r.Created = id, "w", int32(i+1), 2, apiv1.RunStatus_RUN_STATUS_QUEUED, timestamppb.Now()
		r.Id = id + "/" + r.GetSpec().GetFlow()
	}
	return Made{&apiv1.Batch{Id: id, Source: source, Expanded: true, Runs: int32(len(runs))}, runs}
}

// stored puts it into the state too, and tells of it.
func (d *desk) stored(m Made) {
	d.plane.mu.Lock()
	d.batches[m.Batch.GetId()] = proto.CloneOf(m.Batch)
	c := Change{Batches: []string{m.Batch.GetId()}, Made: []Made{m}}
	for _, r := range m.Runs {
		d.runs[r.GetId()] = proto.CloneOf(r)
		c.Runs = append(c.Runs, r.GetId())
	}
	d.plane.mu.Unlock()
	d.changes <- c
}

func flow(name string, after ...string) *apiv1.Run {
	return &apiv1.Run{Spec: &apiv1.Spec{Flow: name, After: after}}
}

// unread is a state that nobody may read runs and batches of.
type unread struct {
	State
	t *testing.T
}

func (u unread) Run(ctx context.Context, id string) (*apiv1.Run, error) {
	u.t.Errorf("run %s was read", id)
	return u.State.Run(ctx, id)
}

func (u unread) Batch(ctx context.Context, id string) (*apiv1.Batch, error) {
	u.t.Errorf("batch %s was read", id)
	return u.State.Batch(ctx, id)
}

func (u unread) RunsOfBatch(ctx context.Context, id string) ([]*apiv1.Run, error) {
	u.t.Errorf("the runs of batch %s were read", id)
	return u.State.RunsOfBatch(ctx, id)
}

// What a change brings along is queued by it alone.
func TestABatchThatIsMadeWholeIsNotRead(t *testing.T) {
	p := newPlane()
	l := newLead(Config{State: unread{p, t}}, 1)
	m := made("b", &apiv1.Source{}, flow("one"), flow("two", "one"))
	if err := l.changed(t.Context(), Change{Runs: []string{"b/one", "b/two"}, Batches: []string{"b"}, Made: []Made{m}}); err != nil {
		t.Fatal(err)
	}
	if len(l.queue.items) != 2 || len(l.batches) != 1 || len(l.expand) != 0 {
		t.Errorf("got %d runs of %d batches in the queue, and %v to be expanded", len(l.queue.items), len(l.batches), l.expand)
	}
}

// It is the same as what is read: given to agents in order, what comes after a flow that
// failed is skipped, and what stops on a failure stops.
func TestABatchThatIsMadeWholeRuns(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.stored(made("b", &apiv1.Source{}, flow("first"), flow("second", "first"), flow("third")))
		d.stored(made("c", &apiv1.Source{StopOnFailure: true, Parallelism: 1}, flow("one"), flow("two")))
		synctest.Wait()
		d.offered("a", 4, "b/first c/one b/third") // batches take turns
		for _, id := range []string{"b/first", "c/one"} {
			d.start(id)
			d.end(id, apiv1.RunStatus_RUN_STATUS_FAILED)
		}
		synctest.Wait()
		for id, reason := range map[string]string{"b/second": "after first, which did not pass", "c/two": "fail_fast"} {
			if r := d.run(id); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_SKIPPED || r.GetReason() != reason {
				t.Errorf("%s is %s (%s), want it skipped (%s)", id, r.GetStatus(), r.GetReason(), reason)
			}
		}
		d.offered("a", 4, "")
	})
}

// A change that comes late, of what has gone on meanwhile, takes nothing back.
func TestALateChangeIsNotNews(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		m := made("b", &apiv1.Source{}, flow("one"))
		d.stored(m)
		synctest.Wait()
		d.offered("a", 1, "b/one")
		d.start("b/one")
		synctest.Wait()
		d.changes <- Change{Runs: []string{"b/one"}, Batches: []string{"b"}, Made: []Made{m}}
		synctest.Wait()
		d.offered("a", 1, "")
		d.end("b/one", apiv1.RunStatus_RUN_STATUS_PASSED)
		synctest.Wait()
		// Read anew at the end of it, a leader hears of all once more.
		d.changes <- Change{Runs: []string{"b/one"}, Batches: []string{"b"}, Made: []Made{m}}
		d.changes <- Change{Runs: []string{"b/one"}, Batches: []string{"b"}}
		synctest.Wait()
		d.offered("a", 1, "")
	})
}
