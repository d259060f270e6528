package template

import (
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

// maxText bounds a name or a message of one line, maxValue what is shown of a
// value, in bytes, maxList a list of texts.
const (
	maxText  = 500
	maxValue = 4 << 10
	maxList  = 1000
)

// names are the values that a section reads: what is not there is "", 0 or false,
// so that a text never fails for it.
type names map[string]any

// Lookup implements expr.Scope.
func (n names) Lookup(name string) (any, bool, error) {
	v, ok := n[name]
	return v, ok, nil
}

func line(s string) string { return plain.Line(s, maxText) }

func texts(list []string) []any {
	out := make([]any, 0, min(len(list), maxList))
	for _, s := range list[:min(len(list), maxList)] {
		out = append(out, line(s))
	}
	return out
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// begun is what is known of a batch from its beginning.
func begun(e *event.Event) map[string]any {
	s := e.BatchStarted
	return map[string]any{
		"id": line(e.BatchID), "started": instant(e.Time), "seed": s.Seed, "planned": int64(s.Runs),
		"files": texts(s.Files), "notes": texts(s.Notes),
	}
}

// over adds what is known at the end.
func (w *Writer) over(e *event.Event) map[string]any {
	end := e.BatchFinished
	out := map[string]any{
		"status": string(verdict(end.ExitCode)), "exit_code": int64(end.ExitCode), "reason": line(end.Reason), "finished": instant(e.Time),
		"duration_ms": max(e.Time.Sub(w.started.Time).Milliseconds(), 0), "flaky": int64(w.flaky),
	}
	for name, v := range begun(w.started) {
		out[name] = v
	}
	for name, n := range counts(w.counts) {
		out[name] = n
	}
	return out
}

// verdict is a batch's exit code in a word. What is neither 0 nor 1 was not
// judged.
func verdict(exit int) event.Status {
	switch exit {
	case 0:
		return event.Passed
	case 1:
		return event.Failed
	}
	return event.Errored
}

func counts(c event.Counts) map[string]any {
	out, total := map[string]any{}, 0
	for _, s := range event.Statuses {
		out[string(s)] = int64(c[s])
		total += c[s]
	}
	out["total"] = int64(total)
	return out
}

// ran is what is known of a run that has ended.
func (w *Writer) ran(r *run, e *event.Event) map[string]any {
	s, end := r.Started.RunStarted, e.RunFinished
	row, rowName := 0, ""
	if s.Row != nil {
		row, rowName = s.Row.Index+1, s.Row.Name
	}
	failures, code, at := 0, "", 0
	for _, f := range r.Failures {
		if !f.Ignored && !f.Handler {
			failures++
		}
	}
	if f := r.First(); f != nil && end.Status != event.Passed {
		code = plain.Code(f.End)
		at, _ = plain.Place(f)
	}
	left := make([]any, 0, len(r.Orphans))
	for _, o := range r.Orphans {
		left = append(left, line(o.Type+" "+o.ID+": "+o.Reason))
	}
	outputs, _ := plain.Shorten(end.Outputs).(map[string]any)
	return map[string]any{
		"number": int64(w.ended), "id": line(e.RunID), "name": plain.Name(r.Started), "flow": line(r.Started.Flow),
		"file": line(s.File), "line": int64(at), "suite": line(s.Suite), "tags": texts(s.Tags), "environment": line(s.Environment),
		"agent": line(s.Agent), "row": int64(row), "row_name": line(rowName), "iteration": int64(s.Iteration), "seed": s.Seed,
		"status": word(end.Status), "reason": line(end.Reason), "why": plain.Why(r.Run, end), "code": code,
		"started": instant(r.Started.Time), "finished": instant(e.Time), "duration_ms": milliseconds(end.DurationMS),
		"flaky": flaky(r.Run, end), "failures": int64(failures + r.Dropped), "left_behind": left,
		"outputs": orEmpty(outputs), "steps": counts(end.Steps), "assertions": counts(end.Assertions),
	}
}

func flaky(r *cause.Run, end *event.RunFinished) bool {
	return end.Status == event.Passed && r.Tries > 1
}

// word is a status; what is none of them was not judged.
func word(s event.Status) string {
	for _, known := range event.Statuses {
		if s == known {
			return string(s)
		}
	}
	return string(event.Errored)
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// milliseconds is a duration in thousandths of one; 0 for what a clock that was
// set back gives.
func milliseconds(ms float64) any {
	if !(ms >= 0) || ms > 1e15 {
		return int64(0)
	}
	whole := int64(ms)
	if float64(whole) == ms {
		return whole
	}
	return float64(int64(ms*1000)) / 1000
}

// stepped is what is known of a step that has ended.
func stepped(t *Template, e *event.Event) map[string]any {
	s, end := e.Step, e.StepFinished
	message := ""
	if end.Status != event.Passed && end.Status != event.Skipped {
		message = plain.Message(end)
	}
	judged := event.Counts{}
	for _, a := range end.Assertions {
		switch {
		case a.Passed:
			judged[event.Passed]++
		case a.Errored:
			judged[event.Errored]++
		default:
			judged[event.Failed]++
		}
	}
	out := map[string]any{
		"id": line(s.ID), "name": named(s), "path": plain.Path(s), "action": line(s.Action), "phase": line(string(s.Phase)),
		"file": line(s.File), "line": int64(s.Line), "status": word(end.Status), "reason": line(end.Reason), "message": message,
		"code": plain.Code(end), "tries": int64(end.Tries), "duration_ms": milliseconds(end.DurationMS), "ignored": end.Ignored,
		"assertions": counts(judged),
	}
	if t.results {
		out["result"] = plain.Shorten(end.Result)
	}
	if t.outputs {
		outputs, _ := plain.Shorten(end.Outputs).(map[string]any)
		out["outputs"] = orEmpty(outputs)
	}
	return out
}

func named(s *event.Step) string {
	if s.Name != "" {
		return line(s.Name)
	}
	return line(s.ID)
}

// failed is what is known of a failure that counts.
func failed(f *cause.Failure, n int) map[string]any {
	at, column := plain.Place(f)
	out := map[string]any{
		"number": int64(n), "id": line(f.Step.ID), "name": named(f.Step), "path": plain.Path(f.Step), "action": line(f.Step.Action),
		"phase": line(string(f.Step.Phase)), "file": line(f.Step.File), "line": int64(at), "column": int64(column),
		"status": word(f.End.Status), "code": plain.Code(f.End), "message": plain.Message(f.End), "explanation": plain.Explain(f),
		"hint": "", "blame": "", "request": line(f.Request.Summary), "curl": plain.Cut(f.Request.Curl, maxValue),
		"expected": "", "actual": "", "skipped_after": int64(f.Later),
	}
	if e := f.End.Error; e != nil {
		out["hint"], out["blame"] = line(e.Hint), line(e.Blame)
	}
	for _, a := range cause.Broken(f.End.Assertions) {
		if a.HasExpected && a.HasActual {
			out["expected"], out["actual"] = shown(a.Expected), shown(a.Actual)
			break
		}
	}
	return out
}

func shown(v any) string {
	return strings.TrimSpace(plain.Cut(value.Text(plain.Shorten(v)), maxValue))
}
