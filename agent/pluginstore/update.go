package pluginstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/testmesh/testmesh/flow/source"
)

// Lock reads plugins.lock; nil without problems where the project has none.
func (s *Store) Lock() (*Lock, source.Problems, error) {
	data, err := readFile(s.LockPath(), source.MaxData)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the lock file: %w", err)
	}
	lock, problems := ParseLock(LockFile, data)
	return lock, problems, nil
}

// Update reads plugins.lock, lets change work on it and writes it back, whole or
// not at all. Two processes never do so at the same time: the second one waits.
// A lock file with problems is left as it is.
func (s *Store) Update(change func(*Lock) error) (source.Problems, error) {
	release, err := s.hold()
	if err != nil {
		return nil, err
	}
	defer release()
	lock, problems, err := s.Lock()
	if err != nil || len(problems.Errors()) > 0 {
		return problems, err
	}
	fresh := lock == nil
	if fresh {
		lock = &Lock{}
	}
	if err := change(lock); err != nil {
		return nil, err
	}
	text, err := lock.Print()
	if err != nil {
		return nil, err
	}
	if before, err := os.ReadFile(s.LockPath()); err == nil && bytes.Equal(before, text) || fresh && len(lock.Plugins) == 0 {
		return nil, nil
	}
	return nil, writeWhole(s.LockPath(), text)
}

// hold takes the lock of the project's plugins among processes.
func (s *Store) hold() (release func(), err error) {
	if err := os.MkdirAll(s.dir(), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of plugins: %w", err)
	}
	if err := s.ignore(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir(), ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the plugins: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the plugins: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil // which lets the lock go
}

// ignore keeps installed packages out of the project's repository.
func (s *Store) ignore() error {
	f, err := os.OpenFile(filepath.Join(s.dir(), ".gitignore"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write .gitignore: %w", err)
	}
	_, err = f.WriteString("*\n")
	return errors.Join(err, f.Close())
}

// writeWhole replaces a file or leaves it as it was.
func writeWhole(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
