package expr

import (
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/source"
)

// Expr is a compiled expression, safe for concurrent use.
type Expr struct{}

// Compile compiles an expression field's text; errors are *SyntaxError.
func Compile(text string, o Options) (*Expr, error) { panic("skeleton") }

// CompileNode compiles the text of a scalar node and keeps its place.
func CompileNode(n *source.Node, o Options) (*Expr, *source.Problem) { panic("skeleton") }

// Eval gives the value. Errors: *MissingError, *ValueError, *CutError, *LimitError, a Scope's own, wrapped in *Located where the place is known.
func (e *Expr) Eval(env *Env) (any, error) { panic("skeleton") }

// Explain is Eval with the value of every operand in the tree, outermost first.
func (e *Expr) Explain(env *Env) (any, []event.Operand, error) { panic("skeleton") }

// Refs lists the free names that the expression reads.
func (e *Expr) Refs() []Ref { panic("skeleton") }

// Text is the expression as written.
func (e *Expr) Text() string { panic("skeleton") }

// Pos is where the expression stands.
func (e *Expr) Pos() source.Pos { panic("skeleton") }

// Constant is the value of an expression that reads nothing.
func (e *Expr) Constant() (any, bool) { panic("skeleton") }

// StaticKind is boolean, number, string, array, object, or "" where only a run can tell.
func (e *Expr) StaticKind() string { panic("skeleton") }

// Template is a text with placeholders.
type Template struct{}

// CompileTemplate compiles a value field's text.
func CompileTemplate(text string, o Options) (*Template, error) { panic("skeleton") }

// CompileTemplateNode compiles a scalar node's text as a value field.
func CompileTemplateNode(n *source.Node, o Options) (*Template, *source.Problem) { panic("skeleton") }

// Eval gives the value with its type where the text is exactly one placeholder, else a string.
func (t *Template) Eval(env *Env) (any, error) { panic("skeleton") }

// Text gives the printed text.
func (t *Template) Text(env *Env) (string, error) { panic("skeleton") }

// Refs lists the free names.
func (t *Template) Refs() []Ref { panic("skeleton") }

// Static is the value of a template without placeholders.
func (t *Template) Static() (any, bool) { panic("skeleton") }

// Source is the template as written.
func (t *Template) Source() string { panic("skeleton") }

// Pos is where it stands.
func (t *Template) Pos() source.Pos { panic("skeleton") }

// Tree is a YAML value whose strings are templates.
type Tree struct{}

// CompileTree compiles every string below n as a value field; keys are never expanded, `!raw` values are kept.
func CompileTree(n *source.Node, o Options) (*Tree, source.Problems) { panic("skeleton") }

// Literal is a tree without placeholders.
func Literal(v any) *Tree { panic("skeleton") }

// Eval gives the expanded value.
func (t *Tree) Eval(env *Env) (any, error) { panic("skeleton") }

// Refs lists the free names with their places.
func (t *Tree) Refs() []Ref { panic("skeleton") }

// Static is the value of a tree without placeholders.
func (t *Tree) Static() (any, bool) { panic("skeleton") }

// Node is the YAML that it was made from; nil for literals.
func (t *Tree) Node() *source.Node { panic("skeleton") }
