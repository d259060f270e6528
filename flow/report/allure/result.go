package allure

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/cause"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

// result is the file of a run.
func (w *Writer) result(r *run, e *event.Event, end *event.RunFinished) map[string]any {
	s := r.Started.RunStarted
	out := map[string]any{
		"uuid":       r.id,
		"testCaseId": plain.ID("flow", s.File, r.Started.Flow),
		"fullName":   plain.Line(s.File+": "+r.Started.Flow, maxText),
		"name":       plain.Name(r.Started),
		"status":     status(end.Status),
		"stage":      stage(end.Status),
		"start":      instant(r.Started.Time),
		"stop":       max(instant(e.Time), instant(r.Started.Time)),
		"labels":     labels(r),
		"titlePath":  titlePath(s.File),
	}
	parameters, history := w.parameters(r)
	out["parameters"], out["historyId"] = parameters, history
	if details := details(r.Run, end); details != nil {
		out["statusDetails"] = details
	}
	steps := r.tree.steps()
	if left := r.tree.left + r.tree.unattached; left > 0 {
		steps = append(steps, note(number(left)+" more steps, tries and attachments are not listed; the report jsonl has them", e.Time))
	}
	if len(steps) > 0 {
		out["steps"] = steps
	}
	return out
}

// parameters tell the runs of a flow apart, and so does the history id made of
// them: it is the same in every batch. Readers take two results of one id for two
// tries of one test and count the last alone, so that a run which is there twice
// gets a number.
func (w *Writer) parameters(r *run) (list []any, history string) {
	s := r.Started.RunStarted
	add := func(name, v string) { list = append(list, parameter(name, v, "")) }
	if s.Row != nil {
		add("row", number(s.Row.Index+1))
		if s.Row.Name != "" {
			add("row name", s.Row.Name)
		}
	} else if s.Iteration > 1 {
		add("iteration", number(s.Iteration))
	}
	if s.Environment != "" {
		add("environment", s.Environment)
	}
	key := plain.RunID(r.Started)
	if w.seen[key]++; w.seen[key] > 1 {
		again := number(w.seen[key])
		add("repeat", again)
		key = plain.ID(key, again)
	}
	// What changes from batch to batch is no part of the test.
	seed := parameter("seed", value.Compact(s.Seed), "")
	seed["excluded"] = true
	return append(list, seed), key
}

func parameter(name, v, mode string) map[string]any {
	out := map[string]any{"name": plain.Line(name, maxText), "value": plain.Line(v, maxText)}
	if mode != "" {
		out["mode"] = mode
	}
	return out
}

// severities are the tags that are severities, too: the format has no others.
var severities = [...]string{"blocker", "critical", "normal", "minor", "trivial"}

func labels(r *run) []any {
	s := r.Started.RunStarted
	var out []any
	add := func(name, v string) {
		if v = plain.Line(v, maxText); v != "" {
			out = append(out, map[string]any{"name": name, "value": v})
		}
	}
	add("framework", "testmesh")
	add("language", "yaml")
	add("host", cmp.Or(s.Agent, "local"))
	add("thread", number(r.lane+1))
	if folder := path.Dir(s.File); folder != "." {
		add("parentSuite", folder)
	}
	add("suite", cmp.Or(s.Suite, stem(s.File)))
	add("feature", s.Suite)
	add("story", r.Started.Flow)
	for _, tag := range s.Tags[:min(len(s.Tags), maxTags)] {
		add("tag", tag)
		if slices.Contains(severities[:], tag) {
			add("severity", tag)
		}
	}
	return out
}

// stem is a file's name without what all flows end in.
func stem(file string) string {
	if file == "" {
		return ""
	}
	return strings.TrimSuffix(strings.TrimSuffix(path.Base(file), path.Ext(file)), ".testmesh")
}

func titlePath(file string) []any {
	out := []any{}
	for part := range strings.SplitSeq(file, "/") {
		if part = plain.Line(part, maxText); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// details say why a run ended as it did.
func details(r *cause.Run, end *event.RunFinished) map[string]any {
	if end.Status == event.Passed {
		if r.Tries < 2 {
			return nil
		}
		return map[string]any{"flaky": true, "message": plain.Line(r.Retried, maxText) + " passed on try " + number(r.Tries)}
	}
	out := map[string]any{}
	why := plain.Why(r, end)
	if end.Status == event.Cancelled {
		why = plain.Line("cancelled: "+why, maxText)
	}
	out["message"] = why
	if end.Status == event.Skipped {
		return out
	}
	if text := trace(r); text != "" {
		out["trace"] = text
	}
	if f := r.First(); f != nil {
		compared(out, f.End)
	}
	return out
}

// trace is all that is known of the failures that count.
func trace(r *cause.Run) string {
	var b strings.Builder
	for _, f := range r.Failures {
		if f.Ignored || f.Handler {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(plain.Path(f.Step) + "  " + plain.Line(f.Step.Action, maxText))
		if line, _ := plain.Place(f); line > 0 {
			b.WriteString("  " + plain.Line(f.Step.File, maxText) + ":" + number(line))
		}
		b.WriteString("\n" + plain.Explain(f) + "\n")
		if b.Len() > maxTrace {
			break
		}
	}
	if r.Dropped > 0 {
		b.WriteString("\n" + number(r.Dropped) + " more failures are not listed\n")
	}
	return plain.Cut(b.String(), maxTrace)
}

// compared adds what an assertion wanted and got: readers show the difference.
func compared(out map[string]any, end *event.StepFinished) {
	for _, a := range cause.Broken(end.Assertions) {
		if a.HasExpected && a.HasActual && !a.Errored {
			out["expected"], out["actual"] = shown(a.Expected), shown(a.Actual)
			return
		}
	}
}

func shown(v any) string { return plain.Clean(plain.Cut(value.Text(plain.Shorten(v)), maxShown)) }

// maxShown bounds a value that is compared, in bytes.
const maxShown = 8 << 10
