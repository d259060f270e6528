package event

import (
	"strconv"
	"time"

	"github.com/testmesh/testmesh/flow/value"
)

// AppendJSON appends e as one line of the event stream, without the newline.
// Fields are flat, absent when empty, in a fixed order. Two names would clash
// and are spelled out: in step.artifact `name` is the artifact's and
// `step_name` the step's; a resource has `resource_type` and `resource_id`.
func AppendJSON(dst []byte, e *Event) []byte {
	w := object(dst)
	w.number("v", Version)
	w.text("type", string(e.Type))
	w.integer("seq", e.Seq)
	w.text("time", e.Time.UTC().Format(time.RFC3339Nano))
	w.text("batch_id", e.BatchID)
	w.text("run_id", e.RunID)
	w.integer("attempt", int64(e.Attempt))
	w.text("flow", e.Flow)
	if e.Step != nil {
		name := "name"
		if e.Artifact != nil {
			name = "step_name"
		}
		w.step(e.Step, name)
	}
	w.body(e)
	return w.end()
}

func (w *writer) body(e *Event) {
	switch {
	case e.BatchStarted != nil:
		w.batchStarted(e.BatchStarted)
	case e.RunStarted != nil:
		w.runStarted(e.RunStarted)
	case e.Log != nil:
		w.text("level", e.Log.Level)
		w.text("message", e.Log.Message)
		w.any("data", e.Log.Data, e.Log.Data != nil)
	case e.Exchange != nil:
		w.exchange(e.Exchange)
	case e.Artifact != nil:
		w.text("name", e.Artifact.Name)
		w.text("media_type", e.Artifact.MediaType)
		w.number("size", e.Artifact.Size)
		w.text("sha256", e.Artifact.SHA256)
	case e.Coverage != nil:
		w.text("of", e.Coverage.Of)
		w.text("unit", e.Coverage.Unit)
		w.texts("items", e.Coverage.Items)
		w.texts("all", e.Coverage.All)
	case e.Retrying != nil:
		w.text("status", string(e.Retrying.Status))
		w.failure(e.Retrying.Error)
		w.assertions(e.Retrying.Assertions)
		w.number("next_in_ms", e.Retrying.NextInMS)
	case e.StepFinished != nil:
		w.stepFinished(e.StepFinished)
	case e.Resource != nil:
		w.text("resource_type", e.Resource.Type)
		w.text("resource_id", e.Resource.ID)
		w.text("reason", e.Resource.Reason)
	case e.RunFinished != nil:
		w.runFinished(e.RunFinished)
	case e.BatchFinished != nil:
		w.counts("counts", e.BatchFinished.Counts)
		w.number("exit_code", int64(e.BatchFinished.ExitCode))
		w.text("reason", e.BatchFinished.Reason)
	}
}

func (w *writer) step(s *Step, name string) {
	w.text("step_id", s.ID)
	w.text(name, s.Name)
	w.text("action", s.Action)
	w.text("phase", string(s.Phase))
	w.texts("path", s.Path)
	w.text("file", s.File)
	w.integer("line", int64(s.Line))
	w.integer("try", int64(s.Try))
}

func (w *writer) batchStarted(b *BatchStarted) {
	w.number("runs", int64(b.Runs))
	w.texts("files", b.Files)
	w.integer("seed", b.Seed)
	w.texts("notes", b.Notes)
}

func (w *writer) runStarted(r *RunStarted) {
	w.text("file", r.File)
	w.text("version", r.Version)
	w.text("suite", r.Suite)
	w.texts("tags", r.Tags)
	w.text("environment", r.Environment)
	w.row(r.Row)
	w.integer("iteration", int64(r.Iteration))
	w.text("agent", r.Agent)
	w.integer("seed", r.Seed)
}

func (w *writer) exchange(x *Exchange) {
	w.text("protocol", x.Protocol)
	w.text("summary", x.Summary)
	w.any("request", x.Request, x.Request != nil)
	w.any("response", x.Response, x.Response != nil)
	if len(x.Timings) > 0 {
		timings := make(map[string]any, len(x.Timings))
		for phase, ms := range x.Timings {
			timings[phase] = ms
		}
		w.any("timings", timings, true)
	}
	w.text("curl", x.Curl)
}

func (w *writer) stepFinished(f *StepFinished) {
	w.text("status", string(f.Status))
	w.text("reason", f.Reason)
	w.integer("tries", int64(f.Tries))
	w.flag("waited", f.Waited)
	w.float("duration_ms", f.DurationMS)
	w.text("effect", f.Effect)
	w.flag("ignored", f.Ignored)
	w.any("result", f.Result, f.HasResult)
	w.text("result_preview", f.ResultPreview)
	w.assertions(f.Assertions)
	w.values("outputs", f.Outputs)
	w.failure(f.Error)
	if len(f.Values) > 0 {
		w.open("values", '[')
		for i := range f.Values {
			w.item()
			w.text("name", f.Values[i].Name)
			w.any("value", f.Values[i].Value, true)
			w.text("origin", f.Values[i].Origin)
			w.close('}')
		}
		w.close(']')
	}
}

