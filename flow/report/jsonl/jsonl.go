// Package jsonl prints the event stream, one JSON object a line, as FLOW.md
// "The event stream" has it. It leaves nothing out.
package jsonl

import (
	"io"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
)

// Writer prints events; it is used by many runs at a time.
type Writer struct {
	mu  sync.Mutex
	out io.Writer
	buf []byte
}

// New makes a Writer that prints to out, one Write a line.
func New(out io.Writer) *Writer { return &Writer{out: out} }

// Wants all there is: the stream is complete.
func (w *Writer) Wants() event.Wants { return event.Wants{Exchanges: true, Results: true} }

// Write prints one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(event.AppendJSON(w.buf[:0], e), '\n')
	_, err := w.out.Write(w.buf)
	return err
}
