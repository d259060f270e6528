package flow

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
	"github.com/testmesh/testmesh/flow/value"
)

// inputs turns the declarations of a flow into their compiled form.
func (c *compiler) inputs() {
	c.p.AnyInput = !c.flow.InputGiven
	for _, in := range c.flow.Input {
		out := Input{
			Name: in.Name.Value, Type: in.Type.Or("any"), Description: in.Description.Value,
			Required: in.Required.Or(false), Secret: in.Secret, Pos: in.Name.Pos,
		}
		for _, n := range in.Enum {
			v, ok := c.literal(n, "an enum value of input "+out.Name)
			if !ok {
				continue
			}
			if v, err := out.Convert(v); err != nil {
				c.add(problem(source.CodeInput, n.Pos, n.Text, err.Error()))
			} else {
				out.Enum = append(out.Enum, v)
			}
		}
		if in.Default != nil {
			if v, ok := c.literal(in.Default, "the default of input "+out.Name); ok {
				v, err := out.Accept(v)
				if err != nil {
					c.add(problem(source.CodeInput, in.Default.Pos, in.Default.Text, "the default: "+err.Error()))
				}
				out.Default, out.HasDefault = v, true
			}
		}
		c.p.Inputs = append(c.p.Inputs, out)
	}
}

// literal is the value of a node that may hold no placeholders.
func (c *compiler) literal(n *source.Node, what string) (any, bool) {
	v, ok := literalValue(n)
	if !ok {
		c.add(problem(source.CodeInput, n.Pos, n.Text, what+" holds a placeholder; it must be a plain value"))
	}
	return v, ok
}

// literalValue is the value of a node without placeholders.
func literalValue(n *source.Node) (any, bool) {
	switch n.Kind {
	case source.Null:
		return nil, true
	case source.List:
		out := make([]any, 0, len(n.Items))
		for _, item := range n.Items {
			v, ok := literalValue(item)
			if !ok {
				return nil, false
			}
			out = append(out, v)
		}
		return out, true
	case source.Map:
		out := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			v, ok := literalValue(e.Value)
			if !ok {
				return nil, false
			}
			out[e.Key.Text] = v
		}
		return out, true
	case source.String:
		if n.Tag != "!raw" && (strings.Contains(n.Text, "${") || strings.Contains(n.Text, "{{")) {
			return nil, false
		}
		return n.Text, true
	}
	return n.Value, true
}

// Convert is v as the input's type has it: a string (of --var, a column, the
// process) is read as a number, boolean, list or map where one is declared.
func (in *Input) Convert(v any) (any, error) {
	text, isText := v.(string)
	wrong := func() error {
		return fmt.Errorf("input %s is declared %s, and %s is not", in.Name, in.Type, quoted(v))
	}
	switch in.Type {
	case "", "any":
		return v, nil
	case "string":
		if !isText {
			return nil, wrong()
		}
		return v, nil
	case "number", "integer":
		if isText {
			n, err := value.ParseNumber(strings.TrimSpace(text))
			if err != nil {
				return nil, wrong()
			}
			v = n
		}
		if value.KindOf(v) != value.Number || in.Type == "integer" && !value.IsInteger(v) {
			return nil, wrong()
		}
		return v, nil
	case "boolean":
		switch {
		case text == "true":
			return true, nil
		case text == "false":
			return false, nil
		}
	case "array", "object":
		if isText {
			decoded, err := value.Decode([]byte(text))
			if err != nil {
				return nil, wrong()
			}
			v = decoded
		}
	}
	if string(value.KindOf(v)) != in.Type {
		return nil, wrong()
	}
	return v, nil
}

// Accept is Convert, and the value must be one of the enum where there is one.
func (in *Input) Accept(v any) (any, error) {
	v, err := in.Convert(v)
	if err != nil || len(in.Enum) == 0 {
		return v, err
	}
	var words []string
	for _, e := range in.Enum {
		if value.Equal(e, v) {
			return e, nil
		}
		words = append(words, value.Text(e))
	}
	near := ""
	if s, ok := v.(string); ok {
		if n := value.Closest(s, words); n != "" {
			near = fmt.Sprintf("; did you mean %q?", n)
		}
	}
	return nil, fmt.Errorf("input %s must be one of %s, not %s%s", in.Name, strings.Join(words, ", "), quoted(v), near)
}

// quotedBytes bounds a value inside a message.
const quotedBytes = 60

func quoted(v any) string {
	text := value.Compact(v)
	if len(text) > quotedBytes {
		return value.Describe(v, quotedBytes)
	}
	return text
}

// declared finds an input by name.
func (p *Program) declared(name string) *Input {
	for i := range p.Inputs {
		if p.Inputs[i].Name == name {
			return &p.Inputs[i]
		}
	}
	return nil
}

// inputNames are the declared names, in file order.
func inputNames(inputs []*syntax.Input) []string {
	names := make([]string, 0, len(inputs))
	for _, in := range inputs {
		names = append(names, in.Name.Value)
	}
	return names
}

// AcceptInput checks a whole set of input values, as run_flow, a schedule or
// the form gives them: unknown names, types, enums and what is missing. The
// result has the defaults filled in.
func (p *Program) AcceptInput(given map[string]any) (map[string]any, source.Problems) {
	out := make(map[string]any, len(given)+len(p.Inputs))
	var problems source.Problems
	bad := func(in *Input, message, hint string) {
		pos := source.Pos{File: p.File, Line: p.Line}
		if in != nil {
			pos = in.Pos
		}
		problems = append(problems, hinted(problem(source.CodeInput, pos, "", message), hint))
	}
	var names []string
	for i := range p.Inputs {
		names = append(names, p.Inputs[i].Name)
	}
	for _, name := range value.Keys(given) {
		in := p.declared(name)
		if in == nil {
			if p.AnyInput {
				out[name] = given[name]
				continue
			}
			hint := "it declares " + strings.Join(names, ", ")
			if near := value.Closest(name, names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			bad(nil, fmt.Sprintf("flow %q declares no input %q", p.Name, name), hint)
			continue
		}
		v, err := in.Accept(given[name])
		if err != nil {
			bad(in, err.Error(), "")
			continue
		}
		out[name] = v
	}
	for i := range p.Inputs {
		in := &p.Inputs[i]
		if _, ok := given[in.Name]; ok {
			continue
		}
		if in.HasDefault {
			out[in.Name] = in.Default
		} else {
			bad(in, fmt.Sprintf("input %q of flow %q has no value", in.Name, p.Name), fmt.Sprintf("give it with --var %s=…, or declare a default", in.Name))
		}
	}
	return out, problems
}
