package syntax

import (
	"fmt"

	"github.com/testmesh/testmesh/flow/source"
)

// stepList reads a list of steps that is a key of f.
func (p *parser) stepList(f *fields, name string, depth int) []*Step {
	n := f.take(name)
	if n == nil {
		return nil
	}
	return p.stepItems(n, name, depth)
}

func (p *parser) stepItems(n *source.Node, name string, depth int) []*Step {
	if n.Kind != source.List {
		problem := source.Problem{
			Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: clip(n.Text),
			Message: fmt.Sprintf("%s is a list of steps, not %s", name, described(n)), Hint: "begin each step with a dash: - action: log",
		}
		if n.Kind == source.Map && len(n.Entries) > 0 && n.Pos == n.Entries[0].Key.Pos {
			key := n.Entries[0].Key
			problem.Text = clip(key.Text)
			problem.Fix = source.Corrected(p.file.Data, key.Pos, key.Text, "- "+key.Text)
			problem.Hint = "begin each step with a dash, and indent its other keys by two more"
		}
		p.add(problem)
		return nil
	}
	if depth > maxNesting {
		p.fail(source.CodeLimit, n.Pos, "", fmt.Sprintf("steps nest deeper than %d levels", maxNesting), "move the inner steps to a flow of their own and call it with run_flow")
		return nil
	}
	out := make([]*Step, 0, len(n.Items))
	for _, item := range n.Items {
		if s := p.step(item, depth); s != nil {
			out = append(out, s)
		}
	}
	return out
}

// step reads one step.
func (p *parser) step(n *source.Node, depth int) *Step {
	if p.steps++; p.steps > maxSteps {
		if p.steps == maxSteps+1 {
			p.fail(source.CodeLimit, n.Pos, "", fmt.Sprintf("the flow has more than %d steps", maxSteps), "use for_each, rows of data, or several flows")
		}
		return nil
	}
	if n.Kind == source.Null {
		p.fail(source.CodeType, n.Pos, "", "an empty step", "write action: and config: after the dash, or remove the dash")
		return nil
	}
	f := p.fields(n, language()["step"])
	if f == nil {
		return nil
	}
	s := &Step{Pos: n.Pos, Node: n}
	p.action(f, s)
	p.oldStep(f, s)
	p.identity(f, s)
	p.configOf(f, s, depth)

	s.Effect = f.name("effect")
	s.Timeout = f.positive("timeout")
	if r := f.take("retry"); r != nil {
		s.Retry = p.retry(r)
	}
	if key, e := f.entry("eventually"); e != nil {
		s.Eventually = p.eventually(e)
		if s.Retry != nil {
			p.fail(source.CodeKey, key.Pos, key.Text, "a step has one of retry and eventually, not both", "eventually repeats until it passes; retry repeats a number of times")
		}
	}
	s.Assert = append(s.Assert, f.asserts("assert")...)
	s.AssertAny, s.AssertNone = f.asserts("assert_any"), f.asserts("assert_none")
	s.Match = f.take("match")
	s.Output = append(s.Output, p.outputs(f.take("output"), "output")...)
	s.OnFailure = orField(f.name("on_failure"), s.OnFailure)
	s.ErrorSteps = append(s.ErrorSteps, p.stepList(f, "error_steps", depth+1)...)
	s.OnTimeout = append(s.OnTimeout, p.stepList(f, "on_timeout", depth+1)...)
	p.track(f.take("track"), s, depth)
	f.rest()
	return s
}

func orField[T any](a, b Field[T]) Field[T] {
	if a.Given() {
		return a
	}
	return b
}

// action reads what the step does, which the rest of it depends on.
func (p *parser) action(f *fields, s *Step) {
	f.related = []*section{control(textOf(f.node.Get("action"))), language()["config"], language()["flow"]}
	f.place = map[string]string{"config": "to the flow's config", "flow": "to the flow"}
	f.place["*"] = "parameters of the action belong under config; the keys of a step are " + listed(f.sec.names(), len(f.sec.keys))
	if c := f.related[0]; c != nil {
		f.place[c.name] = "under config"
	}
	f.require("action")
	s.Action = f.name("action")
}

func textOf(n *source.Node) string {
	if n == nil {
		return ""
	}
	return n.Text
}

// identity reads the keys that name and order a step.
func (p *parser) identity(f *fields, s *Step) {
	s.ID = f.text("id")
	switch {
	case !s.ID.Given():
		s.Generated = true
		p.unnamed = append(p.unnamed, s)
	case !fitsPattern(oldIDPattern, s.ID.Value):
		p.badID(s.ID)
		s.ID.Value = ""
	default:
		if !fitsPattern(idPattern, s.ID.Value) {
			p.add(source.Problem{
				Severity: source.Note, Code: source.CodeDialect, Pos: s.ID.Pos, Text: s.ID.Value,
				Message: fmt.Sprintf("the id %q does not begin with a letter", s.ID.Value), Hint: "an expression reads it as steps[\"" + s.ID.Value + "\"]",
			})
		}
		p.register(s.ID)
	}
	s.Name = f.template("name")
	s.Description = f.text("description")
	s.Tags = f.names("tags")
	s.Disabled = f.boolean("disabled")
	if key, given := f.entryNode("needs"); given {
		s.Needs = f.names("needs")
		for i, need := range s.Needs {
			if need.Value == s.ID.Value && s.ID.Given() {
				p.fail(source.CodeCycle, s.Needs[i].Pos, need.Value, fmt.Sprintf("the step %q needs itself", need.Value), "remove it")
			}
		}
		if s.Needs == nil && f.node.Get("needs").Kind == source.Null {
			p.fail(source.CodeType, key.Pos, "needs", "needs has no value", "write [] for a step that needs nothing, or leave it out for the step above")
		}
	}
	s.When = f.expression("when")
}

func (p *parser) badID(id Field[string]) {
	problem := source.Problem{
		Severity: source.Error, Code: source.CodeID, Pos: id.Pos, Text: clip(id.Value),
		Message: fmt.Sprintf("%q is no id", clip(id.Value)),
		Hint:    "an id is 1 to 64 of a-z, 0-9, _ and -, and begins with a letter",
	}
	if meant := idFrom(id.Value); fitsPattern(idPattern, meant) && meant != id.Value {
		problem.Fix = source.Corrected(p.file.Data, id.Pos, id.Value, meant)
	}
	p.add(problem)
}

// register reports an id that another step of the flow has.
func (p *parser) register(id Field[string]) {
	if first, ok := p.ids[id.Value]; ok {
		p.fail(source.CodeID, id.Pos, id.Value, fmt.Sprintf("the id %q on line %d is already taken by the step on line %d", id.Value, id.Pos.Line, first.Line),
			"ids are unique in the whole flow")
		return
	}
	p.ids[id.Value] = id.Pos
}

// track reads one resource or a list of them.
func (p *parser) track(n *source.Node, s *Step, depth int) {
	if n == nil {
		return
	}
	items := []*source.Node{n}
	if n.Kind == source.List {
		items = n.Items
	}
	for _, item := range items {
		f := p.fields(item, language()["track"])
		if f == nil {
			continue
		}
		p.oldTrack(f)
		f.require("resource_id")
		f.require("cleanup")
		t := &Track{Pos: item.Pos, ResourceType: f.template("resource_type"), ResourceID: f.template("resource_id")}
		if c := f.take("cleanup"); c != nil {
			t.Cleanup = p.step(c, depth+1)
		}
		f.rest()
		if t.ResourceID != nil && t.Cleanup != nil {
			s.Track = append(s.Track, t)
		}
	}
}
