package engine

import (
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/redact"
)

// maskEvent hides secrets in e. What e points to may be shared, so it is copied
// where it changes.
func maskEvent(m *redact.Masker, e *event.Event) {
	if e.Step != nil {
		if name := m.String(e.Step.Name); name != e.Step.Name {
			step := *e.Step
			step.Name = name
			e.Step = &step
		}
	}
	switch {
	case e.RunStarted != nil:
		out := *e.RunStarted
		out.Row = maskRow(m, out.Row)
		e.RunStarted = &out
	case e.Log != nil:
		e.Log = &event.Log{Level: e.Log.Level, Message: m.String(e.Log.Message), Data: m.Value(e.Log.Data)}
	case e.Exchange != nil:
		out := *e.Exchange
		out.Summary, out.Curl = m.String(out.Summary), m.String(out.Curl)
		out.Request, out.Response = m.Value(out.Request), m.Value(out.Response)
		e.Exchange = &out
	case e.Artifact != nil:
		out := *e.Artifact
		out.Name = m.String(out.Name)
		e.Artifact = &out // its data was masked before it was measured
	case e.Coverage != nil:
		out := *e.Coverage
		out.Of, out.Unit, out.Items, out.All = m.String(out.Of), m.String(out.Unit), maskTexts(m, out.Items), maskTexts(m, out.All)
		e.Coverage = &out
	case e.Retrying != nil:
		out := *e.Retrying
		out.Error = maskError(m, out.Error)
		out.Assertions = maskAssertions(m, out.Assertions)
		e.Retrying = &out
	case e.StepFinished != nil:
		e.StepFinished = maskFinished(m, e.StepFinished)
	case e.Resource != nil:
		e.Resource = &event.Resource{
			Type: m.String(e.Resource.Type), ID: m.String(e.Resource.ID), Reason: m.String(e.Resource.Reason),
		}
	case e.RunFinished != nil:
		out := *e.RunFinished
		out.Reason = m.String(out.Reason)
		out.Row = maskRow(m, out.Row)
		out.Outputs = maskMap(m, out.Outputs)
		e.RunFinished = &out
	}
}

func maskFinished(m *redact.Masker, f *event.StepFinished) *event.StepFinished {
	out := *f
	out.Reason = m.String(out.Reason)
	out.Result = m.Value(out.Result)
	out.ResultPreview = m.String(out.ResultPreview)
	out.Assertions = maskAssertions(m, out.Assertions)
	out.Outputs = maskMap(m, out.Outputs)
	out.Error = maskError(m, out.Error)
	if len(out.Values) > 0 {
		out.Values = append([]event.Used(nil), out.Values...)
		for i := range out.Values {
			out.Values[i].Value = m.Value(out.Values[i].Value)
		}
	}
	return &out
}

func maskTexts(m *redact.Masker, list []string) []string {
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = m.String(text)
	}
	return out
}

func maskRow(m *redact.Masker, row *event.Row) *event.Row {
	if row == nil {
		return nil
	}
	return &event.Row{Index: row.Index, Name: m.String(row.Name)}
}

func maskMap(m *redact.Masker, values map[string]any) map[string]any {
	if len(values) == 0 {
		return values
	}
	out, _ := m.Value(values).(map[string]any)
	return out
}

func maskError(m *redact.Masker, e *event.Error) *event.Error {
	if e == nil {
		return nil
	}
	out := *e
	out.Message, out.Hint = m.String(out.Message), m.String(out.Hint)
	if len(out.Details) > 0 {
		out.Details = append([]string(nil), out.Details...)
		for i := range out.Details {
			out.Details[i] = m.String(out.Details[i])
		}
	}
	return &out
}

func maskAssertions(m *redact.Masker, list []event.Assertion) []event.Assertion {
	if len(list) == 0 {
		return list
	}
	out := append([]event.Assertion(nil), list...)
	for i := range out {
		a := &out[i]
		a.Expression, a.Message = m.String(a.Expression), m.String(a.Message)
		a.Actual, a.Expected = m.Value(a.Actual), m.Value(a.Expected)
		if len(a.Operands) > 0 {
			a.Operands = append([]event.Operand(nil), a.Operands...)
			for j := range a.Operands {
				o := &a.Operands[j]
				o.Text, o.Value = m.String(o.Text), m.Value(o.Value)
				o.Missing, o.Error = m.String(o.Missing), m.String(o.Error)
			}
		}
		if len(a.Diff) > 0 {
			a.Diff = append([]event.Change(nil), a.Diff...)
			for j := range a.Diff {
				a.Diff[j].Expected, a.Diff[j].Actual = m.Value(a.Diff[j].Expected), m.Value(a.Diff[j].Actual)
			}
		}
	}
	return out
}
