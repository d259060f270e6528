package plugintest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// keptOutput is how much of what a process prints is kept of its beginning;
	// the rest is read and counted, so that the process does not wait.
	keptOutput = 4 << 20
	// maxHandshake is how long the first line may be; it holds a certificate.
	maxHandshake = 64 << 10
	// shownOutput is how much of it a message shows.
	shownOutput = 600
	// drainPatience is how long the end of the output of an ended process is waited
	// for; a grandchild may hold the pipe.
	drainPatience = 500 * time.Millisecond
)

// record keeps what a process printed.
type record struct {
	mu    sync.Mutex
	kept  []byte
	total int
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total += len(p)
	r.kept = append(r.kept, p[:min(len(p), keptOutput-len(r.kept))]...)
	return len(p), nil
}

// String is what is kept.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.kept)
}

// process is a plugin's process as the kit sees it, below go-plugin. It leads a
// process group of its own.
type process struct {
	cmd    *exec.Cmd
	pid    int // the plugin's, also where a shell stands between
	marker string

	firstLine      *io.PipeReader // what go-plugin reads as the handshake
	stdout, stderr record         // stdout is what came after the first line
	first          record
	pipes          []*os.File
	drained        sync.WaitGroup
	exited         chan struct{} // closed once the started process was waited for
}

// command makes an argument vector ready for a start in dir.
func command(argv []string, dir string) (*exec.Cmd, error) {
	name := argv[0]
	if strings.ContainsAny(name, `/\`) && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", argv[0], err)
	}
	if found, err = filepath.Abs(found); err != nil {
		return nil, err
	}
	if strings.HasPrefix(found, "/proc/self/") { // which is another program behind a shell
		if found, err = os.Readlink(found); err != nil {
			return nil, err
		}
	}
	cmd := &exec.Cmd{Path: found, Args: slices.Concat([]string{found}, argv[1:]), Dir: dir}
	ownGroup(cmd)
	return cmd, nil
}

// start starts cmd and reads what it prints until its end.
func start(cmd *exec.Cmd, marker string) (*process, error) {
	p := &process{cmd: cmd, marker: marker, exited: make(chan struct{})}
	out, outEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	words, wordsEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, out.Close(), outEnd.Close())
	}
	p.pipes = []*os.File{out, words}
	cmd.Stdout, cmd.Stderr = outEnd, wordsEnd
	err = cmd.Start()
	_, _ = outEnd.Close(), wordsEnd.Close()
	if err != nil {
		p.hangUp()
		return nil, err
	}
	p.pid = cmd.Process.Pid
	var firstEnd *io.PipeWriter
	p.firstLine, firstEnd = io.Pipe()
	p.drained.Go(func() { p.readStdout(out, firstEnd) })
	p.drained.Go(func() { _, _ = io.Copy(&p.stderr, words) })
	go func() {
		_ = cmd.Wait()
		p.await(drainPatience)
		p.hangUp()
		close(p.exited)
	}()
	return p, nil
}

// readStdout hands on the first line, which is the handshake, and records the
// rest.
func (p *process) readStdout(from io.Reader, first *io.PipeWriter) {
	r := bufio.NewReaderSize(from, maxHandshake)
	line, err := r.ReadSlice('\n')
	line = bytes.Clone(line)
	_, _ = p.first.Write(line)
	go func() {
		_, _ = first.Write(line) // go-plugin may have given up on it
		_ = first.CloseWithError(io.EOF)
	}()
	if err == nil || errors.Is(err, bufio.ErrBufferFull) {
		_, _ = io.Copy(&p.stdout, r)
	}
}

// await waits until all output was read, or for as long as patience lasts.
func (p *process) await(patience time.Duration) {
	done := make(chan struct{})
	go func() { defer close(done); p.drained.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// hangUp closes our ends of its pipes, as the death of a host does.
func (p *process) hangUp() {
	for _, f := range p.pipes {
		_ = f.Close()
	}
	if p.firstLine != nil {
		_ = p.firstLine.Close()
	}
}

// over says whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// ends waits for the end of the process.
func (p *process) ends(within time.Duration) bool {
	select {
	case <-p.exited:
		return true
	case <-time.After(within):
		return false
	}
}

// exitCode is the code of an ended process, -1 where a signal ended it.
func (p *process) exitCode() int { return p.cmd.ProcessState.ExitCode() }

// lastWords says how the process ended and what it printed last.
func (p *process) lastWords() string {
	how := "it is still running"
	if p.over() {
		how = p.cmd.ProcessState.String()
	}
	if words := tail(p.stderr.String()); words != "" {
		return how + "; its last words: " + words
	}
	return how + "; it printed nothing on standard error"
}

// tail is the end of a text as a message shows it.
func tail(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > shownOutput {
		text = "…" + strings.ToValidUTF8(text[len(text)-shownOutput:], "")
	}
	return text
}
