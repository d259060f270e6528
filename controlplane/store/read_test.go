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
	}{
		"nothing":              {RunFilter{}, "runs_newest (workspace=?"},
		"a page":               {RunFilter{Before: before}, "runs_newest (workspace=? AND (created,id)<(?,?)"},
		"a time":               {RunFilter{Since: noon, Until: noon}, "runs_newest (workspace=? AND created>? AND created<?"},
		"a flow":               {RunFilter{Flow: "f"}, "runs_flow (workspace=? AND flow=?"},
		"a page of a flow":     {RunFilter{Flow: "f", Before: before}, "runs_flow (workspace=? AND flow=? AND (created,id)<(?,?)"},
		"a flow that failed":   {RunFilter{Flow: "f", Status: []apiv1.RunStatus{failed}}, "runs_flow (workspace=? AND flow=?"},
		"a flow somewhere":     {RunFilter{Flow: "f", Environment: "e"}, "runs_flow (workspace=? AND flow=?"},
		"an environment":       {RunFilter{Environment: "e"}, "runs_environment (workspace=? AND environment=?"},
		"failures somewhere":   {RunFilter{Environment: "e", Status: []apiv1.RunStatus{failed, errored}}, "runs_environment (workspace=? AND environment=?"},
		"a status":             {RunFilter{Status: []apiv1.RunStatus{passed}}, "runs_status (workspace=? AND status=?"},
		"two statuses":         {RunFilter{Status: []apiv1.RunStatus{failed, errored}}, "runs_status (workspace=? AND status=?"},
		"an agent":             {RunFilter{Agent: "a"}, "run_agents_newest (lessee=?"},
		"a flow of an agent":   {RunFilter{Agent: "a", Flow: "f"}, "run_agents_newest (lessee=?"},
		"a batch":              {RunFilter{Batch: "b"}, "runs_batch (batch=?"},
		"all that can be said": {RunFilter{Batch: "b", Agent: "a", Flow: "f", Environment: "e", Since: noon, Before: before, Status: []apiv1.RunStatus{failed}}, "runs_batch (batch=?"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.filter.Workspace, test.filter.Limit = "default", 50
			text, args := test.filter.query(51)
			found, sorted := false, 0
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
				found = found || strings.Contains(step, test.index)
				if strings.Contains(step, "TEMP B-TREE") {
					sorted++
				}
				return nil
			}, "EXPLAIN QUERY PLAN "+text, args...)
			if err != nil || !found || test.filter.Agent != "" && sorted > 1 { // the page as a whole, at most
				t.Errorf("got %v; the index was used: %v; sorted %d times", err, found, sorted)
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
