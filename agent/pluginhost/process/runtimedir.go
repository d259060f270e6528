package process

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// dirPrefix begins the name of every runtime directory. The names are short,
// because the path of a socket may have 104 bytes on macOS, of which its
// temporary folder takes half.
const dirPrefix = "testmesh-"

// maxParent leaves room for the name of a socket below it in the 104 bytes that
// macOS has for a socket's path: /testmesh-123456/plugin-dir1234567890/plugin1234567890.
const maxParent = 104 - 1 - 54

// lockName is the file that a living host holds locked, and by which the
// directory is known as one of ours. One whose lock can be had is of a host that
// was killed.
const lockName = "plugin-host.lock"

// runtimeDir is the private directory of a pool, made on first use.
type runtimeDir struct {
	mu   sync.Mutex
	path string
	lock *os.File
	// dismiss ends the guardian, where there is one.
	dismiss   func()
	unguarded bool // for tests of what is left then
}

// guard has a guardian look after the directory, once.
func (r *runtimeDir) guard() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dismiss == nil && r.path != "" && !r.unguarded {
		r.dismiss = guardRuntime(r.path)
	}
}

// make gives the directory. The first time it makes it, and clears away what
// hosts that were killed left in the same parent.
func (r *runtimeDir) make(parent string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.path != "" {
		return r.path, nil
	}
	if parent == "" {
		parent = os.TempDir()
		if len(parent) > maxParent && runtime.GOOS != "windows" {
			parent = "/tmp"
		}
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	// The plugin may know its folder by its real name.
	if parent, err = filepath.EvalSymlinks(parent); err != nil {
		return "", err
	}
	if len(parent) > maxParent {
		return "", fmt.Errorf("the path %s is too long for sockets below it: set TMPDIR to a shorter one", parent)
	}
	sweep(parent)
	dir, lock, err := makeLocked(parent)
	if err != nil {
		return "", err
	}
	r.path, r.lock = dir, lock
	return dir, nil
}

// makeLocked makes a directory with a lock that we hold.
func makeLocked(parent string) (dir string, lock *os.File, err error) {
	for range 5 {
		dir = filepath.Join(parent, dirPrefix+strings.ToLower(rand.Text()[:6]))
		if err = os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return "", nil, err
		}
		lock, err = os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			// Where there are no locks, nobody sweeps either.
			if had, failed := tryLock(lock); had || failed != nil {
				return dir, lock, nil
			}
		}
		// Somebody who sweeps was between us and our lock.
		if lock != nil {
			_ = lock.Close()
		}
		_ = os.RemoveAll(dir)
	}
	return "", nil, fmt.Errorf("make a directory in %s: %w", parent, err)
}

// process makes the folder of the nth process below it.
func (r *runtimeDir) process(parent, name string) (string, error) {
	root, err := r.make(parent)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, name)
	for _, d := range []string{dir, filepath.Join(dir, "package"), filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// remove takes the directory away.
func (r *runtimeDir) remove() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.path == "" {
		return nil
	}
	err := removeAll(r.path)
	if r.dismiss != nil {
		r.dismiss()
	}
	_ = r.lock.Close()
	r.path, r.lock = "", nil
	if err != nil {
		return fmt.Errorf("remove the plugins' runtime directory: %w", err)
	}
	return nil
}

// removeAll removes a tree, also where a plugin took away its own permissions.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// sweep ends the processes and removes the directories that killed hosts of the
// same user left in parent. It is of no consequence where it does not succeed.
func sweep(parent string) {
	entries, err := filepath.Glob(filepath.Join(parent, dirPrefix+"??????"))
	if err != nil {
		return
	}
	for _, dir := range entries {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 || !ownedByUs(info) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
		if err != nil {
			continue // not one of ours, or on its way
		}
		if had, err := tryLock(lock); err == nil && had {
			endMarked(marker(dir) + string(filepath.Separator))
			removeGroups(filepath.Base(dir))
			_ = removeAll(dir)
		}
		_ = lock.Close()
	}
}

// markerName is the variable by which a plugin's processes are known again,
// wherever they have moved.
const markerName = "TESTMESH_PLUGIN_DIR"

func marker(dir string) string { return markerName + "=" + dir }
