package assert

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// The operators that stand as the end of a map's only key.
const (
	opSchema     = "matches_schema"
	opSchemaFile = "matches_schema_file"
	opXMLSchema  = "matches_xml_schema_file"
)

// MaxSchemaBytes bounds a schema file.
const MaxSchemaBytes = 4 << 20

// Expectation compiles an action's own expectation.
func Expectation(text string, o Options) (*Assertion, error) {
	claim, err := expr.Compile(text, o.Expr)
	if err != nil {
		return nil, fmt.Errorf("compile expectation %q: %w", text, err)
	}
	return &Assertion{source: text, claim: claim, implicit: true}, nil
}

// Compile compiles one entry of assert, assert_any, assert_none or assertions.
func Compile(n *source.Node, o Options) (*Assertion, source.Problems) {
	c := compiler{Options: o}
	var a *Assertion
	switch {
	case n.Kind == source.Map:
		a = c.mapping(n)
	case n.Kind == source.String || n.Kind == source.Boolean:
		a = c.expression(n, n.Text)
	default:
		c.problem(n, `write a comparison: "status == 200"`, "an assertion is an expression, not a %s", n.Kind)
	}
	if a == nil {
		return nil, c.problems
	}
	a.pos = n.Pos
	if a.width == 0 {
		a.width = len([]rune(a.source))
	}
	return a, c.problems
}

type compiler struct {
	Options
	problems source.Problems
}

