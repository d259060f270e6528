// Package html writes one page that a person opens from a disk or a CI server's
// artifacts: the page of a run, as the control plane serves it, with the recording of
// every run in it. The page loads nothing, and what stands in answers is data in it,
// never markup. It is a view of the event stream and judges nothing.
package html

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxNotes bounds the notes of a batch, maxText a line of the page, in bytes.
	maxNotes = 20
	maxText  = 500
	// maxFile and maxFiles bound the stored files that the page holds: screenshots, not
	// bodies of a hundred megabytes.
	maxFile  = 512 << 10
	maxFiles = 16 << 20
)

// Page is the page of a recording as ui builds it: two scripts and a style, which become
// part of the report's file.
type Page struct{ Theme, Script, Style []byte }

// Writer writes while a batch runs; it keeps only runs that have not ended, each
// bounded. It is used by many runs at a time.
type Writer struct {
	out  io.Writer
	page Page

	mu       sync.Mutex
	started  *event.Event
	runs     map[string]*run
	number   int
	counts   event.Counts
	written  int // bytes of all details
	files    map[string]bool
	fileSize int
	err      error
}

// New makes a Writer that writes to out, one Write a run.
func New(out io.Writer, page Page) *Writer {
	for _, script := range []*[]byte{&page.Theme, &page.Script} { // nothing in a script ends it but its end
		*script = bytes.ReplaceAll(*script, []byte("</script"), []byte(`<\/script`))
		*script = bytes.ReplaceAll(*script, []byte("<!--"), []byte(`<\!--`))
	}
	return &Writer{out: out, page: page, runs: map[string]*run{}, counts: event.Counts{}, files: map[string]bool{}}
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
		w.print(w.head())
	case event.TypeRunStarted:
		w.number++
		w.runs[e.RunID] = newRun(e, w.number)
	case event.TypeRunFinished:
		if r != nil {
			delete(w.runs, e.RunID)
			r.see(e)
			w.print(w.run(r, e.RunFinished))
		}
	case event.TypeBatchFinished:
		w.print(w.foot(e))
	default:
		if r != nil {
			r.see(e)
		}
		if e.Type == event.TypeStepArtifact {
			w.print(w.file(e.Artifact))
		}
	}
	return w.err
}

func (w *Writer) print(text string) {
	if w.err == nil && text != "" {
		_, w.err = io.WriteString(w.out, text)
	}
}

// head opens the page. Only the scripts and the style with these very bytes are allowed
// in it, pictures that it was given as data, and no address at all.
func (w *Writer) head() string {
	p := w.page
	return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '` + hash(p.Theme) + `' '` + hash(p.Script) + `'; style-src '` + hash(p.Style) +
		`'; img-src data: blob:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">
<title>TestMesh report</title>
<script>` + string(p.Theme) + `</script>
<style>` + string(p.Style) + `</style></head>
<body>
`
}

// hash is a source as CSP level 3 names it.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// word is a status as the page knows it: what is none of them was not judged.
func word(s event.Status) event.Status {
	if slices.Contains(event.Statuses[:], s) {
		return s
	}
	return event.Errored
}

// run writes a run: its record and its events as data, and for readers without the
// script why it did not pass.
func (w *Writer) run(r *run, end *event.RunFinished) string {
	status := word(end.Status)
	w.counts[status]++
	data := block("run", "", r.Record(end)) + r.data(status, w.written)
	w.written += len(data)
	if status == event.Passed {
		return data
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<noscript><section><h2>%s: %s</h2><p>%s</p>", status, esc(plain.Name(r.Started)), esc(plain.Why(r.Run.Run, end)))
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "<h3>%s</h3><pre>%s</pre>", esc(plain.Path(f.Step)), esc(plain.Explain(f)))
	}
	b.WriteString("</section></noscript>\n")
	return data + b.String()
}

func esc(s string) string { return html.EscapeString(s) }

// file is a stored file as data, each content once.
func (w *Writer) file(a *event.Artifact) string {
	if a.Data == nil || len(a.Data) > maxFile || w.fileSize+len(a.Data) > maxFiles || w.files[a.SHA256] {
		return ""
	}
	w.files[a.SHA256] = true
	w.fileSize += len(a.Data)
	return block("file", ` data-sha256="`+esc(a.SHA256)+`"`, []byte(`"`+base64.StdEncoding.EncodeToString(a.Data)+`"`))
}

// foot closes the page. The verdict is known only here, and so is the script, which
// reads all that stands before it.
func (w *Writer) foot(e *event.Event) string {
	verdict := w.counts.Verdict(e.BatchFinished.ExitCode)
	var said []string
	for _, status := range event.Statuses {
		if n := w.counts[status]; n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, status))
		}
	}
	return block("batch", "", w.batch(e)) + `<noscript><p><b>` + verdict + `</b> ` + strings.Join(said, ", ") +
		`. What did not pass stands above; steps, requests and the search need JavaScript, which is off.</p></noscript>
<div id="root"></div>
<script type="module">` + string(w.page.Script) + `</script>
</body></html>
`
}

// batch is how it began and ended, as the events say it.
func (w *Writer) batch(e *event.Event) []byte {
	out := map[string]any{}
	put := func(key string, e event.Event) {
		e.BatchID = ""
		if v, err := value.Decode(event.AppendJSON(nil, &e)); err == nil {
			out[key] = v
		}
	}
	if w.started != nil {
		first := *w.started
		began := *first.BatchStarted
		began.Files = nil
		began.Notes = nil
		for _, note := range first.BatchStarted.Notes[:min(len(first.BatchStarted.Notes), maxNotes)] {
			began.Notes = append(began.Notes, plain.Line(note, maxText))
		}
		first.BatchStarted = &began
		put("started", first)
	}
	last := *e
	end := *e.BatchFinished
	end.Reason = plain.Line(end.Reason, maxText)
	last.BatchFinished = &end
	put("finished", last)
	return value.Append(nil, out)
}
