package flow

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// RunSpec is one run of a flow: one row, one combination of the matrix, once.
type RunSpec struct {
	Row *Row // nil: no rows
	// Iteration counts the runs of the flow's rows from 1, repeats included.
	Iteration int
	Matrix    map[string]any
	Input     map[string]any // every declared input, converted
	// Label tells the run from the flow's others: "row 2 (ada), browser=phone";
	// empty where there is one run only.
	Label string
}

// Selection says how often a flow runs.
type Selection struct {
	// Iterations is --iterations: rows 1..N, wrapping around; 0: each row once.
	Iterations int
	// Repeat is --repeat: the whole selection that often; 0 is 1.
	Repeat int
}

// Runs are the runs of one selection in order: repeats, in them the rows or
// iterations, in them the combinations of the matrix. No rows at all are no
// runs. What is wrong is a value of an input; its problems say so.
func (p *Program) Runs(s Selection) ([]RunSpec, source.Problems) {
	given, problems := p.given()
	if len(problems) > 0 {
		return nil, problems
	}
	rows := p.rows(s.Iterations)
	combos := p.combinations()
	repeat := max(s.Repeat, 1)
	total := len(rows) * len(combos)
	if total > MaxRuns || total*repeat > MaxRuns {
		return nil, source.Problems{hinted(problem(source.CodeLimit, source.Pos{File: p.File, Line: p.Line}, "", fmt.Sprintf("flow %q would run %d times", p.Name, total*repeat)),
			fmt.Sprintf("at most %d runs of one flow are possible in a batch", MaxRuns))}
	}
	out := make([]RunSpec, 0, total*repeat)
	for n := range repeat {
		for i, row := range rows {
			input, problems := p.rowInput(given, row)
			if len(problems) > 0 {
				return nil, problems
			}
			row = p.typedRow(row, input)
			for _, combo := range combos {
				spec := RunSpec{Row: row, Iteration: n*len(rows) + i + 1, Matrix: combo, Input: input}
				spec.Label = p.label(spec, len(rows)*repeat)
				out = append(out, spec)
			}
		}
	}
	return out, nil
}

// given are the inputs that --var and the caller name.
func (p *Program) given() (map[string]any, source.Problems) {
	out := map[string]any{}
	for name, text := range p.options.Vars {
		if p.declared(name) != nil {
			out[name] = text
		}
	}
	for name, v := range p.options.Inputs {
		if p.declared(name) != nil || p.AnyInput {
			out[name] = v
			continue
		}
		return nil, source.Problems{problem(source.CodeInput, source.Pos{File: p.File, Line: p.Line}, name, fmt.Sprintf("flow %q declares no input %q", p.Name, name))}
	}
	return out, nil
}

// rowInput adds the columns that are inputs, and checks the whole.
func (p *Program) rowInput(given map[string]any, row *Row) (map[string]any, source.Problems) {
	merged := given
	if row != nil {
		merged = make(map[string]any, len(given)+len(row.Values))
		for k, v := range given {
			merged[k] = v
		}
		for k, v := range row.Values {
			if p.declared(k) != nil {
				merged[k] = v
			}
		}
	}
	input, problems := p.AcceptInput(merged)
	for i := range problems {
		if row != nil {
			problems[i].Message = fmt.Sprintf("row %d%s: %s", row.Index+1, of(p.Data.Path), problems[i].Message)
		}
	}
	return input, problems
}

func of(path string) string {
	if path == "" {
		return ""
	}
	return " of " + path
}

// typedRow is row with the columns that are inputs as their types have them, so
// that a bare column name, row.<column> and input.<column> are one value.
func (p *Program) typedRow(row *Row, input map[string]any) *Row {
	if row == nil || !slices.ContainsFunc(p.Inputs, func(in Input) bool { _, ok := row.Values[in.Name]; return ok }) {
		return row
	}
	out := *row
	out.Values = maps.Clone(row.Values)
	for name := range row.Values {
		if p.declared(name) != nil {
			out.Values[name] = input[name]
		}
	}
	return &out
}

