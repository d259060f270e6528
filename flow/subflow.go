package flow

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// runFlow compiles run_flow with the flow that it calls.
func (c *compiler) runFlow(k *control) Control {
	out := &RunFlow{InheritEnv: k.flag("inherit_env", false)}
	if n := k.get("once"); n != nil {
		if out.Once = n.Text; n.Text != "run" && n.Text != "batch" {
			k.bad(n, fmt.Sprintf("once must be run or batch, not %q", n.Text))
		}
	}
	if n := k.get("input_file"); n != nil {
		out.InputFile = c.template(n, k.at.named("input_file"))
		if _, static := literalValue(n); static {
			c.needFile(n, k.n.dir)
		}
	}
	input := k.get("input")
	if input != nil {
		if input.Kind != source.Map {
			k.bad(input, "input of run_flow is a map of names to values")
		}
		for _, e := range input.Entries {
			out.Input = append(out.Input, NamedTree{Name: e.Key.Text, Value: c.tree(e.Value, k.at.named("input "+e.Key.Text))})
		}
	}
	name := k.get("flow")
	if name == nil {
		k.missing("flow")
		return out
	}
	if _, static := literalValue(name); !static {
		c.candidates(k, name, out)
		return out
	}
	target, p, ok := c.find(name, k.n.dir)
	if p != nil {
		c.add(*p)
	}
	if !ok {
		return out
	}
	out.Flow = c.call(name, target, out.InheritEnv)
	if out.Flow != nil {
		c.callInput(k, out, input)
	}
	return out
}

// call compiles a called flow, and takes over its files and problems.
func (c *compiler) call(at *source.Node, target flowRef, inherit bool) *Program {
	if chain := c.l.onStack(target.path, target.index); chain != nil {
		c.add(problem(source.CodeCycle, at.Pos, at.Text, "flows call each other in a circle: "+strings.Join(chain, " → ")))
		return nil
	}
	if len(c.l.stack) > MaxDepth {
		c.add(problem(source.CodeLimit, at.Pos, at.Text, fmt.Sprintf("flows call flows deeper than %d", MaxDepth)))
		return nil
	}
	key := programKey{path: target.path, index: target.index}
	var caller *compiler
	if inherit {
		caller = c
		key.inherit = fmt.Sprintf("%s#%d", c.file.Path, c.index)
	}
	_, parsed := c.l.Parse(target.path)
	p, problems := c.l.compile(key, caller)
	c.called = append(append(c.called, parsed.Errors()...), problems.Errors()...)
	if p == nil || len(parsed.Errors()) > 0 {
		return nil // its own problems are said where they are
	}
	for name, sum := range p.Bundle {
		c.p.Bundle[name] = sum
	}
	for _, s := range p.Secrets {
		c.secrets[s] = true
	}
	for _, name := range p.Plugins {
		c.plugins[name] = true
	}
	for _, v := range p.VarsRead {
		if p.declared(v) == nil {
			c.varsRead[v] = true
		}
	}
	c.takeLocks(at, p)
	return p
}

// takeLocks has the run that calls a flow hold its locks: all are taken before a run
// begins, so that no two runs wait for each other. One that is known only then is not.
func (c *compiler) takeLocks(at *source.Node, p *Program) {
	for _, t := range p.Locks {
		if name, static := t.Static(); static {
			c.heldFor[value.Text(name)] = t
			continue
		}
		c.add(hinted(note(source.CodeValue, at.Pos, at.Text, fmt.Sprintf("the lock %s of flow %q is not held when it is called: it has a placeholder, and locks are taken before a run begins", t.Source(), p.Name)),
			"give the calling flow a lock that stands for it, under `locks:`"))
	}
}

