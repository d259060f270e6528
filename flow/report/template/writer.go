package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxOutput bounds a report, maxSection one text of it, maxPlaceholder what one
	// placeholder gives, in bytes: what is longer is cut there and says so.
	maxOutput      = 64 << 20
	maxSection     = 1 << 20
	maxPlaceholder = 16 << 10
	// maxSteps bounds the steps of a run that are kept until it ends, maxKept their
	// results, in bytes.
	maxSteps = 1000
	maxKept  = 4 << 20
	// maxTime bounds all that the expressions of a report take.
	maxTime = time.Minute
)

// Options are what a report cannot know by itself.
type Options struct {
	// Now is a clock: it bounds how long a report may calculate.
	Now func() time.Time
}

// Writer writes while a batch runs; it keeps runs that have not ended, each
// bounded, and the text of the others only where the header waits for the end. It
// is used by many runs at a time.
type Writer struct {
	out     io.Writer
	t       *Template
	options Options

	mu      sync.Mutex
	started *event.Event
	runs    map[string]*run
	counts  event.Counts
	flaky   int
	ended   int
	waiting bool           // the header comes with the end, and the runs after it
	body    bytes.Buffer   // what waits
	last    string         // the section that was written last
	size    int            // bytes of all sections
	written map[string]int // how often each section was
	left    map[string]int // how often it was left out for its limit
	spent   time.Duration
	err     error // of out: nothing is written after it
	// wrong is the first section that could not be written, and how many there
	// were. The others are.
	wrong  error
	wrongs int
}

// run is a run that has not ended.
type run struct {
	*cause.Run
	steps []map[string]any
	kept  int // bytes of their results
	left  int // steps past the bounds
}

// New makes a Writer that writes to out.
func (t *Template) New(out io.Writer, o Options) *Writer {
	return &Writer{
		out: out, t: t, options: o, started: &event.Event{BatchStarted: &event.BatchStarted{}}, waiting: t.late,
		runs: map[string]*run{}, counts: event.Counts{}, written: map[string]int{}, left: map[string]int{},
	}
}

// Wants what the template shows.
func (w *Writer) Wants() event.Wants {
	return event.Wants{Exchanges: w.t.requests, Results: w.t.results}
}

// Write takes one event. A section that cannot be written is an error only once
// the batch has ended: runs do not stop for a report.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeBatchStarted:
		w.started = e
		if !w.t.late {
			w.section(sectionHeader, e.Time, names{"batch": begun(e)})
		}
	case event.TypeRunStarted:
		w.runs[e.RunID] = &run{Run: cause.New(e)}
	case event.TypeRunFinished:
		if r != nil {
			delete(w.runs, e.RunID)
			w.finish(r, e)
		}
	case event.TypeBatchFinished:
		return w.end(e)
	default:
		if r != nil {
			r.see(w.t, e)
		}
	}
	return w.err
}

// see takes an event of a step.
func (r *run) see(t *Template, e *event.Event) {
	r.See(e)
	if e.Type != event.TypeStepFinished || t.parts[sectionStep] == nil {
		return
	}
	if len(r.steps) >= maxSteps || r.kept > maxKept {
		r.left++
		return
	}
	s := stepped(t, e)
	s["number"] = int64(len(r.steps) + 1)
	for _, name := range [...]string{"result", "outputs"} {
		if v := s[name]; v != nil {
			r.kept += len(value.Compact(v))
		}
	}
	r.steps = append(r.steps, s)
}

// finish writes the sections of a run. Where run itself is not written, what is
// in it is not either.
func (w *Writer) finish(r *run, e *event.Event) {
	w.ended++
	w.counts[event.Status(word(e.RunFinished.Status))]++
	if flaky(r.Run, e.RunFinished) {
		w.flaky++
	}
	scope := names{"batch": begun(w.started), "run": w.ran(r, e)}
	if !w.section(sectionRun, e.Time, scope) {
		return
	}
	for _, s := range r.steps {
		scope["step"] = s
		w.section(sectionStep, e.Time, scope)
	}
	w.left[sectionStep] += r.left
	n := 0
	for _, f := range r.Failures {
		if f.Ignored || f.Handler || w.t.parts[sectionFailure] == nil {
			continue
		}
		n++
		scope["failure"] = failed(f, n)
		w.section(sectionFailure, e.Time, scope)
	}
	w.left[sectionFailure] += r.Dropped
	w.section(sectionRunEnd, e.Time, scope)
}

