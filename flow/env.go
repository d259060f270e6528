package flow

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
)

// envFile is a dotenv file of the project, parsed.
type envFile struct {
	bindings []Binding
	problems source.Problems
}

// readEnv collects the values of env from their sources, the winning source
// first. What --var and the process environment have is added when it is read.
func (c *compiler) readEnv() {
	o := c.l.o
	for i := len(o.EnvFile) - 1; i >= 0; i-- { // the last line of a file wins
		c.bind(o.EnvFile[i])
	}
	if o.Environment != nil {
		for _, n := range o.Environment.Env {
			c.layer(n.Name, n.Value, origin(n.Pos), n.Secret)
		}
	}
	for _, v := range c.flow.Env {
		c.layer(v.Name.Value, v.Value, origin(v.Name.Pos), v.Secret)
	}
	c.readEnvFile()
	for i := len(c.folders) - 1; i >= 0; i-- {
		for _, v := range c.folders[i].variables {
			c.layer(v.Name, v.Value, origin(v.Pos), v.Secret)
		}
	}
}

func (c *compiler) variable(name string) *EnvVar {
	v := c.env[name]
	if v == nil {
		v = &EnvVar{Name: name}
		c.env[name] = v
	}
	return v
}

func (c *compiler) layer(name string, n *source.Node, origin string, secret bool) {
	t := c.l.tree(n)
	c.add(t.problems...)
	if t.tree != nil && len(t.problems.Errors()) == 0 {
		v := c.variable(name)
		v.Layers = append(v.Layers, EnvLayer{Value: t.tree, Origin: origin, Secret: secret})
	}
}

// bind adds a line of a dotenv file, unless a later line of it was there.
func (c *compiler) bind(b Binding) {
	t := c.l.binding(b)
	c.add(t.problems...)
	if t.tree == nil || len(t.problems.Errors()) > 0 {
		return
	}
	v := c.variable(b.Name)
	for _, l := range v.Layers {
		if file, _, _ := strings.Cut(l.Origin, ":"); file == b.Pos.File {
			return
		}
	}
	v.Layers = append(v.Layers, EnvLayer{Value: t.tree, Origin: origin(b.Pos)})
}

func (c *compiler) readEnvFile() {
	if !c.flow.EnvFile.Given() {
		return
	}
	n := &source.Node{Kind: source.String, Text: c.flow.EnvFile.Value, Pos: c.flow.EnvFile.Pos}
	name, data, ok := c.readFile(n, c.p.Dir)
	if !ok {
		c.vague = true
		return
	}
	f := c.l.envFiles[name]
	if f == nil {
		f = &envFile{}
		f.bindings, f.problems = ParseDotenv(name, data)
		c.l.envFiles[name] = f
	}
	c.add(f.problems...)
	for i := len(f.bindings) - 1; i >= 0; i-- {
		c.bind(f.bindings[i])
	}
}

// envName is env and its keys. A name is added when it is first read: by --var,
// which wins, and by the process environment, which comes last.
func (c *compiler) envName(r *expr.Ref, at *scope) bool {
	if r.Name == "env" {
		if len(r.Path) == 0 {
			c.wholeEnv = true
			return true
		}
		if at.env && r.Path[0] == at.envName {
			return true // the next source; checkEnv sees that there is one
		}
		if !c.haveEnv(r.Path[0]) && !r.Guarded {
			c.unknownEnv(r)
		}
		return true
	}
	if at.env && r.Name == at.envName {
		return true
	}
	return c.haveEnv(r.Name)
}

// haveEnv tells whether some source of env has the name, and notes that it is
// read.
func (c *compiler) haveEnv(name string) bool {
	if c.envRead[name] {
		return true
	}
	v := c.env[name]
	text, given := c.l.o.Vars[name]
	given = given && c.p.declared(name) == nil
	process, has := "", false
	if c.l.o.ProcessEnv != nil {
		process, has = c.l.o.ProcessEnv(name)
	}
	inherited := c.caller != nil && c.caller.haveEnv(name)
	if v == nil && !given && !has {
		return inherited
	}
	v = c.variable(name)
	if given {
		c.varsRead[name] = true
		v.Layers = append([]EnvLayer{{Value: expr.Literal(text), Origin: "--var"}}, v.Layers...)
	}
	if has {
		v.Layers = append(v.Layers, EnvLayer{Value: expr.Literal(process), Origin: "process environment"})
	}
	c.envRead[name] = true
	return true
}

