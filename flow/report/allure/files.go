package allure

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxExchange bounds the file of one exchange; a longer one is shortened.
	maxExchange = 256 << 10
	// maxPending bounds the exchanges of a run that wait for their try to end.
	maxPending = 4 << 20
	// maxAttached bounds the files of a run.
	maxAttached = 200
	// maxFiles bounds the attachments of a batch, maxPassed those after which
	// steps that passed have none, maxBytes the size of all: a folder that no
	// reader opens helps nobody.
	maxFiles  = 100_000
	maxPassed = 20_000
	maxBytes  = 2 << 30
)

// budget is what a batch has written.
type budget struct{ files, bytes int }

// attachment is a file that waits for the verdict on its try.
type attachment struct {
	name, mediaType, ext string
	data                 []byte
}

// exchange keeps a request and its response until the try has ended.
func (w *Writer) exchange(r *run, n *node, e *event.Event) {
	x := e.Exchange
	doc := map[string]any{"protocol": x.Protocol, "summary": x.Summary, "request": x.Request, "response": x.Response}
	if len(x.Timings) > 0 {
		timings := map[string]any{}
		for name, ms := range x.Timings {
			timings[name] = ms
		}
		doc["timings_ms"] = timings
	}
	if x.Curl != "" {
		doc["curl"] = x.Curl
	}
	data := value.Append(nil, doc)
	if len(data) > maxExchange {
		data = value.Append(nil, plain.Shorten(doc))
	}
	name := plain.Line(x.Summary, maxText)
	if name == "" {
		name = "exchange"
	}
	if r.tree.pending+len(data) > maxPending || len(n.pending) >= maxAttached {
		r.tree.unattached++
		return
	}
	r.tree.pending += len(data)
	n.pending = append(n.pending, attachment{name, "application/json", "json", data})
}

// attach writes what waited for a try, and gives the references to it.
func (w *Writer) attach(r *run, n *node, status event.Status) []any {
	var out []any
	fine := status == event.Passed || status == event.Skipped
	for _, a := range n.pending {
		r.tree.pending -= len(a.data)
		if fine && w.files.files >= maxPassed {
			r.tree.unattached++
			continue
		}
		if ref := w.store(r, a); ref != nil {
			out = append(out, ref)
		}
	}
	n.pending = nil
	return out
}

// artifact writes a file that a plugin made.
func (w *Writer) artifact(r *run, n *node, e *event.Event) {
	if e.Artifact.Data == nil {
		return // it is stored nowhere
	}
	kind := plain.Line(e.Artifact.MediaType, maxText)
	if kind == "" {
		kind = "application/octet-stream"
	}
	name := plain.Line(e.Artifact.Name, maxText)
	if name == "" {
		name = "artifact"
	}
	if ref := w.store(r, attachment{name, kind, extension(e.Artifact.Name), e.Artifact.Data}); ref != nil {
		n.files = append(n.files, ref)
	}
}

// extension is that of a name, where it is a plain one.
func extension(name string) string {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
	if ext == "" || len(ext) > 8 || strings.Trim(ext, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "bin"
	}
	return ext
}

// store writes one attachment; nil where the folder has too many.
func (w *Writer) store(r *run, a attachment) map[string]any {
	if r.tree.attached >= maxAttached || w.files.files >= maxFiles || w.files.bytes+len(a.data) > maxBytes {
		r.tree.unattached++
		return nil
	}
	r.tree.attached++
	w.files.files++
	w.files.bytes += len(a.data)
	file := plain.ID("attachment", r.id, number(r.tree.attached)) + "-attachment." + a.ext
	w.write(file, a.data)
	return map[string]any{"name": a.name, "type": a.mediaType, "source": file}
}

func (w *Writer) put(name string, doc any) { w.write(name, value.Append(nil, doc)) }

// write makes one whole file. The first error is kept, and nothing is written
// after it.
func (w *Writer) write(name string, data []byte) {
	if w.err != nil {
		return
	}
	f, err := w.options.Create(name)
	if err != nil {
		w.err = fmt.Errorf("create %s: %w", name, err)
		return
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		w.err = fmt.Errorf("write %s: %w", name, err)
	}
}

// Executor is a CI build, as executor.json says it. What is empty is left out.
type Executor struct {
	Name, Type            string // "Jenkins", "jenkins"
	URL                   string // of the CI server
	BuildName, BuildURL   string
	ReportName, ReportURL string
	BuildOrder            int64
}

func (x *Executor) document() map[string]any {
	out := map[string]any{}
	for key, v := range map[string]string{
		"name": x.Name, "type": x.Type, "url": x.URL, "buildName": x.BuildName, "buildUrl": x.BuildURL,
		"reportName": x.ReportName, "reportUrl": x.ReportURL,
	} {
		if v = plain.Line(v, maxText); v != "" {
			out[key] = v
		}
	}
	if x.BuildOrder > 0 {
		out["buildOrder"] = x.BuildOrder
	}
	return out
}

// batch writes what is said once of all runs.
func (w *Writer) batch(e *event.Event) {
	w.write("environment.properties", w.environment(e))
	w.put("categories.json", categories())
	if w.options.Executor != nil {
		w.put("executor.json", w.options.Executor.document())
	}
	if end := e.BatchFinished; end.ExitCode != 0 && w.bad == 0 {
		// No run says why: nothing was run, all was skipped, it was stopped.
		reason := plain.Line(end.Reason, maxText)
		if reason == "" {
			reason = "the batch ended with exit code " + number(end.ExitCode)
		}
		w.put(plain.ID("batch", e.BatchID)+"-globals.json", map[string]any{
			"attachments": []any{}, "errors": []any{map[string]any{"message": reason, "timestamp": instant(e.Time)}},
		})
	}
}

// categories sort what did not pass. Readers match the whole message, in the
// regular expressions of both Java and JavaScript.
func categories() []any {
	category := func(name, status, pattern string) map[string]any {
		out := map[string]any{"name": name, "matchedStatuses": []any{status}}
		if pattern != "" {
			out["messageRegex"] = pattern
		}
		return out
	}
	return []any{
		category("Wrong answers", failed, ""),
		category("No connection", broken, ".*: E-(CONN|DNS|TLS) .*"),
		category("Time limits", broken, ".*: E-(TIMEOUT|RUNTIME) .*"),
		category("Cancelled", broken, "cancelled: .*"),
		category("Could not be judged", broken, ""),
	}
}

func (w *Writer) environment(e *event.Event) []byte {
	var b strings.Builder
	line := func(key, v string) {
		if v = plain.Line(v, maxText); v != "" {
			b.WriteString(key + "=" + property(v) + "\n")
		}
	}
	line("testmesh.version", w.options.Version)
	slices.Sort(w.environments)
	line("environment", strings.Join(w.environments, ", "))
	if w.started != nil {
		line("seed", value.Compact(w.started.BatchStarted.Seed))
	}
	line("batch", e.BatchID)
	line("exit.code", number(e.BatchFinished.ExitCode))
	line("reason", e.BatchFinished.Reason)
	return []byte(b.String())
}

// property is a value of a Java properties file, in ASCII: readers in Java take
// the rest for Latin-1.
func property(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
