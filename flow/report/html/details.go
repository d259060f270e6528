package html

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/archive"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/plain"
)

const (
	// maxRun bounds the details of a run, and maxLate what steps that did not pass
	// may have on top of it: they say why, and come last.
	maxRun  = 256 << 10
	maxLate = 256 << 10
	// maxPage bounds the details of all runs, maxPassed those after which runs that
	// passed have none: a browser still opens such a page.
	maxPage   = 192 << 20
	maxPassed = 64 << 20
	// maxString bounds a text, maxItems a list.
	maxString = 4 << 10
	maxItems  = 100
	// maxSeen bounds the steps whose exchanges are remembered.
	maxSeen = 1000
)

// run is a run that has not ended, with its events as the page reads them.
type run struct {
	*archive.Run
	events bytes.Buffer
	left   int             // events past the bounds
	seen   map[string]bool // steps with an exchange, whose result says the same
}

func newRun(started *event.Event, number int) *run {
	return &run{Run: archive.NewRun(started, number), seen: map[string]bool{}}
}

// see takes an event of the run.
func (r *run) see(e *event.Event) {
	r.See(e)
	limit := maxRun
	if end := e.StepFinished; end != nil && end.Status != event.Passed && end.Status != event.Skipped || e.Type == event.TypeRunFinished {
		limit += maxLate
	}
	short := r.short(e)
	if short == nil {
		return
	}
	line := event.AppendJSON(nil, short)
	if r.events.Len()+len(line) > limit {
		r.left++
		return
	}
	if r.events.Len() > 0 {
		r.events.WriteString(",\n")
	}
	r.events.Write(line)
}

// short is an event with its texts and lists within their bounds; nil: the page has no
// use for it.
func (r *run) short(e *event.Event) *event.Event {
	out := *e
	out.BatchID, out.RunID, out.Flow, out.Attempt = "", "", "", 0
	key := ""
	if e.Step != nil {
		key = strings.Join(e.Step.Path, "\x00")
		step := *e.Step
		step.ID, step.Name, step.Action = cut(step.ID), cut(step.Name), cut(step.Action)
		step.Path = texts(step.Path)
		out.Step = &step
	}
	switch e.Type {
	case event.TypeStepStarted, event.TypeResourceOrphaned:
	case event.TypeStepLog:
		out.Log = &event.Log{Level: cut(e.Log.Level), Message: cut(e.Log.Message), Data: plain.Shorten(e.Log.Data)}
	case event.TypeStepExchange:
		if len(r.seen) < maxSeen {
			r.seen[key] = true
		}
		out.Exchange = exchange(e.Exchange)
	case event.TypeStepRetrying:
		again := *e.Retrying
		again.Assertions, again.Error = assertions(again.Assertions), failed(again.Error)
		out.Retrying = &again
	case event.TypeStepArtifact:
		stored := *e.Artifact
		stored.Name, stored.MediaType, stored.Data = cut(stored.Name), cut(stored.MediaType), nil
		out.Artifact = &stored
	case event.TypeStepFinished:
		out.StepFinished = shortEnd(e.StepFinished, r.seen[key])
		delete(r.seen, key)
	case event.TypeRunFinished:
		end := *e.RunFinished
		end.Reason = cut(end.Reason)
		end.Outputs, _ = plain.Shorten(end.Outputs).(map[string]any)
		out.RunFinished = &end
	default: // what began a run stands in its record
		return nil
	}
	return &out
}

// data is the events as a block of data, which no browser runs: without a <, it
// cannot be left either.
func (r *run) data(status event.Status, written int) string {
	limit := maxPage
	if status == event.Passed || status == event.Skipped {
		limit = maxPassed
	}
	if r.events.Len() == 0 {
		return ""
	}
	if written+r.events.Len() > limit {
		return block("events", "", []byte("["+r.note("the steps are left out: the page would be too large")+"]"))
	}
	if r.left > 0 {
		r.events.WriteString(",\n" + r.note(fmt.Sprintf("%d more events are left out: the run would be too large", r.left)))
	}
	return block("events", "", []byte("["+r.events.String()+"]"))
}

