package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

const (
	// demoStart bounds how long the demo application may take to say its address,
	// and demoStop to end when asked; both are far over what a loaded machine needs.
	demoStart = 20 * time.Second
	demoStop  = 10 * time.Second
)

// demoServer is a running `testmesh demo serve`.
type demoServer struct {
	url string

	cmd  *exec.Cmd
	done chan error
	log  *lockedBuffer
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startDemo starts the demo application on a port that the system chooses and
// waits until it has said its address.
func startDemo(dir string, env []string, flags ...string) (*demoServer, error) {
	s := &demoServer{done: make(chan error, 1), log: &lockedBuffer{}}
	s.cmd = exec.Command(binDir+"/testmesh", append([]string{"demo", "serve", "--addr", "127.0.0.1:0"}, flags...)...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = dir, env, s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the demo application: %w", err)
	}
	said := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(s.log, lines.Text())
			if url := address.FindString(lines.Text()); url != "" {
				select {
				case said <- url:
				default: // it says it more than once
				}
			}
		}
		s.done <- s.cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), demoStart)
	defer cancel()
	select {
	case s.url = <-said:
		return s, nil
	case err := <-s.done:
		return nil, errors.Join(fmt.Errorf("the demo application ended before it said its address\n%s", s.log), err)
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("the demo application did not say its address in %s\n%s", demoStart, s.log), s.cmd.Process.Kill())
	}
}

// stop asks the server to end, and wants it to: a server that must be killed
// does not let go of what it holds.
func (s *demoServer) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the demo application: %w\n%s", err, s.log)
	}
	ctx, cancel := context.WithTimeout(context.Background(), demoStop)
	defer cancel()
	select {
	case err := <-s.done:
		var exit *exec.ExitError
		if err == nil || errors.As(err, &exit) && exit.ExitCode() == 143 {
			return nil
		}
		return fmt.Errorf("the demo application ended badly: %w\n%s", err, s.log)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("the demo application did not end in %s\n%s", demoStop, s.log), s.cmd.Process.Kill())
	}
}

// lockedBuffer is a buffer that two streams may write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
