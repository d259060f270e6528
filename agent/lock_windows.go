package agent

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockDir makes sure that one process at a time is the agent of a folder: Windows does
// not let a second one open a file that the first has open for itself.
func lockDir(file string) (*os.File, error) {
	_ = os.Remove(file) // that of a process which has ended; a living one keeps it
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s is in use by another agent: %w", filepath.Dir(file), err)
	}
	return f, nil
}