func (c *compiler) problem(n *source.Node, hint, format string, args ...any) {
	c.add(source.Problem{Code: source.CodeExpr, Pos: n.Pos, Text: n.Text, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *compiler) add(p source.Problem) { c.problems = append(c.problems, p) }

func (c *compiler) expression(n *source.Node, written string) *Assertion {
	claim, problem := expr.CompileNode(n, c.Expr)
	if problem != nil {
		c.add(*problem)
		return nil
	}
	c.mustBeBoolean(n, claim)
	return &Assertion{source: written, claim: claim}
}

func (c *compiler) mustBeBoolean(n *source.Node, claim *expr.Expr) {
	if v, ok := claim.Constant(); ok && value.KindOf(v) == value.Boolean {
		c.add(source.Problem{
			Severity: source.Note, Code: source.CodeExpr, Pos: n.Pos, Text: n.Text,
			Message: fmt.Sprintf("this assertion is always %v: it reads nothing", v),
		})
	}
	if kind := claim.StaticKind(); kind != "" && kind != "boolean" {
		c.add(source.Problem{
			Code: source.CodeType, Pos: n.Pos, Text: n.Text,
			Message: fmt.Sprintf("this assertion gives a %s, not true or false", kind),
			Hint:    "compare it with something: " + n.Text + " == …",
		})
	}
}

// mapping compiles the map forms of an assertion.
func (c *compiler) mapping(n *source.Node) *Assertion {
	var message *source.Node
	var rest []source.Entry
	for _, e := range n.Entries {
		if e.Key.Text == "message" {
			message = e.Value
			continue
		}
		rest = append(rest, e)
	}
	a := c.form(n, rest)
	if message == nil || a == nil {
		return a
	}
	tmpl, problem := expr.CompileTemplateNode(message, c.Expr)
	if problem != nil {
		c.add(*problem)
		return a
	}
	a.message = tmpl
	return a
}

func (c *compiler) form(n *source.Node, entries []source.Entry) *Assertion {
	if len(entries) == 2 { // dialect: {response: x, matches_schema: {...}}
		for i, e := range entries {
			if op := e.Key.Text; op == opSchema || op == opSchemaFile || op == opXMLSchema {
				target := entries[1-i]
				return c.schemaForm(target.Value, target.Value.Text, op, e.Value)
			}
		}
	}
	if len(entries) != 1 {
		c.problem(n, "write {expression: …, message: …}, or one claim a list entry", "an assertion is one claim, this map has %d keys", len(entries))
		return nil
	}
	key, v := entries[0].Key, entries[0].Value
	switch key.Text {
	case "expression":
		if v.Kind != source.String && v.Kind != source.Boolean {
			c.problem(v, "", "expression takes a text")
			return nil
		}
		return c.expression(v, v.Text)
	case "status_code":
		return c.statusCode(v)
	case "json_path":
		claim, err := newPathClaim(v.Text, c.Expr)
		if err != nil {
			c.add(syntaxProblem(v, err))
			return nil
		}
		return &Assertion{source: v.Text, path: claim}
	}
	for _, op := range []string{opXMLSchema, opSchemaFile, opSchema} {
		if target, ok := strings.CutSuffix(key.Text, " "+op); ok {
			return c.schemaForm(key, strings.TrimSpace(target), op, v)
		}
	}
	c.unknownForm(key, v)
	return nil
}

func (c *compiler) statusCode(v *source.Node) *Assertion {
	if v.Kind != source.Number {
		c.problem(v, "write a number: status_code: 201", "status_code takes a number")
		return nil
	}
	claim, err := expr.Compile("status == "+v.Text, c.Expr)
	if err != nil {
		c.add(syntaxProblem(v, err))
		return nil
	}
	return &Assertion{source: "status == " + v.Text, claim: claim}
}

func (c *compiler) unknownForm(key, v *source.Node) {
	if strings.ContainsAny(key.Text, "=<>!([{") && v != nil {
		c.problem(key, "put the whole in quotes: '"+strings.ReplaceAll(key.Text+": "+v.Text, "'", "''")+"'",
			`the ": " in this expression makes YAML read a map`)
		return
	}
	if v != nil && v.Kind != source.Map && v.Kind != source.List {
		c.problem(key, fmt.Sprintf("did you mean %q?", key.Text+" == "+v.Text), "%q is not a kind of assertion", key.Text)
		return
	}
	c.problem(key, "an assertion is an expression, or a map with expression, status_code, json_path or <value> "+opSchema,
		"%q is not a kind of assertion", key.Text)
}

// schemaForm compiles `<target> matches_schema…`; at is the node to blame.
func (c *compiler) schemaForm(at *source.Node, target, op string, v *source.Node) *Assertion {
	claim, err := expr.Compile(target, c.Expr)
	if err != nil {
		c.add(syntaxProblem(at, err))
		return nil
	}
	a := &Assertion{source: target + " " + op, claim: claim, width: len([]rune(at.Text))}
	switch op {
	case opXMLSchema:
		if a.xml = c.xmlSchemaFile(at, v, target); a.xml == nil {
			return nil
		}
		a.source += ": " + v.Text
		return a
	case opSchemaFile:
		a.schema = c.schemaFile(v)
		a.source += ": " + v.Text
	default:
		a.schema = c.inlineSchema(v)
	}
	if a.schema == nil {
		return nil
	}
	return a
}

func (c *compiler) schemaOptions(base string) schema.Options {
	return schema.Options{Base: base, FS: c.FS, Decode: c.decode}
}

// decode reads a schema or a document that a $ref names, YAML or JSON.
func (c *compiler) decode(name string, data []byte) (any, error) {
	if c.Opened != nil {
		c.Opened(name)
	}
	if strings.HasSuffix(name, ".json") {
		return value.Decode(data)
	}
	v, problems := source.Decode(name, data)
	return v, problems.Err()
}

func (c *compiler) inlineSchema(n *source.Node) *schema.Schema {
	doc := n.Plain()
	s, err := schema.Compile(doc, c.schemaOptions(path.Join(c.Dir, "inline")))
	if err != nil {
		c.add(source.Problem{Code: source.CodeSchema, Pos: n.Pos, Message: "the schema is wrong: " + err.Error()})
		return nil
	}
	c.typos(n, s)
	return s
}

func (c *compiler) schemaFile(n *source.Node) *schema.Schema {
	name, ok := c.projectFile(n, opSchemaFile)
	if !ok {
		return nil
	}
	s, err := schema.CompileFile(c.FS, name, c.schemaOptions(name))
	if err != nil {
		c.add(source.Problem{Code: source.CodeSchema, Pos: n.Pos, Text: n.Text, Message: fmt.Sprintf("the schema %q is wrong: %s", name, err)})
		return nil
	}
	c.typos(n, s)
	return s
}

// projectFile is a file of the project that an operator names, below its root.
func (c *compiler) projectFile(n *source.Node, op string) (name string, ok bool) {
	if n.Kind != source.String || n.Text == "" {
		c.problem(n, "", "%s takes the path of a file", op)
		return "", false
	}
	name = path.Join(c.Dir, n.Text)
	fail := func(hint, format string, args ...any) (string, bool) {
		c.add(source.Problem{Code: source.CodeFile, Pos: n.Pos, Text: n.Text, Message: fmt.Sprintf(format, args...), Hint: hint})
		return "", false
	}
	if c.FS == nil || !fs.ValidPath(name) {
		return fail("a flow reads only files of its project", "%q leads out of the project", n.Text)
	}
	info, err := fs.Stat(c.FS, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("paths are relative to the flow file", "there is no file %q", name)
	case err != nil && strings.Contains(err.Error(), "escapes"): // os.Root says so of a link that leads out
		return fail("a flow reads only files of its project", "%q leads out of the project", n.Text)
	case err != nil:
		return fail("", "read %q: %s", name, err)
	case info.IsDir():
		return fail("", "%q is a folder", name)
	case info.Size() > MaxSchemaBytes:
		return fail("", "%q is over %d MiB", name, MaxSchemaBytes>>20)
	}
	return name, true
}

// typos notes keywords that no draft knows: the standard ignores them, and a
// misspelt keyword would make a schema that accepts anything.
func (c *compiler) typos(n *source.Node, s *schema.Schema) {
	for _, u := range s.Unknown() {
		c.add(source.Problem{Severity: source.Note, Code: source.CodeSchema, Pos: n.Pos, Text: n.Text, Message: u})
	}
}

func syntaxProblem(n *source.Node, err error) source.Problem {
	p := source.Problem{Code: source.CodeExpr, Pos: n.Pos, Text: n.Text, Message: err.Error()}
	var syntax *expr.SyntaxError
	if errors.As(err, &syntax) {
		p.Hint = syntax.Hint
		if syntax.Code != "" {
			p.Code = syntax.Code
		}
	}
	return p
}
