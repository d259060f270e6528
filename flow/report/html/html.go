// Package html writes one page that a person opens from a disk or a CI server's
// artifacts: every run with why it ended as it did, and its steps to unfold. The
// page loads nothing, and what stands in answers is text in it, never markup. It
// is a view of the event stream and judges nothing.
package html

import (
	"crypto/sha256"
	_ "embed" // of the page's style and script
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
)

const (
	// maxNotes bounds the notes of a batch, maxTags the tags of a run, maxText a
	// line of the page, in bytes.
	maxNotes = 20
	maxTags  = 20
	maxText  = 500
)

// reveal shows the runs once all are there: a browser that lays out a list while
// it grows does so again and again, and takes three times as long for 10,000.
const reveal = "#runs { display: flex }"

//go:embed page.css
var style string

//go:embed page.js
var script string

// Writer writes while a batch runs; it keeps only runs that have not ended, each
// bounded. It is used by many runs at a time.
type Writer struct {
	out io.Writer

	mu      sync.Mutex
	started *event.Event
	runs    map[string]*run
	counts  event.Counts
	flaky   int
	written int // bytes of all details
	err     error
}

// New makes a Writer that writes to out, one Write a run.
func New(out io.Writer) *Writer {
	return &Writer{out: out, runs: map[string]*run{}, counts: event.Counts{}}
}

// Wants all there is: the page has requests, responses and results.
func (w *Writer) Wants() event.Wants { return event.Wants{Exchanges: true, Results: true} }

// Write takes one event.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.runs[e.RunID]
	switch e.Type {
	case event.TypeBatchStarted:
		w.started = e
		w.print(head())
	case event.TypeRunStarted:
		w.runs[e.RunID] = newRun(e)
	case event.TypeRunFinished:
		if r != nil {
			delete(w.runs, e.RunID)
			w.print(w.run(r, e.RunFinished))
		}
	case event.TypeBatchFinished:
		w.print(w.foot(e))
	default:
		if r != nil {
			r.see(e)
		}
	}
	return w.err
}

func (w *Writer) print(text string) {
	if w.err == nil {
		_, w.err = io.WriteString(w.out, text)
	}
}

