package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// maxHandshake is the longest first line of standard output; a handshake with
	// its certificate is about a kilobyte.
	maxHandshake = 16 << 10
	// lastOutput is how long the output of an ended process may still come: what
	// it wrote is in the pipe already.
	lastOutput = 300 * time.Millisecond
)

// command is what a child starts.
type command struct {
	argv []string
	env  []string
	work string // working directory
	dir  string // its folder in the runtime directory
	// memory bounds it and everything it starts.
	memory int64
}

// child is the process of a plugin with everything that it starts. It is the
// runner of go-plugin, which would start and end the direct child alone.
type child struct {
	command
	caps   *capabilities
	words  *words
	shared func() // called before it starts without a namespace of its own

	handshake *io.PipeReader // the first line of standard output, then its end
	over      chan struct{}  // it has ended
	done      chan struct{}  // nothing is left of it

	mu      sync.Mutex
	cmd     *exec.Cmd
	alone   bool // in a PID namespace of its own
	reaped  bool
	killed  bool
	exited  bool
	byUs    bool   // was killed by its host, before it ended by itself
	socket  string // go-plugin's folder for its socket
	first   string // the first line of standard output
	guard   guard
	state   *os.ProcessState
	overrun bool // of its memory
}

func newChild(c command, caps *capabilities, w *words, shared func()) *child {
	return &child{command: c, caps: caps, words: w, shared: shared, over: make(chan struct{}), done: make(chan struct{})}
}

// Start starts the process on a thread that lives as long as it does: the
// kernel takes the end of that thread for the end of the host (golang/go#27505).
func (c *child) Start(context.Context) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		out, err := c.start()
		started <- err
		if err == nil {
			c.wait(out)
		}
	}()
	return <-started
}

// start starts the process; the returned function ends the reading of its output.
func (c *child) start() (drain func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return nil, errors.New("its host closed")
	}
	var pipes [4]*os.File
	for i := 0; i < len(pipes); i += 2 {
		if pipes[i], pipes[i+1], err = os.Pipe(); err != nil {
			closeAll(pipes[:i])
			return nil, err
		}
	}
	stdout, stderr := pipes[0], pipes[2]
	if err := c.spawn(pipes[1], pipes[3]); err != nil {
		closeAll(pipes[:])
		return nil, err
	}
	closeAll([]*os.File{pipes[1], pipes[3]})
	c.guard = c.caps.guard(c.cmd.Process.Pid, c.command, c.overran)
	first, handshake := io.Pipe()
	c.handshake = first
	var reading sync.WaitGroup
	reading.Go(func() { c.readOutput(stdout, handshake) })
	reading.Go(func() { _ = copyLines(c.words, stderr) })
	return func() {
		// What a process leaves behind may hold the pipes open for ever.
		until := time.Now().Add(lastOutput)
		_, _ = stdout.SetReadDeadline(until), stderr.SetReadDeadline(until)
		reading.Wait()
		closeAll([]*os.File{stdout, stderr})
	}, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// spawn starts the process as much by itself as this machine allows. It holds
// c.mu.
func (c *child) spawn(stdout, stderr *os.File) error {
	alone := c.caps.mayIsolate()
	for busy := time.Now().Add(time.Second); ; {
		if !alone {
			c.shared()
		}
		c.cmd = &exec.Cmd{
			Path: c.argv[0], Args: c.argv, Env: c.env, Dir: c.work, Stdout: stdout, Stderr: stderr,
			SysProcAttr: attributes(alone),
		}
		err := c.cmd.Start()
		switch {
		case err == nil:
			c.alone = alone
			return nil
		case alone && isDenied(err):
			alone = false
			c.caps.noIsolation()
		case errors.Is(err, syscall.ETXTBSY) && time.Now().Before(busy):
			// Between fork and exec, a child of another goroutine still holds the file
			// that we have just written open (golang/go#22315).
			time.Sleep(5 * time.Millisecond)
		default:
			return err
		}
	}
}

