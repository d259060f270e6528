package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
)

const (
	// beatAfter is how long output may be silent: CI systems end jobs that say
	// nothing for minutes, and people suspect them sooner.
	beatAfter = 30 * time.Second
	// maxNamed is how many running flows a beat names.
	maxNamed = 5
)

// heartbeat passes output on, and says what is running whenever there was none
// for a while. It prints plain lines only.
type heartbeat struct {
	out   io.Writer
	style text.Style

	mu    sync.Mutex
	state running
	last  time.Time // of the last output
	mid   bool      // the last output did not end its line

	stop  chan struct{} // nil until a batch starts
	ended chan struct{}
}

func newHeartbeat(out io.Writer, style text.Style) *heartbeat {
	return &heartbeat{out: out, style: style}
}

// Write prints p.
func (h *heartbeat) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
	if len(p) > 0 {
		h.mid = p[len(p)-1] != '\n'
	}
	return h.out.Write(p)
}

// over gives w, which prints through h, the events by way of h.
func (h *heartbeat) over(w eventWriter) eventWriter { return &beatWriter{eventWriter: w, beat: h} }

type beatWriter struct {
	eventWriter
	beat *heartbeat
}

// Write sees what changes the list of running flows, which is all that a beat names.
func (w *beatWriter) Write(e *event.Event) error {
	switch e.Type {
	case event.TypeBatchStarted, event.TypeBatchFinished, event.TypeRunStarted, event.TypeRunFinished:
		w.beat.see(e)
	}
	return w.eventWriter.Write(e)
}

func (h *heartbeat) see(e *event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.see(e, time.Now())
	if e.Type == event.TypeBatchStarted && h.stop == nil {
		h.stop, h.ended, h.last = make(chan struct{}), make(chan struct{}), time.Now()
		go h.beats(h.stop, h.ended)
	}
}

func (h *heartbeat) beats(stop <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	t := time.NewTimer(beatAfter)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			t.Reset(h.beat())
		}
	}
}

// beat prints a line if it is time, and gives when to look again.
func (h *heartbeat) beat() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if left := beatAfter - now.Sub(h.last); left > 0 {
		return left
	}
	h.last = now
	if n := len(h.state.runs); n > 0 {
		var names []string
		for _, f := range h.state.runs[:min(n, maxNamed)] {
			names = append(names, fmt.Sprintf("%s (%.0fs)", f.name, now.Sub(f.since).Seconds()))
		}
		line := fmt.Sprintf("%s %d running: %s", h.style.Ellipsis(), n, strings.Join(names, ", "))
		if n > maxNamed {
			line += fmt.Sprintf(" and %d more", n-maxNamed)
		}
		if h.mid {
			line, h.mid = "\n"+line, false
		}
		// Whoever writes the report sees that the output is broken.
		_, _ = io.WriteString(h.out, line+"\n")
	}
	return beatAfter
}

// close ends the beats. It may be called twice.
func (h *heartbeat) close() {
	h.mu.Lock()
	stop, ended := h.stop, h.ended
	h.stop, h.ended = nil, nil
	h.mu.Unlock()
	if stop != nil {
		close(stop)
		<-ended
	}
}
