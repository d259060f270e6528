// Package json writes one JSON document about a batch: every run with its
// steps, nested as they ran. It is a view of the event stream; runs are written
// as they end, so that memory does not grow with the batch.
package json

import (
	"io"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
)

// Writer writes a document while a batch runs.
type Writer struct {
	mu   sync.Mutex
	out  io.Writer
	open map[string][]byte // events of runs that have not ended
	runs int
	err  error
}

// New makes a Writer that writes to out.
func New(out io.Writer) *Writer { return &Writer{out: out, open: make(map[string][]byte)} }

// WantsExchanges is true: the document holds requests and responses.
func (w *Writer) WantsExchanges() bool { return true }

// Write takes one event. The document is
// {"v":1,"batch":batch.started,"runs":[{"events":[…]}],"result":batch.finished},
// every part as in the event stream.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Type {
	case event.TypeBatchStarted:
		w.put([]byte(`{"v":1,"batch":`), event.AppendJSON(nil, e), []byte(`,"runs":[`))
	case event.TypeBatchFinished:
		w.put([]byte("\n"+`],"result":`), event.AppendJSON(nil, e), []byte("}\n"))
	default:
		text := w.open[e.RunID]
		if len(text) > 0 {
			text = append(text, ',', '\n')
		}
		text = event.AppendJSON(text, e)
		if e.Type != event.TypeRunFinished {
			w.open[e.RunID] = text
			break
		}
		delete(w.open, e.RunID)
		if w.runs++; w.runs > 1 {
			w.put([]byte(","))
		}
		w.put([]byte("\n"+`{"run_id":"`+e.RunID+`","status":"`+string(e.RunFinished.Status)+`","events":[`+"\n"), text, []byte("\n]}"))
	}
	return w.err
}

func (w *Writer) put(parts ...[]byte) {
	for _, p := range parts {
		if w.err == nil {
			_, w.err = w.out.Write(p)
		}
	}
}
