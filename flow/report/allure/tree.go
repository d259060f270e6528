package allure

import (
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/report/plain"
	"github.com/testmesh/testmesh/flow/value"
)

const (
	// maxNodes bounds the steps, rounds and tries listed of a run, maxTries the
	// tries of a step: a wait may have thousands.
	maxNodes = 2000
	maxTries = 20
	// maxSaid bounds what explains all steps of a run, in bytes, maxValues the names
	// in play of one.
	maxSaid   = 512 << 10
	maxValues = 20
	// maxLogs bounds the lines of a step.
	maxLogs = 100
)

// tree nests the steps of a run by their paths: "each[2]" is a round of "each".
type tree struct {
	setup, main, teardown node
	nodes                 int
	left                  int // steps and tries past the bounds
	unattached            int // attachments past the bounds
	said                  int // bytes of all explanations and values
	pending               int // bytes of exchanges that wait for their try
	attached              int // how many files the run has
	orphans               []any
}

// node is a step, or a round of one.
type node struct {
	name     string
	children []*node
	byKey    map[string]*node
	end      map[string]any // what its step.finished says; nil for a round
	tries    []any
	logs     []any
	pending  []attachment // of the try that has not ended
	ignored  bool         // it did not pass, and does not count
	files    []any
}

func newTree() *tree { return &tree{} }

// phase is the part of the tree that a step belongs to.
func (t *tree) phase(p event.Phase) *node {
	switch p {
	case event.PhaseSetup:
		return &t.setup
	case event.PhaseTeardown, event.PhaseCleanup:
		return &t.teardown
	}
	return &t.main
}

// at is the node of a step; nil where the run has too many.
func (t *tree) at(s *event.Step) *node {
	n := t.phase(s.Phase)
	path := s.Path
	if len(path) == 0 {
		path = []string{s.ID}
	}
	for _, part := range path {
		keys := []string{part}
		if id, round, ok := strings.Cut(part, "["); ok && id != "" {
			keys = []string{id, "[" + round}
		}
		for _, key := range keys {
			child := n.byKey[key]
			if child == nil {
				if t.nodes >= maxNodes {
					return nil
				}
				t.nodes++
				child = &node{name: part}
				if n.byKey == nil {
					n.byKey = map[string]*node{}
				}
				n.byKey[key] = child
				n.children = append(n.children, child)
			}
			n = child
		}
	}
	return n
}

// see takes an event of a step.
func (w *Writer) see(r *run, e *event.Event) {
	r.See(e)
	switch e.Type {
	case event.TypeResourceOrphaned:
		if len(r.tree.orphans) < maxTries {
			text := "left behind: " + e.Resource.Type + " " + e.Resource.ID + ": " + e.Resource.Reason
			r.tree.orphans = append(r.tree.orphans, item(plain.Line(text, maxText), broken, e.Time, e.Time))
		}
		return
	case event.TypeStepLog, event.TypeStepExchange, event.TypeStepArtifact, event.TypeStepRetrying, event.TypeStepFinished:
	default: // what started is seen by how it ends
		return
	}
	n := r.tree.at(e.Step)
	if n == nil {
		if e.Type == event.TypeStepFinished {
			r.tree.left++
		}
		return
	}
	switch e.Type {
	case event.TypeStepLog:
		if len(n.logs) < maxLogs && r.tree.nodes < maxNodes {
			r.tree.nodes++
			n.logs = append(n.logs, item(plain.Line(e.Log.Level+": "+e.Log.Message, maxText), passed, e.Time, e.Time))
		}
	case event.TypeStepExchange:
		w.exchange(r, n, e)
	case event.TypeStepArtifact:
		w.artifact(r, n, e)
	case event.TypeStepRetrying:
		w.tried(r, n, e)
	case event.TypeStepFinished:
		w.stepped(r, n, e)
	}
}

// tried keeps a try that was not the last, with what it sent and got.
func (w *Writer) tried(r *run, n *node, e *event.Event) {
	files := w.attach(r, n, e.Retrying.Status)
	if len(n.tries) >= maxTries || r.tree.nodes >= maxNodes {
		r.tree.left++
		return
	}
	r.tree.nodes++
	out := item("try "+number(max(e.Step.Try, 1)), status(e.Retrying.Status), e.Time, e.Time)
	out["statusDetails"] = map[string]any{"message": plain.Retry(e.Retrying)}
	set(out, "attachments", files)
	n.tries = append(n.tries, out)
}

