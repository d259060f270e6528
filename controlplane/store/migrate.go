package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// migrations make of each format the next one, from format 1 on.
var migrations = [...]func(ctx context.Context, tx *sql.Tx) error{toBundleUses, toRevisions, toRunAgents, toOrders}

// migrate brings a file of an older format to the one of this program, a step at a time.
func (s *Store) migrate(ctx context.Context, version int) error {
	for ; version < format; version++ {
		if err := s.step(ctx, version); err != nil {
			return fmt.Errorf("migrate the state from format %d: %w", version, err)
		}
	}
	return nil
}

func (s *Store) step(ctx context.Context, version int) error {
	tx, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing to roll back
	if err := migrations[version-1](ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(version+1)); err != nil {
		return err
	}
	return tx.Commit()
}

func toBundleUses(ctx context.Context, tx *sql.Tx) error {
	uses := map[string]string{}
	if err := sources(ctx, tx, uses); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, schema2+"INSERT INTO bundle_times (digest, time) SELECT digest, 0 FROM bundles"); err != nil {
		return err
	}
	for batch, bundle := range uses {
		if _, err := tx.ExecContext(ctx, "INSERT INTO bundle_uses (bundle, batch) VALUES (?, ?)", bundle, batch); err != nil {
			return err
		}
	}
	return nil
}

// toRevisions: those of before are not known; the first push keeps what it replaces.
func toRevisions(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, schema3)
	return err
}

func toRunAgents(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, schema4); err != nil {
		return err
	}
	had, err := attempts(ctx, tx)
	if err != nil {
		return err
	}
	for _, one := range had {
		if _, err := tx.ExecContext(ctx, addRunAgent, one.run, one.agent, one.created); err != nil {
			return err
		}
	}
	return nil
}

func toOrders(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, schema5)
	return err
}

// addRunAgent notes that an agent had a run.
const addRunAgent = "INSERT OR IGNORE INTO run_agents (run, lessee, queued) VALUES (?, ?, ?)"

type runAgent struct {
	run, agent string
	created    int64
}

// attempts reads which agents each run was with.
func attempts(ctx context.Context, tx *sql.Tx) (list []runAgent, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id, created, record FROM runs")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one runAgent
		var raw []byte
		if err := rows.Scan(&one.run, &one.created, &raw); err != nil {
			return nil, err
		}
		r := &apiv1.Run{}
		if err := proto.Unmarshal(raw, r); err != nil {
			return nil, err
		}
		for _, at := range r.GetAttempts() {
			one.agent = at.GetAgentId()
			list = append(list, one)
		}
	}
	return list, rows.Err()
}

// sources reads which bundle each batch is of.
func sources(ctx context.Context, tx *sql.Tx, uses map[string]string) error {
	rows, err := tx.QueryContext(ctx, "SELECT batch, source FROM sources")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var batch string
		var raw []byte
		if err := rows.Scan(&batch, &raw); err != nil {
			return err
		}
		source := &apiv1.Source{}
		if err := proto.Unmarshal(raw, source); err != nil {
			return err
		}
		uses[batch] = source.GetBundle()
	}
	return rows.Err()
}
