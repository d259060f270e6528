package archive

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/value"
)

// Options is what an archive has beside the events. All but Program may be nil.
type Options struct {
	// Program is the version of the program that writes.
	Program string
	// Source is the file of a flow as it was run; nil: it is not there.
	Source func(file string) []byte
	// Mask takes secrets out of a source.
	Mask func(text []byte) []byte
	// Record is the run as a control plane has it, instead of what its events say.
	Record func(id string) []byte
}

// Writer writes an archive while runs go on. It keeps at most a part of each, and the
// sources. It is used by many runs at a time.
type Writer struct {
	Options
	zip *zip.Writer
	fit *regexp.Regexp // the names of entries

	mu       sync.Mutex
	started  *event.Event
	runs     map[string]*writing
	ended    []any // of the manifest
	number   int
	files    map[string]bool
	missing  map[string]bool // files that events name and nobody had
	sources  map[string][]byte
	size     int // of the sources
	finished bool
	err      error
}

// writing is a run that has not ended.
type writing struct {
	*Run
	end      *event.RunFinished
	attempts []*stream
}

// stream is the events of an attempt, as far as they are not written.
type stream struct {
	number, parts int
	bytes         int64
	rest          bytes.Buffer
}

// NewWriter makes a Writer that writes to out.
func NewWriter(out io.Writer, o Options) *Writer {
	return &Writer{
		Options: o, zip: zip.NewWriter(out), fit: names(), runs: map[string]*writing{}, ended: []any{},
		files: map[string]bool{}, missing: map[string]bool{}, sources: map[string][]byte{},
	}
}

// Wants all there is.
func (w *Writer) Wants() event.Wants { return event.Wants{Exchanges: true, Results: true} }

// Write takes one event. The end of the batch ends the archive.
func (w *Writer) Write(e *event.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	switch e.Type {
	case event.TypeBatchStarted:
		w.started = e
	case event.TypeBatchFinished:
		w.err = w.finish(e)
	default:
		w.err = w.see(e)
	}
	return w.err
}

func (w *Writer) see(e *event.Event) error {
	r := w.runs[e.RunID]
	if e.Type == event.TypeRunStarted && r == nil {
		if !fits(w.fit, recordPath(e.RunID)) || len(w.ended)+len(w.runs) >= maxRuns {
			return fmt.Errorf("archive run %q: at most %d runs, with ids of letters, digits, - and _", e.RunID, maxRuns)
		}
		w.number++
		r = &writing{Run: NewRun(e, w.number)}
		w.runs[e.RunID] = r
	}
	if r == nil {
		return nil // an event before its run: there is nothing that it is of
	}
	r.See(e)
	if e.Type == event.TypeRunStarted {
		w.source(e.RunStarted.File)
	}
	if e.Step != nil {
		w.source(e.Step.File)
	}
	if e.Type == event.TypeStepArtifact {
		if err := w.file(e.Artifact); err != nil {
			return err
		}
	}
	if err := w.append(r, e); err != nil {
		return err
	}
	if e.Type == event.TypeRunFinished {
		r.end = e.RunFinished
		return w.end(r)
	}
	return nil
}

// append adds an event to its attempt, and writes what makes a part.
func (w *Writer) append(r *writing, e *event.Event) error {
	number := max(e.Attempt, 1)
	at := slices.IndexFunc(r.attempts, func(s *stream) bool { return s.number == number })
	if at < 0 {
		at = len(r.attempts)
		r.attempts = append(r.attempts, &stream{number: number})
	}
	s := r.attempts[at]
	s.rest.Write(event.AppendJSON(s.rest.AvailableBuffer(), e))
	s.rest.WriteByte('\n')
	if s.rest.Len() < partSize {
		return nil
	}
	return w.part(r.Started.RunID, s)
}

func (w *Writer) part(run string, s *stream) error {
	if s.rest.Len() == 0 {
		return nil
	}
	s.parts++
	s.bytes += int64(s.rest.Len())
	err := w.entry(partPath(run, s.number, s.parts), s.rest.Bytes(), zip.Deflate)
	s.rest.Reset()
	return err
}

// end writes what is left of a run.
func (w *Writer) end(r *writing) error {
	id := r.Started.RunID
	delete(w.runs, id)
	attempts := []any{}
	for _, s := range r.attempts {
		if err := w.part(id, s); err != nil {
			return err
		}
		attempts = append(attempts, map[string]any{"number": int64(s.number), "parts": int64(s.parts), "bytes": s.bytes})
	}
	var record []byte
	if w.Record != nil {
		record = w.Record(id)
	}
	if record == nil {
		record = r.Run.Record(r.end)
	}
	w.ended = append(w.ended, map[string]any{"id": id, "attempts": attempts})
	return w.entry(recordPath(id), record, zip.Deflate)
}

// file keeps a stored file, each content once.
func (w *Writer) file(a *event.Artifact) error {
	switch {
	case w.files[a.SHA256] || !fits(w.fit, filesDir+a.SHA256):
	case a.Data == nil:
		w.missing[a.SHA256] = true
	default:
		w.files[a.SHA256] = true
		delete(w.missing, a.SHA256)
		return w.entry(filesDir+a.SHA256, a.Data, zip.Deflate)
	}
	return nil
}

// source keeps the file of a flow, as it is now: it may change while others run.
func (w *Writer) source(name string) {
	if _, known := w.sources[name]; known || name == "" || w.Source == nil || !fits(w.fit, sourceDir+name) {
		return
	}
	text := w.Source(name)
	if w.size+len(text) > maxSources {
		text = nil
	}
	w.size += len(text)
	w.sources[name] = text
}

// finish writes the rest, and last the manifest.
func (w *Writer) finish(e *event.Event) error {
	if w.finished {
		return nil
	}
	w.finished = true
	left := make([]*writing, 0, len(w.runs))
	for _, r := range w.runs {
		left = append(left, r)
	}
	slices.SortFunc(left, func(a, b *writing) int { return a.Number - b.Number })
	for _, r := range left {
		if err := w.end(r); err != nil {
			return err
		}
	}
	written := []any{}
	for _, name := range sortedKeys(w.sources) {
		text := w.sources[name]
		if text == nil {
			continue
		}
		if w.Mask != nil {
			text = w.Mask(text)
		}
		if err := w.entry(sourceDir+name, text, zip.Deflate); err != nil {
			return err
		}
		written = append(written, name)
	}
	manifest := map[string]any{
		"format": format, "version": int64(version), "program": w.Program, "runs": w.ended, "sources": written, "files": int64(len(w.files)),
		"missing_files": list(sortedKeys(w.missing)), "finished": line(e),
	}
	if w.started != nil {
		manifest["started"] = line(w.started)
	}
	if err := w.entry(manifestName, value.Append(nil, manifest), zip.Deflate); err != nil {
		return err
	}
	if err := w.zip.Close(); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for key := range m {
		out = append(out, key)
	}
	slices.Sort(out)
	return out
}

// line is an event as one value, as the event contract writes it.
func line(e *event.Event) any {
	v, err := value.Decode(event.AppendJSON(nil, e))
	if err != nil {
		return nil // what the contract writes, it reads
	}
	return v
}

// entry writes one entry. Every one has the same time, so that the same runs make the
// same bytes.
func (w *Writer) entry(name string, data []byte, method uint16) error {
	out, err := w.zip.CreateHeader(&zip.FileHeader{Name: name, Method: method, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err == nil {
		_, err = out.Write(data)
	}
	if err != nil {
		return fmt.Errorf("archive %s: %w", name, err)
	}
	return nil
}
