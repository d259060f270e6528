package controlplane

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	"github.com/testmesh/testmesh/sdk/fault"
)

var (
	seeds = flag.Int("seeds", 40, "how many histories the simulation tries")
	seed  = flag.Uint64("seed", 0, "the first history that the simulation tries; 0: it is 1, so that the same are tried each time")
	off   = flag.String("off", "", "a protection that is turned off in the simulation, where it is built with the tag fault")
)

// TestSimulation runs three nodes and five agents through histories that a seed makes:
// nodes are cut off and crash, agents die and stand still, runs are cancelled. The state, the
// dispatcher and raft are the real ones; time is virtual, the network and the agents
// are not there. A history that breaks a promise is named by its seed, and -seed tries
// it again: which goroutine goes first is Go's choice, so it may take a few tries.
func TestSimulation(t *testing.T) {
	first := max(*seed, 1)
	list := make([]uint64, *seeds)
	for i := range list {
		list[i] = first + uint64(i)
	}
	faults, err := fault.Parse(*off, fault.Config{})
	if err != nil || *off != "" && !fault.Built {
		t.Fatalf("turn %q off: %v; wants a build with the tag fault: %v", *off, err, fault.Built)
	}
	began := time.Now()
	var mu sync.Mutex
	var total tally
	var virtual time.Duration
	var broken []uint64
	t.Run("histories", func(t *testing.T) {
		for _, one := range list {
			t.Run(fmt.Sprintf("seed=%d", one), func(t *testing.T) {
				t.Parallel() // each in a time of its own
				mu.Lock()
				enough := len(broken) > 0
				mu.Unlock()
				if enough {
					return // what is wrong is known
				}
				dir := fast(t)
				synctest.Test(t, func(t *testing.T) {
					from := time.Now()
					w := newWorld(t, one, dir, faults)
					err := w.play()
					mu.Lock()
					defer mu.Unlock()
					total.add(w.tally)
					virtual += time.Since(from)
					if err != nil {
						broken = append(broken, one)
						t.Errorf("%v\ntry it again: go test ./controlplane -run TestSimulation -seeds 1 -seed %d", err, one)
					}
				})
			})
		}
	})
	t.Logf("%d histories from seed %d, together %s of virtual time, in %s: %+v", len(list), first, virtual.Round(time.Minute), time.Since(began).Round(time.Millisecond), total)
	if len(list) >= 40 && len(broken) == 0 && (total.Parted == 0 || total.Crashed == 0 || total.Lost == 0 || total.Cancelled == 0 || total.Leaders <= len(list)) {
		t.Errorf("nothing went wrong in any of them: %+v", total)
	}
}

// fast is a folder in memory where there is one: what is asked of the disk is not what
// is tried here.
func fast(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "simulation")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// tally is what happened.
type tally struct{ Runs, Passed, Cancelled, Errored, Lost, Parted, Crashed, Leaders int }

func (a *tally) add(b tally) {
	a.Runs, a.Passed, a.Cancelled, a.Errored, a.Lost = a.Runs+b.Runs, a.Passed+b.Passed, a.Cancelled+b.Cancelled, a.Errored+b.Errored, a.Lost+b.Lost
	a.Parted, a.Crashed, a.Leaders = a.Parted+b.Parted, a.Crashed+b.Crashed, a.Leaders+b.Leaders
}

const (
	simNodes  = 3
	simAgents = 5
	// Things go wrong for shortest to longest, and heal is how long all may take to end
	// afterwards. Most of what is wrong shows in a short history, of which there can be
	// many.
	shortest = 3 * time.Second
	longest  = 18 * time.Second
	heal     = 5 * time.Minute
)

