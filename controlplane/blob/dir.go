package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Dir keeps blobs as files below a folder. It is for one node: what it has is gone
// with its disk.
type Dir struct {
	root   string
	making sync.RWMutex
}

// OpenDir opens a folder of blobs, or makes it.
func OpenDir(root string) (*Dir, error) {
	for _, dir := range []string{root, filepath.Join(root, unfinished)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("open blobs: %w", err)
		}
	}
	left, err := filepath.Glob(filepath.Join(root, unfinished, "*"))
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	for _, name := range left { // of processes that ended in the middle
		if err := removeOld(name); err != nil {
			return nil, fmt.Errorf("open blobs: %w", err)
		}
	}
	return &Dir{root: root}, nil
}

// abandoned is after how long nobody writes a file any more: the folder may be one that
// several nodes see, and what another one is writing just now is not ours to remove.
const abandoned = time.Hour

func removeOld(name string) error {
	info, err := os.Stat(name)
	if err == nil && time.Since(info.ModTime()) > abandoned {
		err = os.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) { // another node has finished it
		return nil
	}
	return err
}

// unfinished holds what is being written. Keys have no such part: see Valid.
const unfinished = ".unfinished"

func (d *Dir) file(key string) (string, error) {
	if !Valid(key) || strings.HasPrefix(key, unfinished) {
		return "", fmt.Errorf("the key %q is none", key)
	}
	return filepath.Join(d.root, filepath.FromSlash(key)), nil
}

// Put stores a blob: all of it, or nothing. It is on the disk when Put returns.
func (d *Dir) Put(ctx context.Context, key string, r io.Reader) (err error) {
	name, err := d.file(key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(d.root, unfinished), "*")
	if err != nil {
		return fmt.Errorf("store blob %s: %w", key, full(d.root, err))
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("store blob %s: %w", key, full(d.root, errors.Join(err, os.Remove(f.Name()))))
		}
	}()
	if _, err := io.Copy(f, r); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close(), ctx.Err()); err != nil {
		return err
	}
	if err := d.folder(filepath.Dir(name)); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// folder makes a folder, and its entry in each folder above it durable. Who finds it
// there waits for whoever makes it: a blob in a folder that is not durable is none.
func (d *Dir) folder(dir string) error {
	d.making.RLock()
	_, err := os.Stat(dir)
	d.making.RUnlock()
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.making.Lock()
	defer d.making.Unlock()
	return d.make(dir)
}

func (d *Dir) make(dir string) error {
	switch _, err := os.Stat(dir); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := d.make(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// FullError says that a store has no room. What was acknowledged before stays.
type FullError struct {
	Where string
	err   error
}

func (e *FullError) Error() string {
	return fmt.Sprintf("there is no room left in %s: make some, and it goes on by itself (%v)", e.Where, e.err)
}

// Unwrap is what the system said.
func (e *FullError) Unwrap() error { return e.err }

func full(where string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &FullError{where, err}
	}
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get opens a blob.
func (d *Dir) Get(_ context.Context, key string) (io.ReadCloser, error) {
	name, err := d.file(key)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", key, err)
	}
	return f, nil
}

// Has says whether a blob is there, and how long it is.
func (d *Dir) Has(_ context.Context, key string) (size int64, ok bool, err error) {
	name, err := d.file(key)
	if err != nil {
		return 0, false, err
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("look for blob %s: %w", key, err)
	}
	return info.Size(), info.Mode().IsRegular(), nil
}

// List are the keys below a prefix that ends in a slash, in alphabetical order.
func (d *Dir) List(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	err := d.Walk(ctx, prefix, func(i Info) error { keys = append(keys, i.Key); return nil })
	slices.Sort(keys)
	return keys, err
}

// Walk shows each blob below a prefix that ends in a slash, in no order that is stated,
// until visit errors.
func (d *Dir) Walk(ctx context.Context, prefix string, visit func(Info) error) error {
	name, err := d.file(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return err
	}
	err = filepath.WalkDir(name, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile, or never there
		}
		if err != nil || e.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		rel, err2 := filepath.Rel(d.root, path)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		return visit(Info{Key: filepath.ToSlash(rel), Size: info.Size(), Modified: info.ModTime()})
	})
	if err != nil {
		return fmt.Errorf("list blobs of %s: %w", prefix, err)
	}
	return nil
}

// Touch makes a blob as young as one that was just put; one that is not there is
// ErrNotFound.
func (d *Dir) Touch(_ context.Context, key string) error {
	name, err := d.file(key)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := os.Chtimes(name, now, now); err != nil {
		return fmt.Errorf("touch blob %s: %w", key, err)
	}
	return nil
}

// Delete removes a blob; one that is not there is no error.
func (d *Dir) Delete(_ context.Context, key string) error {
	name, err := d.file(key)
	if err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", key, err)
	}
	return nil
}
