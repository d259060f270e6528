package syntax

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/source"
)

// parseFlow reads the map of one flow.
func (p *parser) parseFlow(n *source.Node) *Flow {
	f := p.fields(n, language()["flow"])
	f.related = []*section{language()["config"], language()["step"]}
	f.place = map[string]string{"config": "under config", "step": "to a step"}
	p.ids, p.unnamed, p.steps = map[string]source.Pos{}, nil, 0
	out := &Flow{Pos: n.Pos, Node: n}
	p.flow = out
	f.require("name")
	f.require("steps")

	out.Name = f.text("name")
	if out.Name.Given() {
		if count := utf8.RuneCountInString(out.Name.Value); count < 1 || count > maxName {
			p.fail(source.CodeType, out.Name.Pos, out.Name.Value, fmt.Sprintf("the name has %d characters, it may have 1 to %d", count, maxName), "")
		}
	}
	out.Description, out.Version, out.Author = f.text("description"), f.text("version"), f.text("author")
	out.Suite = f.name("suite")
	out.Tags = f.names("tags")
	if _, given := f.entryNode("input"); given {
		out.InputGiven = true
		out.Input = p.inputs(f.take("input"))
	}
	out.EnvFile = f.text("env_file")
	out.Env = p.env(f.take("env"))
	out.Files, out.After = f.names("files"), f.names("after")
	p.data(f, out)
	out.Matrix = p.matrix(f.take("matrix"))
	if t := f.take("target"); t != nil {
		out.Target = p.target(t)
	}
	out.Locks = f.list("locks")
	if c := f.take("config"); c != nil {
		p.config(c, &out.Config)
	}
	out.Setup = p.stepList(f, "setup", 1)
	stepsKey, _ := f.entryNode("steps")
	out.Steps = p.stepList(f, "steps", 1)
	if stepsKey != nil && len(out.Steps) == 0 && n.Get("steps").Kind == source.List && len(n.Get("steps").Items) == 0 {
		p.fail(source.CodeKey, stepsKey.Pos, "steps", "the flow has no steps", "write at least one")
	}
	out.OnError = p.stepList(f, "on_error", 1)
	out.Teardown = p.stepList(f, "teardown", 1)
	out.Output = p.outputs(f.take("output"), "output")
	f.rest()
	p.generateIDs()
	return out
}

// entryNode tells whether the map has the key, with or without a value.
func (f *fields) entryNode(name string) (key *source.Node, given bool) {
	for _, e := range f.entries {
		if e.Key.Text == name {
			return e.Key, true
		}
	}
	return nil, false
}

// list is a list of scalars that may hold placeholders.
func (f *fields) list(name string) []*source.Node {
	n := f.take(name)
	if n == nil {
		return nil
	}
	if n.Kind != source.List {
		f.p.wrongKind(n, name, "a list")
		return nil
	}
	for _, item := range n.Items {
		if item.Kind != source.String && item.Kind != source.Number && item.Kind != source.Boolean {
			f.p.wrongKind(item, "an item of "+name, "a text")
		}
	}
	return n.Items
}

func (p *parser) inputs(n *source.Node) []*Input {
	if n == nil {
		return nil
	}
	if n.Kind != source.Map {
		p.wrongKind(n, "input", "a map of names: {role: {type: string}}")
		return nil
	}
	var out []*Input
	for _, e := range n.Entries {
		in := &Input{Name: Field[string]{Value: e.Key.Text, Pos: e.Key.Pos}}
		p.checkName(in.Name, "name of an input", &Key{Pattern: namePattern})
		out = append(out, in)
		if e.Value.Kind == source.Null {
			continue
		}
		f := p.fields(e.Value, language()["input"])
		if f == nil {
			continue
		}
		in.Type = f.name("type")
		in.Description = f.text("description")
		if key, given := f.entryNode("default"); given {
			in.Default = f.node.Get("default")
			_ = key
			f.take("default")
		}
		in.Required = f.boolean("required")
		if enum := f.take("enum"); enum != nil {
			if enum.Kind == source.List && len(enum.Items) > 0 {
				in.Enum = enum.Items
			} else {
				p.wrongKind(enum, "enum", "a list of the values that are allowed")
			}
		}
		in.Secret = f.boolean("secret").Value
		f.rest()
	}
	return out
}

func (p *parser) env(n *source.Node) []*EnvVar {
	if n == nil {
		return nil
	}
	if n.Kind != source.Map {
		p.wrongKind(n, "env", "a map of names to values")
		return nil
	}
	var out []*EnvVar
	for _, e := range n.Entries {
		v := &EnvVar{Name: Field[string]{Value: e.Key.Text, Pos: e.Key.Pos}, Value: e.Value}
		if secret := e.Value.Get("secret"); secret != nil && e.Value.Get("value") != nil && len(e.Value.Entries) == 2 {
			f := p.fields(e.Value, language()["output value"])
			v.Secret = f.boolean("secret").Value
			v.Value = e.Value.Get("value")
		}
		out = append(out, v)
	}
	return out
}

