// Package assert judges claims about answers: it turns assertion lists, matches
// and an action's expectation into judged claims with operands and diffs. It
// never decides what a failed claim does to a run.
package assert

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/match"
	"github.com/testmesh/testmesh/flow/schema"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// MaxChanges bounds the differences that a failed claim lists.
const MaxChanges = 20

// Options are what compiling an assertion needs.
type Options struct {
	Expr expr.Options
	FS   fs.FS  // the project, for matches_schema_file
	Dir  string // the flow file's folder, slash-separated, below FS's root
	// Opened is told every project file that was read; may be nil.
	Opened func(path string)
	// MissingPlugins notes claims that need a plugin which is not installed,
	// rather than refusing them; they are left out.
	MissingPlugins bool
}

// Assertion is one compiled claim, safe for concurrent use.
type Assertion struct {
	source   string
	pos      source.Pos
	width    int
	implicit bool
	// claim is what must be true; for a schema it is the value to judge.
	claim   *expr.Expr
	path    *pathClaim
	schema  *schema.Schema
	xml     *xmlSchema
	message *expr.Template
}

// Source is the claim as written.
func (a *Assertion) Source() string { return a.source }

// Pos is where it stands; zero for an action's own expectation.
func (a *Assertion) Pos() source.Pos { return a.pos }

// Refs lists the names that the claim reads.
func (a *Assertion) Refs() []expr.Ref {
	var refs []expr.Ref
	if a.claim != nil {
		refs = append(refs, a.claim.Refs()...)
	}
	if a.path != nil {
		refs = append(refs, a.path.refs()...)
	}
	if a.xml != nil {
		refs = append(refs, a.xml.ref())
	}
	if a.message != nil {
		refs = append(refs, a.message.Refs()...)
	}
	return refs
}

// Claim is the expression that must hold; nil for schemas and paths.
func (a *Assertion) Claim() *expr.Expr {
	if a.schema != nil || a.xml != nil {
		return nil
	}
	return a.claim
}

// Held is what Check gives of the claim where it holds.
func (a *Assertion) Held() event.Assertion {
	return event.Assertion{
		Expression: a.source, Implicit: a.implicit, Passed: true,
		Line: a.pos.Line, Column: a.pos.Column, Width: a.width,
	}
}

// Check judges the claim. Passed and Errored both false means it failed.
func (a *Assertion) Check(env *expr.Env) event.Assertion {
	out := a.Held()
	out.Passed = false
	switch {
	case a.schema != nil:
		a.checkSchema(&out, env)
	case a.xml != nil:
		a.checkXML(&out, env)
	case a.path != nil:
		a.path.check(&out, env)
	default:
		checkClaim(&out, a.claim, env)
	}
	if out.Passed || a.message == nil {
		return out
	}
	if said, err := a.message.Text(env); err == nil {
		out.Message = said + ": " + out.Message
	} else {
		out.Message += fmt.Sprintf(" (its message could not be printed: %s)", err)
	}
	return out
}

// checkClaim judges an expression that must be true.
func checkClaim(out *event.Assertion, claim *expr.Expr, env *expr.Env) {
	v, err := claim.Eval(env)
	if err == nil && v == true {
		out.Passed = true
		return
	}
	_, out.Operands, _ = claim.Explain(env)
	if err != nil {
		explainError(out, err)
		return
	}
	if v != false {
		out.Message = "gives " + value.Describe(v, 80) + ", not true or false"
		out.Actual, out.HasActual = v, true
		return
	}
	explainFalse(out, claim)
}

// explainError fills in a claim that could not be evaluated: failed where the
// answer is to blame, else errored.
func explainError(out *event.Assertion, err error) {
	out.Errored = !expr.IsWrongAnswer(err)
	out.Message = err.Error()
	var at *expr.Located
	if errors.As(err, &at) && at.Pos.Line > 0 {
		out.Line, out.Column, out.Width = at.Pos.Line, at.Pos.Column, at.Width
	}
}

