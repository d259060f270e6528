package flow

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Bounds of what one message lists.
const (
	maxInScope = 40
	// maxBlamed is how many names of a flow are explained with what is in
	// scope; thousands of wrong names would each carry the whole list.
	maxBlamed = 50
)

// unknown explains a name that nothing defines.
func (c *compiler) unknown(r *expr.Ref, at *scope) {
	if c.mayBeAbsent(r, at) {
		return
	}
	p := problem(source.CodeName, r.Pos, r.Name, fmt.Sprintf("unknown variable %q", r.Name))
	if p.Hint = c.elsewhere(r, at); p.Hint == "" {
		p.Hint = misplaced(r, at)
	}
	if c.blamed++; c.blamed <= maxBlamed {
		names := c.inScope(at)
		near := value.Closest(r.Name, append(names, builtinNames()...))
		if p.Hint == "" && near != "" {
			p.Hint = fmt.Sprintf("did you mean %q?%s", near, c.whence(near, at))
			p.Fix = c.fix(r.Pos, r.Name, near)
		}
		p.InScope = names[:min(len(names), maxInScope)]
	}
	if p.Hint == "" {
		p.Hint = fmt.Sprintf("nothing defines it: declare it under `input:` or `env:`, save it with `output:` in an earlier step, or give a default: ${%s:…}", r.Name)
	}
	c.add(p)
}

// mayBeAbsent accepts names that are written with a default, as `${PORT:8080}`:
// a source of env may have them or not. A name that is nearly one that exists is
// a slip all the same. In a flow with rows an output may also be that of the row
// before (--keep-variables), which the first row does not have.
func (c *compiler) mayBeAbsent(r *expr.Ref, at *scope) bool {
	if c.vague && len(c.outputs[r.Name]) == 0 && c.byID[r.Name] == nil {
		return true // what could not be read may have it; that is said already
	}
	if r.Guarded && len(r.Path) == 0 && len(c.outputs[r.Name]) > 0 && c.p.Data != nil && c.p.Data.As == "" {
		return true
	}
	if !r.Guarded || len(r.Path) > 0 || len(c.outputs[r.Name]) > 0 || c.byID[r.Name] != nil {
		return false
	}
	if may, known := c.absent[r.Name]; known {
		return may
	}
	may := c.neverWritten(r, at)
	c.absent[r.Name] = may
	return may
}

func (c *compiler) neverWritten(r *expr.Ref, at *scope) bool {
	if r.Name == "failed_step" || r.Name == "error" || r.Name == "row" {
		return true
	}
	return r.Name == strings.ToUpper(r.Name) || len(c.absent) > maxBlamed || value.Closest(r.Name, c.inScope(at)) == ""
}

// elsewhere explains a name that a step writes which the reader cannot see.
func (c *compiler) elsewhere(r *expr.Ref, at *scope) string {
	name := r.Name
	var best *definition
	rank := relation(-1)
	for _, d := range c.outputs[name] {
		rel := at.visible(d.node)
		if best == nil || rel < rank {
			best, rank = d, rel
		}
	}
	if best != nil {
		return c.why(fmt.Sprintf("%s is saved by %s", name, best.node.title(c.file.Path)), best.node, rank, at, name)
	}
	if n := c.byID[name]; n != nil {
		return c.why(n.title(c.file.Path), n, at.visible(n), at, "")
	}
	return ""
}

func (c *compiler) why(subject string, d *node, rel relation, at *scope, output string) string {
	which := ", which "
	if output == "" {
		which = " "
	}
	switch rel {
	case looped:
		loop := d
		for _, n := range d.trail {
			if n.parallelLoop() {
				loop = n
				break
			}
		}
		path := loop.id + ".items[0]." + d.id
		if output != "" {
			path += "." + output
		}
		return subject + which + "runs in every round of the parallel loop " + loop.id + ": read one round, as " + path
	case concurrent:
		if k := sharedDepth(d, at.node); d.trail[k].list != at.node.trail[k].list {
			return subject + which + "may run at the same time, in another branch; it can be read after the branches have ended"
		}
		return subject + which + "may run at the same time; let this step wait for it: needs: [" + d.trail[sharedDepth(d, at.node)].id + "]"
	case exclusive:
		return subject + which + "is in another branch"
	case inside:
		return subject + which + "is still running here"
	case same:
		if output == "" {
			return subject + " is this step: its own result is read by its keys, in assert, match and output"
		}
		return subject + ", the step itself: its outputs are there for later steps; read the result's own keys here"
	case child:
		return subject + which + "runs inside this step, after this is read"
	}
	switch {
	case at.env && output == "":
		return subject + " has not run: values of env are made before any step runs"
	case at.env:
		return subject + ", and values of env are made before any step runs"
	case at.node == nil && at.after:
		return subject + which + "runs after the flow's output is made"
	case at.node == nil && output == "":
		return subject + " has not run: this is read before any step runs"
	case at.node == nil:
		return subject + ", and this is read before any step runs"
	}
	return subject + which + "runs after this step"
}

