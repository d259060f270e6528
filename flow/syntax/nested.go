package syntax

import (
	"fmt"
	"slices"

	"github.com/testmesh/testmesh/flow/source"
)

// configOf reads the config of a step: dialects that hide the step's own keys
// in it, and the steps inside a control action.
func (p *parser) configOf(f *fields, s *Step, depth int) {
	key, n := f.entry("config")
	sec := control(s.Action.Value)
	if sec != nil {
		n = p.branchesBeside(f, s, key, n)
	}
	if n == nil {
		p.nested(nil, s, sec, depth)
		return
	}
	if n.Kind != source.Map {
		p.wrongKind(n, "config", "a map of the action's parameters")
		return
	}
	c := &fields{p: p, sec: sec, node: n, entries: slices.Clone(n.Entries)}
	if sec == nil {
		c.sec = &section{name: "config", what: "config of " + s.Action.Value}
	}
	if s.Action.Value != "set" {
		p.lift(f, c, s)
	}
	if sec != nil && s.Action.Value != "set" {
		p.nested(c, s, sec, depth)
		p.controlKeys(c)
	}
	config := *n
	config.Entries = c.entries
	s.Config = &config
}

// controlKeys reports the keys that a control action does not have; its values
// are the compiler's, who knows what they mean.
func (p *parser) controlKeys(c *fields) {
	c.related = []*section{language()["step"]}
	c.place = map[string]string{"step": "to the step, beside config"}
	c.entries = slices.DeleteFunc(c.entries, func(e source.Entry) bool {
		if c.sec.key(e.Key.Text) != nil {
			return false
		}
		c.unknown(e.Key)
		return true
	})
}

// nested reads the steps inside a control action. c is nil without config.
func (p *parser) nested(c *fields, s *Step, sec *section, depth int) {
	if sec == nil {
		return
	}
	if c == nil {
		c = &fields{p: p, sec: sec, node: &source.Node{Kind: source.Map, Pos: s.Pos}}
	}
	p.oldControl(c)
	in := &Nested{}
	var missing string
	switch s.Action.Value {
	case "condition":
		in.Then, in.Else = p.stepList(c, "then", depth+1), p.stepList(c, "else", depth+1)
		if len(in.Then)+len(in.Else) == 0 {
			missing = "then"
		}
	case "for_each":
		in.Steps = p.stepList(c, "steps", depth+1)
		if len(in.Steps) == 0 {
			missing = "steps"
		}
	case "wait_until":
		in.Steps = p.stepList(c, "steps", depth+1)
		s.OnTimeout = append(s.OnTimeout, p.stepList(c, "on_timeout", depth+1)...)
		if len(in.Steps) == 0 {
			missing = "steps"
		}
	case "parallel":
		if c.has("steps") && c.has("branches") {
			p.fail(source.CodeKey, c.node.Get("branches").Pos, "", "parallel has one of steps and branches, not both", "write each step of `steps` as a branch")
		}
		in.Steps = p.stepList(c, "steps", depth+1)
		in.Branches = p.branches(c.take("branches"), depth)
		if len(in.Steps)+len(in.Branches) == 0 {
			missing = "steps"
		}
	default:
		return
	}
	s.Nested = in
	if missing != "" && !p.stepsRefused(c.node) {
		p.fail(source.CodeKey, s.Action.Pos, s.Action.Value, fmt.Sprintf("%s has no steps", s.Action.Value),
			fmt.Sprintf("write them under config.%s: doing nothing would pass without a check", missing))
	}
}

// stepsRefused tells whether something was written where the steps belong, and
// a problem said about it.
func (p *parser) stepsRefused(config *source.Node) bool {
	for _, name := range []string{"then", "else", "steps", "branches"} {
		n := config.Get(name)
		if n != nil && n.Kind != source.Null && (n.Kind != source.List || len(n.Items) > 0) {
			return true
		}
	}
	return false
}

func (p *parser) branches(n *source.Node, depth int) []*Branch {
	if n == nil {
		return nil
	}
	if n.Kind != source.List {
		p.wrongKind(n, "branches", "a list of branches: [{name: a, steps: [...]}]")
		return nil
	}
	var out []*Branch
	for _, item := range n.Items {
		f := p.fields(item, language()["branch"])
		if f == nil {
			continue
		}
		f.require("steps")
		b := &Branch{Pos: item.Pos, Name: f.text("name"), Steps: p.stepList(f, "steps", depth+1)}
		if list := item.Get("steps"); list != nil && list.Kind == source.List && len(list.Items) == 0 {
			p.fail(source.CodeKey, list.Pos, "[]", "the branch has no steps", "write them, or remove the branch")
		}
		f.rest()
		out = append(out, b)
	}
	return out
}
