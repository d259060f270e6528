package flow

import (
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/jsonpath"
	"github.com/testmesh/testmesh/flow/source"
)

func (k *control) transform() Control {
	out := &Transform{Input: k.tree("input")}
	if n := k.get("input_file"); n != nil {
		out.InputFile = k.c.template(n, k.at.named("input_file"))
		if _, static := literalValue(n); static {
			k.c.needFile(n, k.n.dir)
		}
		if out.Input != nil {
			k.bad(n, "transform takes input or input_file, not both")
		}
	}
	if k.get("input") == nil && k.get("input_file") == nil {
		k.missing("input")
	}
	// The names of the input are names here, and its keys are not known.
	in := &scope{c: k.c, node: k.n, own: true, openOwn: true, what: "transforms", tracked: k.at.tracked}
	if n := k.get("transforms"); n != nil {
		for _, e := range n.Entries {
			value := k.c.expression(e.Value, in.named(e.Key.Text), true)
			out.Transforms = append(out.Transforms, &Output{Name: e.Key.Text, Value: value, Pos: e.Key.Pos})
		}
	}
	if n := k.get("operations"); n != nil {
		for _, item := range n.Items {
			if op, ok := k.operation(item, in); ok {
				out.Operations = append(out.Operations, op)
			}
		}
	}
	if k.get("transforms") == nil && k.get("operations") == nil {
		k.missing("transforms")
	}
	return out
}

// operation reads one step of a pipeline: {extract: path, save_as: name}, or
// {extract: {path: …, save_as: name}}, or {type: extract, path: …}.
func (k *control) operation(n *source.Node, in *scope) (Operation, bool) {
	kinds := []string{"extract", "map", "filter", "join", "format"}
	op := Operation{}
	var arg *source.Node
	args := n
	for _, e := range n.Entries {
		switch {
		case slices.Contains(kinds, e.Key.Text):
			op.Kind, arg = e.Key.Text, e.Value
			if arg.Kind == source.Map {
				args, arg = arg, nil
			}
		case e.Key.Text == "type" || e.Key.Text == "operation":
			op.Kind = e.Value.Text
		}
	}
	if !slices.Contains(kinds, op.Kind) {
		k.bad(n, "an operation is one of extract, map, filter, join, format")
		return op, false
	}
	if as := saveAs(n); as != nil {
		op.SaveAs = as.Text
	}
	if from := args.Get("source"); from != nil {
		op.Source = k.c.expression(from, in.named("source"), true)
	}
	for _, key := range [...]string{"path", "expression", "condition", "separator", "template", "format"} {
		if arg == nil {
			arg = args.Get(key)
		}
	}
	if arg == nil && op.Kind != "join" {
		k.bad(n, fmt.Sprintf("%s needs a value", op.Kind))
		return op, false
	}
	k.argument(&op, arg, in)
	return op, true
}

// argument compiles what an operation does; a join may have none.
func (k *control) argument(op *Operation, arg *source.Node, in *scope) {
	each := *in
	each.extra = []string{"item", "index", "_"}
	switch op.Kind {
	case "extract":
		k.extract(op, arg, in)
	case "map", "filter":
		op.Expr = k.c.expression(arg, each.named(op.Kind), true)
	case "join":
		if arg != nil {
			op.Sep = k.c.template(arg, in.named("separator"))
		}
	case "format":
		op.Format = k.c.template(arg, each.named("format"))
	}
}

func (k *control) extract(op *Operation, n *source.Node, in *scope) {
	if !strings.HasPrefix(n.Text, "$.") && !strings.HasPrefix(n.Text, "$[") && n.Text != "$" {
		op.Expr = k.c.expression(n, in.named("extract"), true)
		return
	}
	path, err := jsonpath.Parse(n.Text)
	if err != nil {
		k.c.add(problem(source.CodeExpr, n.Pos, n.Text, err.Error()))
		return
	}
	op.Path = path
}
