package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// lockPoll is how often a lock that another process holds is looked at again.
const lockPoll = 50 * time.Millisecond

// Locks holds named locks among the runs of this process, and by a lock file a
// name among the processes of this user.
type Locks struct {
	dir string

	mu   sync.Mutex
	held map[string]bool
	free chan struct{} // closed and replaced whenever locks are let go
}

// NewLocks makes locks whose files stand in dir, which is made when needed.
func NewLocks(dir string) *Locks {
	return &Locks{dir: dir, held: make(map[string]bool), free: make(chan struct{})}
}

// Acquire waits until all names are free and takes them at once.
func (l *Locks) Acquire(ctx context.Context, names []string) (func(), error) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for {
		l.mu.Lock()
		free := l.free
		taken := slices.ContainsFunc(names, func(n string) bool { return l.held[n] })
		if !taken {
			for _, n := range names {
				l.held[n] = true
			}
		}
		l.mu.Unlock()
		if taken {
			select {
			case <-free:
				continue
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		files, busy, err := l.lockFiles(names)
		if err == nil && !busy {
			return func() { l.release(names, files) }, nil
		}
		l.release(names, nil)
		if err != nil {
			return nil, err
		}
		wait(ctx, lockPoll)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// lockFiles takes the files of all names or none; busy: another process has one.
func (l *Locks) lockFiles(names []string) (files []*os.File, busy bool, err error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make the folder of lock files: %w", err)
	}
	for _, name := range names {
		sum := sha256.Sum256([]byte(name))
		f, err := os.OpenFile(filepath.Join(l.dir, hex.EncodeToString(sum[:8])+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
		if err == nil {
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			if err != nil {
				err = errors.Join(err, f.Close())
			}
		}
		if err != nil {
			closeAll(files)
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, true, nil
			}
			return nil, false, fmt.Errorf("lock %q: %w", name, err)
		}
		files = append(files, f)
	}
	return files, false, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // which lets the lock go
	}
}

func (l *Locks) release(names []string, files []*os.File) {
	closeAll(files)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range names {
		delete(l.held, n)
	}
	close(l.free)
	l.free = make(chan struct{})
}