// calledLocks adds the locks of called flows to the flow's own.
func (c *compiler) calledLocks() {
	for _, t := range c.p.Locks {
		if name, static := t.Static(); static {
			delete(c.heldFor, value.Text(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.heldFor)) {
		c.p.Locks = append(c.p.Locks, c.heldFor[name])
	}
}

// callInput checks what is given against what the called flow declares.
func (c *compiler) callInput(k *control, out *RunFlow, input *source.Node) {
	p := out.Flow
	if p.AnyInput {
		return
	}
	names := make([]string, 0, len(p.Inputs))
	given := map[string]bool{}
	for _, in := range p.Inputs {
		names = append(names, in.Name)
	}
	var entries []source.Entry
	if input != nil {
		entries = input.Entries
	}
	for _, e := range entries {
		given[e.Key.Text] = true
		in := p.declared(e.Key.Text)
		if in == nil {
			pr := problem(source.CodeInput, e.Key.Pos, e.Key.Text, fmt.Sprintf("flow %q declares no input %q", p.Name, e.Key.Text))
			pr.Hint = "it declares " + listOr(names, "none")
			if near := value.Closest(e.Key.Text, names); near != "" {
				pr.Hint = fmt.Sprintf("did you mean %q?", near)
				pr.Fix = c.fix(e.Key.Pos, e.Key.Text, near)
			}
			c.add(pr)
			continue
		}
		if v, static := literalValue(e.Value); static {
			if _, err := in.Accept(v); err != nil {
				c.add(problem(source.CodeInput, e.Value.Pos, e.Value.Text, err.Error()))
			}
		}
	}
	if out.InputFile != nil && !c.fileInput(k, p, names, given) {
		return
	}
	for _, in := range p.Inputs {
		if !in.HasDefault && !given[in.Name] {
			at := k.get("flow")
			c.add(hinted(problem(source.CodeInput, at.Pos, at.Text, fmt.Sprintf("flow %q needs the input %q", p.Name, in.Name)),
				fmt.Sprintf("give it under `input:`, as %s: …", in.Name)))
		}
	}
}

// fileInput judges an input_file that is known before the run and adds its names
// to given; false where it is not known what it holds.
func (c *compiler) fileInput(k *control, p *Program, names []string, given map[string]bool) bool {
	n := k.get("input_file")
	if _, static := literalValue(n); !static {
		return false
	}
	name, data, ok := c.readFile(n, k.n.dir)
	if !ok {
		return false
	}
	v, problems := decodeFile(name, data)
	c.add(problems...)
	if len(problems.Errors()) > 0 {
		return false
	}
	m, ok := v.(map[string]any)
	if !ok {
		c.add(problem(source.CodeInput, n.Pos, n.Text, fmt.Sprintf("%s holds %s, not a map of inputs", name, kindWord(v))))
		return false
	}
	for _, key := range value.Keys(m) {
		if given[key] {
			continue
		}
		given[key] = true
		in := p.declared(key)
		if in == nil {
			c.add(hinted(problem(source.CodeInput, n.Pos, n.Text, fmt.Sprintf("%s: flow %q declares no input %q", name, p.Name, key)),
				"it declares "+listOr(names, "none")))
		} else if _, err := in.Accept(m[key]); err != nil {
			c.add(problem(source.CodeInput, n.Pos, n.Text, fmt.Sprintf("%s: %v", name, err)))
		}
	}
	return true
}

// candidates compiles the flows that a computed name may mean: those of the
// files that the flow lists.
func (c *compiler) candidates(k *control, name *source.Node, out *RunFlow) {
	out.Name = c.template(name, k.at.named("flow"))
	out.Candidates = map[string]*Program{}
	for _, g := range c.flow.Files {
		files, err := c.glob(g.Value, c.p.Dir)
		if err != nil {
			continue // fileGlobs says so
		}
		for _, file := range files {
			if !yamlFile(file) || file == c.file.Path {
				continue
			}
			parsed, problems := c.l.Parse(file)
			if len(problems.Errors()) > 0 {
				c.called = append(c.called, problems.Errors()...)
				continue
			}
			for i, f := range parsed.Flows {
				p := c.call(name, flowRef{file, i}, out.InheritEnv)
				if p == nil {
					continue
				}
				out.Candidates[file+"#"+f.Name.Value] = p
				if len(parsed.Flows) == 1 {
					out.Candidates[file] = p
				}
				if _, twice := out.Candidates[f.Name.Value]; twice {
					p = nil // a name of two flows names none
				}
				out.Candidates[f.Name.Value] = p
			}
		}
	}
	if len(out.Candidates) == 0 {
		c.add(hinted(problem(source.CodeFile, name.Pos, name.Text, "the name of the flow is computed, and `files` lists no flow that it could be"),
			"list the flows that may be called under `files:`"))
	}
}

// flowRef is a flow of a file.
type flowRef struct {
	path  string
	index int
}

// find resolves the name of a flow: a path, path#name, or a name of the project.
// Without a flow there is a problem, here or in the file that is named.
func (c *compiler) find(n *source.Node, dir string) (flowRef, *source.Problem, bool) {
	file, name, hash := strings.Cut(n.Text, "#")
	if hash || yamlFile(file) || strings.Contains(file, "/") {
		target, err := within(dir, file)
		if err == nil {
			_, err = c.l.files.read(target)
		}
		if err != nil {
			p := c.l.files.blame(n, target, err)
			return flowRef{}, &p, false
		}
		parsed, problems := c.l.Parse(target)
		if len(problems.Errors()) > 0 {
			c.called = append(c.called, problems.Errors()...)
			if len(parsed.Flows) == 0 {
				return flowRef{}, nil, false
			}
		}
		index, p := pickFlow(parsed, name)
		if p != nil {
			p.Pos, p.Text = n.Pos, n.Text
			if near, ok := hintWord(p.Hint, `did you mean "`, `"?`); ok {
				p.Hint = fmt.Sprintf("did you mean %q?", file+"#"+near)
			} else if name == "" && len(p.InScope) > 0 {
				p.Hint = "say which: " + file + "#" + p.InScope[0]
			}
		}
		return flowRef{target, index}, p, p == nil
	}
	for i, f := range c.file.Flows {
		if f.Name.Value == n.Text {
			return flowRef{c.file.Path, i}, nil, true
		}
	}
	ref, p := c.findNamed(n)
	return ref, p, p == nil
}

// findNamed looks a flow up by its name in the whole project.
func (c *compiler) findNamed(n *source.Node) (flowRef, *source.Problem) {
	index := c.l.index()
	refs := index.flows[n.Text]
	switch {
	case len(refs) == 1:
		return refs[0], nil
	case len(refs) > 1:
		var files []string
		for _, r := range refs {
			files = append(files, r.path)
		}
		p := hinted(problem(source.CodeName, n.Pos, n.Text, fmt.Sprintf("%d flows are named %q: %s", len(refs), n.Text, strings.Join(files, ", "))),
			"name it by its path: "+relative(c.p.Dir, files[0]))
		return flowRef{}, &p
	}
	p := problem(source.CodeName, n.Pos, n.Text, fmt.Sprintf("no flow of the project is named %q", n.Text))
	names := index.names()
	if near := value.Closest(n.Text, names); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
		p.Fix = c.fix(n.Pos, n.Text, near)
	} else {
		p.Hint = "name it by its path, relative to this file: login.yaml, or ../shared/login.yaml#name"
	}
	p.InScope = names[:min(len(names), maxInScope)]
	return flowRef{}, &p
}

// relative is the path of a file as seen from a folder of the project.
func relative(dir, file string) string {
	from := strings.Split(path.Clean(dir), "/")
	if dir == "." || dir == "" {
		return file
	}
	to := strings.Split(file, "/")
	k := 0
	for k < len(from) && k < len(to)-1 && from[k] == to[k] {
		k++
	}
	return strings.Repeat("../", len(from)-k) + strings.Join(to[k:], "/")
}

func yamlFile(name string) bool {
	return slices.Contains([]string{".yaml", ".yml"}, strings.ToLower(path.Ext(name)))
}
