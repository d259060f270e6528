package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Reads are of what this node has applied. Lists come in an order that is stated.

// query gives each row to scan, until it errors.
func (s *Store) query(ctx context.Context, scan func(*sql.Rows) error, text string, args ...any) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows, err := s.reads.QueryContext(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

// message is a record by its type.
type message[T any] interface {
	*T
	proto.Message
}

func list[T any, M message[T]](ctx context.Context, s *Store, text string, args ...any) ([]M, error) {
	var out []M
	err := s.query(ctx, func(rows *sql.Rows) error {
		var raw sql.RawBytes
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		m := M(new(T))
		if err := proto.Unmarshal(raw, m); err != nil {
			return err
		}
		out = append(out, m)
		return nil
	}, text, args...)
	return out, err
}

func single[T any, M message[T]](ctx context.Context, s *Store, text string, args ...any) (M, error) {
	all, err := list[T, M](ctx, s, text, args...)
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, ErrNotFound
	}
	return all[0], nil
}

func (s *Store) scalar(ctx context.Context, into any, text string, args ...any) error {
	found := false
	err := s.query(ctx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(into)
	}, text, args...)
	if err == nil && !found {
		return ErrNotFound
	}
	return err
}

// Run is a run with its outputs and step summaries.
func (s *Store) Run(ctx context.Context, id string) (*apiv1.Run, error) {
	r, err := single[apiv1.Run](ctx, s, "SELECT record FROM runs WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	more, err := single[apiv1.Run](ctx, s, "SELECT record FROM details WHERE run = ?", id)
	switch {
	case errors.Is(err, ErrNotFound):
		return r, nil
	case err != nil:
		return nil, err
	}
	r.Outputs, r.StepSummaries = more.GetOutputs(), more.GetStepSummaries()
	return r, nil
}

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

// lookedAt bounds the runs that a page with a filter of tags looks at: about 10 ms. A
// page may therefore be short, or empty, with more to come.
const lookedAt = 5_000

// Runs gives runs without their outputs and step summaries, newest first, and where
// the page ends; more says that there may be others.
func (s *Store) Runs(ctx context.Context, f RunFilter) (runs []*apiv1.Run, end Cursor, more bool, err error) {
	limit := f.Limit + 1
	if f.Tags != nil {
		limit = lookedAt
	}
	text, args := f.query(limit)
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
		r := &apiv1.Run{}
		if err := proto.Unmarshal(raw, r); err != nil {
			return err
		}
		end = at
		if f.Tags == nil || f.Tags(r.GetSpec().GetTags()) {
			runs = append(runs, r)
		}
		return nil
	}, text, args...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return runs, end, more || f.Tags != nil && seen == lookedAt, err
}

// query is the list as SQL. Every filter has an index in the order of the list; with a
// plus before a column SQLite is kept from the index of a filter that says less.
func (f *RunFilter) query(limit int) (text string, args []any) {
	const newest = " ORDER BY created DESC, id DESC LIMIT ?"
	one := func(status string, values ...any) {
		parts, mine := f.where()
		if status != "" {
			parts, mine = append(parts, status), append(mine, values...)
		}
		if text != "" {
			text += " UNION ALL "
		}
		from, order := "runs", newest
		if f.byAgent() { // which has its own order of newest first
			from, order = "run_agents CROSS JOIN runs ON id = run", " ORDER BY queued DESC, run DESC LIMIT ?"
		}
		text += "SELECT * FROM (SELECT created, id, record FROM " + from + " WHERE " + strings.Join(parts, " AND ") + order + ")"
		args = append(append(args, mine...), limit)
	}
	narrow := f.Environment != "" || f.Flow != "" || f.Batch != "" || f.Agent != ""
	switch {
	case len(f.Status) == 0:
		one("")
	case narrow:
		var values []any
		for _, status := range f.Status {
			values = append(values, int(status))
		}
		one("+status IN (?"+strings.Repeat(", ?", len(values)-1)+")", values...)
	default: // the newest of each, because one index has them in order only one by one
		for _, status := range slices.Compact(slices.Sorted(slices.Values(f.Status))) {
			one("status = ?", int(status))
		}
	}
	return text + newest, append(args, limit)
}

// where are the conditions of a list but for the status.
func (f *RunFilter) where() (parts []string, args []any) {
	add := func(given bool, part string, values ...any) {
		if given {
			parts, args = append(parts, part), append(args, values...)
		}
	}
	add(f.Batch == "" && f.Agent == "", "workspace = ?", f.Workspace)
	add(f.Batch != "" || f.Agent != "", "+workspace = ?", f.Workspace)
	add(f.Batch != "", "batch = ?", f.Batch)
	add(f.byAgent(), "lessee = ?", f.Agent)
	add(f.Agent != "" && f.Batch != "", "EXISTS (SELECT 1 FROM run_agents WHERE run = id AND lessee = ?)", f.Agent)
	add(f.Flow != "" && f.Batch == "" && f.Agent == "", "flow = ?", f.Flow)
	add(f.Flow != "" && (f.Batch != "" || f.Agent != ""), "+flow = ?", f.Flow)
	add(f.Environment != "" && f.Flow == "" && f.Batch == "" && f.Agent == "", "environment = ?", f.Environment)
	add(f.Environment != "" && (f.Flow != "" || f.Batch != "" || f.Agent != ""), "+environment = ?", f.Environment)
	when, which := "created", "id"
	if f.byAgent() {
		when, which = "queued", "run"
	}
	add(!f.Since.IsZero(), when+" >= ?", f.Since.UnixMilli())
	add(!f.Until.IsZero(), when+" < ?", f.Until.UnixMilli())
	add(f.Before.ID != "", "("+when+", "+which+") < (?, ?)", f.Before.Created, f.Before.ID)
	return parts, args
}

