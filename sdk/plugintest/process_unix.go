//go:build unix

package plugintest

import (
	"errors"
	"os/exec"
	"syscall"
)

// canSignal says whether a process can be asked to end here.
const canSignal = true

// ownGroup makes cmd lead a process group, so that its children can be found
// and ended with it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends the process and all that is still in its group.
func (p *process) killGroup() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// terminate and interrupt send what an operator, and a terminal, send.
func (p *process) terminate() error { return syscall.Kill(p.pid, syscall.SIGTERM) }
func (p *process) interrupt() error { return syscall.Kill(p.pid, syscall.SIGINT) }

// exists says whether there is such a process that is not a mere entry waiting
// to be collected by its parent.
func exists(pid int) bool {
	err := syscall.Kill(pid, 0)
	return (err == nil || errors.Is(err, syscall.EPERM)) && !zombie(pid)
}