// play is a history: trouble, then peace, then the bill.
func (w *world) play() error {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.begin(ctx)
	trouble := shortest + time.Duration(w.rng.Int64N(int64(longest-shortest)))
	for end := time.Now().Add(trouble); time.Now().Before(end) && w.verdict() == nil; {
		w.rest(ctx, time.Duration(w.rng.Int64N(int64(800*time.Millisecond))))
		w.happen(ctx)
	}
	w.peace(ctx)
	err := w.verdict()
	if err == nil {
		err = w.settle(ctx)
	}
	if err == nil {
		err = w.bill(ctx)
	}
	cancel()
	w.end()
	return errors.Join(w.verdict(), err)
}

// happen makes one thing happen.
func (w *world) happen(ctx context.Context) {
	switch w.rng.IntN(12) {
	case 0, 1:
		n := w.nodes[w.rng.IntN(simNodes)]
		w.part(n)
		w.later(ctx, 5*time.Second, func() { w.join(n) })
	case 2:
		n := w.nodes[w.rng.IntN(simNodes)]
		if n.crash() {
			w.tally.Crashed++
			w.later(ctx, 4*time.Second, func() { n.start(ctx) })
		}
	case 3:
		w.agents[w.rng.IntN(simAgents)].freeze(time.Duration(w.rng.Int64N(int64(9 * time.Second))))
	case 4:
		w.agents[w.rng.IntN(simAgents)].die(time.Duration(w.rng.Int64N(int64(9 * time.Second))))
	case 5:
		w.cancelSome(ctx)
	default:
		w.submit(ctx, 1+w.rng.IntN(3))
	}
}