// head opens the page. Only the style and the script with these very bytes are
// allowed in it, and no address at all.
func head() string {
	return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src '` + hash(style) + `' '` + hash(reveal) + `'; script-src '` + hash(script) + `'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">
<title>TestMesh report</title>
<style>` + style + `</style></head>
<body>
<main id="runs">
`
}

// hash is a source as CSP level 3 names it.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func esc(s string) string { return html.EscapeString(s) }

// word is a status as the page knows it: what is none of them was not judged.
func word(s event.Status) string {
	if slices.Contains(event.Statuses[:], s) {
		return string(s)
	}
	return string(event.Errored)
}

// run writes a run: one line, its failures as text, its events for the script.
func (w *Writer) run(r *run, end *event.RunFinished) string {
	s, status := r.Started.RunStarted, word(end.Status)
	w.counts[event.Status(status)]++
	var b strings.Builder
	fmt.Fprintf(&b, `<details class="run %s" data-status="%s"><summary><b class="status">%s</b> <span class="name">%s</span>`, status, status, status, esc(plain.Name(r.Started)))
	if end.Status == event.Passed && r.Tries > 1 {
		w.flaky++
		b.WriteString(` <span class="tag">flaky</span>`)
	}
	for _, t := range s.Tags[:min(len(s.Tags), maxTags)] {
		fmt.Fprintf(&b, ` <span class="tag">%s</span>`, esc(plain.Line(t, maxText)))
	}
	fmt.Fprintf(&b, ` <span class="file">%s</span> <span class="time">%s</span>`, esc(place(r, end)), duration(end.DurationMS))
	if why := plain.Why(r.Run, end); why != "" {
		fmt.Fprintf(&b, ` <span class="why">%s</span>`, esc(why))
	}
	b.WriteString("</summary>\n")
	for _, f := range r.Failures {
		failure(&b, f)
	}
	aside(&b, r)
	data := r.data(end.Status, w.written)
	w.written += len(data)
	b.WriteString(data)
	b.WriteString("</details>\n")
	return b.String()
}

// place is the file of a run, with the line of what failed in it.
func place(r *run, end *event.RunFinished) string {
	file := r.Started.RunStarted.File
	if f := r.First(); f != nil && end.Status != event.Passed {
		if line, _ := plain.Place(f); line > 0 {
			return fmt.Sprintf("%s:%d", plain.Line(f.Step.File, maxText), line)
		}
	}
	return plain.Line(file, maxText)
}

// failure says what was wrong for readers without the script.
func failure(b *strings.Builder, f *cause.Failure) {
	what := word(f.End.Status)
	status := what
	switch {
	case f.Ignored:
		what += ", ignored"
	case f.Handler:
		what += ", in a handler"
	}
	fmt.Fprintf(b, `<section class="failure %s"><h2>%s <small>%s · %s</small></h2><pre>%s</pre></section>`+"\n",
		status, esc(plain.Path(f.Step)), esc(plain.Line(f.Step.Action, maxText)), what, esc(plain.Explain(f)))
}

// aside says what else was, and what is not in the page.
func aside(b *strings.Builder, r *run) {
	say := func(format string, args ...any) { fmt.Fprintf(b, "<p>%s</p>\n", esc(fmt.Sprintf(format, args...))) }
	if r.Tries > 1 {
		say("%s passed on try %d", plain.Line(r.Retried, maxText), r.Tries)
	}
	if r.Dropped > 0 {
		say("%d more failures are not listed", r.Dropped)
	}
	for _, o := range r.Orphans {
		say("left behind: %s", plain.Line(o.Type+" "+o.ID+": "+o.Reason, maxText))
	}
	if r.Lost > 0 {
		say("left behind: %d more", r.Lost)
	}
}

func duration(ms float64) string {
	if !(ms >= 0) || ms > 1e12 {
		ms = 0 // a clock that was set back
	}
	switch d := time.Duration(ms * float64(time.Millisecond)); {
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", ms)
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}

// foot closes the page. The verdict is known only here; the style puts it first.
func (w *Writer) foot(e *event.Event) string {
	end := e.BatchFinished
	verdict, class := "PASS", "passed"
	if end.ExitCode != 0 {
		verdict, class = "FAIL", "failed"
	}
	total := 0
	for _, n := range w.counts {
		total += n
	}
	var b strings.Builder
	fmt.Fprintf(&b, `</main>
<style>`+reveal+`</style>
<header class="%s"><h1><b id="verdict" class="status">%s</b> <span id="counts">`, class, verdict)
	for _, status := range event.Statuses {
		if n := w.counts[status]; n > 0 {
			fmt.Fprintf(&b, `<span class="count %s">%d %s</span> `, status, n, status)
		}
	}
	if total == 0 {
		b.WriteString("no run ")
	}
	b.WriteString("</span></h1>\n<p>")
	if w.started != nil {
		fmt.Fprintf(&b, "%s · %s · ", w.started.Time.UTC().Format("2006-01-02 15:04:05 UTC"), duration(float64(e.Time.Sub(w.started.Time))/float64(time.Millisecond)))
	}
	fmt.Fprintf(&b, "exit code %d", end.ExitCode)
	if end.Reason != "" {
		b.WriteString(" · " + esc(plain.Line(end.Reason, maxText)))
	}
	if w.flaky > 0 {
		fmt.Fprintf(&b, " · %d flaky", w.flaky)
	}
	if w.started != nil {
		fmt.Fprintf(&b, " · seed %d", w.started.BatchStarted.Seed)
	}
	b.WriteString("</p>\n")
	if w.started != nil {
		for _, n := range w.started.BatchStarted.Notes[:min(len(w.started.BatchStarted.Notes), maxNotes)] {
			fmt.Fprintf(&b, "<p>note: %s</p>\n", esc(plain.Line(n, maxText)))
		}
	}
	b.WriteString(`<noscript><p>Failures are below. Steps, requests and the search need JavaScript, which is off.</p></noscript>
<div id="controls" hidden><div id="filters" role="group" aria-label="Statuses"></div><input id="search" type="search" placeholder="Search name, file, tag, message" aria-label="Search"><output id="shown"></output></div>
</header>
<script>` + script + `</script>
</body></html>
`)
	return b.String()
}
