package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"google.golang.org/protobuf/proto"
)

// hashEvery is how many entries lie between two hashes that nodes compare.
const hashEvery = 1000

// keptHashes is how many of them are kept for a comparison that comes late.
const keptHashes = 20

// writer is the one connection that changes the file, with its prepared
// statements. Everything that it writes goes into a chain of hashes, so that two
// nodes that wrote anything differently know.
type writer struct {
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	applied uint64
	chain   []byte // after the entry `applied`
	sum     hash.Hash
	failed  error // the first error of a statement; nothing is committed after it
}

func newWriter(conn *sql.Conn) (*writer, error) {
	w := &writer{conn: conn, stmts: map[string]*sql.Stmt{}, sum: sha256.New()}
	for key, into := range map[string]*[]byte{"chain": &w.chain} {
		if err := w.meta(key, into); err != nil {
			return nil, err
		}
	}
	var applied []byte
	if err := w.meta("applied", &applied); err != nil {
		return nil, err
	}
	w.applied = toNumber(applied)
	return w, nil
}

func (w *writer) meta(key string, into *[]byte) error {
	w.one("SELECT value FROM meta WHERE key = ?", []any{key}, into)
	return w.take()
}

// take gives the error of the statements so far, and forgets it.
func (w *writer) take() error {
	err := w.failed
	w.failed = nil
	return err
}

func (w *writer) stmt(text string) *sql.Stmt {
	if s := w.stmts[text]; s != nil {
		return s
	}
	s, err := w.conn.PrepareContext(context.Background(), text)
	if err != nil {
		w.fail(fmt.Errorf("prepare %q: %w", text, err))
		return nil
	}
	w.stmts[text] = s
	return s
}

func (w *writer) fail(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

// raw runs a statement that is no part of the state: begin, commit.
func (w *writer) raw(text string) error {
	_, err := w.conn.ExecContext(context.Background(), text)
	return err
}

// exec changes the state, and the chain with it.
func (w *writer) exec(text string, args ...any) (changed int64) {
	w.note(text, args)
	return w.quiet(text, args...)
}

// quiet writes what the chain does not take in: what nodes may have differently, as the
// chain itself, and what was noted for it apart.
func (w *writer) quiet(text string, args ...any) (changed int64) {
	s := w.stmt(text)
	if s == nil || w.failed != nil {
		return 0
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err == nil {
		changed, err = res.RowsAffected()
	}
	if err != nil {
		w.fail(fmt.Errorf("run %q: %w", text, err))
	}
	return changed
}

func (w *writer) note(text string, args []any) {
	w.text(text)
	for _, a := range args {
		switch v := a.(type) {
		case string:
			w.text(v)
		case []byte:
			w.text(string(v))
		default:
			w.text(fmt.Sprint(v))
		}
	}
}

func (w *writer) text(s string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(s)))
	w.sum.Write(n[:])
	w.sum.Write([]byte(s))
}

// one reads one row; found is false where there is none.
func (w *writer) one(text string, args []any, into ...any) (found bool) {
	s := w.stmt(text)
	if s == nil || w.failed != nil {
		return false
	}
	err := s.QueryRowContext(context.Background(), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false
	}
	if err != nil {
		w.fail(fmt.Errorf("read %q: %w", text, err))
		return false
	}
	return true
}

// texts reads the one column of some rows, in the order of the statement.
func (w *writer) texts(text string, args ...any) (list []string) {
	s := w.stmt(text)
	if s == nil || w.failed != nil {
		return nil
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		w.fail(fmt.Errorf("read %q: %w", text, err))
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			w.fail(fmt.Errorf("read %q: %w", text, err))
			return nil
		}
		list = append(list, one)
	}
	if err := rows.Err(); err != nil {
		w.fail(fmt.Errorf("read %q: %w", text, err))
	}
	return list
}

// record reads a message.
func (w *writer) record(m proto.Message, text string, args ...any) (found bool) {
	var raw []byte
	if !w.one(text, args, &raw) {
		return false
	}
	if err := proto.Unmarshal(raw, m); err != nil {
		w.fail(fmt.Errorf("decode what %q gave: %w", text, err))
		return false
	}
	return true
}

// packed is a message as it is stored.
func (w *writer) packed(m proto.Message) []byte {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		w.fail(fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err))
	}
	return raw
}

// entry ends an entry: the chain takes what was written for it.
func (w *writer) entry(index uint64) {
	w.sum.Write(number(index))
	next := sha256.New()
	next.Write(w.chain)
	next.Write(w.sum.Sum(nil))
	w.chain = next.Sum(nil)
	w.sum.Reset()
	w.applied = index
	if index%hashEvery == 0 {
		w.quiet("INSERT OR REPLACE INTO hashes (position, hash) VALUES (?, ?)", int64(index), w.chain)
		w.quiet("DELETE FROM hashes WHERE position <= ?", int64(index)-keptHashes*hashEvery)
	}
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}
