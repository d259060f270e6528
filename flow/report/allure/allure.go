// Package allure writes a folder of Allure results, format 2: a file a run as it
// ends, files of what it sent and got, and what the batch was. It is a view of
// the event stream, judges nothing, and knows no file system: whoever makes a
// Writer gives it the means to create a file.
package allure

import (
	"io"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
)

const (
	// maxText bounds a name or a message of one line, maxTrace what is said of all
	// failures of a run, in bytes.
	maxText  = 500
	maxTrace = 32 << 10
	// maxTags bounds the tags of a run, maxEnvironments those named of a batch.
	maxTags         = 50
	maxEnvironments = 20
)

// Options are what a report cannot know by itself.
type Options struct {
	// Create makes a file of the folder. It is called by one run at a time, and a
	// name is created once; the Writer closes what it gets.
	Create func(name string) (io.WriteCloser, error)
	// Version is that of the program.
	Version string
	// Executor is the CI build that the batch is part of; nil: it is of none.
	Executor *Executor
}

// Writer writes while a batch runs; of a run it keeps what its file will say, of
// a batch one id a run. It is used by many runs at a time.
type Writer struct {
	options Options

	mu           sync.Mutex
	started      *event.Event
	runs         map[string]*run
	lanes        []bool         // which of the runs side by side are taken
	seen         map[string]int // how many runs there were of a history id
	environments []string
	bad          int // runs that are failed or broken to the format
	files        budget
	err          error
}

// run is a run that has not ended.
type run struct {
	*cause.Run
	id   string // the uuid of its file
	lane int
	tree *tree
}

// New makes a Writer of one folder.
func New(o Options) *Writer {
	return &Writer{options: o, runs: map[string]*run{}, seen: map[string]int{}}
}

// Wants the exchanges: requests and responses are attachments.
func (w *Writer) Wants() event.Wants { return event.Wants{Exchanges: true} }

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeBatchStarted:
		w.started = e
	case event.TypeRunStarted:
		w.start(e)
	case event.TypeRunFinished:
		if r != nil {
			w.finish(r, e, e.RunFinished)
		}
	case event.TypeBatchFinished:
		w.end(e)
	default:
		if r != nil {
			w.see(r, e)
		}
	}
	return w.err
}

func (w *Writer) start(e *event.Event) {
	lane := slices.Index(w.lanes, false)
	if lane < 0 {
		lane = len(w.lanes)
		w.lanes = append(w.lanes, true)
	}
	w.lanes[lane] = true
	w.runs[e.RunID] = &run{Run: cause.New(e), id: plain.ID("run", e.BatchID, e.RunID), lane: lane, tree: newTree()}
	if at := e.RunStarted.Environment; at != "" && len(w.environments) < maxEnvironments && !slices.Contains(w.environments, at) {
		w.environments = append(w.environments, at)
	}
}

// finish writes the file of a run, and one of its setup and teardown where it
// has them.
func (w *Writer) finish(r *run, e *event.Event, end *event.RunFinished) {
	delete(w.runs, r.Started.RunID)
	w.lanes[r.lane] = false
	if s := status(end.Status); s == failed || s == broken {
		w.bad++
	}
	w.put(r.id+"-result.json", w.result(r, e, end))
	if fixtures := r.fixtures(e.Time); fixtures != nil {
		w.put(plain.ID("container", r.id)+"-container.json", fixtures)
	}
}

// end writes what is said once. Runs that never ended are not left out: what
// was not judged must not look as if nothing was wrong.
func (w *Writer) end(e *event.Event) {
	var open []string
	for id := range w.runs {
		open = append(open, id)
	}
	slices.Sort(open)
	for _, id := range open {
		w.finish(w.runs[id], e, &event.RunFinished{Status: event.Errored, Reason: "the run never ended"})
	}
	w.batch(e)
}

// The statuses of the format that are used.
const (
	passed  = "passed"
	failed  = "failed"
	broken  = "broken"
	skipped = "skipped"
)

// status is the format's word. A cancelled run is broken, as what could not be
// judged is: to readers an unknown one counts as neither good nor bad.
func status(s event.Status) string {
	switch s {
	case event.Passed, event.Failed, event.Skipped:
		return string(s)
	}
	return broken
}

// stage says whether something came to its end.
func stage(s event.Status) string {
	if s == event.Cancelled {
		return "interrupted"
	}
	return "finished"
}

func instant(t time.Time) int64 { return t.UnixMilli() }

// before is the time that lies ms milliseconds before end.
func before(end time.Time, ms float64) time.Time {
	if math.IsNaN(ms) || ms < 0 || ms > 1e12 {
		ms = 0 // a clock that was set back
	}
	return end.Add(-time.Duration(ms * float64(time.Millisecond)))
}

func number(n int) string { return strconv.Itoa(n) }