// byAgent: the runs of an agent are found by what it had, and not by when all were made.
func (f *RunFilter) byAgent() bool { return f.Agent != "" && f.Batch == "" }

// LiveRuns are all that have not ended, the oldest first.
func (s *Store) LiveRuns(ctx context.Context) ([]*apiv1.Run, error) {
	return list[apiv1.Run](ctx, s, "SELECT record FROM runs WHERE status < 5 ORDER BY created, id")
}

// RunsOfBatch are the runs of a batch in their order.
func (s *Store) RunsOfBatch(ctx context.Context, batch string) ([]*apiv1.Run, error) {
	return list[apiv1.Run](ctx, s, "SELECT record FROM runs WHERE batch = ? ORDER BY number", batch)
}

// Quarantined are the runs that wait for somebody to release them.
func (s *Store) Quarantined(ctx context.Context, workspace string) ([]*apiv1.Run, error) {
	return list[apiv1.Run](ctx, s, "SELECT record FROM runs WHERE quarantined = 1 AND workspace = ? ORDER BY id", workspace)
}

// Batch is a batch with its source.
func (s *Store) Batch(ctx context.Context, id string) (*apiv1.Batch, error) {
	b, err := single[apiv1.Batch](ctx, s, "SELECT record FROM batches WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	b.Source, err = single[apiv1.Source](ctx, s, "SELECT source FROM sources WHERE batch = ?", id)
	return b, err
}

// Batches gives batches without their sources, newest first.
func (s *Store) Batches(ctx context.Context, workspace string, before Cursor, limit int) (batches []*apiv1.Batch, err error) {
	if before.ID == "" {
		return list[apiv1.Batch](ctx, s, "SELECT record FROM batches WHERE workspace = ? ORDER BY created DESC, id DESC LIMIT ?", workspace, limit)
	}
	return list[apiv1.Batch](ctx, s, "SELECT record FROM batches WHERE workspace = ? AND (created, id) < (?, ?) ORDER BY created DESC, id DESC LIMIT ?",
		workspace, before.Created, before.ID, limit)
}

// Unexpanded are the batches that runs are still to be made of, and how many there
// are of each.
func (s *Store) Unexpanded(ctx context.Context) (made map[string]int, err error) {
	made = map[string]int{}
	err = s.query(ctx, func(rows *sql.Rows) error {
		var id string
		var n int
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		made[id] = n
		return nil
	}, "SELECT id, made FROM batches WHERE expanded = 0 ORDER BY id")
	return made, err
}

// Bundle is the listing of a bundle.
func (s *Store) Bundle(ctx context.Context, digest string) ([]*apiv1.BundleFile, error) {
	b, err := single[clusterv1.PutBundle](ctx, s, "SELECT files FROM bundles WHERE digest = ?", digest)
	return b.GetFiles(), err
}

// Flows are the flows of a workspace by file, with the revision of the whole and
// the bundle that was pushed.
func (s *Store) Flows(ctx context.Context, workspace string) (flows []*apiv1.Flow, revision int64, bundle string, err error) {
	if err := s.scalar(ctx, &revision, "SELECT revision FROM workspaces WHERE name = ?", workspace); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, 0, "", err
	}
	if err := s.scalar(ctx, &bundle, "SELECT bundle FROM workspaces WHERE name = ?", workspace); err != nil && !errors.Is(err, ErrNotFound) {
		return nil, 0, "", err
	}
	flows, err = list[apiv1.Flow](ctx, s, "SELECT record FROM flows WHERE workspace = ? ORDER BY file, number", workspace)
	return flows, revision, bundle, err
}

// Environments are those of a workspace by name.
func (s *Store) Environments(ctx context.Context, workspace string) ([]*apiv1.Environment, error) {
	return list[apiv1.Environment](ctx, s, "SELECT record FROM environments WHERE workspace = ? ORDER BY name", workspace)
}

// Environment is one by its name.
func (s *Store) Environment(ctx context.Context, workspace, name string) (*apiv1.Environment, error) {
	return single[apiv1.Environment](ctx, s, "SELECT record FROM environments WHERE workspace = ? AND name = ?", workspace, name)
}

// SealedSecrets are those of an environment by name.
func (s *Store) SealedSecrets(ctx context.Context, workspace, environment string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := s.query(ctx, func(rows *sql.Rows) error {
		var name string
		var sealed []byte
		if err := rows.Scan(&name, &sealed); err != nil {
			return err
		}
		out[name] = sealed
		return nil
	}, "SELECT name, sealed FROM secrets WHERE workspace = ? AND environment = ? ORDER BY name", workspace, environment)
	return out, err
}

// Once is what came of a called flow that a batch executes once; held: somebody is
// executing it. Neither: nobody has.
func (s *Store) Once(ctx context.Context, batch, key string) (settled, held bool, err error) {
	var n int
	switch err := s.scalar(ctx, &n, "SELECT settled FROM once WHERE batch = ? AND key = ?", batch, key); {
	case errors.Is(err, ErrNotFound):
		return false, false, nil
	case err != nil:
		return false, false, err
	}
	return n == 1, n == 0, nil
}
