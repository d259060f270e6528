package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a program of the product that runs beside this one.
type process struct {
	name, log string
	cmd       *exec.Cmd
	done      chan struct{}
	err       error // once done is closed
}

// starter starts processes and knows all of them.
type starter struct {
	bin, dir string
	env      []string

	mu  sync.Mutex
	all []*process
}

func (s *starter) start(name string, env []string, args ...string) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &process{name: name, log: filepath.Join(s.dir, fmt.Sprintf("%s.%d.log", name, len(s.all))), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	bin, err := filepath.Abs(s.bin)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p.cmd = exec.Command(bin, args...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = s.dir, append(append([]string{}, s.env...), env...), log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s.all = append(s.all, p)
	go func() {
		p.err = errors.Join(p.cmd.Wait(), log.Close())
		close(p.done)
	}()
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends a process as a failing machine does.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // one that has ended is what was wanted
	<-p.done
}

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// stop asks a process to end, twice where once is not enough, and kills it at last.
func (p *process) stop(within time.Duration) error {
	for range 2 {
		if !p.alive() {
			break
		}
		_ = p.signal(syscall.SIGCONT) // of one that was frozen
		_ = p.signal(syscall.SIGTERM)
		select {
		case <-p.done:
			return p.err
		case <-time.After(within):
		}
	}
	if p.alive() {
		p.stacks()
		return fmt.Errorf("%s did not end within %s of each of two signals; its log has where it stood: %s", p.name, within, p.log)
	}
	return p.err
}

// stacks ends a process that says first, in its log, where it stands.
func (p *process) stacks() {
	_ = p.signal(syscall.SIGQUIT)
	select {
	case <-p.done:
	case <-time.After(2 * time.Second):
		p.kill()
	}
}

// said counts the lines of a process's log with a text in them.
func (p *process) said(text string) int {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return 0
	}
	return bytes.Count(data, []byte(text))
}

// said counts over all processes.
func (s *starter) said(text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		n += p.said(text)
	}
	return n
}

// end kills everything; with stacks each says first, in its log, where it stands.
func (s *starter) end(stacks bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		if stacks && p.alive() {
			p.stacks()
		}
		if p.alive() {
			p.kill()
		}
	}
}

// worked is the processor time of all that have ended.
func (s *starter) worked() (sum time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		if !p.alive() && p.cmd.ProcessState != nil {
			sum += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
		}
	}
	return sum
}

// left lists the processes that have the folder of the trial in their arguments.
func left(dir string) (list []string) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(text, []byte(dir)) {
			list = append(list, e.Name()+" "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return list
}

// resident is the memory of a process.
func (p *process) resident() (bytes int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
