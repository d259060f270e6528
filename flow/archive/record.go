package archive

import (
	"fmt"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxText and maxTags bound what a record says of a flow: a list shows it.
	maxText = 4 << 10
	maxTags = 100
	// maxOutputs bounds the outputs in a record, which are in the events too.
	maxOutputs = 128 << 10
)

// Run is what a run's events say of it, as far as a record of it needs them. It is
// bounded, whatever the run does.
type Run struct {
	*cause.Run
	// Number is that of the run among those of its batch, from 1.
	Number int

	first, last time.Time
	agent       string
	steps       int
}

// NewRun begins with the event that a run started.
func NewRun(started *event.Event, number int) *Run {
	return &Run{Run: cause.New(started), Number: number, first: started.Time, last: started.Time, agent: started.RunStarted.Agent}
}

// See takes an event of the run.
func (r *Run) See(e *event.Event) {
	r.Run.See(e)
	r.last = e.Time
	if e.Type == event.TypeStepFinished {
		r.steps++
	}
}

// Record is the run as the API has it (testmesh.api.v1.Run, as REST shows it), made of
// its events: what the page of a run reads. end nil: it has not ended, and so is errored
// here, never passed.
func (r *Run) Record(end *event.RunFinished) []byte {
	if end == nil {
		end = &event.RunFinished{Status: event.Errored, Reason: "it has not ended", DurationMS: float64(r.last.Sub(r.first)) / float64(time.Millisecond)}
	}
	started := r.Started
	s := started.RunStarted
	spec := map[string]any{
		"flow": cut(started.Flow), "file": cut(s.File), "suite": cut(s.Suite), "environment": cut(s.Environment), "bundle": cut(s.Version),
		"tags": list(s.Tags[:min(len(s.Tags), maxTags)]), "label": cut(label(s)), "iteration": int64(s.Iteration),
	}
	if s.Row != nil {
		spec["row"] = map[string]any{"index": int64(s.Row.Index), "name": cut(s.Row.Name)}
	}
	attempt := map[string]any{
		"number": int64(max(started.Attempt, 1)), "agent_name": cut(r.agent), "started": stamp(r.first), "ended": stamp(r.last), "outcome": "finished",
	}
	record := map[string]any{
		"id": started.RunID, "batch_id": started.BatchID, "number": int64(r.Number), "spec": spec,
		"status": "RUN_STATUS_" + status(end.Status), "reason": cut(end.Reason), "duration_ms": end.DurationMS,
		"created": stamp(r.first), "started": stamp(r.first), "finished": stamp(r.last),
		"steps": counts(end.Steps), "assertions": counts(end.Assertions), "step_count": int64(r.steps),
		"attempts": []any{attempt}, "step_summaries": r.summaries(), "orphans": r.orphans(),
	}
	if len(end.Outputs) > 0 {
		if text := value.Compact(end.Outputs); len(text) <= maxOutputs {
			record["outputs"] = text
		}
	}
	return value.Append(nil, dense(record))
}

// dense leaves out what is empty, as JSON of the API may.
func dense(m map[string]any) map[string]any {
	for key, v := range m {
		switch v := v.(type) {
		case string:
			if v == "" {
				delete(m, key)
			}
		case []any:
			if len(v) == 0 {
				delete(m, key)
			}
			for _, one := range v {
				if inner, ok := one.(map[string]any); ok {
					dense(inner)
				}
			}
		case map[string]any:
			if len(dense(v)) == 0 {
				delete(m, key)
			}
		}
	}
	return m
}

// summaries are the steps that did not pass: a list shows them before the events.
func (r *Run) summaries() []any {
	out := []any{}
	for _, f := range r.Failures {
		if f.Ignored {
			continue
		}
		out = append(out, map[string]any{
			"step_id": cut(f.Step.ID), "name": cut(f.Step.Name), "action": cut(f.Step.Action), "phase": string(f.Step.Phase), "path": list(f.Step.Path),
			"status": string(f.End.Status), "reason": cut(f.End.Reason), "tries": int64(f.End.Tries), "duration_ms": f.End.DurationMS,
			"message": plain.Message(f.End),
		})
	}
	return out
}

func (r *Run) orphans() []any {
	out := []any{}
	for _, o := range r.Orphans {
		out = append(out, cut(fmt.Sprintf("%s %s: %s", o.Type, o.ID, o.Reason)))
	}
	if r.Lost > 0 {
		out = append(out, fmt.Sprintf("and %d more", r.Lost))
	}
	return out
}

// status is the API's word; what is none of them was not judged.
func status(s event.Status) string {
	switch s {
	case event.Passed:
		return "PASSED"
	case event.Failed:
		return "FAILED"
	case event.Skipped:
		return "SKIPPED"
	case event.Cancelled:
		return "CANCELLED"
	case event.Errored:
	}
	return "ERRORED"
}

func counts(c event.Counts) map[string]any {
	out := map[string]any{}
	for _, s := range event.Statuses {
		if n := c[s]; n > 0 {
			out[string(s)] = int64(n)
		}
	}
	return out
}

// label tells a run from the others of its flow.
func label(s *event.RunStarted) string {
	switch {
	case s.Row != nil && s.Row.Name != "":
		return fmt.Sprintf("row %d (%s)", s.Row.Index+1, s.Row.Name)
	case s.Row != nil:
		return fmt.Sprintf("row %d", s.Row.Index+1)
	case s.Iteration > 1:
		return fmt.Sprintf("iteration %d", s.Iteration)
	}
	return ""
}

func cut(s string) string { return plain.Cut(s, maxText) }

func list(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = cut(t)
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
