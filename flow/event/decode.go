package event

import (
	"fmt"
	"time"

	"github.com/testmesh/testmesh/flow/value"
)

// Decode reads one line of the event stream. Unknown fields are passed over,
// since a later version may add some; an unknown version or type, and a field
// of the wrong kind, is an error.
func Decode(line []byte) (*Event, error) {
	v, err := value.Decode(line)
	if err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	r := &reader{}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("decode event: this %s is not an event", value.KindOf(v))
	}
	if version := r.integer(m, "v"); version != Version {
		return nil, fmt.Errorf("decode event: version %d is not %d", version, Version)
	}
	e := &Event{
		Type:    Type(r.text(m, "type")),
		Seq:     r.integer(m, "seq"),
		Time:    r.time(m, "time"),
		BatchID: r.text(m, "batch_id"),
		RunID:   r.text(m, "run_id"),
		Attempt: int(r.integer(m, "attempt")),
		Flow:    r.text(m, "flow"),
	}
	r.body(m, e)
	if r.err != nil {
		return nil, fmt.Errorf("decode event: %w", r.err)
	}
	return e, nil
}

func (r *reader) body(m map[string]any, e *Event) {
	switch e.Type {
	case TypeBatchStarted:
		e.BatchStarted = &BatchStarted{
			Runs: int(r.integer(m, "runs")), Files: r.texts(m, "files"),
			Seed: r.integer(m, "seed"), Notes: r.texts(m, "notes"),
		}
		return
	case TypeBatchFinished:
		e.BatchFinished = &BatchFinished{
			Counts: r.counts(m, "counts"), ExitCode: int(r.integer(m, "exit_code")), Reason: r.text(m, "reason"),
		}
		return
	case TypeRunStarted:
		e.RunStarted = r.runStarted(m)
		return
	case TypeRunFinished:
		e.RunFinished = r.runFinished(m)
		return
	}
	e.Step = r.step(m)
	switch e.Type {
	case TypeStepStarted:
	case TypeStepLog:
		e.Log = &Log{Level: r.text(m, "level"), Message: r.text(m, "message"), Data: m["data"]}
	case TypeStepExchange:
		e.Exchange = r.exchange(m)
	case TypeStepArtifact:
		e.Step.Name = r.text(m, "step_name")
		e.Artifact = &Artifact{
			Name: r.text(m, "name"), MediaType: r.text(m, "media_type"),
			Size: r.integer(m, "size"), SHA256: r.text(m, "sha256"),
		}
	case TypeStepCoverage:
		e.Coverage = &Coverage{Of: r.text(m, "of"), Unit: r.text(m, "unit"), Items: r.texts(m, "items"), All: r.texts(m, "all")}
	case TypeStepRetrying:
		e.Retrying = &Retrying{
			Status: r.status(m, "status"), Error: r.failure(m),
			Assertions: r.assertions(m), NextInMS: r.integer(m, "next_in_ms"),
		}
	case TypeStepFinished:
		e.StepFinished = r.stepFinished(m)
	case TypeResourceTracked, TypeResourceRemoved, TypeResourceOrphaned:
		e.Resource = &Resource{Type: r.text(m, "resource_type"), ID: r.text(m, "resource_id"), Reason: r.text(m, "reason")}
	default:
		r.fail("type", fmt.Sprintf("%q is not a type of event", e.Type))
	}
}

func (r *reader) step(m map[string]any) *Step {
	return &Step{
		ID: r.text(m, "step_id"), Name: r.text(m, "name"), Action: r.text(m, "action"),
		Phase: Phase(r.text(m, "phase")), Path: r.texts(m, "path"),
		File: r.text(m, "file"), Line: int(r.integer(m, "line")), Try: int(r.integer(m, "try")),
	}
}

func (r *reader) runStarted(m map[string]any) *RunStarted {
	return &RunStarted{
		File: r.text(m, "file"), Version: r.text(m, "version"), Suite: r.text(m, "suite"),
		Tags: r.texts(m, "tags"), Environment: r.text(m, "environment"), Row: r.row(m),
		Iteration: int(r.integer(m, "iteration")), Agent: r.text(m, "agent"), Seed: r.integer(m, "seed"),
	}
}

func (r *reader) runFinished(m map[string]any) *RunFinished {
	counts := r.object(m, "counts")
	return &RunFinished{
		Status: r.status(m, "status"), Reason: r.text(m, "reason"), DurationMS: r.float(m, "duration_ms"),
		Row: r.row(m), Steps: r.counts(counts, "steps"), Assertions: r.counts(counts, "assertions"),
		Outputs: r.object(m, "outputs"),
	}
}

func (r *reader) exchange(m map[string]any) *Exchange {
	x := &Exchange{
		Protocol: r.text(m, "protocol"), Summary: r.text(m, "summary"),
		Request: m["request"], Response: m["response"], Curl: r.text(m, "curl"),
	}
	if timings := r.object(m, "timings"); len(timings) > 0 {
		x.Timings = make(map[string]float64, len(timings))
		for phase := range timings {
			x.Timings[phase] = r.float(timings, phase)
		}
	}
	return x
}

