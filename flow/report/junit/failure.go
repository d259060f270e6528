package junit

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxBody bounds a body in a failure's text, maxMessage its first line.
	maxBody    = 1000
	maxMessage = 500
	// maxLabel bounds an attribute: a path of Linux fits.
	maxLabel = 4096
)

// message is a failure in one line: the step, and what was wrong.
func message(f *cause.Failure) string {
	text := f.End.Reason
	if bad := cause.Broken(f.End.Assertions); len(bad) > 0 {
		text = plain.Claim(&bad[0])
	} else if f.End.Error != nil {
		text = f.End.Error.Message
	}
	if text == "" {
		text = string(f.End.Status)
	}
	return plain.Line(strings.Join(f.Step.Path, "/")+": "+text, maxMessage)
}

// kind is the type of a failure: its cause in one word.
func kind(end *event.StepFinished) string {
	if end.Error == nil {
		return "assertion"
	}
	switch code := end.Error.Code; code {
	case "E-CONN", "E-DNS", "E-TLS":
		return "connection"
	case "E-TIMEOUT", "E-RUNTIME":
		return "timeout"
	case "":
		return string(end.Status)
	default:
		return label(strings.ToLower(strings.TrimPrefix(code, "E-")))
	}
}

// texts is all that failed, as a person reads it in a CI system.
func texts(r *run) string {
	var b strings.Builder
	for _, f := range r.Failures {
		if f.Ignored || f.Handler {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		describe(&b, f)
	}
	if r.Dropped > 0 {
		fmt.Fprintf(&b, "\n%d more failures are not listed\n", r.Dropped)
	}
	return b.String()
}

func describe(b *strings.Builder, f *cause.Failure) {
	end := f.End
	phase := ""
	if f.Step.Phase != event.PhaseSteps && f.Step.Phase != "" {
		phase = " (" + string(f.Step.Phase) + ")"
	}
	fmt.Fprintf(b, "%s%s  %s\n", strings.Join(f.Step.Path, " › "), phase, f.Step.Action)
	for _, a := range cause.Broken(end.Assertions) {
		at := f.Step.Line
		if a.Line > 0 {
			at = a.Line
		}
		fmt.Fprintf(b, "  %s:%d: %s\n    %s\n", f.Step.File, at, a.Expression, a.Message)
		changes(b, &a)
	}
	if e := end.Error; e != nil {
		at := f.Step.Line
		if e.Line > 0 {
			at = e.Line
		}
		fmt.Fprintf(b, "  %s:%d: %s %s\n", f.Step.File, at, e.Code, e.Message)
		for _, d := range e.Details {
			fmt.Fprintf(b, "    %s\n", d)
		}
		if e.Hint != "" {
			fmt.Fprintf(b, "    hint: %s\n", e.Hint)
		}
	}
	if m, ok := end.Result.(map[string]any); ok {
		if status, ok := m["status"]; ok {
			fmt.Fprintf(b, "  response: %s\n", value.Text(status))
		}
		if body, ok := m["body"]; ok && body != nil {
			text := value.Text(body)
			if len(text) > maxBody {
				text = plain.Head(text, maxBody) + fmt.Sprintf("… (cut: %d bytes)", len(text))
			}
			fmt.Fprintf(b, "  body: %s\n", text)
		}
	}
	if f.Later > 0 {
		fmt.Fprintf(b, "  steps skipped because of this: %d\n", f.Later)
	}
}

func changes(b *strings.Builder, a *event.Assertion) {
	show := func(v any, missing bool) string {
		if missing {
			return "<missing>"
		}
		text := value.Compact(v)
		if len(text) > maxBody {
			return plain.Head(text, maxBody) + "…"
		}
		return text
	}
	for _, c := range a.Diff {
		fmt.Fprintf(b, "    %s\n      - %s\n      + %s\n", c.Path, show(c.Expected, c.ExpectedMissing), show(c.Actual, c.ActualMissing))
	}
	if a.DiffMore > 0 {
		fmt.Fprintf(b, "    %d more differences\n", a.DiffMore)
	}
}

// label is s as the value of an attribute: what plain leaves, XML 1.0 can hold
// (section 2.2).
func label(s string) string { return plain.Line(s, maxLabel) }