func (w *writer) runFinished(r *RunFinished) {
	w.text("status", string(r.Status))
	w.text("reason", r.Reason)
	w.float("duration_ms", r.DurationMS)
	w.row(r.Row)
	w.open("counts", '{')
	w.counts("steps", r.Steps)
	w.counts("assertions", r.Assertions)
	w.close('}')
	w.values("outputs", r.Outputs)
}

func (w *writer) row(r *Row) {
	if r == nil {
		return
	}
	w.open("row", '{')
	w.number("index", int64(r.Index))
	w.text("name", r.Name)
	w.close('}')
}

func (w *writer) assertions(list []Assertion) {
	if len(list) == 0 {
		return
	}
	w.open("assertions", '[')
	for i := range list {
		w.item()
		w.assertion(&list[i])
		w.close('}')
	}
	w.close(']')
}

func (w *writer) assertion(a *Assertion) {
	w.text("expression", a.Expression)
	w.flag("implicit", a.Implicit)
	w.key("passed")
	w.dst = strconv.AppendBool(w.dst, a.Passed)
	w.flag("errored", a.Errored)
	w.text("message", a.Message)
	w.any("actual", a.Actual, a.HasActual)
	w.any("expected", a.Expected, a.HasExpected)
	if len(a.Operands) > 0 {
		w.open("operands", '[')
		for i := range a.Operands {
			o := &a.Operands[i]
			w.item()
			w.text("text", o.Text)
			w.any("value", o.Value, o.Value != nil || o.Missing == "" && o.Error == "")
			w.text("missing", o.Missing)
			w.text("error", o.Error)
			w.close('}')
		}
		w.close(']')
	}
	if len(a.Diff) > 0 {
		w.open("diff", '[')
		for i := range a.Diff {
			c := &a.Diff[i]
			w.item()
			w.text("path", c.Path)
			w.any("expected", c.Expected, !c.ExpectedMissing)
			w.any("actual", c.Actual, !c.ActualMissing)
			w.close('}')
		}
		w.close(']')
	}
	w.integer("diff_more", int64(a.DiffMore))
	w.integer("line", int64(a.Line))
	w.integer("column", int64(a.Column))
	w.integer("width", int64(a.Width))
}

func (w *writer) failure(e *Error) {
	if e == nil {
		return
	}
	w.open("error", '{')
	w.text("code", e.Code)
	w.text("message", e.Message)
	w.text("hint", e.Hint)
	w.text("blame", e.Blame)
	w.texts("details", e.Details)
	w.integer("line", int64(e.Line))
	w.integer("column", int64(e.Column))
	w.integer("width", int64(e.Width))
	w.close('}')
}

// writer appends JSON fields. A field method writes nothing for the empty
// value; number, float and any with present write always.
type writer struct {
	dst   []byte
	first bool
}

func object(dst []byte) *writer { return &writer{dst: append(dst, '{'), first: true} }

func (w *writer) end() []byte { return append(w.dst, '}') }

func (w *writer) comma() {
	if !w.first {
		w.dst = append(w.dst, ',')
	}
	w.first = false
}

func (w *writer) key(name string) {
	w.comma()
	w.dst = append(value.AppendString(w.dst, name), ':')
}

func (w *writer) open(name string, bracket byte) {
	w.key(name)
	w.dst = append(w.dst, bracket)
	w.first = true
}

func (w *writer) item() {
	w.comma()
	w.dst = append(w.dst, '{')
	w.first = true
}

func (w *writer) close(bracket byte) {
	w.dst = append(w.dst, bracket)
	w.first = false
}

func (w *writer) text(name, s string) {
	if s != "" {
		w.key(name)
		w.dst = value.AppendString(w.dst, s)
	}
}

func (w *writer) texts(name string, list []string) {
	if len(list) == 0 {
		return
	}
	w.open(name, '[')
	for _, s := range list {
		w.comma()
		w.dst = value.AppendString(w.dst, s)
	}
	w.close(']')
}

func (w *writer) number(name string, n int64) {
	w.key(name)
	w.dst = strconv.AppendInt(w.dst, n, 10)
}

func (w *writer) integer(name string, n int64) {
	if n != 0 {
		w.number(name, n)
	}
}

func (w *writer) float(name string, f float64) { w.any(name, f, true) }

func (w *writer) flag(name string, on bool) {
	if on {
		w.key(name)
		w.dst = append(w.dst, "true"...)
	}
}

func (w *writer) any(name string, v any, present bool) {
	if present {
		w.key(name)
		w.dst = value.Append(w.dst, v)
	}
}

func (w *writer) values(name string, m map[string]any) {
	if len(m) > 0 {
		w.any(name, m, true)
	}
}

func (w *writer) counts(name string, c Counts) {
	w.open(name, '{')
	for _, status := range Statuses {
		w.integer(string(status), int64(c[status]))
	}
	w.close('}')
}
