package ctrf

import (
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/plain"
)

// see takes an event of a step.
func (r *run) see(e *event.Event, attachment func(*event.Event) string) {
	r.See(e)
	switch e.Type {
	case event.TypeStepRetrying:
		r.again(e)
	case event.TypeStepFinished:
		r.finished(e)
	case event.TypeStepArtifact:
		if attachment == nil || len(r.attachments) >= maxSteps {
			return
		}
		if file := attachment(e); file != "" {
			kind := e.Artifact.MediaType
			if kind == "" {
				kind = "application/octet-stream"
			}
			r.attachments = append(r.attachments, map[string]any{
				"name": plain.Line(e.Artifact.Name, maxText), "contentType": plain.Line(kind, maxText), "path": plain.Line(file, maxPath),
			})
		}
	}
}

func key(s *event.Step) string { return strings.Join(s.Path, "\x00") }

// again remembers a try that was not the last.
func (r *run) again(e *event.Event) {
	k := key(e.Step)
	list, known := r.tries[k]
	if len(list) >= maxAttempts || !known && len(r.tries) >= maxOpen {
		return
	}
	r.tries[k] = append(list, map[string]any{
		"attempt": int64(max(e.Step.Try, 1)), "status": status(e.Retrying.Status),
		"message": plain.Line(plain.Path(e.Step)+": "+plain.Retry(e.Retrying), maxText),
		"extra":   map[string]any{"rawStatus": string(e.Retrying.Status)},
	})
}

// finished lists a step, and keeps the tries of the one that was repeated most.
func (r *run) finished(e *event.Event) {
	end, k := e.StepFinished, key(e.Step)
	before := r.tries[k]
	delete(r.tries, k)
	if end.Tries > 1 && !end.Waited && end.Tries-1 > r.retries {
		r.retries = end.Tries - 1
		last := map[string]any{"attempt": int64(end.Tries), "status": status(end.Status), "extra": map[string]any{"rawStatus": string(end.Status)}}
		if end.Status != event.Passed {
			last["message"] = plain.Line(plain.Path(e.Step)+": "+plain.Message(end), maxText)
		}
		r.attempts = append(before, last)
	}
	if len(r.steps) >= maxSteps {
		r.left++
		return
	}
	r.steps = append(r.steps, newStep(e))
}

func newStep(e *event.Event) map[string]any {
	end := e.StepFinished
	extra := map[string]any{"rawStatus": string(end.Status), "action": plain.Line(e.Step.Action, maxText), "durationMs": milliseconds(end.DurationMS)}
	if e.Step.Line > 0 {
		extra["line"] = int64(e.Step.Line)
	}
	if e.Step.Phase != event.PhaseSteps && e.Step.Phase != "" {
		extra["phase"] = plain.Line(string(e.Step.Phase), maxText)
	}
	if end.Tries > 1 {
		extra["tries"] = int64(end.Tries)
	}
	if end.Ignored {
		extra["ignored"] = true
	}
	switch end.Status {
	case event.Passed:
	case event.Skipped:
		extra["message"] = plain.Line(end.Reason, maxText)
	default:
		extra["message"] = plain.Message(end)
	}
	return map[string]any{"name": plain.Path(e.Step), "status": status(end.Status), "extra": extra}
}
