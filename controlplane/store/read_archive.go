package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// Ended counts the runs of a workspace that have ended and are in the state.
func (s *Store) Ended(ctx context.Context, workspace string) (n int, err error) {
	err = s.scalar(ctx, &n, "SELECT count(*) FROM runs WHERE workspace = ? AND status >= 5", workspace)
	return n, err
}

// Movable are the oldest runs of a workspace that may be moved out of the state, the
// oldest first, whole: at most limit of them, and of maxBytes.
func (s *Store) Movable(ctx context.Context, workspace string, limit, maxBytes int) (runs []*apiv1.Run, err error) {
	bytes := 0
	err = s.query(ctx, func(rows *sql.Rows) error {
		var raw, more sql.RawBytes
		if err := rows.Scan(&raw, &more); err != nil {
			return err
		}
		if bytes += len(raw) + len(more); bytes > maxBytes && len(runs) > 0 {
			return errEnough
		}
		r, d := &apiv1.Run{}, &apiv1.Run{}
		if err := errors.Join(proto.Unmarshal(raw, r), proto.Unmarshal(more, d)); err != nil {
			return err
		}
		r.Outputs, r.StepSummaries = d.GetOutputs(), d.GetStepSummaries()
		runs = append(runs, r)
		return nil
	}, `SELECT r.record, d.record FROM runs r JOIN batches b ON b.id = r.batch LEFT JOIN details d ON d.run = r.id
		WHERE r.workspace = ? AND r.status >= 5 AND b.status <> ? ORDER BY r.created, r.id LIMIT ?`, workspace, int(apiv1.BatchStatus_BATCH_STATUS_ACTIVE), limit)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return runs, err
}

var errEnough = errors.New("enough")

// Archives are the files of a workspace that may hold runs made in a span of time, both
// ends included, those with the newest runs first. A zero time is no bound.
func (s *Store) Archives(ctx context.Context, workspace string, from, to time.Time) ([]*clusterv1.Archive, error) {
	first, last := int64(0), int64(1)<<62
	if !from.IsZero() {
		first = from.UnixMilli()
	}
	if !to.IsZero() {
		last = to.UnixMilli()
	}
	return list[clusterv1.Archive](ctx, s, "SELECT record FROM archives WHERE workspace = ? AND last >= ? AND first <= ? ORDER BY last DESC, key", workspace, first, last)
}

// ArchivesOf are the files that may hold a run.
func (s *Store) ArchivesOf(ctx context.Context, run string) ([]*clusterv1.Archive, error) {
	return list[clusterv1.Archive](ctx, s, "SELECT record FROM archives WHERE first_id <= ? AND last_id >= ? ORDER BY key", run, run)
}

// HasArchive says whether the state knows of a file.
func (s *Store) HasArchive(ctx context.Context, key string) (bool, error) {
	return s.hasRow(ctx, "SELECT 1 FROM archives WHERE key = ?", key)
}

// HasRun says whether a run is in the state.
func (s *Store) HasRun(ctx context.Context, id string) (bool, error) {
	return s.hasRow(ctx, "SELECT 1 FROM runs WHERE id = ?", id)
}

// HasBundle says whether the state knows of a bundle.
func (s *Store) HasBundle(ctx context.Context, digest string) (bool, error) {
	return s.hasRow(ctx, "SELECT 1 FROM bundles WHERE digest = ?", digest)
}

func (s *Store) hasRow(ctx context.Context, text string, args ...any) (bool, error) {
	var one int
	err := s.scalar(ctx, &one, text, args...)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// HasAnswers says whether there are answers to request ids of before a time.
func (s *Store) HasAnswers(ctx context.Context, before time.Time) (bool, error) {
	return s.hasRow(ctx, "SELECT 1 FROM answers WHERE time < ? LIMIT 1", before.UnixMilli())
}

// Files shows the sha256 (hex) of each file of each bundle and of each revision of a flow,
// more than once where several have it.
func (s *Store) Files(ctx context.Context, visit func(sha256 string)) error {
	kept, err := list[clusterv1.PushedFlow](ctx, s, "SELECT record FROM revisions ORDER BY workspace, file, number, revision")
	if err != nil {
		return err
	}
	for _, p := range kept {
		for _, f := range p.GetFiles() {
			visit(f.GetSha256())
		}
	}
	return s.query(ctx, func(rows *sql.Rows) error {
		var raw sql.RawBytes
		if err := rows.Scan(&raw); err != nil {
			return err
		}
		b := &clusterv1.PutBundle{}
		if err := proto.Unmarshal(raw, b); err != nil {
			return err
		}
		for _, f := range b.GetFiles() {
			visit(f.GetSha256())
		}
		return nil
	}, "SELECT files FROM bundles ORDER BY digest")
}

// Size is what the state has on the disk, in bytes.
func (s *Store) Size() (int64, error) {
	var total int64
	for _, name := range []string{fileName, fileName + "-wal"} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("look at the state: %w", err)
		}
		total += info.Size()
	}
	return total, nil
}
