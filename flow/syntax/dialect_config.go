package syntax

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/source"
)

// lift takes the step's own keys out of its config, where the dialects have them.
func (p *parser) lift(f, c *fields, s *Step) {
	own := func(name string) bool { return c.sec.key(name) != nil }
	if s.Action.Value == "assert" {
		p.assertConfig(f, c, s)
	} else if key, n := c.entryIf("assert", !own("assert")); n != nil {
		p.note(key, "the assertions of a step stand beside its config, not in it", "`testmesh fmt` moves them")
		s.Assert = append(s.Assert, p.assertList(n, "assert")...)
		if !f.has("assert") {
			p.ed.move(c.node, key, "assert", f.node, "config")
		}
	}
	if key, n := c.entryIf("retry", !own("retry")); n != nil {
		if f.has("retry") {
			p.fail(source.CodeKey, key.Pos, key.Text, "retry stands beside config and in it", "keep the one beside config")
		} else {
			p.note(key, "the retry of a step stands beside its config, not in it", "`testmesh fmt` moves it")
			p.ed.move(c.node, key, "retry", f.node, "config")
			s.Retry = p.retry(n)
			if s.Retry != nil && f.has("eventually") {
				p.fail(source.CodeKey, key.Pos, key.Text, "a step has one of retry and eventually, not both", "remove one of them")
			}
		}
	}
	if key, n := c.entryIf("save_to_file", !own("save_to_file")); n != nil {
		p.saveTo(key, n, s)
	}
	p.poll(f, c, s)
	p.databaseURL(c, s)
}

// databaseURL reads a query of the dialect that names no database: it is that of
// DATABASE_URL.
func (p *parser) databaseURL(c *fields, s *Step) {
	switch s.Action.Value {
	case "database_query", "db_query", "db_poll":
	default:
		return
	}
	for _, name := range []string{"connection", "connection_string", "dsn", "transaction"} {
		if c.has(name) {
			return
		}
	}
	const url = "${DATABASE_URL}"
	p.note(s.Node.Get("action"), s.Action.Value+" without a connection takes "+url, "`testmesh fmt` writes it in")
	key := source.NewString(s.Action.Pos, "connection")
	c.entries = append([]source.Entry{{Key: key, Value: source.NewString(s.Action.Pos, url)}}, c.entries...)
	for _, e := range c.node.Entries {
		if e.Key.Text == "query" {
			p.ed.before(e.Key, c.node, `connection: "`+url+`"`)
		}
	}
}

// entryIf is entry where the condition holds.
func (f *fields) entryIf(name string, condition bool) (key, val *source.Node) {
	if !condition {
		return nil, nil
	}
	return f.entry(name)
}

// assertConfig reads the assertions of the action assert out of its config.
func (p *parser) assertConfig(f, c *fields, s *Step) {
	for _, name := range []string{"assertions", "assert", "conditions"} {
		key, n := c.entry(name)
		if n == nil {
			continue
		}
		s.Assert = append(s.Assert, p.assertList(n, name)...)
		if name != "assertions" {
			p.note(key, "the assertions of a step stand beside its config, not in it", "`testmesh fmt` moves them")
			if !f.has("assert") {
				p.ed.move(c.node, key, "assert", f.node, "config")
			}
		}
	}
	if key, n := c.entry("expression"); n != nil {
		message := c.take("message")
		p.note(key, `"expression" in the config of assert is now an item of "assert"`, "`testmesh fmt` moves it")
		if p.isExpression(n, "expression") {
			s.Assert = append(s.Assert, assertOf(n, message))
		}
		if message == nil && !f.has("assert") {
			p.ed.moveAsItem(c.node, key, "assert", f.node, "config")
		}
	}
}

// assertOf is an expression, with its message where it has one.
func assertOf(expression, message *source.Node) *source.Node {
	if message == nil {
		return expression
	}
	return &source.Node{Kind: source.Map, Pos: expression.Pos, Entries: []source.Entry{
		{Key: source.NewString(expression.Pos, "expression"), Value: expression},
		{Key: source.NewString(message.Pos, "message"), Value: message},
	}}
}

// pollKeys are the keys of the dialect's poll; a map with others is a plugin's.
var pollKeys = []string{"enabled", "timeout", "interval", "success_condition", "max_attempts"}

// defaultPoll is how long a poll without a timeout goes on.
const defaultPoll = 30 * time.Second

// poll reads config.poll as `eventually` with an assertion.
func (p *parser) poll(f, c *fields, s *Step) {
	n := c.node.Get("poll")
	if n == nil || n.Kind != source.Map || c.sec.key("poll") != nil || !c.has("poll") {
		return
	}
	if slices.ContainsFunc(n.Entries, func(e source.Entry) bool { return !slices.Contains(pollKeys, e.Key.Text) }) {
		return
	}
	key, _ := c.entry("poll")
	m := &fields{p: p, node: n, entries: slices.Clone(n.Entries), sec: &section{name: "poll", what: "poll", keys: []Key{
		{Name: "enabled", Type: Bool},
		{Name: "timeout", Type: Duration},
		{Name: "interval", Type: Duration},
		{Name: "success_condition", Type: Expression},
		{Name: "max_attempts", Type: Int, Min: 1},
	}}}
	enabled := m.boolean("enabled").Or(true)
	within, every := m.positive("timeout"), m.duration("interval")
	condition := m.expression("success_condition")
	m.integer("max_attempts")
	if !enabled {
		p.note(key, "a poll that is not enabled does nothing", "remove it")
		return
	}
	p.note(key, `"poll" is now "eventually", and its success_condition an assertion`, "`testmesh fmt` rewrites it")
	if f.has("retry") || f.has("eventually") {
		p.fail(source.CodeKey, key.Pos, key.Text, "a step has one of poll, retry and eventually", "write `eventually` alone")
		return
	}
	if !within.Given() {
		within = Field[time.Duration]{Value: defaultPoll, Pos: key.Pos}
	}
	s.Eventually = &Eventually{Pos: key.Pos, Within: within, Every: every}
	if condition != nil {
		s.Assert = append(s.Assert, condition)
	}
	p.ed.poll(c.node, key, f.node, within, every, condition)
}

