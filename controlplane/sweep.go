package controlplane

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/controlplane/archive"
	"github.com/testmesh/testmesh/controlplane/blob"
	"github.com/testmesh/testmesh/controlplane/store"
)

// sweep removes blobs that nothing names and that are old enough: files of days that
// the state does not know, and, where runs are not kept for ever, streams of runs that
// are gone and contents that no bundle has. An artifact is named by no bundle: it is
// as old as its run at most, and goes when that does.
func (n *Node) sweep(ctx context.Context, keep Retention, now time.Time) (removed int, err error) {
	if err := n.cluster.Read(ctx); err != nil { // what others have named must be known here
		return 0, err
	}
	unnamed := now.Add(-grace)
	count, err := n.sweepOf(ctx, archive.Prefix, unnamed, func(key string) (bool, error) { return n.store.HasArchive(ctx, key) })
	removed += count
	before, ends := keep.cutoff(unnamed)
	if err != nil || !ends {
		return removed, err
	}
	count, err = n.sweepOf(ctx, "streams/", before, n.hasRun(ctx))
	removed += count
	if err != nil {
		return removed, err
	}
	named := map[[32]byte]bool{}
	if err := n.store.Files(ctx, func(sum string) { named[sumKey(sum)] = true }); err != nil {
		return removed, err
	}
	count, err = n.sweepOf(ctx, contents, before, func(key string) (bool, error) {
		return named[sumKey(key[strings.LastIndexByte(key, '/')+1:])], nil
	})
	return removed + count, err
}

// contents is before the keys of what bundles have, and of artifacts.
const contents = "files/"

func sumKey(text string) (key [32]byte) {
	_, _ = hex.Decode(key[:], []byte(text)[:min(len(text), 64)]) // what is no sum is named by nobody
	return key
}

// hasRun says of the key of a segment whether its run is there; runs come one after the
// other, so one answer is remembered.
func (n *Node) hasRun(ctx context.Context) func(key string) (bool, error) {
	var last string
	var has bool
	return func(key string) (bool, error) {
		run, _, _ := strings.Cut(strings.TrimPrefix(key, "streams/"), "/")
		if run == last {
			return has, nil
		}
		in, err := n.store.HasRun(ctx, run)
		if err == nil && !in {
			if _, err = n.history.run(ctx, run); err == nil {
				in = true
			} else if errors.Is(err, store.ErrNotFound) {
				err = nil
			}
		}
		last, has = run, in
		return in, err
	}
}

// sweepOf removes what is below a prefix, older than a time, and named by nothing.
func (n *Node) sweepOf(ctx context.Context, prefix string, before time.Time, named func(key string) (bool, error)) (removed int, err error) {
	var old []string
	err = n.own.Walk(ctx, prefix, func(i blob.Info) error {
		if i.Modified.Before(before) {
			old = append(old, i.Key)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, key := range old {
		is, err := named(key)
		if err != nil {
			return removed, fmt.Errorf("look whether %s is needed: %w", key, err)
		}
		if is {
			continue
		}
		if err := n.own.Delete(ctx, key); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// freshFor is for how long a content that was asked for counts as new.
const freshFor = 12 * time.Hour

// fresh are blobs whose contents become young when somebody asks whether they are
// there: whoever is told so names them next, and they must not be swept in between.
type fresh struct {
	blobStore
	mu      sync.Mutex
	touched map[string]time.Time
	swept   time.Time
}

func newFresh(b blobStore) *fresh { return &fresh{blobStore: b, touched: map[string]time.Time{}} }

func (f *fresh) Has(ctx context.Context, key string) (size int64, ok bool, err error) {
	size, ok, err = f.blobStore.Has(ctx, key)
	if !ok || err != nil || !strings.HasPrefix(key, contents) || !f.due(key, time.Now()) {
		return size, ok, err
	}
	switch err := f.blobStore.Touch(ctx, key); {
	case errors.Is(err, blob.ErrNotFound):
		return size, ok, nil // another node keeps it, and sweeps by its own clock
	case err != nil:
		return 0, false, err
	}
	return size, ok, nil
}

// due says whether a content was not touched lately, and notes that it is now.
func (f *fresh) due(key string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.swept) > freshFor {
		clear(f.touched)
		f.swept = now
	}
	if _, lately := f.touched[key]; lately {
		return false
	}
	f.touched[key] = now
	return true
}