// sharedDepth is how many steps hold both.
func sharedDepth(d, c *node) int {
	k := 0
	for c != nil && k < len(d.trail)-1 && k < len(c.trail) && d.trail[k] == c.trail[k] {
		k++
	}
	return k
}

// misplaced explains names that exist in other places only.
func misplaced(r *expr.Ref, at *scope) string {
	switch r.Name {
	case "failed_step", "error":
		return r.Name + " is there in on_error, error_steps and on_timeout only"
	case "row":
		return "this flow has no rows: give it `data:`, or run it with --data"
	case "matrix":
		return "this flow has no `matrix:`"
	case "status", "body", "headers", "response", "result", "duration_ms":
		if !at.own && !at.env {
			return fmt.Sprintf("%q is the step's own result, which only assert, match, output, retry_on and track see; name the step: <id>.%s", r.Name, r.Name)
		}
	case "item", "index":
		return r.Name + " is there inside the steps of a for_each only"
	case "timeout", "connection_error":
		return r.Name + " is a name of retry_on and retry_on_not only"
	}
	return ""
}

// inScope lists the names that the author could have written, in alphabetical
// order, without the built-ins.
func (c *compiler) inScope(at *scope) []string {
	set := map[string]bool{}
	for _, s := range [...]*scope{at, at.tracked} {
		if s == nil || !s.own || s.anyResult {
			continue
		}
		names := controlNamesOf(s)
		for _, n := range names {
			set[n] = true
		}
	}
	for _, n := range at.extra {
		set[n] = true
	}
	if at.node != nil {
		for l := at.node.list; l != nil && l.owner != nil; l = l.owner.list {
			if l.slot == slotSteps && l.owner.step.Action.Value == "for_each" {
				for _, n := range loopNames(l.owner) {
					set[n] = true
				}
			}
		}
	}
	for name, defs := range c.outputs {
		for _, d := range defs {
			if at.visible(d.node) == before {
				set[name] = true
				break
			}
		}
	}
	for id, n := range c.byID {
		if !n.step.Generated && c.seen(n, at) {
			set[id] = true
		}
	}
	for _, group := range [...][]string{inputNames(c.flow.Input), c.matrixKeys(), slices.Collect(maps.Keys(c.env)), slices.Collect(maps.Keys(c.columns))} {
		for _, n := range group {
			set[n] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func controlNamesOf(s *scope) []string {
	if s.spec != nil {
		return s.spec.ResultNames()
	}
	if s.node != nil {
		return controlNames(s.node.step)
	}
	return nil
}

// whence says where a name comes from: " Step create saves it on line 14".
func (c *compiler) whence(name string, at *scope) string {
	for i := len(c.outputs[name]) - 1; i >= 0; i-- {
		if d := c.outputs[name][i]; at.visible(d.node) == before {
			return fmt.Sprintf(" Step %s saves it on %s", d.node.id, c.line(d.pos))
		}
	}
	if n := c.byID[name]; n != nil && c.seen(n, at) {
		return fmt.Sprintf(" It is the step on %s", c.line(n.step.Pos))
	}
	if in := c.p.declared(name); in != nil {
		return fmt.Sprintf(" It is an input, declared on %s", c.line(in.Pos))
	}
	if v := c.env[name]; v != nil && len(v.Layers) > 0 {
		return " It comes from " + v.Layers[0].Origin
	}
	return ""
}

// unknownKey explains a key below a name that has only certain keys.
func (c *compiler) unknownKey(r *expr.Ref, name string, keys []string) {
	c.keyProblem(r, fmt.Sprintf("unknown variable \"%s.%s\"", name, r.Path[0]), name, keys)
}

func (c *compiler) keyProblem(r *expr.Ref, message, name string, keys []string) {
	if c.blamed++; c.blamed > maxBlamed {
		c.add(problem(source.CodeName, r.Pos, r.Name+"."+r.Path[0], message))
		return
	}
	slices.Sort(keys)
	p := problem(source.CodeName, r.Pos, r.Name+"."+r.Path[0], message)
	if near := value.Closest(r.Path[0], keys); near != "" {
		p.Hint = fmt.Sprintf("did you mean \"%s.%s\"?", name, near)
		p.Fix = c.fix(r.Pos, r.Name+"."+r.Path[0], r.Name+"."+near)
	} else if len(keys) > 0 {
		p.Hint = name + " has " + strings.Join(keys[:min(len(keys), maxInScope)], ", ")
	}
	p.InScope = keys[:min(len(keys), maxInScope)]
	c.add(p)
}

// member explains a key that a step cannot have.
func (c *compiler) member(r *expr.Ref, names []string, what string) {
	p := problem(source.CodeName, r.Pos, r.Name+"."+r.Path[0], fmt.Sprintf("%s has no %q", what, r.Path[0]))
	slices.Sort(names)
	names = slices.Compact(names)
	if near := value.Closest(r.Path[0], names); near != "" {
		p.Hint = fmt.Sprintf("did you mean \"%s.%s\"?", r.Name, near)
		p.Fix = c.fix(r.Pos, r.Name+"."+r.Path[0], r.Name+"."+near)
	} else {
		p.Hint = "it has " + strings.Join(names[:min(len(names), maxInScope)], ", ")
	}
	p.InScope = names[:min(len(names), maxInScope)]
	c.add(p)
}

// unknownStep explains `steps.x` where x is no step that the reader sees.
func (c *compiler) unknownStep(r, below *expr.Ref, at *scope) {
	p := problem(source.CodeName, r.Pos, "steps."+below.Name, fmt.Sprintf("unknown step %q", below.Name))
	if n := c.byID[below.Name]; n != nil {
		p.Message = fmt.Sprintf("step %q cannot be read here", below.Name)
		p.Hint = c.why(n.title(c.file.Path), n, at.visible(n), at, "")
		c.add(p)
		return
	}
	var ids []string
	for id, n := range c.byID {
		if c.seen(n, at) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if near := value.Closest(below.Name, ids); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?%s", near, c.whence(near, at))
		p.Fix = c.fix(r.Pos, "steps."+below.Name, "steps."+near)
	}
	p.InScope = ids[:min(len(ids), maxInScope)]
	c.add(p)
}

func (c *compiler) unknownColumn(r *expr.Ref) {
	if c.noColumns {
		return
	}
	name := c.p.Data.Path
	if name == "" {
		name = "data"
	}
	keys := append(slices.Collect(maps.Keys(c.columns)), "index")
	c.keyProblem(r, fmt.Sprintf("the rows of %s have no column %q", name, r.Path[0]), "row", keys)
}

func (c *compiler) unknownService(r *expr.Ref, names []string) {
	if c.l.o.Environment == nil {
		c.add(hinted(problem(source.CodeName, r.Pos, "service."+r.Path[0], fmt.Sprintf("unknown service %q: no environment was chosen", r.Path[0])),
			"choose one with --env NAME; its file environments/NAME.yaml lists services"))
		return
	}
	c.keyProblem(r, fmt.Sprintf("environment %s has no service %q", c.l.o.Environment.Name, r.Path[0]), "service", names)
}

func (c *compiler) unknownSecret(r *expr.Ref, name string) {
	c.add(hinted(problem(source.CodeSecret, r.Pos, "secret."+name, fmt.Sprintf("unknown secret %q", name)),
		fmt.Sprintf("set TESTMESH_SECRET_%s, name it in a file given with --secret-file, or under `secrets:` of the environment", name)))
}

// fix is the source line at a place with one text replaced by another; empty
// where the line does not read so.
func (c *compiler) fix(pos source.Pos, old, replacement string) string {
	if pos.File != c.file.Path {
		return ""
	}
	return source.Corrected(c.file.Data, pos, old, replacement)
}

// correction is the line of a problem whose hint says what to write instead.
func (c *compiler) correction(p source.Problem) string {
	if p.Text == "" {
		return ""
	}
	if near, ok := hintWord(p.Hint, `did you mean "`, `"?`); ok {
		return c.fix(p.Pos, p.Text, near)
	}
	if near, ok := hintWord(p.Hint, "write a unit: ", ", or"); ok {
		return c.fix(p.Pos, p.Text, near)
	}
	if strings.HasPrefix(p.Hint, "write it in quotes: ") {
		return c.fix(p.Pos, p.Text, strconv.Quote(p.Text))
	}
	if p.Hint == "write "+p.Text+" without quotes" {
		if fixed := c.fix(p.Pos, strconv.Quote(p.Text), p.Text); fixed != "" {
			return fixed
		}
		return c.fix(p.Pos, "'"+p.Text+"'", p.Text)
	}
	if strings.HasPrefix(p.Text, "=") && strings.HasSuffix(p.Hint, "compared with ==") {
		return c.fix(p.Pos, p.Text, "==")
	}
	return ""
}

// hintWord is what a hint names between two texts.
func hintWord(hint, before, after string) (string, bool) {
	rest, ok := strings.CutPrefix(hint, before)
	if !ok {
		return "", false
	}
	word, _, ok := strings.Cut(rest, after)
	return word, ok
}
