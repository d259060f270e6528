// Package json writes one JSON document about a batch: every run with its
// events, as the event stream has them. It is a view of that stream; runs are
// written as they end, so that memory does not grow with the batch.
package json

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// Version is the `v` of a document.
const Version = 1

// maxRun bounds what is kept of one run until it ends. Past it requests and log
// lines are left out and counted; what was judged stays.
const maxRun = 64 << 20

// Writer writes a document while a batch runs:
//
//	{"v": 1, "batch": batch.started, "runs": [RUN, …], "result": batch.finished}
//
// where RUN is {"run_id": …, "status": …, "left_out": 12, "events": [EVENT, …]},
// in the order that the runs ended. Every event is what FLOW.md "The event
// stream" says. A run that never ended has the status "". Decode reads it.
type Writer struct {
	mu   sync.Mutex
	out  io.Writer
	open map[string]*run // that have not ended
	runs int
	err  error
	// limit is maxRun; tests have a smaller one.
	limit int
}

type run struct {
	events []byte
	left   int // events left out
}

// New makes a Writer that writes to out.
func New(out io.Writer) *Writer { return &Writer{out: out, open: make(map[string]*run), limit: maxRun} }

// Wants all there is: the document holds the events as they are.
func (w *Writer) Wants() event.Wants { return event.Wants{Exchanges: true, Results: true} }

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Type {
	case event.TypeBatchStarted:
		w.put(fmt.Appendf(nil, `{"v":%d,"batch":`, Version), event.AppendJSON(nil, e), []byte(`,"runs":[`))
	case event.TypeBatchFinished:
		for _, id := range w.unfinished() {
			w.print(id, "")
		}
		w.put([]byte("\n"+`],"result":`), event.AppendJSON(nil, e), []byte("}\n"))
	default:
		w.keep(e)
		if e.Type == event.TypeRunFinished {
			w.print(e.RunID, e.RunFinished.Status)
		}
	}
	return w.err
}

func (w *Writer) keep(e *event.Event) {
	r := w.open[e.RunID]
	if r == nil {
		r = &run{}
		w.open[e.RunID] = r
	}
	if len(r.events) > w.limit && (e.Type == event.TypeStepExchange || e.Type == event.TypeStepLog) {
		r.left++
		return
	}
	if len(r.events) > 0 {
		r.events = append(r.events, ',', '\n')
	}
	r.events = event.AppendJSON(r.events, e)
}

func (w *Writer) unfinished() []string {
	ids := make([]string, 0, len(w.open))
	for id := range w.open {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (w *Writer) print(id string, status event.Status) {
	r := w.open[id]
	delete(w.open, id)
	head := []byte("\n")
	if w.runs++; w.runs > 1 {
		head = []byte(",\n")
	}
	head = append(value.AppendString(append(head, `{"run_id":`...), id), `,"status":`...)
	head = value.AppendString(head, string(status))
	if r.left > 0 {
		head = strconv.AppendInt(append(head, `,"left_out":`...), int64(r.left), 10)
	}
	w.put(append(head, `,"events":[`+"\n"...), r.events, []byte("\n]}"))
}

func (w *Writer) put(parts ...[]byte) {
	for _, p := range parts {
		if w.err == nil {
			_, w.err = w.out.Write(p)
		}
	}
}

// Document is a decoded document.
type Document struct {
	Batch  *event.Event // batch.started
	Runs   []Run
	Result *event.Event // batch.finished
}

// Run is one run of a document.
type Run struct {
	ID      string
	Status  event.Status // "" where it never ended
	LeftOut int          // events that are not in the document
	Events  []*event.Event
}

// Decode reads a whole document. A report that was cut short is an error.
func Decode(r io.Reader) (*Document, error) {
	var raw struct {
		V             int
		Batch, Result json.RawMessage
		Runs          []struct {
			ID      string       `json:"run_id"`
			Status  event.Status `json:"status"`
			LeftOut int          `json:"left_out"`
			Events  []json.RawMessage
		}
	}
	if err := json.NewDecoder(r).Decode(&raw); err != nil {
		return nil, fmt.Errorf("decode report: %w", err)
	}
	if raw.V != Version {
		return nil, fmt.Errorf("decode report: version %d is not %d", raw.V, Version)
	}
	doc := &Document{Runs: make([]Run, len(raw.Runs))}
	var err error
	if doc.Batch, err = event.Decode(raw.Batch); err != nil {
		return nil, fmt.Errorf("decode report: batch: %w", err)
	}
	if doc.Result, err = event.Decode(raw.Result); err != nil {
		return nil, fmt.Errorf("decode report: result: %w", err)
	}
	for i, from := range raw.Runs {
		to := &doc.Runs[i]
		to.ID, to.Status, to.LeftOut = from.ID, from.Status, from.LeftOut
		for n, line := range from.Events {
			e, err := event.Decode(line)
			if err != nil {
				return nil, fmt.Errorf("decode report: run %s, event %d: %w", from.ID, n+1, err)
			}
			to.Events = append(to.Events, e)
		}
	}
	return doc, nil
}
