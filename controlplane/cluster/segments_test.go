package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/hashicorp/raft-wal/metadb"
)

// entries are what one term writes from an index on.
func entries(term, from, to uint64) (list []*raft.Log) {
	for i := from; i <= to; i++ {
		list = append(list, &raft.Log{Index: i, Term: term, Type: raft.LogCommand, Data: fmt.Appendf(nil, "term %d entry %d", term, i)})
	}
	return list
}

// A log whose end was taken back, again and again, is read after a start as it was
// before.
func TestALogThatWasShortenedOpensAgain(t *testing.T) {
	dir := t.TempDir()
	want := map[uint64]uint64{} // the term of each entry
	last := uint64(0)
	for term := uint64(1); term <= 4; term++ {
		meta := &metadb.BoltMetaDB{}
		log, err := openLog(dir, meta)
		if err != nil {
			t.Fatal(err)
		}
		if last > 0 {
			if err := log.DeleteRange(last-3, last); err != nil {
				t.Fatal(err)
			}
			last -= 4
		}
		more := entries(term, last+1, last+10)
		if err := log.StoreLogs(more); err != nil {
			t.Fatal(err)
		}
		for _, l := range more {
			want[l.Index] = term
		}
		last += 10
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if err := meta.Close(); err != nil {
			t.Fatal(err)
		}
	}
	meta := &metadb.BoltMetaDB{}
	log, err := openLog(dir, meta)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= last; i++ {
		var l raft.Log
		if err := log.GetLog(i, &l); err != nil {
			t.Errorf("entry %d: %v", i, err)
		} else if got := fmt.Sprintf("term %d entry %d", want[i], i); string(l.Data) != got || l.Term != want[i] {
			t.Errorf("entry %d of term %d: got %q, want %q", i, l.Term, l.Data, got)
		}
	}
	if got, err := log.LastIndex(); err != nil || got != last {
		t.Errorf("got the last index %d and %v, want %d", got, err, last)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
	if err := meta.Close(); err != nil {
		t.Error(err)
	}
}

// What was taken out of the beginning of the log is gone at once, not with the next
// start: a node that has to have it is sent the state in its place.
func TestEntriesThatWereDeletedAreGone(t *testing.T) {
	meta := &metadb.BoltMetaDB{}
	log, err := openLog(t.TempDir(), meta)
	if err != nil {
		t.Fatal(err)
	}
	g := newGuard(log, time.Minute, func(why string) { t.Error(why) }, nil)
	if err := errors.Join(g.StoreLogs(entries(1, 1, 10)), g.DeleteRange(1, 6)); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= 10; i++ {
		var l raft.Log
		err := g.GetLog(i, &l)
		if gone := errors.Is(err, raft.ErrLogNotFound); gone != (i <= 6) || !gone && (err != nil || l.Index != i) {
			t.Errorf("entry %d: got entry %d and the error %v", i, l.Index, err)
		}
	}
	if err := errors.Join(log.Close(), meta.Close()); err != nil {
		t.Error(err)
	}
}