// stepped says how a step ended.
func (w *Writer) stepped(r *run, n *node, e *event.Event) {
	end, s := e.StepFinished, e.Step
	n.files = append(n.files, w.attach(r, n, end.Status)...)
	name := plain.Line(s.ID, maxText)
	if s.Name != "" {
		name = plain.Line(s.Name, maxText)
	}
	n.end = item(name, status(end.Status), before(e.Time, end.DurationMS), e.Time)
	n.end["stage"] = stage(end.Status)
	parameters := []any{parameter("action", s.Action, "")}
	if end.Tries > 1 {
		parameters = append(parameters, parameter("tries", number(end.Tries), ""))
	}
	switch end.Status {
	case event.Passed:
	case event.Skipped:
		n.end["statusDetails"] = map[string]any{"message": plain.Line(end.Reason, maxText)}
	default:
		n.ignored = end.Ignored
		n.end["statusDetails"] = r.said(e)
		parameters = append(append(parameters, parameter("at", plain.Line(s.File, maxText)+":"+number(s.Line), "")), r.values(end)...)
	}
	n.end["parameters"] = parameters
}

// values are the names in play of a step that did not pass.
func (r *run) values(end *event.StepFinished) []any {
	var out []any
	for _, u := range end.Values[:min(len(end.Values), maxValues)] {
		p := parameter(u.Name, value.Text(plain.Shorten(u.Value)), mode(u.Name))
		if r.tree.said += len(p["value"].(string)); r.tree.said > maxSaid {
			break
		}
		out = append(out, p)
	}
	return out
}

// mode hides the value of a secret even from those who do not know that what is
// there is its mask.
func mode(name string) string {
	if name == "secret" || strings.HasPrefix(name, "secret.") {
		return "masked"
	}
	return ""
}

// said is why a step did not pass.
func (r *run) said(e *event.Event) map[string]any {
	end := e.StepFinished
	message := plain.Message(end)
	if end.Ignored {
		message = "ignored: " + message
	}
	out := map[string]any{"message": message}
	// Of a run, the failures have what was found out about them; the step itself
	// may be a container, or in a round that did not count.
	for i := len(r.Failures) - 1; i >= 0; i-- {
		f := r.Failures[i]
		if f.End != end {
			continue
		}
		if text := plain.Explain(f); r.tree.said+len(text) <= maxSaid {
			r.tree.said += len(text)
			out["trace"] = text
		}
		break
	}
	return out
}

// item is a step of the format.
func item(name, status string, start, stop time.Time) map[string]any {
	if name == "" {
		name = "unnamed"
	}
	return map[string]any{
		"name": name, "status": status, "stage": "finished",
		"start": instant(start), "stop": max(instant(stop), instant(start)),
	}
}

// note is a step that says something about the report.
func note(text string, at time.Time) map[string]any { return item(text, skipped, at, at) }

func set(out map[string]any, key string, list []any) {
	if len(list) > 0 {
		out[key] = list
	}
}

// steps are those of the phases that the test itself is.
func (t *tree) steps() []any { return t.main.list() }

func (n *node) list() []any {
	var out []any
	for _, c := range n.children {
		out = append(out, c.print())
	}
	return out
}

// print is a node with what is below it.
func (n *node) print() map[string]any {
	inside := n.list()
	out := n.end
	if out == nil {
		out = n.round(inside)
	}
	set(out, "steps", slices.Concat(n.tries, n.logs, inside))
	set(out, "attachments", n.files)
	return out
}

// round is a round of a step. Nobody judges it: it is shown as its worst step
// that counts.
func (n *node) round(steps []any) map[string]any {
	worst := skipped
	var start, stop int64
	for i, s := range steps {
		s := s.(map[string]any)
		if at := s["start"].(int64); i == 0 || at < start {
			start = at
		}
		stop = max(stop, s["stop"].(int64))
		if got := s["status"].(string); !n.children[i].ignored && rank(got) > rank(worst) {
			worst = got
		}
	}
	return map[string]any{"name": plain.Line(n.name, maxText), "status": worst, "stage": "finished", "start": start, "stop": stop}
}

func rank(status string) int {
	switch status {
	case skipped:
		return 0
	case passed:
		return 1
	case broken:
		return 2
	}
	return 3
}

// fixtures is the container of a run: what set it up and took it down; nil where
// nothing did.
func (r *run) fixtures(at time.Time) map[string]any {
	befores, afters := r.tree.setup.list(), append(r.tree.teardown.list(), r.tree.orphans...)
	if len(befores)+len(afters) == 0 {
		return nil
	}
	if r.Lost > 0 {
		afters = append(afters, item("left behind: "+number(r.Lost)+" more", broken, at, at))
	}
	out := map[string]any{
		"uuid": plain.ID("container", r.id), "name": plain.Name(r.Started), "children": []any{r.id},
		"start": instant(r.Started.Time), "stop": max(instant(at), instant(r.Started.Time)),
	}
	set(out, "befores", befores)
	set(out, "afters", afters)
	return out
}
