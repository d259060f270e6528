package cli

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/testmesh/testmesh/flow/report/text"
)

// screen is what a terminal shows of what is written to it. It knows the few
// escapes that are used here, and takes every other one for a fault.
type screen struct {
	mu      sync.Mutex
	columns int
	lines   []string
	row     int
	column  int
	writes  int
	fault   string
	fails   error // of the next writes
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return 0, s.fails
	}
	s.writes++
	for rest := string(p); rest != ""; {
		rest = s.take(rest)
	}
	return len(p), nil
}

// take shows one character or escape.
func (s *screen) take(in string) string {
	for len(s.lines) <= s.row {
		s.lines = append(s.lines, "")
	}
	switch {
	case in[0] == '\n':
		s.row, s.column = s.row+1, 0
		return in[1:]
	case in[0] == '\r':
		s.column = 0
		return in[1:]
	case strings.HasPrefix(in, "\x1b["):
		end := strings.IndexFunc(in[2:], func(r rune) bool { return r >= 0x40 })
		if end < 0 {
			s.fault = fmt.Sprintf("an escape that does not end: %q", in)
			return ""
		}
		arg, kind := in[2:2+end], in[2+end]
		switch kind {
		case 'm': // colour
		case 'A':
			n := 1
			if _, err := fmt.Sscan(arg, &n); err != nil {
				s.fault = fmt.Sprintf("how far up: %q", arg)
			}
			s.row -= n
			if s.row < 0 {
				s.fault, s.row = "the cursor left the screen", 0
			}
		case 'J':
			s.lines = s.lines[:s.row+1]
			s.lines[s.row] = string([]rune(s.lines[s.row])[:s.column])
		default:
			s.fault = fmt.Sprintf("an escape that is not expected: %q", in[:3+end])
		}
		return in[3+end:]
	}
	r := []rune(in)[0]
	line := []rune(s.lines[s.row])
	if s.column < len(line) {
		line[s.column] = r
	} else {
		line = append(line, r)
	}
	s.lines[s.row] = string(line)
	if s.column++; text.Columns(s.lines[s.row]) > s.columns {
		s.fault = fmt.Sprintf("a line that wraps: %q", s.lines[s.row])
	}
	return in[len(string(r)):]
}

func (s *screen) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimRight(strings.Join(s.lines, "\n"), "\n") + "\n"
}

func (s *screen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func TestScreenFindsFaults(t *testing.T) {
	for claim, in := range map[string]string{
		"a hidden cursor":   "\x1b[?25l",
		"a line that wraps": strings.Repeat("x", 21),
		"up and away":       "a\n\x1b[3A",
		"an open escape":    "\x1b[",
	} {
		s := &screen{columns: 20}
		if _, err := s.Write([]byte(in)); err != nil || s.fault == "" {
			t.Errorf("%s is no fault", claim)
		}
	}
	s := &screen{columns: 20}
	if _, err := s.Write([]byte("one\ntwo\nthree\n\x1b[2A\r\x1b[J2\n")); err != nil || s.shown() != "one\n2\n" || s.fault != "" {
		t.Errorf("shows %q, %s", s.shown(), s.fault)
	}
}

// lockedBuffer is a bytes.Buffer for several goroutines.
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