func (r *reader) stepFinished(m map[string]any) *StepFinished {
	f := &StepFinished{
		Status: r.status(m, "status"), Reason: r.text(m, "reason"), Tries: int(r.integer(m, "tries")), Waited: r.flag(m, "waited"),
		DurationMS: r.float(m, "duration_ms"), Effect: r.text(m, "effect"), Ignored: r.flag(m, "ignored"),
		ResultPreview: r.text(m, "result_preview"), Assertions: r.assertions(m),
		Outputs: r.object(m, "outputs"), Error: r.failure(m),
	}
	f.Result, f.HasResult = m["result"]
	for _, used := range r.objects(m, "values") {
		f.Values = append(f.Values, Used{Name: r.text(used, "name"), Value: used["value"], Origin: r.text(used, "origin")})
	}
	return f
}

func (r *reader) row(m map[string]any) *Row {
	row := r.object(m, "row")
	if row == nil {
		return nil
	}
	return &Row{Index: int(r.integer(row, "index")), Name: r.text(row, "name")}
}

func (r *reader) assertions(m map[string]any) []Assertion {
	var list []Assertion
	for _, a := range r.objects(m, "assertions") {
		out := Assertion{
			Expression: r.text(a, "expression"), Implicit: r.flag(a, "implicit"), Passed: r.flag(a, "passed"),
			Errored: r.flag(a, "errored"), Message: r.text(a, "message"), DiffMore: int(r.integer(a, "diff_more")),
			Line: int(r.integer(a, "line")), Column: int(r.integer(a, "column")), Width: int(r.integer(a, "width")),
		}
		out.Actual, out.HasActual = a["actual"]
		out.Expected, out.HasExpected = a["expected"]
		for _, o := range r.objects(a, "operands") {
			out.Operands = append(out.Operands, Operand{
				Text: r.text(o, "text"), Value: o["value"], Missing: r.text(o, "missing"), Error: r.text(o, "error"),
			})
		}
		for _, c := range r.objects(a, "diff") {
			change := Change{Path: r.text(c, "path")}
			var has bool
			change.Expected, has = c["expected"]
			change.ExpectedMissing = !has
			change.Actual, has = c["actual"]
			change.ActualMissing = !has
			out.Diff = append(out.Diff, change)
		}
		list = append(list, out)
	}
	return list
}

func (r *reader) failure(m map[string]any) *Error {
	e := r.object(m, "error")
	if e == nil {
		return nil
	}
	return &Error{
		Code: r.text(e, "code"), Message: r.text(e, "message"), Hint: r.text(e, "hint"), Blame: r.text(e, "blame"),
		Details: r.texts(e, "details"), Line: int(r.integer(e, "line")),
		Column: int(r.integer(e, "column")), Width: int(r.integer(e, "width")),
	}
}

// reader takes fields out of a decoded object and keeps the first mistake.
type reader struct{ err error }

func (r *reader) fail(key, why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %s", key, why)
	}
}

// take is the value of key as a T; the zero T where it is absent.
func take[T any](r *reader, m map[string]any, key string) (out T) {
	v, ok := m[key]
	if !ok {
		return out
	}
	out, ok = v.(T)
	if !ok {
		r.fail(key, fmt.Sprintf("unexpected %s", value.KindOf(v)))
	}
	return out
}

func (r *reader) text(m map[string]any, key string) string { return take[string](r, m, key) }

func (r *reader) flag(m map[string]any, key string) bool { return take[bool](r, m, key) }

func (r *reader) integer(m map[string]any, key string) int64 { return take[int64](r, m, key) }

func (r *reader) object(m map[string]any, key string) map[string]any {
	return take[map[string]any](r, m, key)
}

func (r *reader) float(m map[string]any, key string) float64 {
	v, ok := m[key]
	if !ok {
		return 0
	}
	f, ok := value.Float(v)
	if !ok {
		r.fail(key, fmt.Sprintf("unexpected %s", value.KindOf(v)))
	}
	return f
}

func (r *reader) time(m map[string]any, key string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, r.text(m, key))
	if err != nil {
		r.fail(key, "not a time of RFC 3339")
	}
	return t
}

func (r *reader) status(m map[string]any, key string) Status {
	status := Status(r.text(m, key))
	if !known(status) {
		r.fail(key, fmt.Sprintf("%q is not a status", status))
	}
	return status
}

func known(status Status) bool {
	for _, s := range Statuses {
		if s == status {
			return true
		}
	}
	return false
}

func (r *reader) texts(m map[string]any, key string) []string {
	var out []string
	for _, v := range take[[]any](r, m, key) {
		s, ok := v.(string)
		if !ok {
			r.fail(key, fmt.Sprintf("unexpected %s in the list", value.KindOf(v)))
		}
		out = append(out, s)
	}
	return out
}

func (r *reader) objects(m map[string]any, key string) []map[string]any {
	var out []map[string]any
	for _, v := range take[[]any](r, m, key) {
		o, ok := v.(map[string]any)
		if !ok {
			r.fail(key, fmt.Sprintf("unexpected %s in the list", value.KindOf(v)))
		}
		out = append(out, o)
	}
	return out
}

func (r *reader) counts(m map[string]any, key string) Counts {
	var out Counts
	for name := range r.object(m, key) {
		if !known(Status(name)) {
			r.fail(key, fmt.Sprintf("%q is not a status", name))
			continue
		}
		if out == nil {
			out = Counts{}
		}
		out[Status(name)] = int(r.integer(r.object(m, key), name))
	}
	return out
}
