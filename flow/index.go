package flow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
)

// definition is a name that a step writes.
type definition struct {
	name string
	node *node
	pos  source.Pos
}

// indexSteps puts every step of the flow and of its folders into its place:
// ids, outputs, order, limits.
func (c *compiler) indexSteps() {
	for phase := range c.roots {
		c.roots[phase] = &list{phase: phase}
	}
	for _, f := range c.folders {
		c.place(c.roots[phaseSetup], f.setup, f)
	}
	c.place(c.roots[phaseSetup], c.flow.Setup, nil)
	c.place(c.roots[phaseSteps], c.flow.Steps, nil)
	c.place(c.roots[phaseOnError], c.flow.OnError, nil)
	c.place(c.roots[phaseTeardown], c.flow.Teardown, nil)
	for i := len(c.folders) - 1; i >= 0; i-- {
		c.place(c.roots[phaseTeardown], c.folders[i].teardown, c.folders[i])
	}
	for _, n := range c.nodes {
		if n.folder == nil || !n.step.Generated {
			c.claim(n)
		}
	}
	for _, n := range c.nodes {
		if n.folder != nil && n.step.Generated {
			c.claimFolder(n)
		}
	}
	for _, root := range c.roots {
		c.order(root)
	}
	c.orderNested()
	if len(c.nodes) > MaxSteps {
		c.add(problem(source.CodeLimit, c.flow.Pos, "", fmt.Sprintf("the flow has %d steps; at most %d are possible", len(c.nodes), MaxSteps)))
	}
}

// place appends steps to a list, with everything nested in them.
func (c *compiler) place(l *list, steps []*syntax.Step, f *folder) {
	depth := 1
	if l.owner != nil {
		depth = l.owner.depth + 1
	}
	for _, s := range steps {
		n := &node{step: s, id: s.ID.Value, list: l, index: len(l.nodes), depth: depth, dir: c.p.Dir, folder: f}
		if f != nil {
			n.dir = f.dir
		}
		if l.owner != nil {
			n.trail = append(n.trail, l.owner.trail...)
		}
		n.trail = append(n.trail, n)
		l.nodes = append(l.nodes, n)
		c.nodes = append(c.nodes, n)
		if depth > MaxDepth {
			c.add(problem(source.CodeLimit, s.Pos, n.id, fmt.Sprintf("steps are nested deeper than %d", MaxDepth)))
			continue
		}
		for _, sub := range sublists(n) {
			c.place(sub.list, sub.steps, f)
			n.lists = append(n.lists, sub.list)
		}
	}
}

type sublist struct {
	list  *list
	steps []*syntax.Step
}

// sublists are the lists of steps inside a step.
func sublists(n *node) []sublist {
	var out []sublist
	add := func(slot slot, branch int, steps []*syntax.Step) *list {
		l := &list{slot: slot, owner: n, phase: n.list.phase, branch: branch}
		if len(steps) > 0 {
			out = append(out, sublist{l, steps})
		}
		return l
	}
	if in := n.step.Nested; in != nil {
		add(slotThen, 0, in.Then)
		add(slotElse, 0, in.Else)
		if n.step.Action.Value == "parallel" {
			for i := range in.Steps {
				add(slotBranch, i, in.Steps[i:i+1])
			}
		} else {
			add(slotSteps, 0, in.Steps)
		}
		for i, b := range in.Branches {
			add(slotBranch, i, b.Steps)
		}
	}
	add(slotErrorSteps, 0, n.step.ErrorSteps)
	add(slotOnTimeout, 0, n.step.OnTimeout)
	for i, t := range n.step.Track {
		if t.Cleanup != nil {
			add(slotCleanup, i, []*syntax.Step{t.Cleanup})
		}
	}
	return out
}

func (c *compiler) orderNested() {
	for _, n := range c.nodes {
		for _, l := range n.lists {
			c.order(l)
		}
	}
}

// claim gives a step its id; two steps cannot have one.
func (c *compiler) claim(n *node) {
	if n.list.slot == slotCleanup {
		// Clean-up steps stand for themselves: nothing reads them by id.
		c.define(n)
		return
	}
	if first := c.byID[n.id]; first != nil {
		if first.folder == nil && n.folder == nil {
			return // the parser said so
		}
		c.add(hinted(problem(source.CodeID, n.step.ID.Pos, n.id, fmt.Sprintf("there are two steps %q", n.id)),
			"the first is on "+c.line(first.step.ID.Pos)))
	} else {
		c.byID[n.id] = n
	}
	c.define(n)
}

// claimFolder gives a step of a folder that has no id one that is free.
func (c *compiler) claimFolder(n *node) {
	n.id = "folder_" + strings.TrimPrefix(n.id, "folder_")
	base := n.id
	for i := 2; c.byID[n.id] != nil; i++ {
		n.id = fmt.Sprintf("%s_%d", base, i)
	}
	c.claim(n)
}

// line says a place in a few words, without the file where it is the flow's.
func (c *compiler) line(pos source.Pos) string {
	if pos.File == c.file.Path || pos.File == "" {
		return fmt.Sprintf("line %d", pos.Line)
	}
	return origin(pos)
}

// define notes the names that a step writes: its outputs, and what `set` and
// `transform` make.
func (c *compiler) define(n *node) {
	for _, name := range writes(n.step) {
		c.outputs[name.Value] = append(c.outputs[name.Value], &definition{name.Value, n, name.Pos})
	}
}

// writes are the names that a step writes, with their places.
func writes(s *syntax.Step) []syntax.Field[string] {
	var out []syntax.Field[string]
	for _, o := range s.Output {
		out = append(out, o.Name)
	}
	key := func(n *source.Node) {
		out = append(out, syntax.Field[string]{Value: n.Text, Pos: n.Pos})
	}
	switch s.Action.Value {
	case "set":
		if s.Config != nil {
			for _, e := range s.Config.Entries {
				key(e.Key)
			}
		}
	case "transform":
		if t := s.Config.Get("transforms"); t != nil {
			for _, e := range t.Entries {
				key(e.Key)
			}
		}
		if ops := s.Config.Get("operations"); ops != nil {
			for _, op := range ops.Items {
				if as := saveAs(op); as != nil {
					key(as)
				}
			}
		}
	}
	return out
}

// saveAs finds the name of an operation's result, beside its kind or below it.
func saveAs(op *source.Node) *source.Node {
	if as := op.Get("save_as"); as != nil {
		return as
	}
	for _, e := range op.Entries {
		if as := e.Value.Get("save_as"); as != nil {
			return as
		}
	}
	return nil
}

// checkRaces refuses two steps that may run at the same time and write one
// name: which of them wins would be luck.
func (c *compiler) checkRaces() {
	if !slices.ContainsFunc(c.nodes, func(n *node) bool { return n.list.before != nil || n.list.slot == slotBranch }) {
		return // every step waits for the one above
	}
	for _, defs := range c.outputs {
		for i, a := range defs {
			for _, b := range defs[:i] {
				if a.node == b.node || !racing(a.node, b.node) {
					continue
				}
				c.add(hinted(problem(source.CodeName, a.pos, a.name, fmt.Sprintf("%q is written by two steps that may run at the same time: %s and %s", a.name, b.node.id, a.node.id)),
					fmt.Sprintf("give them two names, or let one step wait for the other with `needs`; the other is on %s", c.line(b.pos))))
				break
			}
		}
	}
}

func racing(a, b *node) bool {
	return relate(a, b) == concurrent
}
