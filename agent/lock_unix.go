//go:build unix

package agent

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir makes sure that one process at a time is the agent of a folder: two with one
// key would be taken for a copy of it. The lock goes with the process, however it ends.
func lockDir(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the agent's folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // the lock says more
		return nil, fmt.Errorf("%s is in use by another agent: stop it first, or give this one another folder (data)", filepath.Dir(file))
	}
	return f, nil
}
