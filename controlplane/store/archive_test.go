package store

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// passed gives runs their end.
func (w *world) passed(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		at := w.grant(id, "a", false)
		w.start(id, at)
		if f := w.finish(id, at, apiv1.RunStatus_RUN_STATUS_PASSED).GetFault(); f != nil {
			w.t.Fatal(f)
		}
	}
}

func (w *world) archive(key string, ids ...string) *clusterv1.Answer {
	w.t.Helper()
	return w.apply(&clusterv1.Command{Body: &clusterv1.Command_ArchiveRuns{ArchiveRuns: &clusterv1.ArchiveRuns{
		Key: key, Sha256: []byte("sum"), Size: 9, Day: "2026-01-02", RunIds: ids,
	}}})
}

func ids(runs []*apiv1.Run) (list []string) {
	for _, r := range runs {
		list = append(list, r.GetId())
	}
	return list
}

func TestRunsThatHaveEndedMoveOutOfTheState(t *testing.T) {
	w := newWorld(t)
	w.batch(3, nil)
	w.agent("a")
	w.passed("run-1", "run-2")
	if runs, err := w.s.Movable(t.Context(), "default", 10, 1<<20); len(runs) != 0 || err != nil {
		t.Errorf("while their batch goes on, movable are %v, %v", ids(runs), err)
	}
	if f := w.archive("days/default/2026-01-02/x", "run-1").GetFault(); f.GetReason() != "not_ended" {
		t.Errorf("while its batch goes on: %v", f)
	}
	w.passed("run-3")
	runs, err := w.s.Movable(t.Context(), "default", 2, 1<<20)
	if err != nil || !slices.Equal(ids(runs), []string{"run-1", "run-2"}) {
		t.Fatalf("movable are %v, %v", ids(runs), err)
	}
	if one, err := w.s.Movable(t.Context(), "default", 2, 1); len(one) != 1 || err != nil {
		t.Errorf("of few bytes movable are %v, %v", ids(one), err)
	}
	if a := w.archive("days/default/2026-01-02/x", ids(runs)...); a.GetFault() != nil || a.GetChanged() != 2 {
		t.Fatalf("got %v", a)
	}
	if has, err := w.s.HasRun(t.Context(), "run-1"); has || err != nil {
		t.Errorf("it is in the state still: %v, %v", has, err)
	}
	for _, id := range []string{"run-1", "run-2"} {
		got, err := w.s.ArchivesOf(t.Context(), id)
		if err != nil || len(got) != 1 || got[0].GetKey() != "days/default/2026-01-02/x" || got[0].GetRuns() != 2 {
			t.Errorf("%s is in %v, %v", id, got, err)
		}
	}
	if got, err := w.s.ArchivesOf(t.Context(), "run-3"); len(got) != 0 || err != nil {
		t.Errorf("run-3 is in %v, %v", got, err)
	}
	if n, err := w.s.Ended(t.Context(), "default"); n != 1 || err != nil {
		t.Errorf("%d have ended, %v", n, err)
	}
	if a := w.archive("days/default/2026-01-02/x", "run-1", "run-2"); a.GetFault() != nil {
		t.Errorf("a second time: %v", a)
	}
	for name, list := range map[string][]string{"gone": {"run-3", "run-1"}, "unknown": {"run-9"}, "none": nil} {
		if f := w.archive("days/default/2026-01-02/"+name, list...).GetFault(); f == nil {
			t.Errorf("%s: it was archived", name)
		}
	}
	if has, err := w.s.HasRun(t.Context(), "run-3"); !has || err != nil {
		t.Errorf("a refusal has taken something out: %v, %v", has, err)
	}
}

func TestArchivesByTheTimeOfTheirRuns(t *testing.T) {
	w := newWorld(t)
	w.batch(1, nil)
	w.agent("a")
	w.passed("run-1")
	w.archive("days/default/2026-01-02/x", "run-1")
	made := w.clock
	for name, test := range map[string]struct {
		from, to time.Time
		want     int
	}{
		"any":    {want: 1},
		"around": {made.Add(-time.Hour), made.Add(time.Hour), 1},
		"then":   {made, made, 1},
		"before": {to: made.Add(-time.Second)},
		"after":  {from: made.Add(time.Second)},
	} {
		got, err := w.s.Archives(t.Context(), "default", test.from, test.to)
		if err != nil || len(got) != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if got, err := w.s.Archives(t.Context(), "another", time.Time{}, time.Time{}); len(got) != 0 || err != nil {
		t.Errorf("of another workspace: %v, %v", got, err)
	}
}

func TestWhatIsOldAndNamedByNothingIsPruned(t *testing.T) {
	w := newWorld(t)
	w.batch(1, nil)
	w.agent("a")
	w.passed("run-1")
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: "b1", Files: []*apiv1.BundleFile{{Path: "p", Sha256: "f1"}}}}})
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: "b2", Files: []*apiv1.BundleFile{{Path: "p", Sha256: "f2"}}}}})
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PushFlows{PushFlows: &clusterv1.PushFlows{Bundle: "b2", Pushed: []*clusterv1.PushedFlow{{Flow: &apiv1.Flow{File: "p"}}}}}})
	prune := func(before time.Time) {
		t.Helper()
		at := timestamppb.New(before)
		w.must(&clusterv1.Command{Body: &clusterv1.Command_Prune{Prune: &clusterv1.Prune{AnswersBefore: at, ArchivesBefore: at, BatchesBefore: at, BundlesBefore: at}}})
	}
	left := func() string {
		t.Helper()
		var list []string
		for _, digest := range []string{bundle, "b1", "b2"} {
			if _, err := w.s.Bundle(t.Context(), digest); err == nil {
				list = append(list, digest)
			}
		}
		if _, err := w.s.Batch(t.Context(), "batch"); err == nil {
			list = append(list, "batch")
		}
		if got, err := w.s.Archives(t.Context(), "default", time.Time{}, time.Time{}); err == nil && len(got) > 0 {
			list = append(list, "archive")
		}
		return strings.Join(list, " ")
	}
	prune(w.clock)
	if got := left(); got != bundle+" b1 b2 batch" {
		t.Errorf("what is young: left is %s", got)
	}
	w.clock = w.clock.Add(time.Hour)
	prune(w.clock)
	if got := left(); got != bundle+" b2 batch" {
		t.Errorf("a bundle that nothing names: left is %s", got)
	}
	w.archive("days/default/2026-01-02/x", "run-1")
	prune(w.clock)
	if got := left(); got != "b2" {
		t.Errorf("an archive, its batch and that one's bundle: left is %s", got)
	}
	files := 0
	if err := w.s.Files(t.Context(), func(sum string) { files++ }); err != nil || files != 1 {
		t.Errorf("%d files are named, %v", files, err)
	}
	if size, err := w.s.Size(); size <= 0 || err != nil {
		t.Errorf("the state has %d bytes, %v", size, err)
	}
}

func TestAStateOfTheFirstFormatIsMigrated(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite3", filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	source, err := proto.Marshal(&apiv1.Source{Bundle: bundle})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), schemaOf(1)+"PRAGMA user_version = 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO sources (batch, source) VALUES ('batch', ?)", source); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO bundles (digest, files) VALUES (?, x'')", bundle); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{
			"uses of the bundle":  "SELECT count(*) FROM bundle_uses WHERE bundle = ? AND batch = 'batch'",
			"times of the bundle": "SELECT count(*) FROM bundle_times WHERE digest = ?",
		} {
			var n int
			if err := s.scalar(t.Context(), &n, text, bundle); err != nil || n != 1 {
				t.Errorf("%d %s, %v", n, what, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
