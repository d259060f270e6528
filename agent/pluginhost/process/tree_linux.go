package process

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// huntFor bounds the search for what a plugin left behind.
	huntFor = time.Second
	// maxTree bounds how many processes of one plugin are looked at.
	maxTree = 4096
)

// attributes keep the terminal's Ctrl-C from a plugin and end it with its host.
// Alone in a PID namespace it is the first process there, and with it ends
// whatever it has started, however that hid: the kernel sees to it, also after
// kill -9 of the host.
func attributes(alone bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if alone {
		a.Cloneflags = syscall.CLONE_NEWPID
	}
	return a
}

// isDenied says whether a start failed for want of the right, or the room, to
// make a namespace.
func isDenied(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ENOSYS)
}

// waitEnd waits for the end of a child and leaves it to be waited for, so that
// its id is nobody else's yet.
func waitEnd(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// endTree kills the process and everything that it started. It holds c.mu, and
// the process is not waited for yet.
func (c *child) endTree() {
	if c.alone {
		_ = c.cmd.Process.Kill()
		return
	}
	pid := c.cmd.Process.Pid
	below := descendants(pid)
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	_ = c.cmd.Process.Kill()
	for _, p := range below {
		p.kill()
	}
	endMarked(marker(c.dir) + "\x00")
}

// running is a process that is held by a descriptor, so that a signal cannot
// reach another that was given its id.
type running struct{ pid, fd int }

// hold gives a process that exists. A kernel before 5.3 has no descriptors.
func hold(pid int) (running, bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return running{pid, -1}, true
	}
	return running{pid, fd}, err == nil
}

func (r running) kill() {
	if r.fd < 0 {
		_ = unix.Kill(r.pid, unix.SIGKILL)
		return
	}
	_ = unix.PidfdSendSignal(r.fd, unix.SIGKILL, nil, 0)
	r.release()
}

func (r running) release() {
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
	}
}

// descendants holds the processes below pid, each as it was found.
func descendants(pid int) []running {
	var out []running
	for queue := []int{pid}; len(queue) > 0 && len(out) < maxTree; queue = queue[1:] {
		for _, child := range children(queue[0]) {
			if p, ok := hold(child); ok {
				out = append(out, p)
				queue = append(queue, child)
			}
		}
	}
	return out
}

// children are the processes whose parent is pid.
func children(pid int) []int {
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		return nil
	}
	var out []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// endMarked kills every process whose environment began with a variable that
// begins with mark, until none is left. It finds what left its group, its
// session and its parents, but not what started with another environment.
func endMarked(mark string) {
	ctx, release := context.WithTimeout(context.Background(), huntFor)
	defer release()
	for {
		found := false
		for _, pid := range processes() {
			p, ok := hold(pid)
			if !ok {
				continue
			}
			if pid != os.Getpid() && isMarked(pid, mark) {
				found = true
				p.kill()
			} else {
				p.release()
			}
		}
		if !found {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

func isMarked(pid int, mark string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	return bytes.HasPrefix(env, []byte(mark)) || bytes.Contains(env, []byte("\x00"+mark))
}

func processes() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// guardian is a script that waits for the end of its host, which it sees at the
// end of its input, and then ends what the host's plugins started. A word on its
// input says that there is nothing left to do. Its arguments are the variable and
// the directory, and what the names of the control groups to remove begin with.
const guardian = `read word && exit
name=$1 dir=$2
shift 2
for again in 1 2 3; do
	for env in $(grep -lsF "$name=$dir/" /proc/[0-9]*/environ); do
		id=${env#/proc/}
		kill -9 "${id%/environ}"
	done
	for group; do
		rmdir -- "$group"*
	done
done
rm -rf -- "$dir"`

// guardRuntime starts a guardian of a runtime directory: where plugins are not
// alone in a namespace, the kernel does not end what they daemonized when the
// host is killed. Without a shell there is none, and the next host on the
// machine clears that away.
func guardRuntime(dir string) (dismiss func()) {
	args := []string{"sh", "-c", guardian, "testmesh-guardian", markerName, dir}
	for _, g := range findGroups("/proc/self/mountinfo", "/proc/self/cgroup") {
		args = append(args, filepath.Join(g.dir, filepath.Base(dir)+"-"))
	}
	in, out, err := os.Pipe()
	if err != nil {
		return func() {}
	}
	defer in.Close()
	cmd := &exec.Cmd{
		Path: "/bin/sh", Args: args, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", Stdin: in,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		_ = out.Close()
		return func() {}
	}
	return func() {
		_, _ = out.WriteString("done\n")
		_ = out.Close()
		_ = cmd.Wait()
	}
}

// tryLock takes a file's lock if nobody has it. The kernel gives it back when
// its holder ends, however it ends.
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
