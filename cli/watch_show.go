package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/testmesh/testmesh/cli/batch"
	"github.com/testmesh/testmesh/cli/watch"
)

// maxShownNames is how many files or flows a line names.
const maxShownNames = 3

// out is where watch prints: with the report, unless that is data.
func (w *watching) out() io.Writer {
	if w.running != nil {
		w.running.mu.Lock()
		defer w.running.mu.Unlock()
		if aside := w.running.aside; aside != nil {
			return aside.Stderr
		}
	}
	if w.f.format == "jsonl" {
		return w.s.Stderr
	}
	return w.s.Stdout
}

// say prints a line of watch's own.
func (w *watching) say(format string, args ...any) {
	w.started = true
	// Where the output is broken, the report of the next runs says so.
	_, _ = fmt.Fprintln(w.out(), w.style.Dim(fmt.Sprintf(format, args...)))
}

// header says what changed and which flows run because of it.
func (w *watching) header(changes string, flows []batch.Flow) {
	if w.own.clear {
		w.clearScreen()
	}
	first := !w.started
	w.started = true
	var names []string
	for _, fl := range flows {
		names = append(names, fl.Program.Name)
	}
	line := changes
	switch {
	case first && len(flows) > 0:
		line = "first run"
	case first:
		line = "watching"
	case changes == "":
		line = "by hand"
	}
	if len(names) > 0 {
		line += " " + w.arrow() + " " + some(names, "flow")
	}
	width, terminal := w.s.terminal()
	if !terminal {
		width = 79
	}
	rule := w.style.Dim(strings.Repeat(w.style.Rule(), min(max(width-1, 20), 78)))
	if first {
		rule = ""
	} else {
		rule += "\n"
	}
	_, _ = fmt.Fprintf(w.out(), "%s%s  %s\n", rule, w.style.Dim(time.Now().Format("15:04:05")), w.style.Strong(line))
}

func (w *watching) arrow() string {
	if w.style.ASCII {
		return "->"
	}
	return "→"
}

func (w *watching) clearScreen() {
	if _, terminal := w.s.terminal(); terminal {
		_, _ = io.WriteString(w.out(), "\x1b[H\x1b[2J\x1b[3J")
	}
}

// some names a few, or says how many there are.
func some(names []string, word string) string {
	if len(names) > maxShownNames {
		return counted(len(names), word)
	}
	return strings.Join(names, ", ")
}

// shownChanges are changed files as the person types them, by what happened;
// empty where only entries of folders changed.
func (w *watching) shownChanges(changes []watch.Change) string {
	by := map[watch.What][]string{}
	seen := map[string]bool{}
	for i := len(changes) - 1; i >= 0; i-- { // the last one counts
		c := changes[i]
		if c.Dir || seen[c.Path] {
			continue
		}
		seen[c.Path] = true
		name := c.Path
		if rel, err := filepath.Rel(w.s.Dir, c.Path); err == nil {
			name = filepath.ToSlash(rel)
		}
		by[c.What] = append([]string{name}, by[c.What]...)
	}
	var parts []string
	for _, what := range []watch.What{watch.Changed, watch.Added, watch.Removed} {
		if names := by[what]; len(names) > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", some(names, "file"), what))
		}
	}
	return strings.Join(parts, ", ")
}

// showTrouble says why nothing runs.
func (w *watching) showTrouble() {
	var bad *problemsError
	if !errors.As(w.trouble, &bad) {
		_, _ = fmt.Fprintf(w.out(), "testmesh: %s\n", w.trouble)
		return
	}
	var b bytes.Buffer
	n, _, files := problemBlocks(&b, w.style, bad.problems, w.project, false)
	fmt.Fprintf(&b, "%s  %s in %s %s nothing runs until that is mended\n", w.style.Bad("INVALID"),
		counted(n, "problem"), counted(files, "file"), w.style.Dot())
	_, _ = w.out().Write(b.Bytes())
}

// idle says how things stand and what is waited for.
func (w *watching) idle() {
	w.started = true
	var parts []string
	if w.planned != nil {
		passed, open := 0, 0
		var bad []string
		for _, fl := range w.planned.flows {
			switch k := w.flows[flowKey(fl.Program)]; {
			case k == nil || k.status == "":
				open++
			case k.status == passedWord:
				passed++
			default:
				bad = append(bad, fl.Program.Name)
			}
		}
		state := counted(len(w.planned.flows), "flow") + ": "
		var counts []string
		if len(bad) > 0 {
			counts = append(counts, fmt.Sprintf("%d not passed (%s)", len(bad), clipNames(bad)))
		}
		if passed > 0 {
			counts = append(counts, fmt.Sprintf("%d passed", passed))
		}
		if open > 0 {
			counts = append(counts, fmt.Sprintf("%d not run yet", open))
		}
		parts = append(parts, state+strings.Join(counts, ", "))
	}
	if w.keys != nil {
		parts = append(parts, "enter all", "f not passed", "q quit", "? keys")
	} else {
		parts = append(parts, fmt.Sprintf("watching %s until a signal comes", counted(w.looker.Len(), "file")))
	}
	w.say("\n%s %s", w.style.Ellipsis(), strings.Join(parts, " "+w.style.Dot()+" "))
}

func clipNames(names []string) string {
	if len(names) > maxShownNames {
		return strings.Join(names[:maxShownNames], ", ") + fmt.Sprintf(" and %d more", len(names)-maxShownNames)
	}
	return strings.Join(names, ", ")
}

func (w *watching) help() {
	_, _ = fmt.Fprint(w.out(), `
  enter, a   run all flows
  f          run what did not pass
  r          run the last ones again
  c          clear the screen
  q, ^C      quit
while runs go on:
  s          stop them, teardown included, and go on watching
  q, ^C      stop them and quit; ^C again ends teardown too
`)
}
