package flow

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/assert"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// phases compiles the steps of every phase.
func (c *compiler) phases() {
	c.p.Setup = c.steps(c.roots[phaseSetup])
	c.p.Steps = c.steps(c.roots[phaseSteps])
	c.p.OnError = c.steps(c.roots[phaseOnError])
	c.p.Teardown = c.steps(c.roots[phaseTeardown])
	if r := c.p.Config.Retry; r != nil {
		at := &scope{c: c, own: true, openOwn: true, anyResult: true, after: true, what: "retry_on"}
		c.retryNames(r, at)
	}
}

// steps compiles a list of steps.
func (c *compiler) steps(l *list) []*Step {
	if l == nil {
		return nil
	}
	out := make([]*Step, 0, len(l.nodes))
	for i, n := range l.nodes {
		s := c.step(n)
		s.Needs = l.needs[i]
		out = append(out, s)
	}
	return out
}

// sub compiles the list of a step that is in a slot; nil where it has none.
func (c *compiler) sub(n *node, in slot, branch int) []*Step {
	for _, l := range n.lists {
		if l.slot == in && l.branch == branch {
			return c.steps(l)
		}
	}
	return nil
}

func (c *compiler) step(n *node) *Step {
	s := n.step
	out := &Step{
		ID: n.id, Dir: n.dir, Description: s.Description.Value, Disabled: s.Disabled.Or(false), Breakpoint: s.Breakpoint,
		Pos: s.Pos, Action: s.Action.Value, ActionPos: s.Action.Pos, OnFailure: Stop,
	}
	n.out = out
	at := &scope{c: c, node: n, tracked: c.tracked}
	if s.Name != nil {
		out.Name = c.template(s.Name, at.named("name"))
	}
	c.stepTags(out, n)
	if s.When != nil {
		out.When = c.condition(s.When, at.named("when"))
	}
	switch {
	case s.OnFailure.Given():
		out.OnFailure = FailurePolicy(s.OnFailure.Value)
	case !c.p.Config.FailFast:
		out.OnFailure = Continue
	}
	if s.Effect.Given() {
		out.Effect, _ = catalog.ParseEffect(s.Effect.Value) // the parser knows the words
	}
	own := &scope{c: c, node: n, own: true, tracked: c.tracked}
	if isControl(out.Action) {
		c.controlStep(out, n, at, own)
	} else {
		c.pluginStep(out, n, at, own)
	}
	c.tries(out, n, own)
	c.claims(out, n, own)
	for _, o := range s.Output {
		out.Output = append(out.Output, c.output(o, own))
	}
	if s.SaveTo != nil {
		out.SaveTo = c.template(s.SaveTo, own.named("save_to_file"))
	}
	out.ErrorSteps = c.sub(n, slotErrorSteps, 0)
	out.OnTimeout = c.sub(n, slotOnTimeout, 0)
	c.tracks(out, n, own)
	return out
}

