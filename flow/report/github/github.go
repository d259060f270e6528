// Package github writes the workflow commands that GitHub Actions shows beside
// the lines of a change: ten errors, since it drops all after that without a
// word, and a notice with the number of those it would have dropped. It is a view
// of the event stream and judges nothing.
package github

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
)

const (
	// maxShown is how many annotations of one kind GitHub shows of a step.
	maxShown = 10
	// maxMessage bounds one annotation's text, and maxTitle a title or file name,
	// in bytes: GitHub refuses annotations over 64 KiB.
	maxMessage = 4 << 10
	maxTitle   = 255
)

// Options are what a report cannot know by itself.
type Options struct {
	// Place is the path of a flow's file as the repository has it; nil: as it is.
	Place func(file string) string
}

// Writer collects what to annotate, and writes when the batch ends: before that,
// the middle of somebody's line is where a command would be none. It is used by
// many runs at a time.
type Writer struct {
	out     io.Writer
	options Options

	mu    sync.Mutex
	runs  map[string]*cause.Run
	shown []string
	more  int
	notOK int
}

// New makes a Writer that writes to out once the batch has ended.
func New(out io.Writer, o Options) *Writer {
	if o.Place == nil {
		o.Place = func(file string) string { return file }
	}
	return &Writer{out: out, options: o, runs: map[string]*cause.Run{}}
}

// Wants is nothing of what may be left out.
func (w *Writer) Wants() event.Wants { return event.Wants{} }

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeRunStarted:
		w.runs[e.RunID] = cause.New(e)
	case event.TypeRunFinished:
		if r != nil {
			delete(w.runs, e.RunID)
			w.run(r, e.RunFinished)
		}
	case event.TypeBatchFinished:
		return w.print(e.BatchFinished)
	default:
		if r != nil {
			r.See(e)
		}
	}
	return nil
}

// run annotates every failure that counts, or the run itself where none does.
func (w *Writer) run(r *cause.Run, end *event.RunFinished) {
	if end.Status == event.Passed || end.Status == event.Skipped {
		return
	}
	w.notOK++
	name, found := plain.Name(r.Started), false
	for _, f := range r.Failures {
		if f.Ignored || f.Handler {
			continue
		}
		found = true
		line, column := plain.Place(f)
		w.add(f.Step.File, line, column, fmt.Sprintf("%s › %s %s", name, plain.Path(f.Step), f.End.Status), plain.Explain(f))
	}
	if !found {
		w.add(r.Started.RunStarted.File, 0, 0, name+" "+string(end.Status), plain.Why(r, end))
	}
	w.more += r.Dropped
}

func (w *Writer) add(file string, line, column int, title, message string) {
	if len(w.shown) == maxShown {
		w.more++
		return
	}
	var where []string
	if file != "" {
		where = append(where, "file="+property(plain.Line(w.options.Place(file), maxTitle)))
		if line > 0 {
			where = append(where, fmt.Sprintf("line=%d", line))
		}
		if line > 0 && column > 0 {
			where = append(where, fmt.Sprintf("col=%d", column))
		}
	}
	where = append(where, "title="+property(plain.Line(title, maxTitle)))
	w.shown = append(w.shown, "::error "+strings.Join(where, ",")+"::"+data(plain.Cut(message, maxMessage))+"\n")
}

// data is text as the message of a command, property as one of its properties:
// without that, a body could end the command and begin another.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

func (w *Writer) print(end *event.BatchFinished) error {
	text := strings.Join(w.shown, "")
	switch {
	case w.more > 0:
		noun := "failures"
		if w.more == 1 {
			noun = "failure"
		}
		text += fmt.Sprintf("::notice title=testmesh::%d more %s; %d runs did not pass. GitHub shows ten; the log has all of them.\n", w.more, noun, w.notOK)
	case end.ExitCode != 0 && len(w.shown) == 0:
		why := plain.Line(end.Reason, maxTitle)
		if why == "" {
			why = "no run says why"
		}
		text += fmt.Sprintf("::error title=testmesh::exit code %d: %s\n", end.ExitCode, data(why))
	}
	if text == "" {
		return nil
	}
	_, err := io.WriteString(w.out, text)
	return err
}
