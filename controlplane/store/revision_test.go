package store

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// pushed is a flow with the file that it is in.
func pushed(file, digest string) *clusterv1.PushedFlow {
	return &clusterv1.PushedFlow{Flow: &apiv1.Flow{File: file, Name: file, Digest: digest, Size: 3}, Files: []*apiv1.BundleFile{{Path: file, Sha256: digest, Size: 3}}}
}

func (w *world) push(flows ...*clusterv1.PushedFlow) *clusterv1.Answer {
	w.t.Helper()
	return w.must(&clusterv1.Command{Body: &clusterv1.Command_PushFlows{PushFlows: &clusterv1.PushFlows{Bundle: bundle, Force: true, Pushed: flows}}})
}

func (w *world) bundled() {
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: bundle}}})
}

// kept are the revisions of a flow, as revision and digest.
func (w *world) kept(file string) (list []string) {
	w.t.Helper()
	all, err := w.s.Revisions(w.t.Context(), "default", file, 0, 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, p := range all {
		list = append(list, fmt.Sprintf("%d %s", p.GetFlow().GetRevision(), p.GetFlow().GetDigest()))
	}
	return list
}

func TestAPushKeepsWhatItReplaces(t *testing.T) {
	w := newWorld(t)
	w.bundled()
	w.push(pushed("a", "a1"), pushed("b", "b1"))
	if a := w.push(pushed("a", "a2"), pushed("b", "b1")); a.GetChanged() != 1 || a.GetAdded() != 0 || a.GetRevision() != 2 {
		t.Errorf("got %v", a)
	}
	w.push(pushed("b", "b1"))
	w.push(pushed("a", "a1"), pushed("b", "b1"))
	if got, want := w.kept("a"), []string{"4 a1", "2 a2", "1 a1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := w.kept("b"), []string{"1 b1"}; !slices.Equal(got, want) {
		t.Errorf("a flow that no push has changed: got %q, want %q", got, want)
	}
	p, err := w.s.Revisions(t.Context(), "default", "a", 0, 4, 1)
	if err != nil || len(p) != 1 || p[0].GetFlow().GetRevision() != 2 || p[0].GetFlow().GetActor() != "admin" || !p[0].GetFlow().GetUpdated().AsTime().Equal(w.clock) || p[0].GetFiles()[0].GetSha256() != "a2" {
		t.Errorf("before revision 4: got %v, %v", p, err)
	}
	named := map[string]bool{}
	if err := w.s.Files(t.Context(), func(sum string) { named[sum] = true }); err != nil || !named["a1"] || !named["a2"] || !named["b1"] {
		t.Errorf("files that revisions have: %v, %v", named, err)
	}
}

func TestRevisionsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.bundled()
	for i := range maxRevisions + 5 {
		w.push(pushed("a", fmt.Sprint("d", i)))
	}
	got := w.kept("a")
	if len(got) != maxRevisions || got[0] != fmt.Sprintf("%d d%d", maxRevisions+5, maxRevisions+4) || got[maxRevisions-1] != "6 d5" {
		t.Errorf("%d are kept, from %s to %s", len(got), got[0], got[len(got)-1])
	}
}

// What was pushed before revisions were kept is known by its bundle, which stays.
func TestAFlowOfBeforeRevisionsWereKept(t *testing.T) {
	w := newWorld(t)
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: "old"}}})
	w.bundled()
	w.index++
	c := w.command(&clusterv1.Command{Body: &clusterv1.Command_PushFlows{PushFlows: &clusterv1.PushFlows{Bundle: "old", Force: true, Flows: []*apiv1.Flow{{File: "a", Name: "a"}}}}})
	c.Version = 1
	if a := w.s.Apply([]Entry{{Index: w.index, Term: 1, Command: c}})[0]; a.GetFault() != nil || a.GetAdded() != 1 {
		t.Fatalf("a push of before: %v", a)
	}
	if got := w.kept("a"); got != nil {
		t.Errorf("it keeps %q", got)
	}
	if a := w.push(pushed("a", "a1")); a.GetChanged() != 1 {
		t.Errorf("got %v", a)
	}
	if got, want := w.kept("a"), []string{"2 a1", "1 "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	w.clock = w.clock.Add(time.Hour)
	w.must(&clusterv1.Command{Body: &clusterv1.Command_Prune{Prune: &clusterv1.Prune{BundlesBefore: timestamppb.New(w.clock)}}})
	if _, err := w.s.Bundle(t.Context(), "old"); err != nil {
		t.Errorf("the bundle of its first revision: %v", err)
	}
}

func TestRevisionsOfFlowsThatAreGone(t *testing.T) {
	w := newWorld(t)
	w.bundled()
	w.push(pushed("a", "a1"), pushed("b", "b1"))
	w.push(pushed("b", "b1"))
	prune := func() {
		w.must(&clusterv1.Command{Body: &clusterv1.Command_Prune{Prune: &clusterv1.Prune{BundlesBefore: timestamppb.New(w.clock)}}})
	}
	if prune(); len(w.kept("a")) != 1 {
		t.Errorf("what is young was removed")
	}
	w.clock = w.clock.Add(time.Hour)
	if prune(); len(w.kept("a")) != 0 || len(w.kept("b")) != 1 {
		t.Errorf("left are %q of a flow that is gone, and %q of one that is there", w.kept("a"), w.kept("b"))
	}
}

// schemaOf is the schema that a state of some format has.
func schemaOf(version int) string {
	later := []string{schema2, schema3, schema4, schema5}
	return strings.TrimSuffix(schema, strings.Join(later[version-1:], ""))
}

func TestAStateOfTheSecondFormatIsMigrated(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite3", filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), schemaOf(2)+"PRAGMA user_version = 2; INSERT INTO workspaces (name, revision, bundle) VALUES ('default', 7, 'b7')"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), s: open(t, dir)}
	w.bundled()
	if a := w.push(pushed("a", "a1")); a.GetRevision() != 8 {
		t.Errorf("got %v, want the revision after 7", a)
	}
	if got := w.kept("a"); !slices.Equal(got, []string{"8 a1"}) {
		t.Errorf("got %q", got)
	}
}

// Whatever format a state had, it ends as a new one begins.
func TestAMigratedStateHasTheSchemaOfANewOne(t *testing.T) {
	shape := func(s *Store) (list []string) {
		t.Helper()
		err := s.query(t.Context(), func(rows *sql.Rows) error {
			var text string
			err := rows.Scan(&text)
			list = append(list, text)
			return err
		}, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	want := shape(open(t, t.TempDir()))
	for version := 1; version < format; version++ {
		dir := t.TempDir()
		db, err := sql.Open("sqlite3", filepath.Join(dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), fmt.Sprintf("%s; PRAGMA user_version = %d", schemaOf(version), version))
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, shape(open(t, dir))); diff != "" {
			t.Errorf("format %d becomes another schema:\n%s", version, diff)
		}
	}
}