func (c *compiler) stepTags(out *Step, n *node) {
	for _, t := range n.step.Tags {
		out.Tags = append(out.Tags, t.Value)
	}
	if !c.flow.Config.InheritTags.Or(true) {
		return
	}
	for _, t := range c.p.Tags {
		if !contains(out.Tags, t) {
			out.Tags = append(out.Tags, t)
		}
	}
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// pluginStep resolves the action and compiles its config.
func (c *compiler) pluginStep(out *Step, n *node, at, own *scope) {
	spec := c.action(out, n)
	out.Timeout = n.step.Timeout.Or(defaultTryTimeout)
	if spec == nil {
		own.openOwn = true // whatever it would have answered
		if n.step.Config != nil {
			out.Config = c.tree(n.step.Config, at.named("config"))
		}
		return
	}
	out.Spec, own.spec, out.Action = spec, spec, spec.Name
	config, notes := spec.NormalizeConfig(n.step.Config)
	c.add(notes...)
	config = c.folderAuth(n, spec, config)
	problems := spec.CheckConfig(config, n.step.Action.Pos)
	c.add(problems...)
	c.configFiles(spec, n, config)
	if config == nil {
		config = &source.Node{Kind: source.Map, Pos: n.step.Action.Pos}
	}
	found := len(c.problems)
	out.Config = c.tree(escapeLate(spec, config), at.named("config"))
	if len(problems.Errors()) == 0 && len(c.problems) == found && out.Config != nil {
		c.checkStatic(out, spec, config)
	}
	c.expectation(out, spec)
}

// action finds the plugin's action, or explains why there is none.
func (c *compiler) action(out *Step, n *node) *catalog.Action {
	if !n.step.Action.Given() {
		return nil // the parser has said so
	}
	name := n.step.Action.Value
	pos := n.step.Action.Pos
	spec, alias, ok := c.l.o.Catalog.Action(name)
	if ok {
		if alias {
			c.add(hinted(note(source.CodeDialect, pos, name, fmt.Sprintf("%q is an older name of %q", name, spec.Name)), "testmesh fmt rewrites it"))
		}
		c.installed(spec.Plugin, pos, name)
		return spec
	}
	near := c.l.o.Catalog.Suggest(name)
	if near == "" {
		near = value.Closest(name, controlActions())
	}
	plugin := c.l.o.Catalog.Absent(name)
	if plugin != "" && (near == "" || catalog.Known(plugin)) {
		c.plugins[plugin] = true
		p := problem(source.CodePlugin, pos, name, fmt.Sprintf("plugin %s is not installed", plugin))
		p.Hint = fmt.Sprintf("%s needs it; this testmesh has %s", name, listOr(c.l.o.Catalog.Plugins(), "no plugins"))
		if c.l.o.AllowMissingPlugins {
			p.Severity = source.Note
		} else if catalog.Known(plugin) {
			p.Hint += fmt.Sprintf("; take a testmesh that has the plugin %s, or validate with --allow-missing-plugins", plugin)
		} else {
			p.Hint += fmt.Sprintf("; check the name, testmesh plugin install %s, or validate with --allow-missing-plugins", plugin)
		}
		c.add(p)
		return nil
	}
	p := problem(source.CodeAction, pos, name, fmt.Sprintf("unknown action %q", name))
	if near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
		p.Fix = c.fix(pos, name, near)
	} else if before, _, dotted := strings.Cut(name, "."); dotted {
		p.Hint = fmt.Sprintf("plugin %s has %s", before, strings.Join(c.actionsOf(before), ", "))
	} else {
		p.Hint = "actions are " + strings.Join(append(c.l.o.Catalog.Names(), controlActions()...), ", ")
	}
	c.add(p)
	return nil
}

// installed notes that a plugin is used, and refuses what one does that is known and
// not installed.
func (c *compiler) installed(plugin string, pos source.Pos, text string) {
	c.plugins[plugin] = true
	if c.l.o.Uninstalled == nil {
		return
	}
	if message, hint := c.l.o.Uninstalled(plugin); message != "" {
		c.add(hinted(problem(source.CodePlugin, pos, text, message), hint))
	}
}

func (c *compiler) actionsOf(plugin string) []string {
	var out []string
	for _, n := range c.l.o.Catalog.Names() {
		if strings.HasPrefix(n, plugin+".") {
			out = append(out, n)
		}
	}
	return out
}

