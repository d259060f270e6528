package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// at is where a file is below the root.
func (s *Service) at(file string) string { return filepath.Join(s.Root, file) }

func (s *Service) exists(file string) bool {
	_, err := os.Lstat(s.at(file))
	return err == nil
}

// write replaces a file as a whole.
func (s *Service) write(file string, text []byte, mode fs.FileMode, say string) step {
	return step{say, func() error {
		if err := os.MkdirAll(filepath.Dir(s.at(file)), 0o755); err != nil {
			return err
		}
		fresh := s.at(file) + ".new"
		if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err // its mode would stay
		}
		if err := os.WriteFile(fresh, text, mode); err != nil {
			return err
		}
		if err := os.Chmod(fresh, mode); err != nil { // whatever the umask is
			return err
		}
		return os.Rename(fresh, s.at(file))
	}}
}

func (s *Service) remove(file string) step {
	return step{"remove " + file, func() error {
		if err := os.Remove(s.at(file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}}
}

func (s *Service) systemctl(ctx context.Context, say string, args ...string) step {
	return step{say, func() error {
		if out, err := s.System(ctx, args...); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}}
}

// copyFile copies a program. One that runs from there is not disturbed: its file is
// replaced, not written to.
func copyFile(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(dst.Name()))
		}
	}()
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Chmod(0o755), dst.Close()); err != nil {
		return err
	}
	return os.Rename(dst.Name(), to)
}
