package flow

import (
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/syntax"
)

// scope is the place from which names are read.
type scope struct {
	c    *compiler
	node *node // nil: beside the steps
	what string
	// own tells that the step's own result can be read: assert, match, output,
	// retry_on, track. openOwn accepts every name there, because the result's
	// keys are not known (the data of an assert, the input of a transform).
	own     bool
	openOwn bool
	spec    *catalog.Action // of the own result; nil: a control action
	// anyResult is the own result of whatever step (the flow's config.retry).
	anyResult bool
	// tracked is the step whose result a clean-up reads.
	tracked *scope
	after   bool // beside the steps: after them (output), not before (env, locks)
	env     bool // a value of env
	envName string
	extra   []string // names of the place itself: item and _ of an operation
}

func (s *scope) named(what string) *scope {
	t := *s
	t.what = what
	return &t
}

// resolve checks every name that was read at a place.
func (c *compiler) resolve(refs []expr.Ref, at *scope) {
	for i := range refs {
		if len(c.problems) >= maxProblems {
			return // more would be left out
		}
		c.resolveRef(&refs[i], at)
	}
}

func (c *compiler) resolveRef(r *expr.Ref, at *scope) {
	if r.Called {
		// The compiler of expressions knows its functions; whose outcome is asked
		// for is a name.
		if r.Name == "outcome" && len(r.Path) == 1 {
			c.outcome(r, at)
		}
		if plugin, _, dotted := strings.Cut(r.Name, "."); dotted {
			c.installed(plugin, r.Pos, r.Name)
		}
		return
	}
	if slices.Contains(at.extra, r.Name) || r.Name == "_" {
		return
	}
	if at.own && c.ownName(r, at) {
		return
	}
	if t := at.tracked; t != nil && c.ownName(r, t) {
		return
	}
	if at.node != nil && loopName(r.Name, at.node) {
		return
	}
	if c.outputName(r, at) || c.stepName(r, at) || c.rowName(r, at) || c.inputName(r, at) || c.envName(r, at) {
		return
	}
	if c.builtinName(r, at) {
		return
	}
	if at.own && at.openOwn || at.tracked != nil && at.tracked.openOwn {
		return
	}
	c.unknown(r, at)
}

// ownName is a name of the step's own result.
func (c *compiler) ownName(r *expr.Ref, at *scope) bool {
	if at.anyResult {
		return r.Name == "result" || r.Name == "response" || r.Name == "duration_ms"
	}
	if at.spec == nil {
		return slices.Contains(controlNames(at.node.step), r.Name)
	}
	if r.Name != "result" && r.Name != "response" {
		return slices.Contains(at.spec.ResultNames(), r.Name) || !at.spec.ResultClosed() && at.spec.Spec.GetResultSchema() == ""
	}
	// `result.x` is a key of the result where the whole is meant.
	if at.spec.ResultClosed() && len(r.Path) > 0 && !r.Guarded && !slices.Contains(at.spec.ResultKeys(), r.Name) {
		if names := wholeNames(at.spec, r.Name); !slices.Contains(names, r.Path[0]) {
			c.member(r, names, "the result of "+at.spec.Name)
		}
	}
	return true
}

// wholeNames are the keys below `result` or `response` where it is the whole.
func wholeNames(spec *catalog.Action, whole string) []string {
	names := slices.Clone(spec.ResultKeys())
	for _, alias := range spec.ResultAliases() {
		if first, rest, deep := strings.Cut(alias.GetFrom(), "."); deep && first == whole {
			key, _, _ := strings.Cut(rest, ".")
			names = append(names, key)
		}
	}
	return names
}

// loopName is the item or index of a loop around the step.
func loopName(name string, n *node) bool {
	for l := n.list; l != nil && l.owner != nil; l = l.owner.list {
		if l.slot == slotSteps && l.owner.step.Action.Value == "for_each" && slices.Contains(loopNames(l.owner), name) {
			return true
		}
	}
	return false
}

