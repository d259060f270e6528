package debug

import (
	"fmt"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/text"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxKept bounds the steps whose exchanges are kept to be looked at.
	maxKept = 200
	// maxLine bounds a line of what is shown.
	maxLine = 160
)

// byHand is how the engine reports what was done in the debugger.
const byHand = "in the debugger: "

// Record prints what happens in the run, a line a step, and keeps what commands
// show of it. It takes the events of one run.
type Record struct {
	d *Debugger

	mu        sync.Mutex
	exchanges map[string][]*event.Event // of the last try, by path
	order     []string                  // the paths, oldest first
	status    map[string]event.Status   // by id: the last
	hand      string                    // what was done by hand, from the run's end
}

// Wants the exchanges, which are shown when somebody asks for them. Results are
// asked of the engine.
func (r *Record) Wants() event.Wants { return event.Wants{Exchanges: true} }

// Write takes one event.
func (r *Record) Write(e *event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Type {
	case event.TypeRunFinished:
		_, r.hand, _ = strings.Cut(e.RunFinished.Reason, byHand)
	case event.TypeStepStarted:
		delete(r.exchanges, pathOf(e.Step))
	case event.TypeStepRetrying:
		delete(r.exchanges, pathOf(e.Step))
		if e.Retrying.NextInMS > 0 {
			return r.line(e.Step, r.d.cfg.Style.Dim(fmt.Sprintf("try %d %s, again in %d ms", e.Step.Try, e.Retrying.Status, e.Retrying.NextInMS)))
		}
	case event.TypeStepExchange:
		r.keep(e)
	case event.TypeStepLog:
		if strings.HasPrefix(e.Log.Message, byHand) {
			return nil // it was said when it was done
		}
		return r.line(e.Step, r.d.cfg.Style.Dim(text.OneLine(e.Log.Level+" "+e.Log.Message)))
	case event.TypeStepFinished:
		r.status[e.Step.ID] = e.StepFinished.Status
		return r.line(e.Step, r.d.finishedLine(e.Step, e.StepFinished))
	}
	return nil
}

func (r *Record) keep(e *event.Event) {
	path := pathOf(e.Step)
	if len(r.exchanges[path]) == 0 {
		r.order = append(r.order, path)
		if len(r.order) > maxKept {
			delete(r.exchanges, r.order[0])
			r.order = r.order[1:]
		}
	}
	r.exchanges[path] = append(r.exchanges[path], e)
}

// last are the exchanges of a step, or without an id of the last one that had
// any.
func (r *Record) last(id string) []*event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.order) - 1; i >= 0; i-- {
		list := r.exchanges[r.order[i]]
		if len(list) > 0 && (id == "" || list[0].Step.ID == id) {
			return list
		}
	}
	return nil
}

func (r *Record) statusOf(id string) event.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status[id]
}

// Hand is what was done by hand in the run that has ended; empty: nothing.
func (r *Record) Hand() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hand
}

func (r *Record) line(s *event.Step, text string) error {
	_, err := fmt.Fprintf(r.d.cfg.Console, "%s%s\n", strings.Repeat("  ", min(len(s.Path), 20)-1), " "+text)
	return err
}

// sign is a status as one character, or as a word where there is no such one.
func sign(style text.Style, status event.Status) string {
	glyph, word := "·", "."
	paint := style.Dim
	switch status {
	case event.Passed:
		glyph, word, paint = "✓", "ok", style.Good
	case event.Failed:
		glyph, word, paint = "✗", "FAIL", style.Bad
	case event.Errored:
		glyph, word, paint = "!", "ERR", style.Warn
	case event.Cancelled:
		glyph, word, paint = "■", "stop", style.Warn
	case event.Skipped:
		glyph, word = "○", "skip"
	}
	if style.ASCII {
		return paint(word)
	}
	return paint(glyph)
}

func (d *Debugger) finishedLine(s *event.Step, f *event.StepFinished) string {
	style := d.cfg.Style
	parts := []string{sign(style, f.Status) + " " + text.OneLine(s.ID), style.Dim(text.OneLine(s.Action))}
	if s.Phase != event.PhaseSteps {
		parts = append(parts, style.Dim(string(s.Phase)))
	}
	switch {
	case f.Status == event.Skipped, f.Status == event.Cancelled:
		parts = append(parts, text.OneLine(f.Reason))
	default:
		parts = append(parts, style.Dim(fmt.Sprintf("%.1f ms", f.DurationMS)))
	}
	if f.Tries > 1 {
		parts = append(parts, fmt.Sprintf("%d tries", f.Tries))
	}
	if why := whyBad(f); why != "" {
		parts = append(parts, clip(why, 100))
	}
	for _, name := range value.Keys(f.Outputs) {
		parts = append(parts, style.Dim(clip(name+" = "+value.Compact(f.Outputs[name]), 60)))
	}
	return strings.Join(parts, "  ")
}

// whyBad is why a step did not pass, in a line.
func whyBad(f *event.StepFinished) string {
	if f.Error != nil {
		return text.OneLine(f.Error.Code + " " + f.Error.Message)
	}
	for i := range f.Assertions {
		if a := &f.Assertions[i]; !a.Passed {
			return text.OneLine(a.Expression + ": " + a.Message)
		}
	}
	return ""
}

// clip cuts a line that is longer than n characters.
func clip(s string, n int) string {
	runes := []rune(text.OneLine(s))
	if len(runes) <= n {
		return string(runes)
	}
	return string(runes[:n-1]) + "…"
}
