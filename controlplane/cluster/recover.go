package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// keyTerm is raft's own key of the newest term that a node has seen.
const keyTerm = "CurrentTerm"

// CatchUp gives a state everything that the log in a folder has, committed or not:
// who recovers a cluster from one node wants all that the node knows. It gives the
// index of the last entry and the newest term. No node runs in the folder.
func CatchUp(dir string, state State) (last, term uint64, err error) {
	var meta metadb.BoltMetaDB
	log, err := openLog(dir, &meta)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, log.Close(), meta.Close()) }()
	if term, err = log.GetUint64([]byte(keyTerm)); err != nil {
		return 0, 0, fmt.Errorf("read the term: %w", err)
	}
	first, err := log.FirstIndex()
	if err != nil {
		return 0, 0, fmt.Errorf("read log: %w", err)
	}
	if last, err = log.LastIndex(); err != nil {
		return 0, 0, fmt.Errorf("read log: %w", err)
	}
	snapshot, err := catchUpSnapshot(dir, state)
	if err != nil {
		return 0, 0, err
	}
	if next := state.Applied() + 1; last >= next && first > next {
		return 0, 0, fmt.Errorf("the state has entry %d, and the log begins at %d: what lies between is lost", next-1, first)
	}
	for at := state.Applied() + 1; at <= last; at = state.Applied() + 1 {
		if err := applyFrom(log, state, at, last); err != nil {
			return 0, 0, err
		}
	}
	return max(last, snapshot, state.Applied()), term, nil
}

// catchUpSnapshot restores the newest snapshot where the state is behind it, and gives
// its index.
func catchUpSnapshot(dir string, state State) (uint64, error) {
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, hclog.NewNullLogger())
	if err != nil {
		return 0, fmt.Errorf("open snapshots: %w", err)
	}
	list, err := store.List()
	if err != nil {
		return 0, fmt.Errorf("list snapshots: %w", err)
	}
	if len(list) == 0 {
		return 0, nil
	}
	if state.Applied() >= list[0].Index {
		return list[0].Index, nil
	}
	_, from, err := store.Open(list[0].ID)
	if err != nil {
		return 0, fmt.Errorf("open snapshot: %w", err)
	}
	return list[0].Index, errors.Join(state.Restore(from), from.Close())
}

// applyFrom applies entries from one on, at most as many as are applied together when
// a node runs. Entries that are none of the state's count as applied too.
func applyFrom(log *wal.WAL, state State, at, last uint64) (err error) {
	logs := make([]*raft.Log, 0, maxAppend)
	for i := at; i <= last && len(logs) < maxAppend; i++ {
		l := &raft.Log{}
		if err := log.GetLog(i, l); err != nil {
			return fmt.Errorf("read entry %d: %w", i, err)
		}
		logs = append(logs, l)
	}
	entries := make([]Entry, len(logs))
	for i, l := range logs {
		entries[i] = Entry{Index: l.Index, Term: l.Term}
		if l.Type != raft.LogCommand {
			continue
		}
		if entries[i].Command, err = decode(l); err != nil {
			return err
		}
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("apply entries %d to %d: %v", at, entries[len(entries)-1].Index, r)
		}
	}()
	state.Apply(entries)
	if state.Applied() < entries[len(entries)-1].Index {
		return fmt.Errorf("apply entries %d to %d: the state took none of them", at, entries[len(entries)-1].Index)
	}
	return nil
}

// Beginning is where a cluster of one node goes on from.
type Beginning struct {
	ID, Address string
	// Index and Term are those of the state's last entry, and at least 1.
	Index, Term uint64
}

// Begin makes the log of a cluster of one node in an empty folder: a snapshot, and
// nothing after it.
func Begin(dir string, b Beginning, state Snapshot) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	if b.Address == "" {
		b.Address = aloneAddress
	}
	var meta metadb.BoltMetaDB
	log, err := openLog(dir, &meta)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close(), meta.Close()) }()
	if err := log.SetUint64([]byte(keyTerm), b.Term); err != nil {
		return fmt.Errorf("write the term: %w", err)
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, hclog.NewNullLogger())
	if err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	address, transport := raft.NewInmemTransport(raft.ServerAddress(b.Address))
	defer func() { err = errors.Join(err, transport.Close()) }()
	only := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(b.ID), Address: address}}}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, b.Index, b.Term, only, b.Index, transport)
	if err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	if err := state.Write(context.Background(), sink); err != nil {
		return errors.Join(fmt.Errorf("make snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("make snapshot: %w", err)
	}
	return nil
}
