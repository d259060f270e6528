package dispatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// of makes a run one of a batch.
func of(batch string, number int, edit func(r *apiv1.Run)) func(r *apiv1.Run) {
	return func(r *apiv1.Run) {
		r.BatchId, r.Number = batch, int32(number)
		if edit != nil {
			edit(r)
		}
	}
}

// one gives the next run to an agent of one slot, and ends it.
func (d *desk) one(agent string) string {
	d.t.Helper()
	run := d.poll(agent, 1)
	if run != "" {
		d.start(run)
		d.end(run, apiv1.RunStatus_RUN_STATUS_PASSED)
	}
	synctest.Wait()
	return run
}

func TestBatchesTakeTurns(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		for n := range 6 {
			d.add(fmt.Sprint("big-", n), of("big", n, nil))
		}
		synctest.Wait()
		got := []string{d.one("a"), d.one("a")}
		<-time.After(time.Second)
		d.add("small-0", of("small", 0, nil))
		d.add("small-1", of("small", 1, nil))
		synctest.Wait()
		for range 6 {
			got = append(got, d.one("a"))
		}
		if want := "big-0 big-1 big-2 small-0 big-3 small-1 big-4 big-5"; strings.Join(got, " ") != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// Runs that need other plugins wait apart: their batches take turns all the same.
func TestBatchesOfOtherKindsTakeTurns(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.plane.mu.Lock()
		d.agents["a"].Facts["plugin.sql"] = "1"
		d.plane.mu.Unlock()
		for n := range 3 {
			d.add(fmt.Sprint("old-", n), of("old", n, nil))
		}
		<-time.After(time.Second)
		for n := range 2 {
			d.add(fmt.Sprint("new-", n), of("new", n, func(r *apiv1.Run) { r.Spec.Plugins = []string{"sql"} }))
		}
		synctest.Wait()
		got := []string{d.one("a"), d.one("a"), d.one("a"), d.one("a"), d.one("a")}
		if want := "old-0 new-0 old-1 new-1 old-2"; strings.Join(got, " ") != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// A run that comes back, because its agent was lost, does not wait for all that came
// after it.
func TestARunThatComesBackGoesFirst(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		for n := range 3 {
			d.add(fmt.Sprint("r-", n), of("b", n, nil))
		}
		synctest.Wait()
		d.offered("a", 1, "r-0")
		d.change("r-0", func(r *apiv1.Run) {
			latest(r).Outcome = "lost"
			r.Status = apiv1.RunStatus_RUN_STATUS_QUEUED
		})
		synctest.Wait()
		d.offered("a", 1, "r-0")
		// One whose priority is changed keeps nothing of its turn.
		d.change("r-2", func(r *apiv1.Run) { r.Priority = 3 })
		synctest.Wait()
		d.offered("a", 2, "r-2 r-1")
	})
}

// waits runs a queue in virtual time: each second the agents' slots take what is next,
// and comes adds what is new. It gives how long each run has waited.
func (d *desk) waits(seconds, slots int, comes func(second int)) map[string]time.Duration {
	d.t.Helper()
	waited := map[string]time.Duration{}
	for second := range seconds {
		comes(second)
		synctest.Wait()
		taken := strings.Fields(d.poll("a", slots))
		for _, run := range taken {
			waited[run] = time.Since(d.run(run).GetCreated().AsTime())
			d.start(run)
		}
		synctest.Wait()
		<-time.After(time.Second)
		for _, run := range taken {
			d.end(run, apiv1.RunStatus_RUN_STATUS_PASSED)
		}
		synctest.Wait()
	}
	return waited
}

// R21 of the reference: one floods the queue, another queues a run each second, and
// something urgent comes now and then.
func TestAFloodDoesNotHoldUpOthers(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		for n := range 1000 {
			d.add(fmt.Sprint("flood-", n), of("flood", n, nil))
		}
		waited := d.waits(100, 4, func(second int) {
			d.add(fmt.Sprint("steady-", second), of(fmt.Sprint("steady-", second), 0, nil))
			if second%10 == 5 {
				d.add(fmt.Sprint("urgent-", second), of(fmt.Sprint("urgent-", second), 0, func(r *apiv1.Run) { r.Priority = 3 }))
			}
		})
		kinds := map[string][]time.Duration{}
		for run, length := range waited {
			kind, _, _ := strings.Cut(run, "-")
			kinds[kind] = append(kinds[kind], length)
		}
		for kind, want := range map[string]struct {
			runs int
			most time.Duration
		}{"steady": {98, 2 * time.Second}, "urgent": {10, 0}, "flood": {280, 100 * time.Second}} {
			got := kinds[kind]
			if most := slices.Max(append(got, 0)); len(got) < want.runs || most > want.most {
				t.Errorf("%s: %d runs were given to agents, and one waited %s; want %d, and at most %s", kind, len(got), most, want.runs, want.most)
			}
		}
	})
}

// However many urgent runs come, the lowest priority waits five minutes at most.
func TestNothingWaitsForEver(t *testing.T) {
	leads(t, func(t *testing.T, d *desk) {
		d.agent("a", nil)
		d.add("low", of("low", 0, func(r *apiv1.Run) { r.Priority = 0 }))
		waited := d.waits(310, 1, func(second int) {
			for n := range 2 { // twice as many as there is room for
				name := fmt.Sprintf("high-%d-%d", second, n)
				d.add(name, of(name, 0, func(r *apiv1.Run) { r.Priority, r.Created = 3, timestamppb.Now() }))
			}
		})
		if length, ok := waited["low"]; !ok || length > 5*time.Minute {
			t.Errorf("it waited %s (%v)", length, ok)
		}
	})
}