// settle waits until everything that was acknowledged has ended.
func (w *world) settle(ctx context.Context) (err error) {
	for end := time.Now().Add(heal); time.Now().Before(end); w.rest(ctx, 500*time.Millisecond) {
		if err = w.open(ctx); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s after all was well again: %w", heal, err)
}

// open says what has not ended.
func (w *world) open(ctx context.Context) error {
	n := w.nodes[0]
	for batch, want := range w.acknowledged() {
		runs, err := n.store.RunsOfBatch(ctx, batch)
		if err != nil {
			return err
		}
		if len(runs) != want {
			return fmt.Errorf("batch %s has %d of %d runs", batch, len(runs), want)
		}
		for _, r := range runs {
			if r.GetQuarantined() {
				w.release(ctx, r.GetId())
			}
			if r.GetStatus() < apiv1.RunStatus_RUN_STATUS_PASSED {
				return fmt.Errorf("run %s is %s: %v", r.GetId(), r.GetStatus(), r.GetAttempts())
			}
		}
	}
	return nil
}

// bill compares what was acknowledged, what the nodes have, and what the agents did.
func (w *world) bill(ctx context.Context) error {
	err := errors.New("the nodes were not asked")
	for end := time.Now().Add(heal); err != nil && time.Now().Before(end); {
		w.rest(ctx, time.Second) // the last entries reach everybody
		err = w.equal(ctx)
	}
	errs := []error{err}
	for batch := range w.acknowledged() {
		runs, err := w.nodes[0].store.RunsOfBatch(ctx, batch)
		errs = append(errs, err)
		for _, r := range runs {
			errs = append(errs, w.charge(r))
		}
	}
	return errors.Join(errs...)
}

// equal says whether the nodes are at one entry with one state.
func (w *world) equal(ctx context.Context) error {
	states, entries := map[string]bool{}, map[uint64]bool{}
	var said string
	for _, n := range w.nodes {
		at, hash, err := n.store.Chain(ctx)
		if err != nil {
			return err
		}
		entries[at] = true
		one := fmt.Sprintf("entry %d with the state %x", at, hash)
		states[one], said = true, said+n.id+" is at "+one+"; "
	}
	switch {
	case len(states) > 1 && len(entries) == 1: // nobody is behind: they are different
		return errors.New(said + w.difference(ctx))
	case len(states) > 1:
		return errors.New(said)
	}
	return nil
}

// difference says where nodes that have the same entries differ: in their logs, or in
// what they made of them.
func (w *world) difference(ctx context.Context) string {
	var b strings.Builder
	log := func(n *simNode) (list []string) {
		last, err := n.logs.LastIndex()
		for i := uint64(1); err == nil && i <= last; i++ {
			var l raft.Log
			if err = n.logs.GetLog(i, &l); err == nil {
				list = append(list, fmt.Sprintf("%d of term %d, %s %x", i, l.Term, l.Type, sha256.Sum256(l.Data)))
			}
		}
		return list
	}
	first := log(w.nodes[0])
	for _, n := range w.nodes[1:] {
		other := log(n)
		for i := range min(len(first), len(other)) {
			if first[i] != other[i] {
				fmt.Fprintf(&b, "\n%s has entry %s, %s has %s", w.nodes[0].id, first[i], n.id, other[i])
				break
			}
		}
	}
	for _, table := range []string{"answers", "batches", "runs", "details", "locks", "tokens", "checkpoints", "once", "agents", "sources", "bundles", "bundle_uses", "bundle_times"} {
		rows := map[string]string{}
		for _, n := range w.nodes {
			db, err := sql.Open("sqlite3", "file:"+filepath.Join(w.dir, n.id, "store.db")+"?mode=ro")
			if err != nil {
				return err.Error()
			}
			rows[n.id] = dump(ctx, db, table)
			if err := db.Close(); err != nil {
				return err.Error()
			}
		}
		for _, n := range w.nodes[1:] {
			if rows[n.id] != rows[w.nodes[0].id] {
				fmt.Fprintf(&b, "\n%s of %s:\n%s\n%s of %s:\n%s", table, w.nodes[0].id, rows[w.nodes[0].id], table, n.id, rows[n.id])
			}
		}
	}
	return b.String()
}

// dump is a table as text.
func dump(ctx context.Context, db *sql.DB, table string) string {
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+table)
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	names, err := rows.Columns()
	var list []string
	for err == nil && rows.Next() {
		cells, into := make([]any, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err = rows.Scan(into...); err == nil {
			list = append(list, fmt.Sprintf("%q", cells))
		}
	}
	if err = errors.Join(err, rows.Err()); err != nil {
		return err.Error()
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// charge looks at one run.
func (w *world) charge(r *apiv1.Run) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally.Runs++
	for _, at := range r.GetAttempts() {
		if at.GetOutcome() == "lost" {
			w.tally.Lost++
		}
	}
	accepted := w.finished[r.GetId()]
	switch r.GetStatus() {
	case apiv1.RunStatus_RUN_STATUS_PASSED:
		w.tally.Passed++
	case apiv1.RunStatus_RUN_STATUS_CANCELLED:
		w.tally.Cancelled++
	default:
		w.tally.Errored++
	}
	switch n := w.paid[r.GetId()]; {
	case n > 1:
		return fmt.Errorf("the once step of run %s was executed %d times", r.GetId(), n)
	case r.GetStatus() == apiv1.RunStatus_RUN_STATUS_PASSED && w.pays(r.GetId()) && n != 1:
		return fmt.Errorf("run %s passed, and its once step was executed %d times", r.GetId(), n)
	case r.GetStatus() == apiv1.RunStatus_RUN_STATUS_PASSED && !w.asked[fmt.Sprintf("%s/%d", r.GetId(), len(r.GetAttempts()))]:
		return fmt.Errorf("run %s passed, and its last agent never said so: %v", r.GetId(), r.GetAttempts())
	case accepted != 0 && r.GetStatus() != w.said[r.GetId()]:
		return fmt.Errorf("run %s is %s, and attempt %d was told that %s counts", r.GetId(), r.GetStatus(), accepted, w.said[r.GetId()])
	}
	return nil
}

// later does something within a time.
func (w *world) later(ctx context.Context, within time.Duration, f func()) {
	wait := time.Duration(w.rng.Int64N(int64(within)))
	w.all.Go(func() {
		if w.rest(ctx, wait) {
			f()
		}
	})
}

// rest lets time go by; false: it is over.
func (w *world) rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// split is a source of randomness of one's own.
func (w *world) split() *rand.Rand { return rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64())) }