// explainFalse says why an expression is false: for a comparison what was
// expected and what came, with the differences of structures.
func explainFalse(out *event.Assertion, claim *expr.Expr) {
	out.Message = "is false"
	sides, ok := claim.Sides()
	if !ok {
		return
	}
	left, okLeft := operand(sides.Left, out.Operands)
	right, okRight := operand(sides.Right, out.Operands)
	if !okLeft || !okRight {
		return
	}
	out.Actual, out.HasActual = left, true
	out.Expected, out.HasExpected = right, true
	blame := sides.Right
	if sides.Left.Constant && !sides.Right.Constant {
		out.Actual, out.Expected = right, left
		blame = sides.Left
	}
	if blame.Pos.Line > 0 {
		out.Line, out.Column, out.Width = blame.Pos.Line, blame.Pos.Column, blame.Length
	}
	expected, actual := side(out.Expected, blame), value.Describe(out.Actual, 80)
	switch sides.Operator {
	case "==":
		out.Message = "expected " + expected + ", got " + actual
		if structured(out.Expected) && structured(out.Actual) {
			changes, more := value.Diff(out.Expected, out.Actual, MaxChanges)
			out.Diff, out.DiffMore = eventChanges(changes), more
			out.Message = fmt.Sprintf("%d places differ", len(changes)+more)
			if len(changes)+more == 1 {
				out.Message = "1 place differs"
			}
		}
	case "!=":
		out.Message = "expected anything but " + expected
	default:
		out.Message = "expected " + sides.Operator + " " + expected + ", got " + actual
	}
}

// side prints an expected value; a number keeps the digits that the author
// wrote, so that a price of 59.80 reads as one.
func side(v any, s expr.Side) string {
	if s.Constant && value.KindOf(v) == value.Number {
		return s.Text + " (number)"
	}
	return value.Describe(v, 80)
}

// operand finds the value of one side among the recorded operands.
func operand(s expr.Side, operands []event.Operand) (any, bool) {
	if s.Constant {
		return s.Value, true
	}
	for _, o := range operands {
		if o.Text == s.Text && o.Missing == "" && o.Error == "" {
			return o.Value, true
		}
	}
	return nil, false
}

func structured(v any) bool {
	kind := value.KindOf(v)
	return kind == value.Array || kind == value.Object
}

func eventChanges(changes []value.Change) []event.Change {
	out := make([]event.Change, len(changes))
	for i, c := range changes {
		out[i] = event.Change(c)
	}
	return out
}

// checkSchema judges a value by a JSON Schema.
func (a *Assertion) checkSchema(out *event.Assertion, env *expr.Env) {
	v, err := a.claim.Eval(env)
	if err != nil {
		explainError(out, err)
		return
	}
	problems := a.schema.Validate(v)
	if len(problems) == 0 {
		out.Passed = true
		return
	}
	if problems[0].Limit {
		out.Errored, out.Message = true, problems[0].Message
		return
	}
	out.Actual, out.HasActual = v, true
	out.Message = problems[0].Message
	if more := len(problems) - 1; more > 0 {
		out.Message += fmt.Sprintf(" (and %d more)", more)
	}
	for i, p := range problems {
		if i == MaxChanges {
			out.DiffMore = len(problems) - MaxChanges
			break
		}
		actual, found := at(v, p.Path)
		out.Diff = append(out.Diff, event.Change{
			Path: p.Path, Expected: p.Message, Actual: actual, ActualMissing: !found,
		})
	}
}

// CheckMatch judges a step's match: one assertion, with the differences.
func CheckMatch(p *match.Pattern, pos source.Pos, env *expr.Env) event.Assertion {
	out := event.Assertion{Expression: "match", Line: pos.Line, Column: pos.Column}
	var result any
	if env.Answer != nil {
		result = env.Answer.Result()
	}
	found, err := p.Match(result, env)
	if err != nil {
		explainError(&out, err)
		return out
	}
	if len(found) == 0 {
		out.Passed = true
		return out
	}
	if env.Cut != "" {
		for _, m := range found {
			if below(m.Path, env.CutKey) {
				out.Errored = true
				out.Message = fmt.Sprintf("%s cannot be judged: %s", m.Path, env.Cut)
				return out
			}
		}
	}
	out.Message = found[0].Message
	if more := len(found) - 1; more > 0 {
		out.Message += fmt.Sprintf(" (and %d more)", more)
	}
	if found[0].Pos.Line > 0 {
		out.Line, out.Column = found[0].Pos.Line, found[0].Pos.Column
		out.Width = len([]rune(found[0].Expected))
	}
	for i, m := range found {
		if i == MaxChanges {
			out.DiffMore = len(found) - MaxChanges
			break
		}
		want := any(m.Expected)
		if m.Exact {
			want = m.Want
		}
		out.Diff = append(out.Diff, event.Change{
			Path: m.Path, Expected: want, Actual: m.Actual, ActualMissing: m.Missing,
		})
	}
	return out
}

// below tells whether a path of the result leads into its key.
func below(path, key string) bool {
	head := value.Member("$", key)
	return key != "" && len(path) >= len(head) && path[:len(head)] == head
}