// oldControl brings the older spellings of a control action's config into today's.
func (p *parser) oldControl(c *fields) {
	switch c.sec.name {
	case "condition":
		c.rename("condition", "if")
		c.rename("when", "if")
	case "wait_until", "wait_for":
		c.rename("max_duration", "timeout")
	case "parallel":
		p.waitForAll(c)
	case "run_flow":
		if key, n := c.entry("inherit_tags"); n != nil {
			p.note(key, "inherit_tags has no effect: a called flow is not selected by tags", "remove it")
			p.ed.remove(c.node, key)
		}
	}
}

// waitForAll reads wait_for_all: false as fail_fast: true.
func (p *parser) waitForAll(c *fields) {
	key, n := c.entry("wait_for_all")
	if n == nil {
		return
	}
	b, ok := n.Value.(bool)
	if !ok {
		p.wrongKind(n, "wait_for_all", "true or false")
		return
	}
	now := fmt.Sprintf("fail_fast: %t", !b)
	p.note(key, fmt.Sprintf("wait_for_all: %t is now %s", b, now), "`testmesh fmt` rewrites it")
	if c.has("fail_fast") {
		p.ed.remove(c.node, key)
		return
	}
	p.ed.entry(c.node, key, now)
	value := &source.Node{Kind: source.Boolean, Value: !b, Text: fmt.Sprint(!b), Pos: n.Pos}
	c.entries = append(c.entries, source.Entry{Key: source.NewString(key.Pos, "fail_fast"), Value: value})
}

// branchesBeside reads the dialect of condition that has then, else and its
// condition, as `when`, beside config. It returns the config with them.
func (p *parser) branchesBeside(f *fields, s *Step, configKey, config *source.Node) *source.Node {
	if s.Action.Value != "condition" || config != nil && config.Kind != source.Map {
		return config
	}
	beside := f.has("then") || f.has("else")
	hasIf := config.Get("if") != nil || config.Get("condition") != nil || config.Get("when") != nil
	names := []string{"then", "else"}
	if s.When != nil && !hasIf {
		names = []string{"when", "then", "else"}
	} else if !beside {
		return config
	}
	out := &source.Node{Kind: source.Map, Pos: s.Pos}
	if config != nil {
		copied := *config
		out = &copied
		out.Entries = slices.Clone(config.Entries)
	}
	var moved []string
	for _, name := range names {
		key, n := f.entry(name)
		if name == "when" {
			n, s.When = s.When, nil
			for _, e := range f.node.Entries {
				if e.Key.Text == name {
					key = e.Key
				}
			}
		}
		if n == nil {
			continue
		}
		now := name
		if name == "when" {
			now = "if"
		}
		entry := source.Entry{Key: source.NewString(key.Pos, now), Value: n}
		p.note(key, fmt.Sprintf("%q of a condition is now config.%s", name, now), "`testmesh fmt` moves it")
		p.ed.intoConfig(f.node, key, now, config)
		out.Entries = append(out.Entries, entry)
		moved = append(moved, now)
	}
	if len(moved) == 0 {
		return config
	}
	return out
}

// oldCleanup reads the dialect's keys about tags and clean-up in the flow's
// config: what TestMesh does anyway is noted, what it cannot do is a problem.
func (p *parser) oldCleanup(f *fields, out *Config) {
	if key, n := f.entry("inherit_tags"); n != nil {
		if b, ok := n.Value.(bool); ok {
			if b {
				p.note(key, "steps have the tags of their flow always", "`testmesh fmt` removes inherit_tags")
				p.ed.remove(f.node, key)
			} else {
				out.InheritTags = Field[bool]{Value: b, Pos: n.Pos}
				p.note(key, "inherit_tags: false keeps the flow's tags from its steps", "it is read for older flows only")
			}
		} else {
			p.wrongKind(n, "inherit_tags", "true or false")
		}
	}
	for _, name := range []string{"auto_cleanup", "cleanup_on_success", "cleanup_on_failure"} {
		if key, n := f.entry(name); n != nil {
			p.note(key, name+" has no effect: what a step tracks is removed at the end of every run", "`testmesh fmt` removes it; take the `track` away where the resource must stay")
			p.ed.remove(f.node, key)
		}
	}
	for _, a := range []struct{ key, same, instead string }{
		{"cleanup_strategy", "immediate", "clean-up runs at the end of the run: remove the key"},
		{"database_transaction", "false", "write sql.begin in setup and sql.rollback in teardown"},
	} {
		key, n := f.entry(a.key)
		if n == nil {
			continue
		}
		if strings.EqualFold(n.Text, a.same) {
			p.note(key, fmt.Sprintf("%s: %s is what happens anyway", a.key, n.Text), "`testmesh fmt` removes it")
			p.ed.remove(f.node, key)
			continue
		}
		p.fail(source.CodeDialect, key.Pos, key.Text, fmt.Sprintf("TestMesh has no %s: %s", a.key, clip(n.Text)), a.instead)
	}
}
