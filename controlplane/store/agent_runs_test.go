package store

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// had are the runs that an agent had, as a list has them, a page of two at a time.
func (w *world) had(f RunFilter) string {
	w.t.Helper()
	return strings.Join(paged(w.t, w.s, f, 2), " ")
}

func TestRunsThatAnAgentHad(t *testing.T) {
	w := newWorld(t)
	w.batch(4, nil)
	w.agent("a")
	w.agent("b")
	w.passed("run-1", "run-2")
	first := w.grant("run-3", "a", false)
	w.start("run-3", first)
	w.expire("run-3", first)
	w.grant("run-3", "b", false)
	for name, test := range map[string]struct {
		filter RunFilter
		want   string
	}{
		"ended, and lost":          {RunFilter{Agent: "a"}, "run-3 run-2 run-1"},
		"after another":            {RunFilter{Agent: "b"}, "run-3"},
		"nobody":                   {RunFilter{Agent: "c"}, ""},
		"of a batch":               {RunFilter{Agent: "a", Batch: "batch"}, "run-3 run-2 run-1"},
		"of another batch":         {RunFilter{Agent: "a", Batch: "other"}, ""},
		"of a flow":                {RunFilter{Agent: "a", Flow: "flow-2"}, "run-2"},
		"of a status":              {RunFilter{Agent: "a", Status: []apiv1.RunStatus{apiv1.RunStatus_RUN_STATUS_PASSED}}, "run-2 run-1"},
		"since they were made":     {RunFilter{Agent: "a", Since: w.clock}, "run-3 run-2 run-1"},
		"until they were made":     {RunFilter{Agent: "a", Until: w.clock}, ""},
		"since after that":         {RunFilter{Agent: "a", Since: w.clock.Add(time.Second)}, ""},
		"of no workspace that is:": {RunFilter{Agent: "a", Workspace: "other"}, ""},
	} {
		if got := w.had(test.filter); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	at := last(w.run("run-3"))
	w.start("run-3", at)
	w.finish("run-3", at, apiv1.RunStatus_RUN_STATUS_FAILED)
	w.passed("run-4")
	if f := w.archive("days/default/2026-01-02/x", "run-1", "run-3").GetFault(); f != nil {
		t.Fatal(f)
	}
	if got := w.had(RunFilter{Agent: "a"}); got != "run-4 run-2" {
		t.Errorf("after two were moved out: got %q", got)
	}
	var left int
	if err := w.s.scalar(t.Context(), &left, "SELECT count(*) FROM run_agents"); err != nil || left != 2 {
		t.Errorf("%d lines are left, %v", left, err)
	}
}

// Of a state that did not keep it, it is read from the attempts.
func TestWhoHadRunsIsMigrated(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite3", filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), schemaOf(3)+"PRAGMA user_version = 3"); err != nil {
		t.Fatal(err)
	}
	record, err := proto.Marshal(&apiv1.Run{Id: "r", Workspace: "default", Attempts: []*apiv1.Attempt{{AgentId: "a"}, {AgentId: "b"}, {AgentId: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO runs VALUES ('r', 'default', 'batch', 1, 5, 7, 'f', '', '', 0, 0, '', ?)", record); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	for agent, want := range map[string][]string{"a": {"r"}, "b": {"r"}, "c": nil} {
		if got := paged(t, s, RunFilter{Agent: agent}, 10); !slices.Equal(got, want) {
			t.Errorf("%s had %v, want %v", agent, got, want)
		}
	}
}
