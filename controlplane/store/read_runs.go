package store

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// RunFilter says which runs a list holds; what is zero is not looked at.
type RunFilter struct {
	Workspace    string
	Status       []apiv1.RunStatus
	Environment  string
	Flow         string // its name
	Batch        string
	Agent        string    // that an attempt of the run was with
	Since, Until time.Time // of their creation
	// Tags says whether a run's tags fit; nil: all do.
	Tags func(tags []string) bool
	// Before is where a page before this one ended; the zero Cursor is the newest.
	Before Cursor
	Limit  int
}

// Cursor is a place in a list of newest first.
type Cursor struct {
	Created int64 // milliseconds since 1970
	ID      string
}

// lookedAt bounds the runs that a page looks at where no index holds just those that fit:
// about 10 ms. A page may therefore be short, or empty, with more to come.
const lookedAt = 2_500

// Runs gives runs without their outputs and step summaries, newest first, and where
// the page ends; more says that there may be others.
func (s *Store) Runs(ctx context.Context, f RunFilter) (runs []*apiv1.Run, end Cursor, more bool, err error) {
	text, args, limit := f.query()
	seen := 0
	err = s.query(ctx, func(rows *sql.Rows) error {
		var raw sql.RawBytes
		var at Cursor
		if err := rows.Scan(&at.Created, &at.ID, &raw); err != nil {
			return err
		}
		if seen++; len(runs) == f.Limit {
			more = true
			return errEnough
		}
		end = at
		if raw == nil {
			return nil // it does not fit
		}
		r := &apiv1.Run{}
		if err := proto.Unmarshal(raw, r); err != nil {
			return err
		}
		if f.Tags == nil || f.Tags(r.GetSpec().GetTags()) {
			runs = append(runs, r)
		}
		return nil
	}, text, args...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return runs, end, more || seen == limit, err
}

// clauses are conditions with their values.
type clauses struct {
	parts []string
	args  []any
}

func (c *clauses) add(part string, values ...any) {
	c.parts, c.args = append(c.parts, part), append(c.args, values...)
}

// query is the list as SQL. One index finds what fits, in the order of the list: that of
// the filter that says most. Those of a batch, a flow and an environment have the status
// before the order, so that each status is a list of its own; SQLite merges them. What
// the index does not say is looked at run by run, as far as limit: a record that does not
// fit is NULL.
func (f *RunFilter) query() (text string, args []any, limit int) {
	var by, rest clauses
	from, created, id, byStatus := "runs", "created", "id", true
	switch {
	case f.Batch != "":
		by.add("batch = ?", f.Batch)
	case f.Agent != "": // which has its own order of newest first
		from, created, id, byStatus = "run_agents CROSS JOIN runs ON id = run", "queued", "run", false
		by.add("lessee = ?", f.Agent)
	case f.Flow != "":
		by.add("workspace = ? AND flow = ?", f.Workspace, f.Flow)
	case f.Environment != "":
		by.add("workspace = ? AND environment = ? AND environment <> ''", f.Workspace, f.Environment)
	default:
		by.add("workspace = ?", f.Workspace)
		byStatus = len(f.Status) > 0
	}
	f.rest(&rest)
	f.times(&by, created, id)
	record, limit := "record", f.Limit+1
	if len(rest.parts) > 0 {
		record = "CASE WHEN " + strings.Join(rest.parts, " AND ") + " THEN record END"
	}
	if len(rest.parts) > 0 || f.Tags != nil {
		limit = max(limit, lookedAt)
	}
	statuses := []apiv1.RunStatus{0}
	if byStatus {
		statuses = f.statuses()
	}
	var arms []string
	for _, status := range statuses {
		arm := "SELECT " + created + " AS made, " + id + " AS which, " + record + " FROM " + from + " WHERE " + strings.Join(by.parts, " AND ")
		args = append(append(args, rest.args...), by.args...)
		if byStatus {
			arm += " AND status = ?"
			args = append(args, int(status))
		}
		arms = append(arms, arm)
	}
	return strings.Join(arms, " UNION ALL ") + " ORDER BY made DESC, which DESC LIMIT ?", append(args, limit), limit
}

// rest adds what the index of the filter does not say.
func (f *RunFilter) rest(c *clauses) {
	if f.Batch == "" && f.Agent == "" {
		if f.Flow != "" && f.Environment != "" {
			c.add("environment = ?", f.Environment)
		}
		return
	}
	c.add("workspace = ?", f.Workspace)
	if f.Flow != "" {
		c.add("flow = ?", f.Flow)
	}
	if f.Environment != "" {
		c.add("environment = ?", f.Environment)
	}
	switch {
	case f.Agent != "" && f.Batch != "":
		c.add("EXISTS (SELECT 1 FROM run_agents WHERE run = id AND lessee = ?)", f.Agent)
	case f.Agent != "" && len(f.Status) > 0:
		var values []any
		for _, status := range f.statuses() {
			values = append(values, int(status))
		}
		c.add("status IN (?"+strings.Repeat(", ?", len(values)-1)+")", values...)
	}
}

// statuses are those that fit, all where none is named.
func (f *RunFilter) statuses() []apiv1.RunStatus {
	if len(f.Status) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(f.Status)))
	}
	var all []apiv1.RunStatus
	for _, n := range slices.Sorted(maps.Keys(apiv1.RunStatus_name)) {
		if n != 0 {
			all = append(all, apiv1.RunStatus(n))
		}
	}
	return all
}

// times adds which part of the order is meant.
func (f *RunFilter) times(c *clauses, created, id string) {
	if !f.Since.IsZero() {
		c.add(created+" >= ?", f.Since.UnixMilli())
	}
	if !f.Until.IsZero() {
		c.add(created+" < ?", f.Until.UnixMilli())
	}
	if f.Before.ID != "" {
		c.add("("+created+", "+id+") < (?, ?)", f.Before.Created, f.Before.ID)
	}
}