// wait waits for the end of the process, ends what it started, and reads its
// last words.
func (c *child) wait(drain func()) {
	waitEnd(c.cmd.Process.Pid)
	c.mu.Lock()
	c.exited = true
	c.endTree()
	_ = c.cmd.Wait()
	c.reaped, c.state = true, c.cmd.ProcessState
	c.mu.Unlock()
	close(c.over)
	drain()
	overrun := c.guard.release()
	c.mu.Lock()
	c.overrun = c.overrun || overrun
	c.mu.Unlock()
	close(c.done)
}

func (c *child) overran() {
	c.mu.Lock()
	c.overrun = true
	c.mu.Unlock()
	_ = c.Kill(context.Background())
}

// terminate asks the process to end.
func (c *child) terminate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil && !c.reaped {
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
	}
}

// Kill ends the process with everything that it started. It may be called at
// any time and more than once.
func (c *child) Kill(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	c.byUs = c.byUs || !c.exited
	if c.cmd != nil && c.cmd.Process != nil && !c.reaped {
		c.endTree()
	}
	return nil
}

// readOutput hands the first line of standard output to go-plugin and the rest
// to the words, for ever: a plugin that prints must not wait for us.
func (c *child) readOutput(stdout io.Reader, handshake *io.PipeWriter) {
	// Where there is no handshake, the end of the process is to be seen first.
	defer func() {
		<-c.over
		_ = handshake.Close()
	}()
	in := bufio.NewReaderSize(stdout, maxHandshake)
	line, err := in.ReadSlice('\n')
	first := strings.TrimSpace(strings.ToValidUTF8(string(line), "\uFFFD"))
	c.mu.Lock()
	c.first = first
	c.mu.Unlock()
	if !looksLikeHandshake(first) && first != "" {
		c.words.add(clipText(first))
	}
	if len(line) > 0 {
		_, _ = handshake.Write(append(bytes.TrimRight(line, "\r\n"), '\n'))
	}
	if err == nil || errors.Is(err, bufio.ErrBufferFull) {
		_ = copyLines(c.words, in)
	}
}

func copyLines(to *words, from io.Reader) error {
	lines := &splitter{to: to}
	_, err := io.Copy(lines, from)
	lines.end()
	return err
}

// looksLikeHandshake tells what go-plugin prints first from everything else.
func looksLikeHandshake(line string) bool {
	core, rest, ok := strings.Cut(line, "|")
	_, err := strconv.Atoi(core)
	return ok && err == nil && strings.Count(rest, "|") >= 2
}

// firstLine is what the process printed where its handshake belongs.
func (c *child) firstLine() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

// started says whether there was ever a process.
func (c *child) started() bool { return c.ID() != "" }

// endedItself says whether the process ended before anybody killed it. It is
// read after done.
func (c *child) endedItself() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state != nil && !c.byUs
}

// end is how the process ended, and whether for its memory. It is read after
// done.
func (c *child) end() (*os.ProcessState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.overrun
}

// Wait waits until nothing is left of the process.
func (c *child) Wait(context.Context) error {
	<-c.done
	return nil
}

// Diagnose says nothing: our own errors do.
func (c *child) Diagnose(context.Context) string { return "" }

// Stdout is the first line alone.
func (c *child) Stdout() io.ReadCloser { return c.handshake }

// Stderr has ended: we read what comes there.
func (c *child) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the program's path.
func (c *child) Name() string { return c.argv[0] }

// ID is the process id.
func (c *child) ID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil || c.cmd.Process == nil {
		return ""
	}
	return strconv.Itoa(c.cmd.Process.Pid)
}

// PluginToHost refuses an address that is not the plugin's own: a plugin cannot
// make its host connect to somebody else.
func (c *child) PluginToHost(network, address string) (string, string, error) {
	switch network {
	case "unix":
		rel, err := filepath.Rel(filepath.Dir(c.dir), address)
		if err == nil && filepath.IsLocal(rel) {
			return network, address, nil
		}
	case "tcp":
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsLoopback() {
			return network, address, nil
		}
	}
	return "", "", &foreignAddress{network + " " + address}
}

// HostToPlugin changes nothing: both see the same files.
func (c *child) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// foreignAddress is where a plugin must not send us.
type foreignAddress struct{ address string }

func (f *foreignAddress) Error() string { return fmt.Sprintf("the address %s is foreign", f.address) }
