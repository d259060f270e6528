package debug

import (
	"bufio"
	"context"
	"io"
	"strings"
	"sync"
)

// maxCommand bounds a line of a list of commands.
const maxCommand = 64 << 10

// Script is a Console whose commands are lines that somebody wrote before. What
// is obeyed is printed, so that the output reads like a session.
type Script struct {
	lines *bufio.Scanner
	then  Console // takes over at the end; nil: nobody does

	mu  sync.Mutex
	out io.Writer
}

// NewScript reads commands from in and prints to out. then takes over when the
// commands have ended; nil: nobody does.
func NewScript(in io.Reader, out io.Writer, then Console) *Script {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxCommand)
	return &Script{lines: lines, out: out, then: then}
}

// Write implements io.Writer.
func (s *Script) Write(p []byte) (int, error) {
	if s.then != nil {
		return s.then.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

// Interactive implements Console.
func (s *Script) Interactive() bool { return s.lines == nil && s.then != nil && s.then.Interactive() }

// Line implements Console.
func (s *Script) Line(ctx context.Context, prompt string) (string, bool) {
	if s.lines != nil {
		for s.lines.Scan() {
			line := strings.TrimSpace(s.lines.Text())
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			_, _ = io.WriteString(s, prompt+line+"\n") // the run's report says where the output is broken
			return line, true
		}
		s.lines = nil
	}
	if s.then == nil {
		return "", false
	}
	return s.then.Line(ctx, prompt)
}
