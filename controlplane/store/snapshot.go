package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mattn/go-sqlite3"

	failpoint "github.com/testmesh/testmesh/sdk/fault"
)

const (
	// magic begins a snapshot: what it is, and of which form.
	magic = "TMSNAP1\n"
	// restoring is the file that a restore writes before it counts.
	restoring = "restoring.db"
	// maxSnapshot bounds what a restore reads: four times the size that the state
	// may have.
	maxSnapshot = 8 << 30
	// copyPages are copied at a time, so that a cancelled snapshot ends.
	copyPages = 4096
)

// Snapshot is the state as it was when it was taken. Commands are applied
// meanwhile, and do not show in it.
type Snapshot struct {
	// Index of the newest entry in it.
	Index uint64

	dir   string
	fault *failpoint.Set
	conn  *sql.Conn
}

// Snapshot pins the state in a read transaction, which takes no time. Release must
// be called: what is pinned cannot be reclaimed.
func (s *Store) Snapshot(ctx context.Context) (*Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	conn, err := s.reads.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("pin the state: %w", err)
	}
	snap := &Snapshot{dir: s.dir, fault: s.fault, conn: conn}
	var applied []byte
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return nil, errors.Join(fmt.Errorf("pin the state: %w", err), conn.Close())
	}
	err = conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'applied'").Scan(&applied)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		snap.Release()
		return nil, fmt.Errorf("pin the state: %w", err)
	}
	snap.Index = toNumber(applied)
	return snap, nil
}

// Release ends the read transaction.
func (s *Snapshot) Release() {
	if s.conn == nil {
		return
	}
	_, _ = s.conn.ExecContext(context.Background(), "ROLLBACK") // a connection that cannot is closed next
	_ = s.conn.Close()
	s.conn = nil
}

// Write writes the snapshot: a head with its index and length, the file, and the
// sha256 of all before it.
func (s *Snapshot) Write(ctx context.Context, w io.Writer) (err error) {
	f, err := os.CreateTemp(s.dir, "snapshot-*.db")
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	name := f.Name()
	defer func() { err = errors.Join(err, f.Close(), os.Remove(name)) }()
	if s.fault.Off("no_pinned_snapshot") {
		if _, err := s.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
			return err
		}
	}
	if err := s.fault.Point("store.snapshot.pinned"); err != nil {
		return err
	}
	if err := s.copyTo(ctx, name); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	if err := s.fault.Point("store.snapshot.copied"); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	sum := sha256.New()
	out := bufio.NewWriterSize(w, 1<<20)
	all := io.MultiWriter(out, sum)
	head := append([]byte(magic), number(s.Index)...)
	if _, err := all.Write(append(head, number(uint64(info.Size()))...)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := io.Copy(all, f); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if _, err := out.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// copyTo copies by SQLite's backup from the pinned connection: an unpinned one
// would begin anew with every write of others.
func (s *Snapshot) copyTo(ctx context.Context, file string) error {
	return s.conn.Raw(func(driver any) error {
		from, ok := driver.(*sqlite3.SQLiteConn)
		if !ok {
			return fmt.Errorf("the driver is a %T", driver)
		}
		opened, err := (&sqlite3.SQLiteDriver{}).Open("file:" + file + "?_journal_mode=OFF&_synchronous=OFF")
		if err != nil {
			return err
		}
		to := opened.(*sqlite3.SQLiteConn)
		defer to.Close()
		backup, err := to.Backup("main", from, "main")
		if err != nil {
			return err
		}
		for done := false; !done; {
			if err := ctx.Err(); err != nil {
				return errors.Join(err, backup.Finish())
			}
			if done, err = backup.Step(copyPages); err != nil {
				return errors.Join(err, backup.Finish())
			}
		}
		return backup.Finish()
	})
}

// Restore puts a snapshot in the place of the state. It is written beside it and
// checked as a whole first: with an error before that the state is as it was. An
// error that is *Broken leaves no state to go on with.
func (s *Store) Restore(r io.Reader) error {
	file := filepath.Join(s.dir, restoring)
	if err := receive(bufio.NewReaderSize(r, 1<<20), file); err != nil {
		return errors.Join(fmt.Errorf("restore: %w", err), removeDatabase(file))
	}
	if err := s.fault.Point("store.restore.written"); err != nil {
		return errors.Join(err, removeDatabase(file))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.replace(file); err != nil {
		return &Broken{fmt.Errorf("restore: %w", err)}
	}
	s.changes.publish(Change{Index: s.Applied(), Lost: true})
	return nil
}

// replace is not interrupted half-way by a crash either: the old file is complete,
// without a log beside it, until the new one has its name.
func (s *Store) replace(file string) error {
	if err := s.closeFile(); err != nil {
		return err
	}
	name := filepath.Join(s.dir, fileName)
	for _, beside := range []string{"-wal", "-shm"} { // of readers that are pinned
		if err := os.Remove(name + beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(file, name); err != nil {
		return err
	}
	if err := errors.Join(syncDir(s.dir), s.fault.Point("store.restore.swapped")); err != nil {
		return err
	}
	return s.open()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func removeDatabase(file string) error {
	var errs []error
	for _, beside := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(file + beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// receive writes a snapshot to a file and checks it.
func receive(r io.Reader, file string) (err error) {
	head := make([]byte, len(magic)+16)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("read the head of the snapshot: %w", err)
	}
	if string(head[:len(magic)]) != magic {
		return errors.New("this is no snapshot of TestMesh, or one of a newer version")
	}
	index, size := binary.BigEndian.Uint64(head[len(magic):]), binary.BigEndian.Uint64(head[len(magic)+8:])
	if size == 0 || size > maxSnapshot {
		return fmt.Errorf("the snapshot says that it has %d bytes", size)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	sum := sha256.New()
	sum.Write(head)
	_, err = io.CopyN(io.MultiWriter(f, sum), r, int64(size))
	if errors.Is(err, io.EOF) {
		err = errors.New("the snapshot ends early")
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(r, want); err != nil {
		return errors.New("the snapshot ends early")
	}
	if string(want) != string(sum.Sum(nil)) {
		return errors.New("the snapshot is damaged: its checksum differs")
	}
	return check(file, index)
}

// check opens what was received as a state of this index.
func check(file string, index uint64) (err error) {
	db, err := sql.Open("sqlite3", "file:"+file+"?mode=ro")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var verdict string
	if err := db.QueryRow("PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return fmt.Errorf("check the snapshot: %w", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("the snapshot is damaged: %s", verdict)
	}
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("check the snapshot: %w", err)
	}
	if version < 1 || version > format {
		return errors.New("the snapshot has format " + strconv.Itoa(version) + ", and this program knows " + strconv.Itoa(format))
	}
	var applied []byte
	if err := db.QueryRow("SELECT value FROM meta WHERE key = 'applied'").Scan(&applied); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("check the snapshot: %w", err)
	}
	if got := toNumber(applied); got != index {
		return fmt.Errorf("the snapshot says that it is of entry %d, and holds entry %d", index, got)
	}
	return nil
}
