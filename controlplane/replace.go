package controlplane

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/types/known/timestamppb"

	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"

	"github.com/testmesh/testmesh/controlplane/auth"
	"github.com/testmesh/testmesh/controlplane/cluster"
	"github.com/testmesh/testmesh/controlplane/store"
)

// A state is replaced in two halves. The new one is made whole in a folder of its own,
// `making`; with one rename it becomes `replacing`, and from then on it counts: what is
// left to move is moved now, or when the directory is opened next.
const (
	making    = "making"
	replacing = "replacing"
	replaced  = "replaced-" // and the time: what was there before
)

// Restoring says which snapshot becomes the state of a data directory that no process
// uses.
type Restoring struct {
	Dir, Snapshot string
	// SealKey is a file with the key that opens the snapshot's secrets; empty: the one of
	// the directory.
	SealKey string
	// Force replaces a state that is there already.
	Force bool
}

// Restore makes a snapshot the state of a data directory, as a cluster of one node. It
// is verified as a whole before anything is replaced.
func Restore(ctx context.Context, r Restoring) (said string, err error) {
	lock, err := openDir(r.Dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := os.Stat(filepath.Join(r.Dir, stateDir)); err == nil && !r.Force {
		return "", fmt.Errorf("%s has a state already\n  hint: --force moves it aside", r.Dir)
	}
	fresh := filepath.Join(r.Dir, making)
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	s, err := store.Open(store.Config{Dir: filepath.Join(fresh, stateDir)})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	f, err := os.Open(r.Snapshot)
	if err != nil {
		return "", fmt.Errorf("read snapshot: %w", err)
	}
	if err := errors.Join(s.Restore(f), f.Close()); err != nil {
		return "", err
	}
	if err := r.sealKey(ctx, s, fresh); err != nil {
		return "", err
	}
	index := s.Applied()
	if err := replaceState(r.Dir, s, index, 1, "restored from a snapshot"); err != nil {
		return "", err
	}
	return fmt.Sprintf("restored the state of entry %d; leases of before have ended", index), nil
}

// sealKey makes sure that the secrets of the snapshot can be opened.
func (r *Restoring) sealKey(ctx context.Context, s *store.Store, fresh string) error {
	file := filepath.Join(r.Dir, sealFile)
	if r.SealKey != "" {
		file = r.SealKey
	}
	sealed, purpose, err := s.Sealed(ctx)
	none := errors.Is(err, store.ErrNotFound)
	if err != nil && !none {
		return err
	}
	if none && r.SealKey == "" {
		return nil
	}
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && r.SealKey == "" {
		return errors.New("the snapshot has secrets, and the data directory has no key that opens them\n  hint: --seal-key seal.key, from the data directory of a node of the old cluster")
	}
	if err != nil {
		return fmt.Errorf("read the sealing key: %w", err)
	}
	seal, err := auth.NewSeal(key)
	if err != nil {
		return err
	}
	if !none {
		if _, err := seal.Open(sealed, purpose...); err != nil {
			return fmt.Errorf("the key in %s does not open the secrets of the snapshot", file)
		}
	}
	return writeFile(filepath.Join(fresh, sealFile), key)
}

// Recover makes a cluster of one node of a data directory whose cluster has lost most
// of its nodes. Everything that this one has counts, also what was never committed.
func Recover(ctx context.Context, dir string) (said string, err error) {
	if _, err := os.Stat(filepath.Join(dir, raftDir)); err != nil {
		return "", fmt.Errorf("%s is no data directory of a node that has run", dir)
	}
	lock, err := openDir(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	fresh := filepath.Join(dir, making)
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := copyState(ctx, filepath.Join(dir, stateDir), filepath.Join(fresh, stateDir)); err != nil {
		return "", err
	}
	s, err := store.Open(store.Config{Dir: filepath.Join(fresh, stateDir)})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	last, term, err := cluster.CatchUp(filepath.Join(dir, raftDir), machine{s})
	if err != nil {
		return "", err
	}
	if err := replaceState(dir, s, last, term, "recovered from one node"); err != nil {
		return "", err
	}
	return fmt.Sprintf("recovered the state of entry %d; this node is the whole cluster, and leases of before have ended", last), nil
}

// copyState makes a copy of the state in a folder, by way of a snapshot.
func copyState(ctx context.Context, from, to string) (err error) {
	old, err := store.Open(store.Config{Dir: from})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	snap, err := old.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer snap.Release()
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	f, err := os.CreateTemp(to, "copy-*")
	if err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if err := snap.Write(ctx, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return fmt.Errorf("copy the state: %w", err)
	}
	fresh, err := store.Open(store.Config{Dir: to})
	if err != nil {
		return err
	}
	return errors.Join(fresh.Restore(f), fresh.Close())
}

// replaceState ends every lease of a state that was made below `making`, gives it a log
// of one node that begins after entry last, and puts both in place.
func replaceState(dir string, s *store.Store, last, term uint64, reason string) error {
	fresh := filepath.Join(dir, making)
	id, err := once(filepath.Join(dir, nodeFile), newID)
	if err != nil {
		return err
	}
	if err := alone(s, id, last, max(term, 1), reason); err != nil {
		return err
	}
	snap, err := s.Snapshot(context.Background())
	if err != nil {
		return err
	}
	defer snap.Release()
	if err := cluster.Begin(filepath.Join(fresh, raftDir), cluster.Beginning{ID: id, Index: s.Applied(), Term: max(term, 1)}, snap); err != nil {
		return err
	}
	snap.Release()
	if err := s.Close(); err != nil {
		return err
	}
	if err := stranger(dir, id); err != nil {
		return err
	}
	if err := syncTree(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, filepath.Join(dir, replacing)); err != nil {
		return fmt.Errorf("replace the state: %w", err)
	}
	return finishReplacing(dir)
}

// stranger gives a node that was one of several an authority of its own: nodes of before
// that are started all the same would else take it for one of theirs, and what it did
// since back.
func stranger(dir, id string) error {
	if !Joined(dir) {
		return nil
	}
	fresh := filepath.Join(dir, making, identityDir)
	if _, err := cluster.Found(fresh, id); err != nil {
		return err
	}
	return writeFile(filepath.Join(fresh, identityDone), []byte("1\n"))
}

// alone applies the entries with which the state of a cluster becomes that of one node:
// as if they were the next of its log.
func alone(s *store.Store, id string, last, term uint64, reason string) (err error) {
	members, err := s.Members(context.Background())
	if err != nil {
		return err
	}
	commands := []*clusterv1.Command{{Body: &clusterv1.Command_RaiseIncarnation{RaiseIncarnation: &clusterv1.RaiseIncarnation{Reason: reason}}}}
	for _, m := range members {
		if m.GetId() != id {
			commands = append(commands, &clusterv1.Command{Body: &clusterv1.Command_RemoveMember{RemoveMember: &clusterv1.RemoveMember{Id: m.GetId()}}})
		}
	}
	entries := make([]store.Entry, len(commands))
	for i, c := range commands {
		sum := sha256.Sum256([]byte(newID()))
		c.Version, c.Actor, c.Workspace, c.Time = 1, "node "+id, "default", timestamppb.Now()
		c.RequestId, c.RequestDigest = fmt.Sprintf("alone/%x", sum[:8]), sum[:]
		entries[i] = store.Entry{Index: last + 1 + uint64(i), Term: term, Command: c}
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("end the leases of before: %v", r)
		}
	}()
	s.Apply(entries)
	return nil
}

// finishReplacing moves what is left to move, where the second half of a replacement
// was not done, and removes what never counted.
func finishReplacing(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, making)); err != nil {
		return fmt.Errorf("replace the state: %w", err)
	}
	from := filepath.Join(dir, replacing)
	info, err := os.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("replace the state: %w", err)
	}
	old := filepath.Join(dir, replaced+info.ModTime().UTC().Format("20060102-150405"))
	if err := os.MkdirAll(old, 0o700); err != nil {
		return fmt.Errorf("replace the state: %w", err)
	}
	for _, name := range []string{sealFile, identityDir, stateDir, raftDir} {
		if _, err := os.Stat(filepath.Join(from, name)); errors.Is(err, fs.ErrNotExist) {
			continue // it is in its place, or stays as it is
		}
		now := filepath.Join(dir, name)
		if err := os.Rename(now, filepath.Join(old, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replace the state: %w", err)
		}
		if err := os.Rename(filepath.Join(from, name), now); err != nil {
			return fmt.Errorf("replace the state: %w", err)
		}
	}
	if err := syncTree(dir); err != nil {
		return err
	}
	_ = os.Remove(old) // where nothing was there before
	if err := os.Remove(from); err != nil {
		return fmt.Errorf("replace the state: %w", err)
	}
	return nil
}

// syncTree makes durable what a folder has directly, and its files two levels down.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("replace the state: %w", err)
		}
		if e.Name() == "blobs" {
			return filepath.SkipDir // not part of it, and large
		}
		if !e.IsDir() && !e.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("replace the state: %w", err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("replace the state: %w", err)
		}
		return nil
	})
}
