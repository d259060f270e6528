package debug

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/agent/engine"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// breakpoint is where a run stops.
type breakpoint struct {
	n       int
	failure bool
	path    []string // the end of the step's path; one part: its id
	file    string   // with line: where the step stands
	line    int
	when    string // empty: always
	told    bool   // that when could not be evaluated
}

func (b *breakpoint) String() string {
	text := strings.Join(b.path, "/")
	switch {
	case b.failure:
		text = "on failure"
	case b.file != "":
		text = fmt.Sprintf("%s:%d", b.file, b.line)
	}
	if b.when != "" {
		text += " when " + b.when
	}
	return text
}

// at tells whether a step is the breakpoint's.
func (b *breakpoint) at(s *event.Step) bool {
	switch {
	case b.failure:
		return false
	case b.file != "":
		return s.File == b.file && s.Line == b.line
	}
	return endsWith(s.Path, b.path)
}

// endsWith compares the end of a path; each stands for each[0] and each[1] too.
func endsWith(path, end []string) bool {
	if len(end) == 0 || len(end) > len(path) {
		return false
	}
	path = path[len(path)-len(end):]
	for i, part := range end {
		bare, _, _ := strings.Cut(path[i], "[")
		if part != path[i] && part != bare {
			return false
		}
	}
	return true
}

// parseBreakpoint reads STEP, PATH/STEP, FILE:LINE or failure, and "when EXPR".
func (d *Debugger) parseBreakpoint(spec string) (*breakpoint, error) {
	where, when, _ := strings.Cut(strings.TrimSpace(spec), " when ")
	where, when = strings.TrimSpace(where), strings.TrimSpace(when)
	b := &breakpoint{when: when}
	if when != "" {
		if _, err := expr.Compile(when, expr.Options{Function: func(string) bool { return true }}); err != nil {
			return nil, fmt.Errorf("when %s: %w", when, err)
		}
	}
	switch {
	case where == "":
		return nil, errors.New("write where to break: a step, a path of steps, FILE:LINE or failure")
	case where == "failure" || where == "on failure":
		if when != "" {
			return nil, errors.New("a break on failure has no condition")
		}
		b.failure = true
		return b, nil
	}
	if file, line, ok := strings.Cut(where, ":"); ok {
		n, err := strconv.Atoi(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is not a line", where, line)
		}
		return b, d.breakAtLine(b, file, n)
	}
	b.path = strings.Split(where, "/")
	last := b.path[len(b.path)-1]
	if !d.outline.ids[last] {
		return nil, d.unknownStep(last)
	}
	return b, nil
}

func (d *Debugger) unknownStep(id string) error {
	if hint := source.Suggest(id, d.outline.sorted()); hint != "" {
		return fmt.Errorf("the flow has no step %q: %s", id, hint)
	}
	return fmt.Errorf("the flow has no step %q: steps lists them", id)
}

// breakAtLine finds the step that a line belongs to.
func (d *Debugger) breakAtLine(b *breakpoint, file string, line int) error {
	for _, s := range d.outline.steps {
		named := s.pos.File == file || d.place(s.pos.File) == file || path.Base(s.pos.File) == file
		if named && s.pos.Line <= line && s.pos.Line > b.line {
			b.file, b.line = s.pos.File, s.pos.Line
		}
	}
	if b.file == "" {
		return fmt.Errorf("no step of this flow stands at %s:%d or above it", file, line)
	}
	return nil
}

// holds evaluates a breakpoint's condition. What cannot be evaluated yet does
// not hold, which is said once.
func (d *Debugger) holds(b *breakpoint, s *engine.Stop) (why string, stop bool) {
	name := fmt.Sprintf("breakpoint %d", b.n)
	if b.when == "" {
		return name, true
	}
	v, _, err := s.Evaluate(b.when)
	var missing *expr.MissingError
	switch {
	case errors.As(err, &missing):
		if !b.told {
			b.told = true
			d.say("%s: %s, so its condition does not hold here", name, err)
		}
		return "", false
	case err != nil:
		return fmt.Sprintf("%s: %s", name, err), true
	}
	holds, ok := v.(bool)
	if !ok {
		return fmt.Sprintf("%s: its condition gives %s, not true or false", name, value.Describe(v, 80)), true
	}
	return name + ": " + b.when, holds
}

func (d *Debugger) add(b *breakpoint) {
	b.n = d.next
	d.next++
	d.breaks = append(d.breaks, b)
}

func (d *Debugger) addFailure() { d.add(&breakpoint{failure: true}) }