// note is a line of the log that is the report's own.
func (r *run) note(message string) string {
	log := &event.Log{Level: "warn", Message: message + ". A recording (testmesh run --record) has all of it"}
	return string(event.AppendJSON(nil, &event.Event{Type: event.TypeStepLog, Time: r.Started.Time, Log: log}))
}

// block is data that stands in the page.
func block(class, attributes string, data []byte) string {
	return `<script type="application/json" class="` + class + `"` + attributes + `>` + string(bytes.ReplaceAll(data, []byte("<"), []byte(`\u003c`))) + "</script>\n"
}

func cut(s string) string { return plain.Cut(s, maxString) }

func texts(list []string) []string {
	var out []string
	for _, s := range list[:min(len(list), maxItems)] {
		out = append(out, cut(s))
	}
	return out
}

func exchange(x *event.Exchange) *event.Exchange {
	out := &event.Exchange{
		Protocol: cut(x.Protocol), Summary: cut(x.Summary), Curl: cut(x.Curl),
		Request: plain.Shorten(x.Request), Response: plain.Shorten(x.Response),
	}
	if len(x.Timings) <= maxItems {
		out.Timings = x.Timings
	}
	return out
}

func shortEnd(end *event.StepFinished, exchanged bool) *event.StepFinished {
	out := *end
	out.Reason, out.ResultPreview = cut(end.Reason), cut(end.ResultPreview)
	out.Assertions, out.Error = assertions(end.Assertions), failed(end.Error)
	out.Result = plain.Shorten(end.Result)
	if exchanged {
		out.Result, out.HasResult = nil, false
	}
	out.Outputs, _ = plain.Shorten(end.Outputs).(map[string]any)
	out.Values = nil
	for _, u := range end.Values[:min(len(end.Values), maxItems)] {
		out.Values = append(out.Values, event.Used{Name: cut(u.Name), Value: plain.Shorten(u.Value), Origin: cut(u.Origin)})
	}
	return &out
}

func failed(e *event.Error) *event.Error {
	if e == nil {
		return nil
	}
	out := *e
	out.Code, out.Message, out.Hint, out.Blame, out.Details = cut(e.Code), cut(e.Message), cut(e.Hint), cut(e.Blame), texts(e.Details)
	return &out
}

// assertions are the ones of a step: those that did not hold first, since the
// list may be cut.
func assertions(list []event.Assertion) []event.Assertion {
	sorted := slices.Clone(list)
	if len(sorted) > maxItems {
		slices.SortStableFunc(sorted, func(a, b event.Assertion) int {
			switch {
			case a.Passed == b.Passed:
				return 0
			case b.Passed:
				return -1
			}
			return 1
		})
	}
	var out []event.Assertion
	for i, a := range sorted {
		if i == maxItems {
			out = append(out, event.Assertion{Expression: "…", Passed: true, Message: fmt.Sprintf("cut: %d more assertions", len(sorted)-i)})
			break
		}
		a.Expression, a.Message = cut(a.Expression), cut(a.Message)
		a.Actual, a.Expected = plain.Shorten(a.Actual), plain.Shorten(a.Expected)
		operands, diff := a.Operands, a.Diff
		a.Operands, a.Diff = nil, nil
		for _, o := range operands[:min(len(operands), maxItems)] {
			a.Operands = append(a.Operands, event.Operand{Text: cut(o.Text), Value: plain.Shorten(o.Value), Missing: cut(o.Missing), Error: cut(o.Error)})
		}
		for _, c := range diff[:min(len(diff), maxItems)] {
			c.Path, c.Expected, c.Actual = cut(c.Path), plain.Shorten(c.Expected), plain.Shorten(c.Actual)
			a.Diff = append(a.Diff, c)
		}
		a.DiffMore += max(len(diff)-maxItems, 0)
		out = append(out, a)
	}
	return out
}
