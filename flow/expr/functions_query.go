package expr

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
	"github.com/itchyny/gojq"

	"github.com/testmesh/testmesh/flow/jsonpath"
	"github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/flow/value"
)

// Bounds of the languages inside the language.
const (
	maxProgram = 10_000    // bytes of a jq program, an XPath or a JSONPath
	maxJQ      = 1_000_000 // steps of a jq program
	maxOutputs = 100_000   // values that a jq program or an XPath gives
	maxMoves   = 5_000_000 // steps through an XML document
	maxXML     = 16 << 20  // bytes of an XML document
)

func queryFunctions() []function {
	return []function{
		{name: "jsonpath", min: 2, max: 2, method: true, do: jsonpathOne},
		{name: "jsonpath_all", min: 2, max: 2, gives: value.Array, method: true, do: jsonpathAll},
		{name: "jq", min: 2, max: 2, method: true, impure: true, do: jq},
		{name: "xpath", min: 2, max: 2, method: true, do: xpathOf},
		{name: "schema_errors", min: 2, max: 2, gives: value.Array, impure: true, do: schemaErrors},
	}
}

func jsonPathOf(who string, args []any) (*jsonpath.Path, error) {
	if p, ok := args[1].(*jsonpath.Path); ok {
		return p, nil
	}
	s, err := text(who, args, 1)
	if err != nil {
		return nil, err
	}
	if len(s) > maxProgram {
		return nil, valueErrorf("a JSONPath of %d bytes; at most %d are allowed", len(s), maxProgram)
	}
	p, err := jsonpath.Parse(s)
	if err != nil {
		return nil, valueErrorf("%s", err)
	}
	return p, nil
}

// jsonpathOne gives the value of a singular path, else the list.
func jsonpathOne(_ *evaluation, args []any) (any, error) {
	p, err := jsonPathOf("jsonpath", args)
	if err != nil {
		return nil, err
	}
	v, g, err := selectPath(span{}, p, args[0])
	if g != nil {
		return nil, g.missing()
	}
	return v, err
}

func jsonpathAll(_ *evaluation, args []any) (any, error) {
	p, err := jsonPathOf("jsonpath_all", args)
	if err != nil {
		return nil, err
	}
	list, err := p.Values(args[0])
	if err != nil {
		return nil, &LimitError{Message: err.Error()}
	}
	return list, nil
}

// budget is a context that ends after a number of questions: gojq asks at every
// step, so a program's length does not depend on the machine's speed.
type budget struct {
	context.Context
	left int
	over chan struct{}
}

func newBudget(steps int) *budget {
	b := &budget{Context: context.Background(), left: steps, over: make(chan struct{})}
	close(b.over)
	return b
}

// Done is asked at every step of a program.
func (b *budget) Done() <-chan struct{} {
	if b.left--; b.left >= 0 {
		return nil
	}
	return b.over
}

// Err says why the program ended.
func (b *budget) Err() error { return errBudget }

var errBudget = errors.New("past its steps")

// jq gives a program's output: one value, the list of several, null for none.
func jq(e *evaluation, args []any) (any, error) {
	code, ok := args[1].(*gojq.Code)
	if !ok {
		program, err := text("jq", args, 1)
		if err != nil {
			return nil, err
		}
		if code, err = compileJQ(program); err != nil {
			return nil, valueErrorf("%s", err)
		}
	}
	input, err := toJQ(args[0])
	if err != nil {
		return nil, valueErrorf("%s", err)
	}
	outputs := []any{}
	for it := code.RunWithContext(newBudget(maxJQ), input, jqClock(e.env)); ; {
		v, ok := it.Next()
		if !ok {
			break
		}
		if err, failed := v.(error); failed {
			if errors.Is(err, errBudget) {
				return nil, &LimitError{Message: fmt.Sprintf("the jq program takes more than %d steps", maxJQ)}
			}
			return nil, valueErrorf("jq: %s", err)
		}
		if v, err = fromJQ(v); err != nil {
			return nil, valueErrorf("jq: %s", err)
		}
		if outputs = append(outputs, v); len(outputs) > maxOutputs {
			return nil, &LimitError{Message: fmt.Sprintf("the jq program gives more than %d values", maxOutputs)}
		}
	}
	switch len(outputs) {
	case 0:
		return nil, nil
	case 1:
		return outputs[0], nil
	}
	return outputs, nil
}

