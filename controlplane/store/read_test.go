package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Each filter of a list finds its page by an index, however many runs there are: what
// SQLite says of how it will look for them is the same for none and for 200,000.
func TestEveryFilterHasAnIndex(t *testing.T) {
	s := open(t, t.TempDir())
	const passed, failed, errored = apiv1.RunStatus_RUN_STATUS_PASSED, apiv1.RunStatus_RUN_STATUS_FAILED, apiv1.RunStatus_RUN_STATUS_ERRORED
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	before := Cursor{noon.UnixMilli(), "x"}
	tests := map[string]struct {
		filter RunFilter
		index  string
		looks  bool // the index may hold what does not fit too
	}{
		"nothing":              {RunFilter{}, "runs_newest (workspace=?", false},
		"a page":               {RunFilter{Before: before}, "runs_newest (workspace=? AND (created,id)<(?,?)", false},
		"a time":               {RunFilter{Since: noon, Until: noon}, "runs_newest (workspace=? AND created>? AND created<?", false},
		"a tag":                {RunFilter{Tags: func([]string) bool { return true }}, "runs_newest (workspace=?", true},
		"a flow":               {RunFilter{Flow: "f"}, "runs_flow (workspace=? AND flow=? AND status=?", false},
		"a page of a flow":     {RunFilter{Flow: "f", Before: before}, "runs_flow (workspace=? AND flow=? AND status=? AND (created,id)<(?,?)", false},
		"a flow that failed":   {RunFilter{Flow: "f", Status: []apiv1.RunStatus{failed}}, "runs_flow (workspace=? AND flow=? AND status=?", false},
		"a flow somewhere":     {RunFilter{Flow: "f", Environment: "e"}, "runs_flow (workspace=? AND flow=? AND status=?", true},
		"an environment":       {RunFilter{Environment: "e"}, "runs_environment (workspace=? AND environment=? AND status=?", false},
		"failures somewhere":   {RunFilter{Environment: "e", Status: []apiv1.RunStatus{failed, errored}}, "runs_environment (workspace=? AND environment=? AND status=?", false},
		"a status":             {RunFilter{Status: []apiv1.RunStatus{passed}}, "runs_status (workspace=? AND status=?", false},
		"two statuses":         {RunFilter{Status: []apiv1.RunStatus{failed, errored}}, "runs_status (workspace=? AND status=?", false},
		"two statuses, paged":  {RunFilter{Status: []apiv1.RunStatus{failed, errored}, Before: before}, "runs_status (workspace=? AND status=? AND (created,id)<(?,?)", false},
		"an agent":             {RunFilter{Agent: "a"}, "run_agents_newest (lessee=?", true},
		"a flow of an agent":   {RunFilter{Agent: "a", Flow: "f"}, "run_agents_newest (lessee=?", true},
		"an agent's failures":  {RunFilter{Agent: "a", Status: []apiv1.RunStatus{failed}}, "run_agents_newest (lessee=?", true},
		"a page of an agent":   {RunFilter{Agent: "a", Before: before}, "run_agents_newest (lessee=? AND (queued,run)<(?,?)", true},
		"a batch":              {RunFilter{Batch: "b"}, "runs_batch (batch=? AND status=?", true},
		"failures of a batch":  {RunFilter{Batch: "b", Status: []apiv1.RunStatus{failed, errored}}, "runs_batch (batch=? AND status=?", true},
		"all that can be said": {RunFilter{Batch: "b", Agent: "a", Flow: "f", Environment: "e", Since: noon, Before: before, Status: []apiv1.RunStatus{failed}}, "runs_batch (batch=? AND status=?", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.filter.Workspace, test.filter.Limit = "default", 50
			text, args, limit := test.filter.query()
			if want := map[bool]int{false: 51, true: lookedAt}[test.looks]; limit != want {
				t.Errorf("got %d runs looked at, want %d at most", limit, want)
			}
			found := false
			err := s.query(t.Context(), func(rows *sql.Rows) error {
				var id, parent, none int
				var step string
				if err := rows.Scan(&id, &parent, &none, &step); err != nil {
					return err
				}
				byID := step == "SEARCH runs USING PRIMARY KEY (id=?)" // one that another index has found
				if strings.Contains(step, "runs") && !strings.Contains(step, "INDEX "+test.index) && !byID {
					t.Errorf("got %q, want the index %s", step, test.index)
				}
				if strings.Contains(step, "TEMP B-TREE") {
					t.Errorf("got %q: all that fits is sorted for one page", step)
				}
				found = found || strings.Contains(step, test.index)
				return nil
			}, "EXPLAIN QUERY PLAN "+text, args...)
			if err != nil || !found {
				t.Errorf("got %v; the index was used: %v", err, found)
			}
		})
	}
}

