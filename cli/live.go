package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
)

const (
	// redrawEvery keeps a terminal, which may be at the end of a slow line, at
	// ten frames a second.
	redrawEvery = 100 * time.Millisecond
	// maxShown is how many running flows the footer has.
	maxShown = 8
	// slowAfter is how long a step takes before it is called slow.
	slowAfter = 10 * time.Second
)

// live draws on a terminal: what is written scrolls up, and below it stands
// which flows are running. It changes no mode of the terminal, so that there is
// nothing to restore however the command ends.
type live struct {
	out   io.Writer
	width int
	style text.Style

	mu    sync.Mutex
	state running
	drawn int  // lines of the footer that are on the screen
	mid   bool // the last text did not end its line: no footer below it
	last  time.Time
	spin  int
	err   error // the first of out: nothing is drawn any more

	stop  chan struct{} // nil until a batch starts
	ended chan struct{}
}

func newLive(out io.Writer, width int, style text.Style) *live {
	return &live{out: out, width: width, style: style}
}

// Write prints p above the footer.
func (l *live) Write(p []byte) (int, error) { return l.print(l.out, p) }

func (l *live) print(to io.Writer, p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drawn > 0 {
		l.draw(nil)
	}
	n, err := to.Write(p)
	if n > 0 {
		l.mid = p[n-1] != '\n'
	}
	if time.Since(l.last) >= redrawEvery {
		l.redraw()
	}
	return n, err
}

// beside is another stream of the same terminal: what is written to it stands
// above the footer too.
func (l *live) beside(out io.Writer) io.Writer { return besideLive{l, out} }

type besideLive struct {
	live *live
	out  io.Writer
}

func (b besideLive) Write(p []byte) (int, error) { return b.live.print(b.out, p) }

// over gives w, which prints through l, the events by way of l.
func (l *live) over(w eventWriter) eventWriter { return &liveWriter{eventWriter: w, live: l} }

type liveWriter struct {
	eventWriter
	live *live
}

func (w *liveWriter) Write(e *event.Event) error {
	w.live.see(e)
	return w.eventWriter.Write(e)
}

func (l *live) see(e *event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.see(e, time.Now())
	switch e.Type {
	case event.TypeBatchStarted:
		if l.stop == nil {
			l.stop, l.ended = make(chan struct{}), make(chan struct{})
			go l.animate(l.stop, l.ended)
		}
	case event.TypeBatchFinished:
		l.draw(nil)
	}
}

func (l *live) animate(stop <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	t := time.NewTicker(redrawEvery)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			l.mu.Lock()
			l.spin++
			l.redraw()
			l.mu.Unlock()
		}
	}
}

// close takes the footer away and ends the animation. It may be called twice.
func (l *live) close() {
	l.mu.Lock()
	stop, ended := l.stop, l.ended
	l.state.batch, l.stop, l.ended = false, nil, nil
	l.draw(nil)
	l.mu.Unlock()
	if stop != nil {
		close(stop)
		<-ended
	}
}

func (l *live) redraw() {
	if l.state.batch && !l.mid {
		l.draw(l.footer(time.Now()))
	}
}

// draw replaces the footer in one write. The cursor rests in the line below it.
func (l *live) draw(lines []string) {
	if l.err != nil || l.drawn == 0 && len(lines) == 0 {
		return
	}
	var b bytes.Buffer
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", l.drawn)
	}
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	l.drawn, l.last = len(lines), time.Now()
	_, l.err = l.out.Write(b.Bytes())
}

// footer is a rule, the flows that run and the counters.
func (l *live) footer(now time.Time) []string {
	s := l.style
	columns := max(l.width-1, 20) // a full last column may wrap
	if len(l.state.runs) == 0 && l.state.done == 0 {
		return nil
	}
	lines := []string{s.Dim(strings.Repeat(s.Rule(), min(columns, 78)))}
	for i, f := range l.state.runs {
		if i == maxShown && len(l.state.runs) > maxShown {
			lines = append(lines, s.Dim(s.Clip(fmt.Sprintf("   %s %d more running", s.Ellipsis(), len(l.state.runs)-i), columns)))
			break
		}
		lines = append(lines, l.row(f, now, columns))
	}
	return append(lines, s.Clip(" "+l.counters(now), columns))
}

func (l *live) spinner() string {
	frames := []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}
	if l.style.ASCII {
		frames = []string{"|", "/", "-", `\`}
	}
	return frames[l.spin%len(frames)]
}

// row is one running flow. The name gives way first where the terminal is
// narrow, then the step.
func (l *live) row(f *runningFlow, now time.Time, columns int) string {
	step, slow := "", ""
	if n := len(f.open); n > 0 {
		o := f.open[n-1]
		step = text.OneLine(strings.TrimSpace(o.step.ID + "  " + o.step.Action))
		if now.Sub(o.since) > slowAfter {
			slow = fmt.Sprintf("  SLOW > %.0fs", slowAfter.Seconds())
		}
	}
	about := fmt.Sprintf("%3d done  ", f.steps)
	elapsed := fmt.Sprintf("  %6.1fs", now.Sub(f.since).Seconds())
	room := columns - 3 - len(about) - len(elapsed) - len(slow)
	nameRoom := min(max(room/2, 8), 40)
	stepRoom := min(max(room-nameRoom, 0), 34)
	line := fmt.Sprintf(" %s %s%s%s%s", l.spinner(), text.Pad(l.style.Clip(f.name, nameRoom), nameRoom), about,
		text.Pad(l.style.Clip(step, stepRoom), stepRoom), elapsed)
	line = l.style.Clip(line, columns-len(slow))
	return line + l.style.Warn(slow)
}

func (l *live) counters(now time.Time) string {
	r := &l.state
	parts := []string{fmt.Sprintf("%d/%d done", r.done, max(r.total, r.done))}
	for _, status := range []event.Status{event.Failed, event.Errored, event.Cancelled, event.Skipped} {
		if n := r.counts[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if r.flaky > 0 {
		parts = append(parts, fmt.Sprintf("%d flaky", r.flaky))
	}
	parts = append(parts, clock(now.Sub(r.since)), "^C stop")
	return strings.Join(parts, " "+l.style.Dot()+" ")
}
