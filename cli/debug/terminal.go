package debug

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Keyboard is a terminal whose keys a line editor takes.
type Keyboard interface {
	Raw() (restore func(), err error)
	Size() (columns, lines int, ok bool)
}

// Terminal is a Console for a person: lines are edited, remembered and
// completed. The terminal is changed only while a line is asked for.
type Terminal struct {
	in       io.Reader
	out      io.Writer
	keyboard Keyboard
	complete func(line string) []string // the lines that one may become

	mu     sync.Mutex
	editor *term.Terminal // made with the first line
	asking bool
	asked  chan string // prompts, to the goroutine that reads
	lines  chan answer
	keys   *interrupts
}

type answer struct {
	line string
	err  error
}

// interrupts makes of ^C an empty line and notices it: a line editor would take
// it for the end of its input.
type interrupts struct {
	in   io.Reader
	mu   sync.Mutex
	seen bool
	rest []byte // to be read next: the end of the line, and what was typed after ^C
}

// Keys as a terminal sends them.
const (
	keyInterrupt = 3
	keyEnter     = '\r'
	keyKillLine  = 21
)

// Read implements io.Reader.
func (i *interrupts) Read(p []byte) (int, error) {
	if len(i.rest) > 0 {
		n := copy(p, i.rest[:1])
		i.rest = i.rest[n:]
		return n, nil
	}
	n, err := i.in.Read(p)
	if at := bytes.IndexByte(p[:n], keyInterrupt); at >= 0 {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.seen, i.rest = true, append([]byte{keyEnter}, p[at+1:n]...)
		p[0] = keyKillLine
		return 1, nil
	}
	return n, err
}

func (i *interrupts) take() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	seen := i.seen
	i.seen = false
	return seen
}

// NewTerminal asks on a terminal.
func NewTerminal(in io.Reader, out io.Writer, k Keyboard) *Terminal {
	return &Terminal{in: in, out: out, keyboard: k, asked: make(chan string), lines: make(chan answer, 1)}
}

// Complete sets what the tab key completes with.
func (t *Terminal) Complete(f func(line string) []string) { t.complete = f }

// Interactive implements Console.
func (t *Terminal) Interactive() bool { return true }

// Write prints; where a line is being edited, above it.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asking {
		return t.editor.Write(p)
	}
	return t.out.Write(p)
}

// Line implements Console. ^C gives a line up; twice, or ^D, ends the commands.
func (t *Terminal) Line(ctx context.Context, prompt string) (string, bool) {
	restore, err := t.keyboard.Raw()
	if err != nil {
		_, _ = io.WriteString(t.out, "testmesh: "+err.Error()+"\n")
		return "", false
	}
	defer restore()
	t.ask(prompt)
	defer t.rest()
	for again := false; ; again = true {
		var a answer
		select {
		case a = <-t.lines:
		case <-ctx.Done():
			return "", false // the goroutine that reads is left to the end of the process
		}
		switch {
		case t.keys.take():
			if again {
				return "", false
			}
			_, _ = t.editor.Write([]byte("^C: again to stop the run, with its teardown; help lists the commands\n"))
			t.asked <- prompt
		case a.err == nil, errors.Is(a.err, term.ErrPasteIndicator):
			return a.line, true
		default:
			return "", false
		}
	}
}

func (t *Terminal) ask(prompt string) {
	t.mu.Lock()
	if t.editor == nil {
		t.keys = &interrupts{in: t.in}
		t.editor = term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{t.keys, t.out}, prompt)
		t.editor.AutoCompleteCallback = t.tab
		go t.read()
	}
	if columns, lines, ok := t.keyboard.Size(); ok && columns > 0 {
		_ = t.editor.SetSize(columns, lines) // a size that it refuses leaves the one before
	}
	t.asking = true
	t.mu.Unlock()
	t.asked <- prompt
}

func (t *Terminal) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asking = false
}

// read reads a line whenever one is asked for; it ends with the process.
func (t *Terminal) read() {
	for prompt := range t.asked {
		t.editor.SetPrompt(prompt)
		line, err := t.editor.ReadLine()
		t.lines <- answer{line, err}
	}
}

// tab completes what stands before the cursor.
func (t *Terminal) tab(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' || t.complete == nil {
		return "", 0, false
	}
	found := t.complete(line[:pos])
	if len(found) == 0 {
		return line, pos, true
	}
	longest := found[0]
	for _, f := range found[1:] {
		longest = longest[:common(longest, f)]
	}
	if len(found) == 1 {
		longest += " "
	} else if len(longest) <= pos {
		var words []string
		for _, f := range found[:min(len(found), 60)] {
			words = append(words, f[strings.LastIndexByte(f, ' ')+1:])
		}
		_, _ = t.editor.Write([]byte(strings.Join(words, "  ") + "\n"))
	}
	if len(longest) < pos {
		longest = line[:pos]
	}
	return longest + line[pos:], len(longest), true
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
