package syntax

import (
	"fmt"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/source"
)

// template is a scalar that may hold placeholders.
func (f *fields) template(name string) *source.Node {
	n := f.take(name)
	if n != nil && (n.Kind == source.List || n.Kind == source.Map) {
		f.p.wrongKind(n, name, "a text")
		return nil
	}
	return n
}

// expression is a scalar that holds a bare expression.
func (f *fields) expression(name string) *source.Node {
	n := f.take(name)
	if n == nil || !f.p.isExpression(n, name) {
		return nil
	}
	return n
}

func (p *parser) isExpression(n *source.Node, name string) bool {
	if n.Kind != source.List && n.Kind != source.Map {
		return true
	}
	if p.cutString(n) {
		return false
	}
	p.wrongKind(n, name, "an expression")
	return false
}

// cutString finds body.error == "not found: user" without quotes around the
// whole: YAML makes a map of it, whose key has half of a string.
func (p *parser) cutString(n *source.Node) bool {
	if n.Kind != source.Map || len(n.Entries) != 1 || n.Entries[0].Key.Style != source.Plain {
		return false
	}
	key := n.Entries[0].Key
	if strings.Count(key.Text, `"`)%2 == 0 && strings.Count(key.Text, `'`)%2 == 0 {
		return false
	}
	whole := ""
	if lines := source.Excerpt(p.file.Data, key.Pos, 1, 0); len(lines) == 1 {
		whole = strings.TrimRight(string([]rune(lines[0].Text)[key.Pos.Column-1:]), " ")
	}
	p.add(source.Problem{
		Severity: source.Error, Code: source.CodeYAML, Pos: key.Pos, Text: clip(whole),
		Message: "YAML reads the colon in this expression as the end of a key",
		Hint:    "put the whole expression in quotes",
		Fix:     source.Corrected(p.file.Data, key.Pos, whole, quote(whole)),
	})
	return true
}