func listOr(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

// configFiles puts the files that a config names into the bundle; a path that is
// computed is the author's to list under `files`.
func (c *compiler) configFiles(spec *catalog.Action, n *node, config *source.Node) {
	for _, path := range spec.FilePaths(config) {
		if _, static := literalValue(path); static {
			c.needFile(path, n.dir)
		} else if len(c.flow.Files) == 0 {
			c.add(hinted(note(source.CodeFile, path.Pos, path.Text, "the path is computed while the flow runs, and the flow lists no `files`"),
				"list what it may be under `files:`, so that push and run --remote send it along"))
		}
	}
}

// checkStatic judges a config without placeholders by its whole schema.
func (c *compiler) checkStatic(out *Step, spec *catalog.Action, config *source.Node) {
	if spec.CheckedWhole() {
		return
	}
	v, ok := out.Config.Static()
	if !ok {
		return
	}
	if err := spec.CheckValue(v); err != nil {
		c.add(problem(source.CodeType, config.Pos, "", err.Error()))
	}
}

// escapeLate leaves `{{ }}` of the values that a plugin expands itself.
func escapeLate(spec *catalog.Action, config *source.Node) *source.Node {
	late := spec.LateNodes(config)
	if len(late) == 0 {
		return config
	}
	is := make(map[*source.Node]bool, len(late))
	for _, n := range late {
		is[n] = true
	}
	var copyOf func(n *source.Node, inside bool) *source.Node
	copyOf = func(n *source.Node, inside bool) *source.Node {
		inside = inside || is[n]
		out := *n
		if inside && n.Kind == source.String && n.Tag != "!raw" && strings.Contains(n.Text, "{{") {
			out.Text = strings.ReplaceAll(n.Text, "{{", `\{{`)
			out.Value = out.Text
		}
		out.Items, out.Entries = nil, nil
		for _, item := range n.Items {
			out.Items = append(out.Items, copyOf(item, inside))
		}
		for _, e := range n.Entries {
			out.Entries = append(out.Entries, source.Entry{Key: e.Key, Value: copyOf(e.Value, inside)})
		}
		return &out
	}
	return copyOf(config, false)
}

func (c *compiler) expectation(out *Step, spec *catalog.Action) {
	text := spec.ExpectationText()
	if text == "" {
		return
	}
	e, err := c.l.expectation(text)
	if err != nil {
		c.add(problem(source.CodePlugin, out.ActionPos, out.Action, fmt.Sprintf("the expectation of %s cannot be read: %v", out.Action, err)))
		return
	}
	out.Expectation = e
}

func (l *Loader) expectation(text string) (*assert.Assertion, error) {
	if e, ok := l.expectations[text]; ok {
		return e, nil
	}
	e, err := assert.Expectation(text, assert.Options{Expr: l.exprOptions()})
	if err != nil {
		return nil, err
	}
	l.expectations[text] = e
	return e, nil
}

// claims compiles what the step claims about its answer.
func (c *compiler) claims(out *Step, n *node, own *scope) {
	s := n.step
	out.Assert = c.assertions(s.Assert, own.named("assert"))
	out.AssertAny = c.assertions(s.AssertAny, own.named("assert_any"))
	out.AssertNone = c.assertions(s.AssertNone, own.named("assert_none"))
	if s.Match == nil {
		return
	}
	pattern, problems := match.Compile(s.Match, c.exprOptions())
	c.add(problems...)
	out.Match, out.MatchPos = pattern, s.Match.Pos
	if pattern != nil {
		c.resolve(pattern.Refs(), own.named("match"))
	}
}

func (c *compiler) assertions(nodes []*source.Node, own *scope) []*assert.Assertion {
	var out []*assert.Assertion
	for _, n := range nodes {
		a, problems := assert.Compile(n, assert.Options{
			Expr: c.exprOptions(), FS: c.l.o.FS, Dir: own.node.dir,
			Opened: func(name string) { c.addFile(name, n.Pos, n.Text) }, MissingPlugins: c.l.o.AllowMissingPlugins,
		})
		c.add(problems...)
		if a != nil {
			out = append(out, a)
			c.resolve(a.Refs(), own)
		}
	}
	return out
}

func (c *compiler) tracks(out *Step, n *node, own *scope) {
	for i, t := range n.step.Track {
		track := &Track{Pos: t.Pos}
		if t.ResourceType != nil {
			track.ResourceType = c.template(t.ResourceType, own.named("resource_type"))
		}
		if t.ResourceID != nil {
			track.ResourceID = c.tree(t.ResourceID, own.named("resource_id"))
		}
		c.tracked = own
		if steps := c.sub(n, slotCleanup, i); len(steps) > 0 {
			track.Cleanup = steps[0]
		}
		c.tracked = nil
		out.Track = append(out.Track, track)
	}
}