// rows are the rows to run in order; one nil row stands for no data.
func (p *Program) rows(iterations int) []*Row {
	if p.Data == nil || p.Data.As != "" {
		return make([]*Row, max(iterations, 1))
	}
	n := len(p.Data.Rows)
	if n == 0 {
		return nil
	}
	count := n
	if iterations > 0 {
		count = iterations
	}
	// Over the limit is refused by the caller; no need to hold them all.
	count = min(count, MaxRuns+1)
	out := make([]*Row, count)
	for i := range out {
		out[i] = &p.Data.Rows[i%n]
	}
	return out
}

// RowOf tells the runs of one flow apart in events: the row, with the values of
// the matrix in its name, or the combination of the matrix where there are no
// rows. ok is false where the flow has neither.
func (p *Program) RowOf(row *Row, matrix map[string]any) (index int, name string, ok bool) {
	var parts []string
	if row != nil {
		index = row.Index
		if row.Name != "" {
			parts = append(parts, row.Name)
		}
	}
	for _, axis := range p.Matrix {
		parts = append(parts, axis.Key+"="+value.Text(matrix[axis.Key]))
		if row == nil {
			at := slices.IndexFunc(axis.Values, func(v any) bool { return value.Equal(v, matrix[axis.Key]) })
			index = index*len(axis.Values) + max(at, 0)
		}
	}
	return index, strings.Join(parts, ", "), row != nil || len(p.Matrix) > 0
}

// combinations are all values of the matrix, the last key changing fastest; one
// nil map stands for no matrix.
func (p *Program) combinations() []map[string]any {
	out := []map[string]any{nil}
	for _, axis := range p.Matrix {
		var next []map[string]any
		for _, combo := range out {
			for _, v := range axis.Values {
				m := make(map[string]any, len(p.Matrix))
				for k, e := range combo {
					m[k] = e
				}
				m[axis.Key] = v
				next = append(next, m)
			}
		}
		if out = next; len(out) > MaxRuns {
			return out[:MaxRuns+1]
		}
	}
	return out
}

func (p *Program) label(s RunSpec, rowRuns int) string {
	var parts []string
	switch {
	case s.Row != nil && s.Row.Name != "":
		parts = append(parts, fmt.Sprintf("row %d (%s)", s.Row.Index+1, s.Row.Name))
	case s.Row != nil:
		parts = append(parts, fmt.Sprintf("row %d", s.Row.Index+1))
	case rowRuns > 1:
		parts = append(parts, "iteration "+strconv.Itoa(s.Iteration))
	}
	for _, axis := range p.Matrix {
		parts = append(parts, axis.Key+"="+value.Text(s.Matrix[axis.Key]))
	}
	return strings.Join(parts, ", ")
}

// matrix reads the axes.
func (c *compiler) matrix() {
	count := 1
	for _, axis := range c.flow.Matrix {
		a := MatrixAxis{Key: axis.Key.Value}
		for _, n := range axis.Values {
			v, ok := literalValue(n)
			if !ok {
				c.add(problem(source.CodeInput, n.Pos, n.Text, "a value of matrix holds a placeholder; it must be a plain value"))
				continue
			}
			a.Values = append(a.Values, v)
		}
		if len(axis.Values) == 0 {
			c.add(problem(source.CodeInput, axis.Key.Pos, axis.Key.Value, fmt.Sprintf("matrix key %q has no values", axis.Key.Value)))
		}
		c.p.Matrix = append(c.p.Matrix, a)
		if count <= MaxRuns {
			count *= max(len(a.Values), 1)
		}
	}
	if count > MaxRuns {
		c.add(hinted(problem(source.CodeLimit, c.flow.Matrix[0].Key.Pos, c.flow.Matrix[0].Key.Value, fmt.Sprintf("the matrix has more than %d combinations", MaxRuns)),
			fmt.Sprintf("at most %d runs of one flow are possible in a batch", MaxRuns)))
	}
}