func loopNames(loop *node) []string {
	config := loop.step.Config
	item, index := "item", "index"
	if n := config.Get("item_name"); n != nil && n.Text != "" {
		item = n.Text
	}
	if n := config.Get("index_name"); n != nil && n.Text != "" {
		index = n.Text
	}
	return []string{item, index}
}

// visible tells whether what step d writes can be read at the place.
func (s *scope) visible(d *node) relation {
	if s.node == nil {
		if !s.after {
			return later
		}
		return relate(d, nil)
	}
	r := relate(d, s.node)
	if r == child && s.own {
		return before
	}
	return r
}

// outputName is an output by name. What is written by a step that the reader
// cannot see is looked for further down, and explained by unknown.
func (c *compiler) outputName(r *expr.Ref, at *scope) bool {
	for _, d := range c.outputs[r.Name] {
		if at.visible(d.node) == before || at.tracked != nil && d.node == at.tracked.node {
			return true
		}
	}
	return false
}

// stepName is `steps.<id>` or a bare id.
func (c *compiler) stepName(r *expr.Ref, at *scope) bool {
	if r.Name == "steps" { // the older names of results are there below the bare id only
		if len(r.Path) == 0 {
			return at.node != nil || at.after
		}
		below := *r
		below.Name, below.Path = r.Path[0], r.Path[1:]
		n := c.byID[below.Name]
		if n == nil || !c.seen(n, at) {
			c.unknownStep(r, &below, at)
			return true
		}
		c.stepMember(&below, n, (*catalog.Action).ResultKeys)
		return true
	}
	n := c.byID[r.Name]
	if n == nil || !c.seen(n, at) {
		return false
	}
	c.stepMember(r, n, (*catalog.Action).ResultNames)
	return true
}

// outcome is the status of an earlier step. A handler may ask for the step that
// it handles.
func (c *compiler) outcome(r *expr.Ref, at *scope) {
	n := c.byID[r.Path[0]]
	if n == nil || !c.seen(n, at) && !(at.own && at.node == n) {
		below := *r
		below.Name = r.Path[0]
		c.unknownStep(r, &below, at)
	}
}

func (c *compiler) seen(n *node, at *scope) bool {
	return at.visible(n) == before || at.tracked != nil && n == at.tracked.node
}

// stepMember checks the first key after a step: an output of it, or a key of
// its result where the result has no others.
func (c *compiler) stepMember(r *expr.Ref, n *node, keys func(*catalog.Action) []string) {
	if len(r.Path) == 0 || r.Guarded {
		return
	}
	var names []string
	for _, w := range writes(n.step) {
		names = append(names, w.Value)
	}
	if slices.Contains(names, r.Path[0]) {
		return
	}
	action, _, ok := c.l.o.Catalog.Action(n.step.Action.Value)
	switch {
	case ok && action.ResultClosed():
		names = append(names, keys(action)...)
	case n.step.Action.Value == "set":
		names = append(names, "result")
	default:
		return
	}
	if !slices.Contains(names, r.Path[0]) {
		c.member(r, names, n.title(c.file.Path))
	}
}

// rowName is row, matrix, and their keys; the rows as a whole by the name that
// data_source gives them.
func (c *compiler) rowName(r *expr.Ref, at *scope) bool {
	d := c.p.Data
	switch {
	case d != nil && d.As != "" && r.Name == d.As:
		return true
	case r.Name == "row" && c.hasRows():
		if len(r.Path) > 0 && r.Path[0] != "index" && !c.columns[r.Path[0]] && !r.Guarded {
			c.unknownColumn(r)
		}
		return true
	case r.Name == "matrix" && len(c.p.Matrix) > 0:
		if len(r.Path) > 0 && !c.matrixKey(r.Path[0]) {
			c.unknownKey(r, "matrix", c.matrixKeys())
		}
		return true
	}
	return c.hasRows() && c.columns[r.Name] || c.matrixKey(r.Name)
}

func (c *compiler) hasRows() bool { return c.p.Data != nil && c.p.Data.As == "" }

