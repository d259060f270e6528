package debug

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

// keys is a keyboard that notes its modes.
type keys struct {
	mu     sync.Mutex
	raw    int
	broken bool
}

func (k *keys) Raw() (func(), error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken {
		return nil, errors.New("no terminal")
	}
	k.raw++
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.raw--
	}, nil
}

func (k *keys) Size() (columns, lines int, ok bool) { return 80, 24, true }

func (k *keys) restored() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.raw == 0
}

// typed is a Terminal on which the keys were pressed.
func typed(t *testing.T, pressed string) (*Terminal, *bytes.Buffer, *keys) {
	t.Helper()
	var out bytes.Buffer
	k := &keys{}
	return NewTerminal(strings.NewReader(pressed), &out, k), &out, k
}

func TestTerminalEditsLines(t *testing.T) {
	for claim, test := range map[string]struct{ pressed, want string }{
		"a line":               {"next\r", "next"},
		"a mistake taken back": {"nexx\x7ft\r", "next"},
		"completed":            {"pr\ttotal\r", "print total"},
		"as far as it is one":  {"q\t\r", "quit"},
		"the line before":      {"next\r\x1b[A\r", "next next"},
		"given up by ^C":       {"abc\x03where\r", "where"},
		"ended by ^C twice":    {"\x03\x03", "END"},
		"ended by ^D":          {"\x04", "END"},
	} {
		t.Run(claim, func(t *testing.T) {
			term, out, k := typed(t, test.pressed)
			term.Complete(func(line string) []string {
				var found []string
				for _, c := range []string{"print", "quit", "quit!"} {
					if strings.HasPrefix(c, line) {
						found = append(found, c)
					}
				}
				return found
			})
			var got []string
			for len(got) < strings.Count(test.want, " ")+1 {
				line, ok := term.Line(t.Context(), "> ")
				if !ok {
					line = "END"
				}
				got = append(got, line)
				if test.want == "print total" || !ok {
					break
				}
			}
			if text := strings.Join(got, " "); text != test.want {
				t.Errorf("got %q, want %q\n%q", text, test.want, out)
			}
			if !k.restored() {
				t.Error("the terminal was not given back")
			}
		})
	}
}

func TestTerminalPrintsPlainlyBetweenLines(t *testing.T) {
	term, out, _ := typed(t, "a\rb\r")
	if _, ok := term.Line(t.Context(), "> "); !ok {
		t.Fatal("no line")
	}
	out.Reset()
	if _, err := io.WriteString(term, "one\ntwo\n"); err != nil || out.String() != "one\ntwo\n" {
		t.Errorf("printed %q, %v", out, err)
	}
}

func TestTerminalIsLeftWhenTheRunIsStopped(t *testing.T) {
	in, pressed := io.Pipe()
	t.Cleanup(func() { _ = pressed.Close() })
	k := &keys{}
	term := NewTerminal(in, io.Discard, k)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if line, ok := term.Line(ctx, "> "); ok {
		t.Errorf("got %q", line)
	}
	if !k.restored() {
		t.Error("the terminal was not given back")
	}
}

func TestTerminalThatCannotBeChangedEndsTheCommands(t *testing.T) {
	term, out, k := typed(t, "next\r")
	k.broken = true
	if line, ok := term.Line(t.Context(), "> "); ok || !strings.Contains(out.String(), "no terminal") {
		t.Errorf("got %q, printed %q", line, out)
	}
}

func TestListOfCommandsHandsOverToAPerson(t *testing.T) {
	person, out, _ := typed(t, "where\r")
	s := NewScript(strings.NewReader("# first\n\n  next \n"), io.Discard, person)
	if s.Interactive() {
		t.Error("a list is a person")
	}
	if line, ok := s.Line(t.Context(), "> "); line != "next" || !ok || out.String() != "> next\n" {
		t.Errorf("got %q, printed %q", line, out)
	}
	if line, ok := s.Line(t.Context(), "> "); line != "where" || !ok || !s.Interactive() {
		t.Errorf("got %q from a person: %v", line, s.Interactive())
	}
}

func TestLineThatIsTooLongEndsAList(t *testing.T) {
	s := NewScript(strings.NewReader(strings.Repeat("x", maxCommand+1)+"\nnext\n"), io.Discard, nil)
	if line, ok := s.Line(t.Context(), "> "); ok {
		t.Errorf("got a line of %d bytes", len(line))
	}
}
