package process

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// maxWords is how much of what a process printed is kept: a Go program's stack
	// of many goroutines, or a few hundred lines of log.
	maxWords = 128 << 10
	// maxLine is the longest line that is kept as one.
	maxLine = 4 << 10
	// lastLines is how many lines an error shows.
	lastLines = 20
	// maxEnded is how many ended runs are remembered with their secrets, for what
	// a plugin prints after the end of a run.
	maxEnded = 64
)

// words keeps the last of what a process printed, and the secrets of the runs
// that use it. It is safe for concurrent use.
type words struct {
	plugin string
	log    func(plugin, line string)

	mu    sync.Mutex
	lines []string
	size  int
	masks map[string]func(string) string // by run
	ended []string                       // runs whose masks go first
}

func newWords(name string, log func(plugin, line string)) *words {
	return &words{plugin: name, log: log, masks: make(map[string]func(string) string)}
}

// mask hides a run's secrets from now on.
func (w *words) mask(runID string, mask func(string) string) {
	if mask == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.masks[runID] = mask
}

// endRun takes the run's secrets out of what was printed, and forgets them
// after many other runs.
func (w *words) endRun(runID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	mask := w.masks[runID]
	if mask == nil {
		return
	}
	if len(w.lines) > 0 {
		w.set(strings.Split(mask(strings.Join(w.lines, "\n")), "\n"))
	}
	w.ended = append(w.ended, runID)
	if len(w.ended) > maxEnded {
		delete(w.masks, w.ended[0])
		w.ended = w.ended[1:]
	}
}

func (w *words) set(lines []string) {
	w.lines, w.size = lines, 0
	for _, l := range lines {
		w.size += len(l) + 1
	}
	w.trim()
}

func (w *words) trim() {
	for w.size > maxWords {
		w.size -= len(w.lines[0]) + 1
		w.lines = w.lines[1:]
	}
}

// add keeps one line and passes it on.
func (w *words) add(line string) {
	line = strings.ToValidUTF8(strings.TrimRight(line, "\r"), "\uFFFD")
	w.mu.Lock()
	w.lines = append(w.lines, line)
	w.size += len(line) + 1
	w.trim()
	if w.log == nil {
		w.mu.Unlock()
		return
	}
	line = w.hide(line)
	w.mu.Unlock()
	w.log(w.plugin, line)
}

// hide masks the secrets of every run that uses the process. It holds w.mu.
func (w *words) hide(text string) string {
	for _, mask := range w.masks {
		text = mask(text)
	}
	return text
}

// masked hides the secrets of every run in a text.
func (w *words) masked(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hide(text)
}

// last gives the last words: from the line on that says why a program ended,
// else the last lines.
func (w *words) last() []string {
	w.mu.Lock()
	lines := w.lines
	if len(lines) > 4*lastLines {
		lines = lines[len(lines)-4*lastLines:]
	}
	// A Go program prints the reason first and then the stacks of its goroutines.
	for i := len(w.lines) - 1; i >= 0; i-- {
		if isReason(w.lines[i]) {
			lines = w.lines[i:min(len(w.lines), i+4*lastLines)]
			break
		}
	}
	text := w.hide(strings.Join(lines, "\n"))
	w.mu.Unlock()
	lines = strings.Split(strings.Trim(text, "\n"), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	if !isReason(lines[0]) && len(lines) > lastLines {
		lines = lines[len(lines)-lastLines:]
	}
	return lines[:min(len(lines), lastLines)]
}

// isReason says whether a line is how a Go program begins its end.
func isReason(line string) bool {
	return strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "runtime: out of memory") ||
		strings.HasPrefix(line, "SIG") && strings.Contains(line, ": ")
}

// reason is the one of the last words that says most.
func reason(last []string) string {
	for _, line := range last {
		if isReason(line) || strings.Contains(line, "Error: ") || strings.Contains(line, "FATAL ERROR") {
			return strings.TrimSpace(line)
		}
	}
	for i := len(last) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(last[i]); line != "" {
			return line
		}
	}
	return ""
}

// splitter hands on what is written line by line; an endless line in pieces.
type splitter struct {
	to   *words
	rest []byte
}

// Write never fails.
func (s *splitter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		s.rest = append(s.rest, p[:i]...)
		s.flush()
		p = p[i+1:]
	}
	for len(s.rest)+len(p) > maxLine {
		room := maxLine - len(s.rest)
		s.rest = append(s.rest, p[:room]...)
		p = p[room:]
		s.flush()
	}
	s.rest = append(s.rest, p...)
	return n, nil
}

func (s *splitter) flush() {
	for len(s.rest) > maxLine {
		cut := maxLine
		for cut > maxLine-utf8.UTFMax && !utf8.RuneStart(s.rest[cut]) {
			cut--
		}
		s.to.add(string(s.rest[:cut]))
		s.rest = s.rest[cut:]
	}
	s.to.add(string(s.rest))
	s.rest = s.rest[:0]
}

// end hands on what has no end of line.
func (s *splitter) end() {
	if len(s.rest) > 0 {
		s.flush()
	}
}