func (c *compiler) matrixKey(name string) bool { return slices.Contains(c.matrixKeys(), name) }

func (c *compiler) matrixKeys() []string {
	keys := make([]string, 0, len(c.p.Matrix))
	for _, axis := range c.p.Matrix {
		keys = append(keys, axis.Key)
	}
	return keys
}

func (c *compiler) collectColumns() {
	if !c.hasRows() {
		return
	}
	all, some := c.p.Data.columns()
	for name := range all {
		c.columns[name] = true
	}
	for name := range some {
		c.columns[name] = true
	}
	if len(c.p.Data.Rows) == 0 {
		// No rows are no runs: nothing can be said about their columns.
		c.noColumns = true
	}
}

// inputName is input and its keys.
func (c *compiler) inputName(r *expr.Ref, _ *scope) bool {
	if r.Name == "input" {
		c.inputSeen = true
		if len(r.Path) > 0 && !c.p.AnyInput && c.p.declared(r.Path[0]) == nil {
			c.unknownKey(r, "input", inputNames(c.flow.Input))
		}
		return true
	}
	return c.p.declared(r.Name) != nil
}

// builtinName is what TestMesh provides.
func (c *compiler) builtinName(r *expr.Ref, at *scope) bool {
	switch r.Name {
	case "secret":
		if len(r.Path) > 0 {
			c.secret(r)
		}
		return true
	case "flow":
		return c.fixed(r, "name", "status", "file")
	case "run":
		return c.fixed(r, "id", "attempt", "environment")
	case "failed_step":
		return at.handler() && c.fixed(r, "id", "name", "status")
	case "error":
		return at.handler() && c.fixed(r, "code", "message", "hint", "details", "blame")
	case "service":
		return c.service(r)
	}
	return slices.Contains(builtinNames(), r.Name)
}

// fixed checks the first key of a name that has only these.
func (c *compiler) fixed(r *expr.Ref, keys ...string) bool {
	if len(r.Path) > 0 && !slices.Contains(keys, r.Path[0]) {
		c.unknownKey(r, r.Name, keys)
	}
	return true
}

// handler tells whether the place is in on_error, error_steps or on_timeout.
func (s *scope) handler() bool {
	if s.node == nil {
		return false
	}
	for _, n := range s.node.trail {
		if n.list.slot == slotErrorSteps || n.list.slot == slotOnTimeout || n.list.phase == phaseOnError {
			return true
		}
	}
	return false
}

func (c *compiler) service(r *expr.Ref) bool {
	e := c.l.o.Environment
	if len(r.Path) == 0 {
		c.services["*"] = true
		return true
	}
	c.services[r.Path[0]] = true
	var names []string
	if e != nil {
		for _, s := range e.Services {
			names = append(names, s.Name)
		}
	}
	if !slices.Contains(names, r.Path[0]) && !r.Guarded {
		c.unknownService(r, names)
	}
	return true
}

func (c *compiler) secret(r *expr.Ref) {
	name := r.Path[0]
	if c.secrets[name] {
		return
	}
	c.secrets[name] = true
	if c.l.o.KnownSecret == nil || r.Guarded || c.l.o.KnownSecret(name) {
		return
	}
	if e := c.l.o.Environment; e != nil {
		for _, s := range e.Secrets {
			if s.Name == name {
				return
			}
		}
	}
	c.unknownSecret(r, name)
}

// controlNames are the names of the own result of a control action.
func controlNames(s *syntax.Step) []string {
	names := []string{"result", "response", "duration_ms"}
	switch s.Action.Value {
	case "set", "transform":
		for _, w := range writes(s) {
			names = append(names, w.Value)
		}
	case "for_each":
		names = append(names, "items", "count")
	case "run_flow":
		names = append(names, "flow", "status", "output")
	}
	return names
}

// builtinNames are the names that the language provides everywhere.
func builtinNames() []string {
	return append(expr.BuiltinNames(), "RUN_ID", "EXECUTION_ID", "FLOW_ID", "FLOW_NAME", "FLOW_STATUS")
}