// compileJQ gives a program no files, no environment and, as now, our clock.
func compileJQ(program string) (*gojq.Code, error) {
	if len(program) > maxProgram {
		return nil, fmt.Errorf("a jq program of %d bytes; at most %d are allowed", len(program), maxProgram)
	}
	query, err := gojq.Parse("def now: $__now; " + program)
	if err != nil {
		return nil, fmt.Errorf("not a jq program: %w", err)
	}
	code, err := gojq.Compile(query, gojq.WithVariables([]string{"$__now"}))
	if err != nil {
		return nil, fmt.Errorf("not a jq program: %w", err)
	}
	return code, nil
}

// jqClock is jq's now: seconds since 1970, null where there is no clock.
func jqClock(env *Env) any {
	if env.Now == nil {
		return nil
	}
	return float64(env.Now().UnixMicro()) / 1e6
}

// toJQ gives integers of any size exactly; jq's other numbers are float64, so a
// decimal that does not fit one is refused rather than rounded.
func toJQ(v any) (any, error) {
	switch v := v.(type) {
	case int64:
		return int(v), nil
	case *value.Decimal:
		if value.IsInteger(v) {
			if r, ok := rat(v); ok {
				return new(big.Int).Set(r.Num()), nil
			}
		}
		f := v.Float()
		if !value.Equal(v, f) {
			return nil, fmt.Errorf("jq cannot hold %s without losing digits", describe(v))
		}
		return f, nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = toJQ(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = toJQ(v[k]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

func fromJQ(v any) (any, error) {
	switch v := v.(type) {
	case *big.Int:
		return value.ParseNumber(v.String())
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = fromJQ(v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			var err error
			if out[k], err = fromJQ(v[k]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return value.Normalize(v)
}

// schemaErrors lists what a JSON Schema finds wrong; a string is the path of a
// schema file beside the flow.
func schemaErrors(e *evaluation, args []any) (any, error) {
	s, err := compileSchema(e.env, args[1])
	if err != nil {
		return nil, valueErrorf("%s", err)
	}
	found := s.Validate(args[0])
	out := make([]any, len(found))
	for i, f := range found {
		out[i] = f.Error()
	}
	return out, nil
}

func compileSchema(env *Env, doc any) (*schema.Schema, error) {
	name, ok := doc.(string)
	if !ok {
		return schema.Compile(doc, schema.Options{FS: env.FS, Base: joinPath(env.Dir, "inline.json")})
	}
	if env.FS == nil {
		return nil, fmt.Errorf("no files can be read here")
	}
	return schema.CompileFile(env.FS, joinPath(env.Dir, name), schema.Options{})
}

func joinPath(dir, name string) string {
	if dir == "" || dir == "." {
		return name
	}
	return strings.TrimSuffix(dir, "/") + "/" + name
}

// navigator walks an XML document and counts its steps: an XPath of a few words
// can visit a document's nodes times themselves.
type navigator struct {
	*xmlquery.NodeNavigator
	left *int
}

// errMoves travels through the library, which has no way to stop it.
var errMoves = errors.New("past its moves")

func (n *navigator) moved(ok bool) bool {
	if *n.left--; *n.left < 0 {
		panic(errMoves)
	}
	return ok
}

// Copy is a second navigator at the same place, with the same count.
func (n *navigator) Copy() xpath.NodeNavigator {
	n.moved(true)
	return &navigator{n.NodeNavigator.Copy().(*xmlquery.NodeNavigator), n.left}
}

// MoveToParent counts its step, as do all the others.
func (n *navigator) MoveToParent() bool { return n.moved(n.NodeNavigator.MoveToParent()) }

// MoveToChild goes to the first child.
func (n *navigator) MoveToChild() bool { return n.moved(n.NodeNavigator.MoveToChild()) }

// MoveToFirst goes to the first sibling.
func (n *navigator) MoveToFirst() bool { return n.moved(n.NodeNavigator.MoveToFirst()) }

// MoveToNext goes to the next sibling.
func (n *navigator) MoveToNext() bool { return n.moved(n.NodeNavigator.MoveToNext()) }

// MoveToPrevious goes to the sibling before.
func (n *navigator) MoveToPrevious() bool { return n.moved(n.NodeNavigator.MoveToPrevious()) }

// MoveToNextAttribute goes to the next attribute of the element.
func (n *navigator) MoveToNextAttribute() bool { return n.moved(n.NodeNavigator.MoveToNextAttribute()) }

// MoveTo goes to where other is.
func (n *navigator) MoveTo(other xpath.NodeNavigator) bool {
	o, ok := other.(*navigator)
	return n.moved(ok && n.NodeNavigator.MoveTo(o.NodeNavigator))
}

// xpathOf gives one result as a value, several as the list, none as missing.
// Nodes are their text.
func xpathOf(_ *evaluation, args []any) (out any, err error) {
	doc, err := text("xpath", args, 0)
	if err != nil {
		return nil, err
	}
	if len(doc) > maxXML {
		return nil, &LimitError{Message: fmt.Sprintf("an XML document of %d bytes; at most %d are read", len(doc), maxXML)}
	}
	path, err := text("xpath", args, 1)
	if err != nil {
		return nil, err
	}
	compiled, err := compileXPath(path)
	if err != nil {
		return nil, valueErrorf("%s", err)
	}
	defer func() {
		r := recover()
		if failed, ok := r.(error); ok && errors.Is(failed, errMoves) {
			out, err = nil, &LimitError{Message: fmt.Sprintf("the XPath takes more than %d steps", maxMoves)}
		} else if r != nil {
			out, err = nil, valueErrorf("not an XPath: %v", r)
		}
	}()
	root, err := xmlquery.Parse(strings.NewReader(doc))
	if err != nil {
		return nil, valueErrorf("not XML: %s", err)
	}
	left := maxMoves
	return xpathResult(compiled.Evaluate(&navigator{xmlquery.CreateXPathNavigator(root), &left}), path)
}

// compileXPath is xpath.Compile. The library panics on some paths: that is its
// way of saying that they are wrong.
func compileXPath(path string) (x *xpath.Expr, err error) {
	if len(path) > maxProgram {
		return nil, fmt.Errorf("an XPath of %d bytes; at most %d are allowed", len(path), maxProgram)
	}
	defer func() {
		if r := recover(); r != nil {
			x, err = nil, fmt.Errorf("not an XPath: %v", r)
		}
	}()
	if x, err = xpath.Compile(path); err != nil {
		return nil, fmt.Errorf("not an XPath: %w", err)
	}
	return x, nil
}

func xpathResult(v any, path string) (any, error) {
	nodes, ok := v.(*xpath.NodeIterator)
	if !ok {
		n, err := normalized(v)
		if f, isFloat := n.(float64); isFloat && f == float64(int64(f)) {
			return int64(f), nil
		}
		return n, err
	}
	list := []any{}
	for nodes.MoveNext() {
		if list = append(list, nodes.Current().Value()); len(list) > maxOutputs {
			return nil, &LimitError{Message: fmt.Sprintf("the XPath gives more than %d values", maxOutputs)}
		}
	}
	switch len(list) {
	case 0:
		return nil, &MissingError{Path: path, Nearest: "nothing in the document matches it"}
	case 1:
		return list[0], nil
	}
	return list, nil
}
