package text

import (
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/value"
)

// verbose prints what happens inside of runs. Where several go side by side,
// each line names its run.
func (w *Writer) verbose(e *event.Event) {
	if e.Type == event.TypeRunStarted {
		about := []string{}
		if s := e.RunStarted; s.Environment != "" {
			about = append(about, "env "+OneLine(s.Environment))
		}
		about = append(about, fmt.Sprintf("seed %d", e.RunStarted.Seed))
		w.printf("%s  %s\n", w.options.Style.paint(bold, runName(e)), w.options.Style.paint(dim, strings.Join(about, " "+w.options.Style.dot()+" ")))
		return
	}
	if e.Step == nil {
		return
	}
	head := ""
	if len(w.runs) > 1 {
		if r := w.runs[e.RunID]; r != nil {
			head = w.options.Style.paint(dim, runName(r.Started)+" "+w.options.Style.bar()+" ")
		}
	}
	head += strings.Repeat("  ", min(len(e.Step.Path), 20))
	if e.Type == event.TypeStepFinished {
		w.verboseStep(head, e)
		return
	}
	if text := w.detail(e); text != "" {
		w.printf("%s    %s\n", head, w.options.Style.paint(dim, text))
	}
}

// verboseStep prints a line a step, with what it judged and gave.
func (w *Writer) verboseStep(head string, e *event.Event) {
	s := w.options.Style
	end := e.StepFinished
	about := duration(end.DurationMS)
	switch {
	case end.Status == event.Skipped:
		about = "skipped: " + end.Reason
	case end.Status == event.Cancelled && end.Reason != "":
		about += "  " + end.Reason
	}
	if end.Tries > 1 {
		about += fmt.Sprintf("  %d tries", end.Tries)
	}
	if end.Ignored {
		about += "  ignored"
	}
	phase := ""
	if e.Step.Phase != event.PhaseSteps {
		phase = s.paint(dim, OneLine(string(e.Step.Phase))+" ")
	}
	w.printf("%s%s %s%s  %s  %s\n", head, s.sign(string(end.Status)), phase, OneLine(e.Step.ID), s.paint(dim, OneLine(e.Step.Action)), OneLine(about))
	for i := range end.Assertions {
		a := &end.Assertions[i]
		status, message := "passed", ""
		if !a.Passed {
			status, message = "failed", "  "+OneLine(a.Message)
		}
		if a.Errored {
			status = "errored"
		}
		w.printf("%s    %s %s%s\n", head, s.sign(status), OneLine(a.Expression), message)
	}
	if end.Error != nil {
		w.printf("%s    %s\n", head, OneLine(end.Error.Code+" "+end.Error.Message))
	}
	for _, k := range value.Keys(end.Outputs) {
		w.printf("%s    %s\n", head, s.paint(dim, OneLine(k+" = "+shorten(value.Compact(end.Outputs[k]), maxBody, s))))
	}
}

// maxCurl bounds a command line that repeats a request.
const maxCurl = 2000

// detail is what happens inside a step, in a line.
func (w *Writer) detail(e *event.Event) string {
	s := w.options.Style
	switch e.Type {
	case event.TypeStepLog:
		line := e.Log.Level + " " + e.Log.Message
		if e.Log.Data != nil {
			line += " " + shorten(value.Compact(e.Log.Data), 4*maxBody, s)
		}
		return OneLine(line)
	case event.TypeStepExchange:
		line := OneLine(e.Exchange.Summary)
		var timings []string
		for _, phase := range keys(e.Exchange.Timings) {
			timings = append(timings, fmt.Sprintf("%s %s", OneLine(phase), duration(e.Exchange.Timings[phase])))
		}
		if len(timings) > 0 {
			line += "  (" + strings.Join(timings, ", ") + ")"
		}
		if e.Exchange.Curl != "" {
			line += "  " + OneLine(shorten(e.Exchange.Curl, maxCurl, s))
		}
		return line
	case event.TypeStepRetrying:
		return fmt.Sprintf("try %d %s%s, again in %s", e.Step.Try, e.Retrying.Status, retryCause(e.Retrying), duration(float64(e.Retrying.NextInMS)))
	case event.TypeStepArtifact:
		return OneLine(fmt.Sprintf("artifact %s (%s, %s)", e.Artifact.Name, e.Artifact.MediaType, size(e.Artifact.Size)))
	case event.TypeResourceTracked, event.TypeResourceRemoved:
		return OneLine(fmt.Sprintf("%s %s %s", strings.TrimPrefix(string(e.Type), "resource."), e.Resource.Type, e.Resource.ID))
	}
	return ""
}

// retryCause is why a try is repeated, in brackets.
func retryCause(r *event.Retrying) string {
	if r.Error != nil {
		return OneLine(" (" + r.Error.Code + " " + r.Error.Message + ")")
	}
	if bad := cause.Broken(r.Assertions); len(bad) > 0 {
		return OneLine(" (" + bad[0].Expression + ": " + bad[0].Message + ")")
	}
	return ""
}

func keys(m map[string]float64) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
