package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/blob"
)

// old is a node with runs that ended long ago.
type old struct {
	*Node
	t     *testing.T
	dir   string
	clock time.Time
}

func newOld(t *testing.T) *old {
	t.Helper()
	l := listen(t, "")
	dir := t.TempDir()
	n, err := New(Config{Dir: dir, Listener: l, AdminKey: "key", Version: "test", Logger: slog.New(slog.DiscardHandler), Exit: func(why string) { t.Errorf("the node ended: %s", why) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	until(t, "the lead", func() error { return n.cluster.Read(t.Context()) })
	return &old{Node: n, t: t, dir: dir, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
}

func (o *old) must(body *clusterv1.Command) *clusterv1.Answer {
	o.t.Helper()
	body.Version, body.Workspace, body.Actor, body.Time = 1, "default", "admin", timestamppb.New(o.clock)
	a, err := o.cluster.Propose(o.t.Context(), body)
	if err != nil || a.GetFault() != nil {
		o.t.Fatal(a, err)
	}
	return a
}

// batch makes a batch of some runs, all of which have ended, and gives their ids. The
// node expands batches too, and finds no flow in this one: where it was faster, another
// is made.
func (o *old) batch(runs int, bundle string) (id string, ids []string) {
	o.t.Helper()
	for len(ids) == 0 {
		id, ids = o.tryBatch(runs, bundle)
	}
	return id, ids
}

func (o *old) tryBatch(runs int, bundle string) (id string, ids []string) {
	o.t.Helper()
	id = newID()
	o.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: bundle, Files: []*apiv1.BundleFile{{Path: "f", Sha256: strings.Repeat(bundle[:1], 64)}}}}})
	o.must(&clusterv1.Command{Body: &clusterv1.Command_CreateBatch{CreateBatch: &clusterv1.CreateBatch{Id: id, Source: &apiv1.Source{Bundle: bundle}}}})
	e, end := &clusterv1.ExpandBatch{BatchId: id, First: 1, Done: true}, &clusterv1.EndRuns{}
	for i := range runs {
		one := newID()
		ids = append(ids, one)
		e.Runs = append(e.Runs, &clusterv1.NewRun{Id: one, Spec: &apiv1.Spec{Bundle: bundle, Flow: fmt.Sprintf("flow-%d", i%3), Environment: []string{"staging", "qa"}[i%2], Tags: []string{fmt.Sprintf("t%d", i%4)}}})
		status := apiv1.RunStatus_RUN_STATUS_SKIPPED
		if i%5 == 0 {
			status = apiv1.RunStatus_RUN_STATUS_CANCELLED
		}
		end.Runs = append(end.Runs, &clusterv1.EndRun{RunId: one, Status: status, Reason: "because"})
	}
	if made := o.must(&clusterv1.Command{Body: &clusterv1.Command_ExpandBatch{ExpandBatch: e}}); int(made.GetBatch().GetRuns()) != runs {
		return id, nil
	}
	o.must(&clusterv1.Command{Body: &clusterv1.Command_EndRuns{EndRuns: end}})
	return id, ids
}

// days makes some batches on each of some days, and gives all ids, the oldest first.
func (o *old) days(days, batches, runs int) (batchIDs, ids []string) {
	o.t.Helper()
	for range days {
		for range batches {
			b, list := o.batch(runs, "b0")
			batchIDs, ids = append(batchIDs, b), append(ids, list...)
			o.clock = o.clock.Add(17 * time.Minute)
		}
		o.clock = o.clock.Add(24 * time.Hour).Truncate(24 * time.Hour).Add(9 * time.Hour)
	}
	return batchIDs, ids
}

// list reads a whole list, page by page.
func (o *old) list(q api.RunQuery) (all []*apiv1.Run) {
	o.t.Helper()
	q.Workspace = "default"
	for range 1000 {
		part, end, more, err := runs{o.Node}.Runs(o.t.Context(), q)
		if err != nil {
			o.t.Fatal(err)
		}
		if len(part) > q.Limit {
			o.t.Fatalf("a page of %d has %d runs", q.Limit, len(part))
		}
		all = append(all, part...)
		if !more {
			return all
		}
		q.Before = end
	}
	o.t.Fatal("the list has no end")
	return nil
}

func (o *old) moveAll(keep Retention) (files int) {
	o.t.Helper()
	for {
		moved, err := o.move(o.t.Context(), keep.filled(), o.clock)
		if err != nil {
			o.t.Fatal(err)
		}
		if !moved {
			return files
		}
		files++
	}
}

func same(t *testing.T, what string, want, got []*apiv1.Run) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d runs, and %d before", what, len(got), len(want))
		return
	}
	for i := range want {
		if !proto.Equal(want[i], got[i]) {
			t.Errorf("%s: at %d is run %s, and %s was before", what, i, got[i].GetId(), want[i].GetId())
			return
		}
	}
}

