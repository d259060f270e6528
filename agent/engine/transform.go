package engine

import (
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// doTransform derives values from an input. The input's names and $ are seen
// as a step's own result is.
func (r *stepRun) doTransform(c *flow.Transform) *try {
	var input any
	if c.InputFile != nil {
		v, problem := r.file(c.InputFile)
		if problem != nil {
			return problem
		}
		input = v
	} else {
		v, err := c.Input.Eval(r.env)
		if err != nil {
			return r.evaluationTry(err, "input")
		}
		input = v
	}
	r.look(&try{data: input, hasData: true})
	p := &pipeline{r: r, current: input, out: make(map[string]any, len(c.Transforms)+len(c.Operations))}
	r.own.saved = p.out
	for _, o := range c.Transforms {
		v, err := o.Value.Eval(r.env)
		if err != nil {
			return r.transformTry(err, o.Name)
		}
		p.out[o.Name] = v
	}
	for i := range c.Operations {
		if problem := p.apply(&c.Operations[i]); problem != nil {
			return problem
		}
	}
	r.own.saved = nil
	return &try{outputs: p.out, result: given(p.out)}
}

// transformTry: a transform judges an answer as output does.
func (r *stepRun) transformTry(err error, where string) *try {
	t := &try{}
	t.status, t.err = evaluationError(err, where, r.s.Pos.File, true)
	return t
}

// pipeline is the operations of a transform, each working on what the one
// before gave.
type pipeline struct {
	r       *stepRun
	current any
	out     map[string]any
}

func (p *pipeline) apply(op *flow.Operation) *try {
	in := p.current
	if op.Source != nil {
		v, err := op.Source.Eval(p.r.env)
		if err != nil {
			return p.r.transformTry(err, op.Kind+".source")
		}
		in = v
	}
	v, problem := p.result(op, in)
	if problem != nil {
		return problem
	}
	p.current = v
	if op.SaveAs != "" {
		p.out[op.SaveAs] = v
	}
	return nil
}

func (p *pipeline) result(op *flow.Operation, in any) (any, *try) {
	switch op.Kind {
	case "extract":
		return p.extract(op, in)
	case "map", "filter":
		return p.each(op, in)
	case "join":
		return p.join(op, in)
	case "format":
		env, restore := p.with(map[string]any{"item": in, "_": in})
		defer restore()
		text, err := op.Format.Text(env)
		if err != nil {
			return nil, p.r.transformTry(err, "format")
		}
		return text, nil
	}
	return nil, erroredTry(source.CodeInternal, "testmesh", fmt.Sprintf("the engine does not know the operation %s", op.Kind))
}

func (p *pipeline) extract(op *flow.Operation, in any) (any, *try) {
	if op.Path == nil {
		env, restore := p.with(map[string]any{"item": in, "_": in})
		defer restore()
		v, err := op.Expr.Eval(env)
		if err != nil {
			return nil, p.r.transformTry(err, "extract")
		}
		return v, nil
	}
	if !op.Path.Singular() {
		list, err := op.Path.Values(in)
		if err != nil {
			return nil, p.r.transformTry(&expr.LimitError{Message: err.Error()}, "extract")
		}
		return list, nil
	}
	v, ok := op.Path.Get(in)
	if !ok {
		return nil, p.r.transformTry(&expr.MissingError{Path: op.Path.String()}, "extract")
	}
	return v, nil
}

func (p *pipeline) each(op *flow.Operation, in any) (any, *try) {
	list, ok := in.([]any)
	if !ok {
		return nil, failedTry(source.CodeValue, fmt.Sprintf("%s: %s is not a list", op.Kind, value.Describe(in, 80)))
	}
	out := make([]any, 0, len(list))
	for i, item := range list {
		env, restore := p.with(map[string]any{"item": item, "_": item, "index": int64(i)})
		v, err := op.Expr.Eval(env)
		restore()
		if err != nil {
			return nil, p.r.transformTry(err, fmt.Sprintf("%s, element %d", op.Kind, i))
		}
		if op.Kind == "map" {
			out = append(out, v)
			continue
		}
		keep, ok := v.(bool)
		if !ok {
			return nil, &try{status: event.Errored, err: &event.Error{
				Code: string(source.CodeValue), Blame: "definition",
				Message: fmt.Sprintf("filter, element %d: the condition gives %s, not true or false", i, value.Describe(v, 80)),
			}}
		}
		if keep {
			out = append(out, item)
		}
	}
	return out, nil
}

func (p *pipeline) join(op *flow.Operation, in any) (any, *try) {
	list, ok := in.([]any)
	if !ok {
		return nil, failedTry(source.CodeValue, fmt.Sprintf("join: %s is not a list", value.Describe(in, 80)))
	}
	sep := ","
	if op.Sep != nil {
		var err error
		if sep, err = op.Sep.Text(p.r.env); err != nil {
			return nil, p.r.transformTry(err, "separator")
		}
	}
	parts := make([]string, len(list))
	for i, v := range list {
		parts[i] = value.Text(v)
	}
	return strings.Join(parts, sep), nil
}

// with adds names for one evaluation: they come before those of the input.
func (p *pipeline) with(names map[string]any) (*expr.Env, func()) {
	p.r.own.extra = names
	return p.r.env, func() { p.r.own.extra = nil }
}