// end writes what waited for the end, and says what could not be written.
func (w *Writer) end(e *event.Event) error {
	left := map[string]any{}
	for _, name := range [...]string{sectionRun, sectionStep, sectionFailure} {
		left[name] = int64(w.left[name])
	}
	scope := names{"batch": w.over(e), "left_out": left}
	if w.t.late {
		// The header goes first, then the runs that waited for it.
		body := w.body
		w.body, w.waiting, w.last = bytes.Buffer{}, false, ""
		w.section(sectionHeader, e.Time, scope)
		w.put(body.Bytes())
	}
	w.section(sectionFooter, e.Time, scope)
	switch {
	case w.err != nil:
		return w.err
	case w.wrongs > 1:
		return fmt.Errorf("%d texts of it are missing, the first one for: %w", w.wrongs, w.wrong)
	case w.wrongs == 1:
		return fmt.Errorf("a text of it is missing: %w", w.wrong)
	}
	return nil
}

// section writes one, unless it is not wanted here, and tells whether what is in
// it may be. One that the template does not have holds nothing back.
func (w *Writer) section(name string, now time.Time, scope names) bool {
	s := w.t.parts[name]
	if s == nil {
		return true
	}
	text, wanted, err := w.render(s, &expr.Env{Scope: scope, Now: func() time.Time { return now }})
	switch {
	case err != nil:
		w.mistake(name, err)
		return false
	case !wanted:
		return false
	case s.limit > 0 && w.written[name] >= s.limit:
		w.left[name]++
		return false
	case w.size+len(text) > maxOutput:
		w.left[name]++
		w.mistake(name, fmt.Errorf("the report would be over %d MiB", maxOutput>>20))
		return false
	}
	if w.written[name] > 0 && (name == sectionRun || w.last == name) {
		text = s.separator + text
	}
	w.written[name]++
	w.last = name
	w.size += len(text)
	w.put([]byte(text))
	return true
}

func (w *Writer) put(text []byte) {
	switch {
	case w.waiting:
		w.body.Write(text)
	case w.err == nil:
		_, w.err = w.out.Write(text)
	}
}

var (
	errTime = fmt.Errorf("the placeholders of the report take over %s", maxTime)
	errSize = fmt.Errorf("the text is over %d MiB", maxSection>>20)
)

// render evaluates one section.
func (w *Writer) render(s *section, env *expr.Env) (text string, wanted bool, err error) {
	began := w.options.Now()
	defer func() { w.spent += w.options.Now().Sub(began) }()
	late := func() bool { return w.spent+w.options.Now().Sub(began) > maxTime }
	if late() {
		return "", false, errTime
	}
	if s.when != nil {
		v, err := s.when.Eval(env)
		if err != nil {
			return "", false, err
		}
		if wanted, ok := v.(bool); !ok {
			return "", false, &expr.Located{Pos: s.when.Pos(), Err: fmt.Errorf("when is true or false, not a %s", value.KindOf(v))}
		} else if !wanted {
			return "", false, nil
		}
	}
	size := 0
	text, err = s.text.Each(env, func(text string) (string, error) {
		if late() {
			return "", errTime
		}
		text = w.t.escape(plain.Clean(plain.Cut(text, maxPlaceholder)))
		if size += len(text); size > maxSection {
			return "", errSize
		}
		return text, nil
	})
	return text, err == nil, err
}

// mistake counts a section that could not be written.
func (w *Writer) mistake(name string, err error) {
	if w.wrongs++; w.wrongs > 1 {
		return
	}
	at := "section " + name
	if located := (*expr.Located)(nil); errors.As(err, &located) {
		at = located.Pos.String()
	}
	w.wrong = fmt.Errorf("%s: %w", at, err)
}