// Whatever the filter and the length of pages, they hold what fits, once, newest first.
func TestFiltersFindWhatFits(t *testing.T) {
	w := newWorld(t)
	w.batch(30, func(i int, s *apiv1.Spec) {
		s.Flow, s.Environment, s.Tags = fmt.Sprintf("f%d", i%3), []string{"", "staging"}[i%2], []string{fmt.Sprintf("t%d", i%5)}
	})
	w.agent("a")
	all, _, _, err := w.s.Runs(t.Context(), RunFilter{Workspace: "default", Limit: 1000})
	if err != nil || len(all) != 30 {
		t.Fatalf("got %d runs and %v", len(all), err)
	}
	for i, r := range all {
		switch i % 4 {
		case 0:
			w.grant(r.GetId(), "a", false)
		case 1:
			w.cancel(r.GetId())
		}
	}
	if all, _, _, err = w.s.Runs(t.Context(), RunFilter{Workspace: "default", Limit: 1000}); err != nil {
		t.Fatal(err)
	}
	const queued, offered, cancelled = apiv1.RunStatus_RUN_STATUS_QUEUED, apiv1.RunStatus_RUN_STATUS_OFFERED, apiv1.RunStatus_RUN_STATUS_CANCELLED
	is := func(list ...apiv1.RunStatus) func(*apiv1.Run) bool {
		return func(r *apiv1.Run) bool { return slices.Contains(list, r.GetStatus()) }
	}
	tests := map[string]struct {
		filter RunFilter
		fits   func(*apiv1.Run) bool
	}{
		"a status":          {RunFilter{Status: []apiv1.RunStatus{cancelled}}, is(cancelled)},
		"three statuses":    {RunFilter{Status: []apiv1.RunStatus{cancelled, queued, offered, queued}}, is(cancelled, queued, offered)},
		"an agent":          {RunFilter{Agent: "a"}, is(offered)},
		"another workspace": {RunFilter{Workspace: "other", Agent: "a"}, is()},
		"a flow":            {RunFilter{Flow: "f1"}, func(r *apiv1.Run) bool { return r.GetSpec().GetFlow() == "f1" }},
		"a flow somewhere, queued": {RunFilter{Flow: "f1", Environment: "staging", Status: []apiv1.RunStatus{queued}}, func(r *apiv1.Run) bool {
			return r.GetSpec().GetFlow() == "f1" && r.GetSpec().GetEnvironment() == "staging" && r.GetStatus() == queued
		}},
		"a batch":         {RunFilter{Batch: "batch"}, is(queued, offered, cancelled)},
		"a part of it":    {RunFilter{Batch: "batch", Status: []apiv1.RunStatus{offered, cancelled}}, is(offered, cancelled)},
		"an environment":  {RunFilter{Environment: "staging"}, func(r *apiv1.Run) bool { return r.GetSpec().GetEnvironment() == "staging" }},
		"another's batch": {RunFilter{Workspace: "other", Batch: "batch"}, is()},
		"an agent's flow": {RunFilter{Agent: "a", Flow: "f1", Status: []apiv1.RunStatus{offered, queued}}, func(r *apiv1.Run) bool {
			return r.GetSpec().GetFlow() == "f1" && r.GetStatus() == offered
		}},
		"a flow of a batch and agent": {RunFilter{Batch: "batch", Agent: "a", Flow: "f2", Environment: "staging"}, func(r *apiv1.Run) bool {
			return r.GetSpec().GetFlow() == "f2" && r.GetSpec().GetEnvironment() == "staging" && r.GetStatus() == offered
		}},
		"a tag": {RunFilter{Tags: func(tags []string) bool { return slices.Contains(tags, "t2") }}, func(r *apiv1.Run) bool {
			return slices.Contains(r.GetSpec().GetTags(), "t2")
		}},
	}
	for name, test := range tests {
		for _, length := range []int{1, 4, 1000} {
			var want []string
			for _, r := range all {
				if test.fits(r) {
					want = append(want, r.GetId())
				}
			}
			if got := paged(t, w.s, test.filter, length); !slices.Equal(got, want) {
				t.Errorf("%s, %d a page: got %v, want %v", name, length, got, want)
			}
		}
	}
}

// A page where most runs do not fit ends early, and the next goes on behind it: no page
// looks at all runs there are.
func TestAPageLooksAtABoundedNumberOfRuns(t *testing.T) {
	w := newWorld(t)
	const runs, rare = lookedAt + 2*maxExpand, 7
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: bundle}}})
	w.must(&clusterv1.Command{Body: &clusterv1.Command_CreateBatch{CreateBatch: &clusterv1.CreateBatch{Id: "batch", Source: &apiv1.Source{Bundle: bundle}}}})
	for first := 0; first < runs; first += maxExpand {
		e := &clusterv1.ExpandBatch{BatchId: "batch", First: int32(first + 1), Done: first+maxExpand >= runs}
		for i := first; i < first+maxExpand; i++ {
			s := &apiv1.Spec{Flow: "f"}
			if i < rare { // the oldest
				s.Environment, s.Tags = "rare", []string{"rare"}
			}
			e.Runs = append(e.Runs, &clusterv1.NewRun{Id: fmt.Sprintf("run-%05d", i), Spec: s})
		}
		w.must(&clusterv1.Command{Body: &clusterv1.Command_ExpandBatch{ExpandBatch: e}})
	}
	for name, f := range map[string]RunFilter{
		"by what the index has not": {Flow: "f", Environment: "rare"},
		"by a tag":                  {Tags: func(tags []string) bool { return slices.Contains(tags, "rare") }},
	} {
		f.Workspace, f.Limit = "default", 5
		first, end, more, err := w.s.Runs(t.Context(), f)
		if err != nil || len(first) != 0 || !more || end.ID != fmt.Sprintf("run-%05d", runs-lookedAt) {
			t.Errorf("%s: got %d runs, the end %v, more %v and %v; want an empty page after %d runs", name, len(first), end, more, err, lookedAt)
		}
		if got := paged(t, w.s, f, 5); len(got) != rare || got[0] != "run-00006" {
			t.Errorf("%s: got %v, want the %d that fit", name, got, rare)
		}
	}
}

// paged reads all pages of a list.
func paged(t *testing.T, s *Store, f RunFilter, length int) (ids []string) {
	t.Helper()
	if f.Workspace == "" {
		f.Workspace = "default"
	}
	f.Limit = length
	for range 100 {
		runs, end, more, err := s.Runs(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			ids = append(ids, r.GetId())
		}
		if !more {
			return ids
		}
		f.Before = end
	}
	t.Fatalf("the list has no end: %v", ids)
	return nil
}
