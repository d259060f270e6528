package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

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
