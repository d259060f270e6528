// Package blob keeps what is too large for the state: the files of bundles, event
// streams, artifacts. What it has acknowledged is on the disk. It never looks inside.
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
)

// ErrNotFound is the error of a read of what is not there.
var ErrNotFound = fs.ErrNotExist

// MaxKey bounds a key.
const MaxKey = 300

// Valid says whether a key can be one: parts of letters, digits, `-`, `_` and `.`,
// joined by slashes, none of them dots alone.
func Valid(key string) bool {
	if key == "" || len(key) > MaxKey {
		return false
	}
	for part := range strings.SplitSeq(key, "/") {
		if strings.Trim(part, ".") == "" || strings.ContainsFunc(part, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
		}) {
			return false
		}
	}
	return true
}

// Dir keeps blobs as files below a folder. It is for one node: what it has is gone
// with its disk.
type Dir struct{ root string }

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
	for _, name := range left { // of a process that ended in the middle
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("open blobs: %w", err)
		}
	}
	return &Dir{root}, nil
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
		return fmt.Errorf("store blob %s: %w", key, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("store blob %s: %w", key, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	if _, err := io.Copy(f, r); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close(), ctx.Err()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
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
func (d *Dir) List(_ context.Context, prefix string) ([]string, error) {
	name, err := d.file(strings.TrimSuffix(prefix, "/"))
	if err != nil {
		return nil, err
	}
	var keys []string
	err = filepath.WalkDir(name, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(d.root, path)
		keys = append(keys, filepath.ToSlash(rel))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list blobs of %s: %w", prefix, err)
	}
	slices.Sort(keys)
	return keys, nil
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
