// Package store is the state of the control plane: a SQLite file that is changed
// by applying commands, one after the other, the same on every node. It never
// reads a clock, randomness or the network, and never holds bulk data: logs,
// bodies and files are blobs.
package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"

	failpoint "github.com/testmesh/testmesh/sdk/fault"
)

const (
	fileName = "store.db"
	// readers bounds the connections that read beside the one that writes.
	readers = 8
	// cacheKiB is SQLite's page cache of the writer: the hot part of 200,000 runs. The
	// readers have less each, because the system's cache is behind them.
	cacheKiB, readerKiB = 64 << 10, 16 << 10
	// readTexts is how many statements each reader keeps prepared: a list of runs takes
	// longer to be prepared than to be read.
	readTexts = 64
)

// ErrNotFound is the error of a read of what is not there.
var ErrNotFound = errors.New("not found")

// Broken is what Apply panics with where it cannot go on: an entry that was
// committed could not be applied. A node that went on would differ from the others.
type Broken struct{ Err error }

func (b *Broken) Error() string { return "the state cannot be changed any more: " + b.Err.Error() }

// Unwrap is the cause.
func (b *Broken) Unwrap() error { return b.Err }

// Config says where a store is and what it is for.
type Config struct {
	// Dir holds the file.
	Dir string
	// Fault is nil but in test builds.
	Fault *failpoint.Set
}

// Store is the state. Apply and Restore are called by one goroutine at a time;
// everything else by any number.
type Store struct {
	dir     string
	fault   *failpoint.Set
	applied atomic.Uint64
	changes feed

	mu     sync.RWMutex // held for writing while Restore puts another file in place
	reads  *sql.DB
	writes *sql.DB
	writer *writer
}

// Open opens the state in a folder, or makes it.
func Open(cfg Config) (*Store, error) {
	s := &Store{dir: cfg.Dir, fault: cfg.Fault}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	// What a restore was writing when the node ended.
	if err := os.Remove(filepath.Join(cfg.Dir, restoring)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func dsn(file, mode string, cache int) string {
	// synchronous=NORMAL: after a crash of the machine the newest transactions may be
	// gone, never half of one; the log of raft, which is synced, has them still.
	return "file:" + file + "?mode=" + mode + "&_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=10000&_txlock=immediate&_cache_size=-" + strconv.Itoa(cache)
}

func (s *Store) open() (err error) {
	file := filepath.Join(s.dir, fileName)
	if s.writes, err = sql.Open("sqlite3", dsn(file, "rwc", cacheKiB)); err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	s.writes.SetMaxOpenConns(1)
	if err := s.prepare(); err != nil {
		return err
	}
	if s.reads, err = sql.Open("sqlite3", dsn(file, "ro", readerKiB)+"&_query_only=1&_stmt_cache_size="+strconv.Itoa(readTexts)); err != nil {
		return fmt.Errorf("open state for reading: %w", err)
	}
	s.reads.SetMaxOpenConns(readers)
	s.reads.SetMaxIdleConns(readers)
	conn, err := s.writes.Conn(context.Background())
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	if s.writer, err = newWriter(conn); err != nil {
		return err
	}
	s.applied.Store(s.writer.applied)
	return nil
}

// prepare makes the schema of a new file, and refuses a file of another version.
func (s *Store) prepare() error {
	ctx := context.Background()
	var version int
	if err := s.writes.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Join(s.dir, fileName), err)
	}
	switch {
	case version == format:
		return nil
	case version >= 1 && version < format:
		return s.migrate(ctx, version)
	case version > format:
		return fmt.Errorf("%s has format %d, and this program knows %d at most: it was written by a newer version", filepath.Join(s.dir, fileName), version, format)
	case version != 0:
		return fmt.Errorf("%s has format %d, which this program does not know", filepath.Join(s.dir, fileName), version)
	}
	tx, err := s.writes.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("make state: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, schema+"PRAGMA user_version = "+strconv.Itoa(format)); err != nil {
		return fmt.Errorf("make state: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("make state: %w", err)
	}
	return nil
}

// Close closes the file. Nothing is called afterwards.
func (s *Store) Close() error {
	s.changes.close()
	return s.closeFile()
}

func (s *Store) closeFile() error {
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.close())
		s.writer = nil
	}
	for _, db := range []*sql.DB{s.reads, s.writes} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	s.reads, s.writes = nil, nil
	return errors.Join(errs...)
}

// Applied is the index of the newest entry whose effects the state has.
func (s *Store) Applied() uint64 { return s.applied.Load() }

func number(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func toNumber(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