// data reads `data`, or the dialect's `data_source`.
func (p *parser) data(f *fields, out *Flow) {
	key, old := f.entry("data_source")
	out.Data = f.take("data")
	if d := out.Data; d != nil {
		rows := d.Kind == source.List && !slices.ContainsFunc(d.Items, func(n *source.Node) bool { return n.Kind != source.Map })
		if d.Kind != source.String && !rows {
			p.wrongKind(d, "data", "a path, or a list of maps")
			out.Data = nil
		}
	}
	if old == nil {
		return
	}
	p.note(key, `"data_source" loads the file as the name data, and the flow runs once`, "write `data` to run the flow once for each row")
	src := p.fields(old, &section{name: "data_source", what: "data_source", keys: []Key{{Name: "type", Type: Text}, {Name: "file", Type: Text}}})
	if src == nil {
		return
	}
	src.take("type") // the file's name tells
	src.require("file")
	file := src.take("file")
	src.rest()
	if out.Data != nil {
		p.fail(source.CodeKey, key.Pos, key.Text, `"data" and "data_source" are one key in two spellings`, `keep "data"`)
		return
	}
	if file != nil && file.Kind != source.String {
		p.wrongKind(file, "file", "a path")
		return
	}
	out.Data, out.DataAs = file, "data"
}

func (p *parser) matrix(n *source.Node) []Axis {
	if n == nil {
		return nil
	}
	if n.Kind != source.Map {
		p.wrongKind(n, "matrix", "a map of names to lists")
		return nil
	}
	var out []Axis
	for _, e := range n.Entries {
		key := Field[string]{Value: e.Key.Text, Pos: e.Key.Pos}
		p.checkName(key, "name of a matrix", &Key{Pattern: namePattern})
		if e.Value.Kind != source.List || len(e.Value.Items) == 0 {
			p.wrongKind(e.Value, "matrix."+e.Key.Text, "a list of at least one value")
			continue
		}
		out = append(out, Axis{Key: key, Values: e.Value.Items})
	}
	return out
}

func (p *parser) target(n *source.Node) *Target {
	f := p.fields(n, language()["target"])
	if f == nil {
		return nil
	}
	out := &Target{Pos: n.Pos}
	p.agentTags(f, out)
	if env := f.template("env"); env != nil {
		out.Env = env
	}
	out.Match = append(out.Match, p.labels(f.take("match"), "match")...)
	out.Not = p.labels(f.take("not"), "not")
	f.rest()
	return out
}

func (p *parser) labels(n *source.Node, name string) []source.Entry {
	if n == nil {
		return nil
	}
	if n.Kind != source.Map {
		p.wrongKind(n, name, "a map of labels")
		return nil
	}
	for _, e := range n.Entries {
		items := []*source.Node{e.Value}
		if e.Value.Kind == source.List {
			items = e.Value.Items
		}
		for _, item := range items {
			if item.Kind == source.Map || item.Kind == source.List || item.Kind == source.Null {
				p.wrongKind(item, "the label "+e.Key.Text, "a value or a list of values")
			}
		}
	}
	return n.Entries
}

// agentTags reads the dialect's target.agent_tags: environment is env, the
// others are labels to match.
func (p *parser) agentTags(f *fields, out *Target) {
	key, old := f.entry("agent_tags")
	if old == nil {
		return
	}
	p.renamed(key, "match")
	if old.Kind != source.Map {
		p.wrongKind(old, "agent_tags", "a map of labels")
		return
	}
	var rest []source.Entry
	for _, e := range old.Entries {
		if e.Key.Text == "environment" || e.Key.Text == "env" {
			out.Env = e.Value
			continue
		}
		rest = append(rest, e)
	}
	plain := *old
	plain.Entries = rest
	out.Match = p.labels(&plain, "match")
	p.ed.agentTags(f.node, key, out.Env, len(rest))
}

// config reads the flow's config.
func (p *parser) config(n *source.Node, out *Config) {
	f := p.fields(n, language()["config"])
	if f == nil {
		return
	}
	f.related = []*section{language()["flow"], language()["step"]}
	f.place = map[string]string{"flow": "to the flow, one level up", "step": "to a step"}
	f.rename("max_duration", "timeout")
	p.oldCleanup(f, out)
	out.Timeout = f.positive("timeout")
	out.TeardownTimeout = f.positive("teardown_timeout")
	out.FailFast = f.boolean("fail_fast")
	out.MaxConcurrent = f.integer("max_concurrent")
	if r := f.take("retry"); r != nil {
		out.Retry = p.retry(r)
	}
	out.OnAgentLoss = f.name("on_agent_loss")
	f.rest()
}
