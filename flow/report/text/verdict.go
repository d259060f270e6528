package text

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
)

// maxReasons bounds how many reasons of skipped runs are listed.
const maxReasons = 5

// reasons counts why runs were skipped, in the order they came.
type reasons struct {
	list   []reason
	others int // past the bound of what is told apart
}

type reason struct {
	text string
	n    int
}

func (r *reasons) add(text string) {
	if text == "" {
		text = "no reason given"
	}
	i := slices.IndexFunc(r.list, func(k reason) bool { return k.text == text })
	switch {
	case i >= 0:
		r.list[i].n++
	case len(r.list) < 100:
		r.list = append(r.list, reason{text, 1})
	default:
		r.others++
	}
}

func (w *Writer) batchFinished(e *event.Event) {
	if w.options.Format == Dot && w.column > 0 {
		w.printf("\n")
		w.column = 0
	}
	var b bytes.Buffer
	list := w.inOrder()
	if len(list) > 0 || w.done > 0 && w.options.Format != Quiet && (w.options.Format != Line || w.done > w.counts[event.Passed]) {
		b.WriteByte('\n')
	}
	for _, f := range list {
		w.block(&b, f)
		if b.Len() > 1<<16 {
			w.printf("%s", b.String())
			b.Reset()
		}
	}
	s := w.options.Style
	if w.kept.more > 0 {
		verb := "are"
		if w.kept.more == 1 {
			verb = "is"
		}
		fmt.Fprintf(&b, "%s %s %s not shown here; --report json=FILE or junit=FILE has them all\n\n", s.ellipsis(), plural(w.kept.more, "more failure"), verb)
	}
	if w.options.Format != List && w.options.Format != Verbose {
		w.skipped(&b)
	}
	w.coverage(&b)
	w.verdict(&b, e)
	w.printf("%s", b.String())
}

// skipped says why runs were skipped, in formats that do not say it as they go.
func (w *Writer) skipped(b *bytes.Buffer) {
	if len(w.skips.list) == 0 || w.options.Format == Line {
		return
	}
	list := slices.Clone(w.skips.list)
	slices.SortStableFunc(list, func(x, y reason) int { return cmp.Compare(y.n, x.n) })
	left := w.skips.others
	for i, r := range list {
		if i >= maxReasons {
			left += r.n
			continue
		}
		fmt.Fprintf(b, "skipped  %d: %s\n", r.n, r.text)
	}
	if left > 0 {
		fmt.Fprintf(b, "skipped  %d: for other reasons\n", left)
	}
	b.WriteByte('\n')
}

func (w *Writer) verdict(b *bytes.Buffer, e *event.Event) {
	s := w.options.Style
	end := e.BatchFinished
	word, color := w.word(end.ExitCode)
	var parts []string
	for _, status := range []event.Status{event.Failed, event.Errored, event.Cancelled, event.Passed, event.Skipped} {
		if n := w.counts[status]; n > 0 {
			text := fmt.Sprintf("%d %s", n, status)
			if status == event.Passed && w.flaky > 0 {
				text += fmt.Sprintf(" (%d flaky)", w.flaky)
			}
			parts = append(parts, text)
		}
	}
	facts := []string{strings.Join(parts, ", ")}
	if facts[0] == "" {
		facts[0] = "no runs"
	}
	if n := w.total - w.done; n > 0 && w.done > 0 {
		facts[0] += fmt.Sprintf(", %d never started", n)
	}
	facts = append(facts, plural(w.steps, "step"), plural(w.assertions, "assertion"))
	if !w.started.IsZero() {
		facts = append(facts, duration(float64(e.Time.Sub(w.started).Microseconds())/1000))
	}
	if end.ExitCode != 0 {
		facts = append(facts, fmt.Sprintf("exit %d", end.ExitCode))
	}
	if end.Reason != "" {
		facts = append(facts, OneLine(end.Reason))
	}
	fmt.Fprintf(b, "%s  %s\n", s.paint(bold+";"+color, word), strings.Join(facts, " "+s.dot()+" "))
}

// word is the verdict with its colour.
func (w *Writer) word(exitCode int) (word, color string) {
	switch v := w.counts.Verdict(exitCode); v {
	case event.VerdictPass:
		return v, green
	case event.VerdictFail:
		return v, red
	default:
		return v, yellow
	}
}