func TestWhatMovesOutOfTheStateIsReadAsBefore(t *testing.T) {
	t.Parallel()
	o := newOld(t)
	batches, ids := o.days(4, 5, 12)
	middle := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	queries := map[string]api.RunQuery{
		"all":         {Limit: 1000},
		"pages":       {Limit: 7},
		"of one":      {Limit: 1},
		"status":      {Limit: 7, Status: []apiv1.RunStatus{apiv1.RunStatus_RUN_STATUS_CANCELLED}},
		"flow":        {Limit: 7, Flow: "flow-1"},
		"environment": {Limit: 7, Environment: "qa"},
		"tags":        {Limit: 7, Tags: func(tags []string) bool { return slices.Contains(tags, "t3") }},
		"batch":       {Limit: 5, Batch: batches[3]},
		"since":       {Limit: 7, Since: middle},
		"until":       {Limit: 7, Until: middle},
		"both":        {Limit: 7, Since: middle.Add(-time.Hour), Until: middle},
		"nothing":     {Limit: 7, Flow: "none"},
	}
	before := map[string][]*apiv1.Run{}
	for name, q := range queries {
		before[name] = o.list(q)
	}
	if len(before["pages"]) != len(ids) {
		t.Fatalf("there are %d runs of %d", len(before["pages"]), len(ids))
	}
	var each [][]*apiv1.Run
	for _, b := range batches {
		list, err := runs{o.Node}.RunsOfBatch(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		each = append(each, list)
	}
	for _, hot := range []int{180, 110, 30} {
		files := o.moveAll(Retention{HotRuns: hot})
		inState, err := o.store.Ended(t.Context(), "default")
		if err != nil || files == 0 || inState > hot+60 || inState == len(ids) {
			t.Fatalf("%d files, %d runs in the state, %v", files, inState, err)
		}
		for name, q := range queries {
			same(t, fmt.Sprint(name, " with ", hot), before[name], o.list(q))
		}
		for i, b := range batches {
			list, err := runs{o.Node}.RunsOfBatch(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "batch", each[i], list)
		}
	}
	for _, id := range ids {
		r, err := runs{o.Node}.Run(t.Context(), id)
		if err != nil || r.GetId() != id || r.GetReason() != "because" {
			t.Fatalf("run %s: %v, %v", id, r, err)
		}
	}
	if _, err := (runs{o.Node}).Run(t.Context(), newID()); err == nil {
		t.Error("a run that never was is there")
	}
}

// stumbling is a blob store that fails at a moment.
type stumbling struct {
	blobStore
	before, after error
}

func (f stumbling) Put(ctx context.Context, key string, r io.Reader) error {
	if f.before != nil {
		return f.before
	}
	return errors.Join(f.blobStore.Put(ctx, key, r), f.after)
}

func TestAMoveThatIsCutLosesNothing(t *testing.T) {
	t.Parallel()
	o := newOld(t)
	_, ids := o.days(2, 2, 10)
	want := o.list(api.RunQuery{Limit: 100})
	whole := o.blobs
	for name, f := range map[string]stumbling{
		"before the file": {whole, errors.New("the bucket is away"), nil},
		"after the file":  {whole, nil, errors.New("the answer was lost")},
	} {
		o.blobs = f
		if moved, err := o.move(t.Context(), Retention{HotRuns: 1}.filled(), o.clock); moved || err == nil {
			t.Errorf("%s: it moved %v, %v", name, moved, err)
		}
		same(t, name, want, o.list(api.RunQuery{Limit: 100}))
	}
	// The node ends between the file and the command: as the leader that proposes it does.
	o.blobs = whole
	gone, cancel := context.WithCancel(t.Context())
	o.blobs = stumbling{whole, nil, nil}
	cancel()
	if moved, err := o.move(gone, Retention{HotRuns: 1}.filled(), o.clock); moved || err == nil {
		t.Errorf("cut: it moved %v, %v", moved, err)
	}
	same(t, "cut", want, o.list(api.RunQuery{Limit: 100}))
	o.blobs = whole
	if files := o.moveAll(Retention{HotRuns: 1}); files != 1 { // of the other day one more would have to stay
		t.Errorf("it moved to %d files", files)
	}
	same(t, "moved", want, o.list(api.RunQuery{Limit: 100}))
	if n, err := o.store.Ended(t.Context(), "default"); n != 20 || err != nil {
		t.Errorf("%d of %d are in the state, %v", n, len(ids), err)
	}
}

func TestAFileThatIsDamagedIsAnErrorAndNotAnEmptyList(t *testing.T) {
	t.Parallel()
	o := newOld(t)
	o.days(2, 1, 5)
	o.moveAll(Retention{HotRuns: 1})
	keys, err := o.own.List(t.Context(), "days/")
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if err := o.own.Put(t.Context(), keys[0], strings.NewReader("other")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := (runs{o.Node}).Runs(t.Context(), api.RunQuery{Workspace: "default", Limit: 10}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

// age makes every blob of a node as old as a time.
func (o *old) age(at time.Time) {
	o.t.Helper()
	err := filepath.WalkDir(filepath.Join(o.dir, "blobs"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *old) put(key string) {
	o.t.Helper()
	if err := o.own.Put(o.t.Context(), key, strings.NewReader("x")); err != nil {
		o.t.Fatal(err)
	}
}

func (o *old) keys() (keys []string) {
	o.t.Helper()
	for _, prefix := range []string{"days/", "files/", "streams/"} {
		err := o.own.Walk(o.t.Context(), prefix, func(i blob.Info) error { keys = append(keys, i.Key); return nil })
		if err != nil {
			o.t.Fatal(err)
		}
	}
	slices.Sort(keys)
	return keys
}

func TestWhatIsTooOldGoesWithAllThatItHad(t *testing.T) {
	t.Parallel()
	o := newOld(t)
	began := o.clock
	oldBatch, oldRuns := o.batch(3, "a0")
	o.clock = began.Add(60 * 24 * time.Hour)
	youngBatch, youngRuns := o.batch(3, "c0")
	named, unnamed := "files/cc/"+strings.Repeat("c", 64), "files/aa/"+strings.Repeat("a", 64)
	for _, key := range []string{"streams/" + oldRuns[0] + "/1/0-1.zst", "streams/" + youngRuns[0] + "/1/0-1.zst", named, unnamed, "days/default/2026-03-01/orphan.zst"} {
		o.put(key)
	}
	o.age(began)
	keep := Retention{Days: 30}.filled()
	if err := o.retainOnce(t.Context(), keep, o.clock); err != nil {
		t.Fatal(err)
	}
	if err := o.retainOnce(t.Context(), keep, o.clock); err != nil {
		t.Fatal(err)
	}
	if _, err := (runs{o.Node}).Run(t.Context(), oldRuns[0]); err == nil {
		t.Error("an old run is there still")
	}
	if _, err := o.store.Batch(t.Context(), oldBatch); err == nil {
		t.Error("an old batch is there still")
	}
	if _, err := o.store.Batch(t.Context(), youngBatch); err != nil {
		t.Errorf("a young batch is gone: %v", err)
	}
	if _, err := o.sweep(t.Context(), keep, o.clock); err != nil {
		t.Fatal(err)
	}
	got := o.keys()
	want := []string{named, "streams/" + youngRuns[0] + "/1/0-1.zst"}
	got = slices.DeleteFunc(got, func(k string) bool { return strings.HasPrefix(k, "days/") && !strings.Contains(k, "orphan") })
	if !slices.Equal(got, want) {
		t.Errorf("left are %v", got)
	}
}

func TestWhatIsKeptForEverStays(t *testing.T) {
	t.Parallel()
	o := newOld(t)
	o.batch(3, "a0")
	o.put("streams/gone/1/0-1.zst")
	o.put("files/ff/" + strings.Repeat("f", 64))
	o.put("days/default/2026-03-01/orphan.zst")
	o.age(o.clock)
	now := o.clock.Add(1000 * 24 * time.Hour)
	if err := o.retainOnce(t.Context(), Retention{}.filled(), now); err != nil {
		t.Fatal(err)
	}
	removed, err := o.sweep(t.Context(), Retention{}.filled(), now)
	if err != nil || removed != 1 || len(o.keys()) != 2 {
		t.Errorf("%d were removed, left are %v, %v", removed, o.keys(), err)
	}
	if n, err := o.store.Ended(t.Context(), "default"); n != 3 || err != nil {
		t.Errorf("%d runs are there, %v", n, err)
	}
}

func TestAContentThatIsAskedForBecomesYoung(t *testing.T) {
	t.Parallel()
	o := newOld(t)
	key := "files/ff/" + strings.Repeat("f", 64)
	o.put(key)
	long := time.Now().Add(-100 * 24 * time.Hour)
	o.age(long)
	f := newFresh(o.own)
	if _, ok, err := f.Has(t.Context(), "files/aa/"+strings.Repeat("a", 64)); ok || err != nil {
		t.Errorf("what is not there: %v, %v", ok, err)
	}
	if _, ok, err := f.Has(t.Context(), key); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if removed, err := o.sweep(t.Context(), Retention{Days: 1}.filled(), time.Now()); removed != 0 || err != nil {
		t.Errorf("%d were removed, %v", removed, err)
	}
	o.age(long)
	if _, _, err := f.Has(t.Context(), key); err != nil { // not touched again so soon
		t.Fatal(err)
	}
	if removed, err := o.sweep(t.Context(), Retention{Days: 1}.filled(), time.Now()); removed != 1 || err != nil {
		t.Errorf("%d were removed, %v", removed, err)
	}
}