// quote writes text in quotes that need no escapes.
func quote(text string) string {
	if !strings.ContainsAny(text, "'") {
		return "'" + text + "'"
	}
	if !strings.ContainsAny(text, `"\`) {
		return `"` + text + `"`
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// asserts is a list of assertions: expressions, or maps.
func (f *fields) asserts(name string) []*source.Node {
	n := f.take(name)
	if n == nil {
		return nil
	}
	return f.p.assertList(n, name)
}

func (p *parser) assertList(n *source.Node, name string) []*source.Node {
	if n.Kind != source.List {
		if p.cutString(n) {
			return nil
		}
		problem := source.Problem{
			Severity: source.Error, Code: source.CodeType, Pos: n.Pos, Text: clip(n.Text),
			Message: fmt.Sprintf("%s is a list, not %s", name, described(n)), Hint: "begin each assertion on a line of its own, with a dash",
		}
		if lines := source.Excerpt(p.file.Data, n.Pos, 1, 0); n.Kind == source.String && len(lines) == 1 {
			line := lines[0].Text
			if at := strings.Index(line, name+":"); at >= 0 && !strings.Contains(n.Text, "\n") {
				problem.Fix = line[:at+len(name)+1] + "\n" + strings.Repeat(" ", at+2) + "- " + strings.TrimSpace(line[at+len(name)+1:])
			}
		}
		p.add(problem)
		return nil
	}
	out := make([]*source.Node, 0, len(n.Items))
	for _, item := range n.Items {
		switch item.Kind {
		case source.Null:
			p.fail(source.CodeType, item.Pos, "", "an empty assertion", "write an expression after the dash, or remove the dash")
		case source.List:
			p.wrongKind(item, "an assertion", "an expression")
		case source.Map:
			if p.cutString(item) {
				continue
			}
			out = append(out, p.assertion(item))
		default:
			out = append(out, item)
		}
	}
	return out
}

// assertion brings {response: x, matches_schema: s} into the form of one key.
func (p *parser) assertion(n *source.Node) *source.Node {
	if len(n.Entries) != 2 {
		return n
	}
	subject := n.Get("response")
	if subject == nil {
		return n
	}
	for _, e := range n.Entries {
		switch e.Key.Text {
		case "matches_schema", "matches_schema_file", "matches_xml_schema_file":
			now := subject.Text + " " + e.Key.Text
			p.note(n.Entries[0].Key, fmt.Sprintf("two keys for one assertion, now written %q", clip(now)+": …"), "`testmesh fmt` rewrites it")
			p.ed.oneKey(n, now, e)
			key := source.NewString(e.Key.Pos, now)
			out := *n
			out.Entries = []source.Entry{{Key: key, Value: e.Value}}
			return &out
		}
	}
	return n
}

// outputs reads names to expressions, or to {value, secret}.
func (p *parser) outputs(n *source.Node, name string) []*Output {
	if n == nil {
		return nil
	}
	if n.Kind != source.Map {
		p.wrongKind(n, name, "a map of names to expressions")
		return nil
	}
	var out []*Output
	for _, e := range n.Entries {
		o := &Output{Name: Field[string]{Value: e.Key.Text, Pos: e.Key.Pos}, Value: e.Value}
		p.checkName(o.Name, "name of an output", &Key{Pattern: outputPattern})
		if e.Value.Kind == source.Map && e.Value.Get("value") != nil {
			f := p.fields(e.Value, language()["output value"])
			o.Value = f.take("value")
			o.Secret = f.boolean("secret").Value
			f.rest()
		}
		if o.Value == nil || o.Value.Kind == source.Null {
			p.fail(source.CodeType, e.Key.Pos, e.Key.Text, fmt.Sprintf("the output %q has no expression", clip(e.Key.Text)), "write what it is: body.id")
			continue
		}
		if p.isExpression(o.Value, "the output "+e.Key.Text) {
			out = append(out, o)
		}
	}
	return out
}

// retry reads `retry`; nil where the dialect's `enabled: false` switches it off.
func (p *parser) retry(n *source.Node) *Retry {
	f := p.fields(n, language()["retry"])
	if f == nil {
		return nil
	}
	f.related = []*section{language()["eventually"]}
	f.place = map[string]string{"eventually": "to eventually: write `eventually` instead of `retry`"}
	off := p.oldRetry(f)
	out := &Retry{
		Pos:         n.Pos,
		MaxAttempts: f.integer("max_attempts"),
		Delay:       f.duration("delay"),
		Backoff:     f.name("backoff"),
		Jitter:      f.share("jitter"),
		MaxDelay:    f.duration("max_delay"),
		RetryOnNot:  p.conditions(f.take("retry_on_not"), "retry_on_not"),
	}
	out.RetryOn = append(p.conditions(f.take("retry_on"), "retry_on"), p.retryStatus(f)...)
	f.rest()
	if off {
		return nil
	}
	return out
}

// conditions is a list of expressions.
func (p *parser) conditions(n *source.Node, name string) []*source.Node {
	if n == nil {
		return nil
	}
	if n.Kind != source.List {
		p.wrongKind(n, name, "a list of conditions")
		return nil
	}
	var out []*source.Node
	for _, item := range n.Items {
		if item.Kind == source.Null {
			p.fail(source.CodeType, item.Pos, "", "an empty condition in "+name, "write an expression, timeout or connection_error")
			continue
		}
		if p.isExpression(item, "an item of "+name) {
			out = append(out, item)
		}
	}
	return out
}

// positive is a duration that is more than nothing.
func (f *fields) positive(name string) Field[time.Duration] {
	out := f.duration(name)
	if out.Given() && out.Value <= 0 {
		f.p.fail(source.CodeType, out.Pos, "", name+" must be more than 0", "leave it out for the default")
		return Field[time.Duration]{}
	}
	return out
}

func (p *parser) eventually(n *source.Node) *Eventually {
	f := p.fields(n, language()["eventually"])
	if f == nil {
		return nil
	}
	f.related = []*section{language()["retry"]}
	f.place = map[string]string{"retry": "to retry; a step has one of retry and eventually"}
	f.require("within")
	out := &Eventually{Pos: n.Pos, Within: f.positive("within"), Every: f.duration("every")}
	f.rest()
	return out
}