func (c *compiler) unknownEnv(r *expr.Ref) {
	c.unknownKey(r, "env", slices.Collect(maps.Keys(c.env)))
}

// checkEnv resolves what values of env read, and refuses circles. The flow's own
// values are judged even where nothing reads them; those that many flows share
// only where this one does.
func (c *compiler) checkEnv() {
	todo := map[string]bool{}
	for _, v := range c.flow.Env {
		todo[v.Name.Value] = c.env[v.Name.Value] != nil
	}
	if c.wholeEnv {
		for name := range c.env {
			c.haveEnv(name)
		}
	}
	for more := true; more; {
		more = false
		for name := range c.envRead { // reading one may add others
			todo[name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(todo)) {
			if todo[name] && !c.envUsed[name] {
				more, c.envUsed[name] = true, true
				c.checkVariable(c.env[name])
			}
		}
	}
	state := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(c.envUsed)) {
		if chain := c.envCircle(name, state, nil); chain != nil {
			v := c.env[name]
			pos := c.envPos(v)
			c.add(problem(source.CodeCycle, pos, name, "values of env read each other in a circle: "+strings.Join(chain, " → ")))
			return
		}
	}
}

func (c *compiler) envPos(v *EnvVar) source.Pos {
	for _, l := range v.Layers {
		if n := l.Value.Node(); n != nil {
			return n.Pos
		}
	}
	return source.Pos{File: c.file.Path, Line: c.p.Line}
}

// checkVariable resolves the names in the layers that can count: the first, and
// the next one where a layer reads its own name.
func (c *compiler) checkVariable(v *EnvVar) {
	for i := range v.Layers {
		at := &scope{c: c, env: true, envName: v.Name, what: "env." + v.Name}
		refs := v.Layers[i].Value.Refs()
		c.resolve(refs, at)
		own := selfRef(refs, v.Name)
		if own == nil {
			return // the layers below never count
		}
		if i == len(v.Layers)-1 && !own.Guarded {
			c.add(hinted(problem(source.CodeName, own.Pos, v.Name, fmt.Sprintf("env.%s reads its own name, and no other source has it", v.Name)),
				fmt.Sprintf("its own name is the next source below: the process environment, for one; a default serves without: ${%s:…}", v.Name)))
		}
	}
}

func selfRef(refs []expr.Ref, name string) *expr.Ref {
	for i, r := range refs {
		if r.Name == name || r.Name == "env" && len(r.Path) > 0 && r.Path[0] == name {
			return &refs[i]
		}
	}
	return nil
}

// envCircle follows what a variable reads; it returns the circle, or nil.
func (c *compiler) envCircle(name string, state map[string]int, path []string) []string {
	const open, done = 1, 2
	v := c.env[name]
	if v == nil || state[name] == done {
		return nil
	}
	if state[name] == open {
		i := slices.Index(path, name)
		return append(path[i:len(path):len(path)], name)
	}
	state[name] = open
	path = append(path, name)
	for _, l := range v.Layers {
		refs := l.Value.Refs()
		for _, r := range refs {
			next := r.Name
			if next == "env" && len(r.Path) > 0 {
				next = r.Path[0]
			} else if c.shadowed(next) {
				continue
			}
			if next == name {
				continue
			}
			if chain := c.envCircle(next, state, path); chain != nil {
				return chain
			}
		}
		if selfRef(refs, name) == nil {
			break
		}
	}
	state[name] = done
	return nil
}

// shadowed tells that a bare name means something before env.
func (c *compiler) shadowed(name string) bool {
	return c.p.declared(name) != nil || c.columns[name] || c.matrixKey(name)
}
