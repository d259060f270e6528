//go:build unix && !linux

package process

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// attributes keep the terminal's Ctrl-C from a plugin.
func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// waitEnd leaves the waiting to exec.Cmd.
func waitEnd(int) {}

// endTree kills the process and its group. What has left the group is not found
// here; a plugin of the SDK ends by itself when its parent does.
func (c *child) endTree() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
}

func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func ownedByUs(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
