package redact

import (
	"io"
	"sync"
)

// scanBytes is how much of one Write is looked at before masked text is passed
// on, so that a huge Write does not need a buffer of its size.
const scanBytes = 32 << 10

// Writer masks a stream: what is written to it arrives at the writer beneath,
// with the same masks however the stream was cut into writes. It holds back only
// bytes that may be the beginning of a secret, at most the longest form. It may
// be used by several goroutines, whose writes then follow each other.
type Writer struct {
	masker *Masker

	mu   sync.Mutex
	to   io.Writer
	scan scanner
	held []byte // the last bytes that were read, still undecided
	out  []byte // masked text on its way, kept for its memory
	err  error
}

// Writer gives a masking writer on top of w. Close it, or Flush it, at the end of
// the text; neither closes w.
func (m *Masker) Writer(w io.Writer) *Writer {
	return &Writer{masker: m, to: w}
}

// Write takes all of p or fails with the error of the writer beneath, which then
// stays.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	a := w.masker.automaton()
	if a == nil {
		n, err := w.to.Write(p)
		w.err = err
		return n, err
	}
	w.follow(a)
	for done := 0; done < len(p); {
		chunk := p[done:min(done+scanBytes, len(p))]
		w.held = append(w.held, chunk...)
		feed(&w.scan, chunk)
		if err := w.pass(w.scan.settled()); err != nil {
			return done, err
		}
		done += len(chunk)
	}
	return len(p), nil
}

// follow changes to the automaton that knows the newest secrets, by reading what
// is held again: the new ones may begin within it.
func (w *Writer) follow(a *automaton) {
	if w.scan.automaton == a {
		return
	}
	next := scanner{automaton: a, pos: w.scan.pos - len(w.held)}
	// A stretch whose beginning is gone from held cannot be found again.
	if len(w.scan.open) > 0 && w.scan.open[0].start < next.pos {
		next.open = append(next.open, w.scan.open[0])
	}
	feed(&next, w.held)
	w.scan = next
}

// pass writes everything before the settled position.
func (w *Writer) pass(settled int) error {
	base := w.scan.pos - len(w.held)
	w.out = w.out[:0]
	from, done := base, 0
	for _, sp := range w.scan.open {
		if sp.start >= settled {
			break
		}
		if sp.start > from {
			w.out = append(w.out, w.held[from-base:sp.start-base]...)
		}
		from = min(sp.end, settled)
		if sp.end > settled {
			break
		}
		w.out = append(w.out, w.scan.automaton.masks[sp.secret]...)
		done++
	}
	if covered := done < len(w.scan.open) && w.scan.open[done].start < settled; !covered {
		w.out = append(w.out, w.held[from-base:settled-base]...)
	}
	w.scan.open = append(w.scan.open[:0], w.scan.open[done:]...)
	w.held = append(w.held[:0], w.held[settled-base:]...)
	if len(w.out) == 0 {
		return nil
	}
	if _, err := w.to.Write(w.out); err != nil {
		w.err = err
	}
	return w.err
}

// Flush ends a text: what is held is written, and a secret that was cut off there
// is not recognised. Call it where nothing more can follow, never on a timer.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.scan.automaton == nil {
		return w.err
	}
	if a := w.masker.automaton(); a != nil {
		w.follow(a)
	}
	err := w.pass(w.scan.pos)
	w.scan = scanner{automaton: w.scan.automaton}
	return err
}

// Close is Flush and refuses further writes. It does not close the writer
// beneath.
func (w *Writer) Close() error {
	err := w.Flush()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = io.ErrClosedPipe
	}
	return err
}
