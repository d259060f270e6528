package flow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func rowsOf(names ...string) *DataSource {
	d := &DataSource{}
	for i, n := range names {
		d.Rows = append(d.Rows, Row{Index: i, Name: n, Values: map[string]any{"name": n, "count": fmt.Sprint(i)}})
	}
	return d
}

func TestRuns(t *testing.T) {
	count := []Input{{Name: "count", Type: "integer", Default: int64(9), HasDefault: true}}
	matrix := []MatrixAxis{{"a", []any{int64(1), int64(2)}}, {"b", []any{"x", "y"}}}
	for name, tt := range map[string]struct {
		p    Program
		s    Selection
		want []string // iteration, label, input
	}{
		"no rows is one run":         {Program{}, Selection{}, []string{"1 []"}},
		"iterations without rows":    {Program{}, Selection{Iterations: 2}, []string{"1 [iteration 1]", "2 [iteration 2]"}},
		"repeat":                     {Program{}, Selection{Repeat: 2}, []string{"1 [iteration 1]", "2 [iteration 2]"}},
		"a row is a run":             {Program{Data: rowsOf("ada", "")}, Selection{}, []string{"1 [row 1 (ada)]", "2 [row 2]"}},
		"iterations wrap around":     {Program{Data: rowsOf("a", "b")}, Selection{Iterations: 3}, []string{"1 [row 1 (a)]", "2 [row 2 (b)]", "3 [row 1 (a)]"}},
		"fewer iterations than rows": {Program{Data: rowsOf("a", "b")}, Selection{Iterations: 1}, []string{"1 [row 1 (a)]"}},
		"repeat goes on counting":    {Program{Data: rowsOf("a", "b")}, Selection{Repeat: 2}, []string{"1 [row 1 (a)]", "2 [row 2 (b)]", "3 [row 1 (a)]", "4 [row 2 (b)]"}},
		"no rows at all":             {Program{Data: rowsOf()}, Selection{Iterations: 5}, nil},
		"data that is one value":     {Program{Data: &DataSource{As: "data"}}, Selection{}, []string{"1 []"}},
		"the matrix times rows":      {Program{Data: rowsOf("r", "s"), Matrix: matrix[:1]}, Selection{}, []string{"1 [row 1 (r), a=1]", "1 [row 1 (r), a=2]", "2 [row 2 (s), a=1]", "2 [row 2 (s), a=2]"}},
		"the last key goes fastest":  {Program{Matrix: matrix}, Selection{}, []string{"1 [a=1, b=x]", "1 [a=1, b=y]", "1 [a=2, b=x]", "1 [a=2, b=y]"}},
		"the default of an input":    {Program{Inputs: count}, Selection{}, []string{"1 [] count=9"}},
		"--var sets it":              {Program{Inputs: count, options: &Options{Vars: map[string]string{"count": "4"}}}, Selection{}, []string{"1 [] count=4"}},
		"a typed value is over it":   {Program{Inputs: count, options: &Options{Vars: map[string]string{"count": "4"}, Inputs: map[string]any{"count": int64(5)}}}, Selection{}, []string{"1 [] count=5"}},
		"the row is over both":       {Program{Inputs: count, Data: rowsOf("a"), options: &Options{Vars: map[string]string{"count": "4"}}}, Selection{}, []string{"1 [row 1 (a)] count=0"}},
	} {
		if tt.p.options == nil {
			tt.p.options = &Options{}
		}
		runs, problems := tt.p.Runs(tt.s)
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		var got []string
		for _, r := range runs {
			s := fmt.Sprintf("%d [%s]", r.Iteration, r.Label)
			for _, in := range tt.p.Inputs {
				s += fmt.Sprintf(" %s=%v", in.Name, r.Input[in.Name])
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestColumnsThatAreInputsHaveTheirType(t *testing.T) {
	p := Program{Inputs: []Input{{Name: "count", Type: "integer"}}, Data: rowsOf("a", "b"), options: &Options{}}
	runs, problems := p.Runs(Selection{})
	if len(problems) > 0 || len(runs) != 2 {
		t.Fatalf("got %d runs, %v", len(runs), problems)
	}
	if diff := cmp.Diff(map[string]any{"name": "b", "count": int64(1)}, runs[1].Row.Values); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if got := p.Data.Rows[1].Values["count"]; got != "1" {
		t.Errorf("the data itself changed to %v", got)
	}
}

func TestRowOfTellsRunsApart(t *testing.T) {
	p := Program{Matrix: []MatrixAxis{{"a", []any{int64(1), int64(2)}}, {"b", []any{"x", "y", "z"}}}, options: &Options{}}
	runs, _ := p.Runs(Selection{})
	for i, r := range runs {
		index, name, ok := p.RowOf(r.Row, r.Matrix)
		want := fmt.Sprintf("a=%d, b=%c", i/3+1, "xyz"[i%3])
		if index != i || name != want || !ok {
			t.Errorf("run %d: got %d %q %v, want %d %q true", i, index, name, ok, i, want)
		}
	}
	if index, name, ok := p.RowOf(&Row{Index: 4, Name: "ada"}, runs[5].Matrix); index != 4 || name != "ada, a=2, b=z" || !ok {
		t.Errorf("with a row: got %d %q %v", index, name, ok)
	}
	if _, name, ok := new(Program).RowOf(nil, nil); name != "" || ok {
		t.Errorf("without either: got %q %v", name, ok)
	}
}

func TestRunsRefuses(t *testing.T) {
	wide := MatrixAxis{Key: "a"}
	for i := range 101 {
		wide.Values = append(wide.Values, int64(i))
	}
	count := []Input{{Name: "count", Type: "integer"}}
	for name, tt := range map[string]struct {
		p    Program
		s    Selection
		want string
	}{
		"an input without a value": {Program{Name: "f", Inputs: count}, Selection{}, `input "count" of flow "f" has no value; give it with --var count=…`},
		"a value of another type":  {Program{Inputs: count, options: &Options{Vars: map[string]string{"count": "x"}}}, Selection{}, `input count is declared integer, and "x" is not`},
		"a column of another type": {Program{Inputs: count, Data: &DataSource{Rows: []Row{{Values: map[string]any{"count": "x"}}}}}, Selection{}, `row 1: input count is declared integer`},
		"an input nobody declares": {Program{Name: "f", Inputs: count, options: &Options{Inputs: map[string]any{"other": "x"}}}, Selection{}, `flow "f" declares no input "other"`},
		"too many combinations":    {Program{Name: "f", Matrix: []MatrixAxis{wide, wide}}, Selection{}, "at most 10000 runs"},
		"too many repeats":         {Program{Name: "f"}, Selection{Repeat: 10001}, "would run 10001 times"},
		"too many iterations":      {Program{Name: "f", Data: rowsOf("a")}, Selection{Iterations: 2_000_000_000}, "at most 10000 runs"},
	} {
		if tt.p.options == nil {
			tt.p.options = &Options{}
		}
		runs, problems := tt.p.Runs(tt.s)
		if runs != nil || len(problems) == 0 || !strings.Contains(problems.Error(), tt.want) {
			t.Errorf("%s: got %d runs, %v, want %q", name, len(runs), problems, tt.want)
		}
	}
}

func TestConvert(t *testing.T) {
	for _, tt := range []struct {
		typ  string
		v    any
		want any // nil: refused
	}{
		{"string", "x", "x"},
		{"string", int64(1), nil},
		{"integer", "12", int64(12)},
		{"integer", "1.5", nil},
		{"integer", 2.0, 2.0},
		{"integer", "007", nil},
		{"number", "1.5", 1.5},
		{"number", " 3 ", int64(3)},
		{"number", true, nil},
		{"boolean", "true", true},
		{"boolean", "false", false},
		{"boolean", "yes", nil},
		{"boolean", true, true},
		{"array", "[1]", []any{int64(1)}},
		{"array", "{}", nil},
		{"array", "[", nil},
		{"object", `{"a": 1}`, map[string]any{"a": int64(1)}},
		{"object", []any{}, nil},
		{"any", "1", "1"},
		{"", int64(1), int64(1)},
	} {
		in := Input{Name: "x", Type: tt.typ}
		got, err := in.Convert(tt.v)
		if (err != nil) != (tt.want == nil) || err == nil && !cmp.Equal(got, tt.want) {
			t.Errorf("%s from %#v: got %#v, %v, want %#v", tt.typ, tt.v, got, err, tt.want)
		}
	}
}

func TestParseData(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		rows       int
		first      map[string]any
		problem    string
	}{
		"csv":                     {"a.csv", "a,b\n1,\"x\ny\"\n", 1, map[string]any{"a": "1", "b": "x\ny"}, ""},
		"csv with only a header":  {"a.csv", "a,b\n", 0, nil, ""},
		"json keeps its types":    {"a.json", `[{"a": 1, "b": null}]`, 1, map[string]any{"a": int64(1), "b": nil}, ""},
		"jsonl":                   {"a.jsonl", "{\"a\": 1}\n\n{\"a\": 2}\n", 2, map[string]any{"a": int64(1)}, ""},
		"yaml":                    {"a.yaml", "- {a: 1, b: '${x}'}\n", 1, map[string]any{"a": int64(1), "b": "${x}"}, ""},
		"a form nobody knows":     {"a.txt", "x", 0, nil, `rows cannot be read from "a.txt"`},
		"not text":                {"a.csv", "\xff", 0, nil, "not UTF-8"},
		"a quote that stays open": {"a.csv", "a\n\"x\n", 0, nil, "the rows are not CSV"},
		"a column without a name": {"a.csv", "a,\n1,2\n", 0, nil, "column 2 has no name"},
	} {
		d, problems := ParseData(tt.file, []byte(tt.text))
		if tt.problem != "" {
			if len(problems) == 0 || !strings.Contains(problems[0].Message, tt.problem) {
				t.Errorf("%s: got %v, want %q", name, problems, tt.problem)
			}
			continue
		}
		if len(problems) > 0 || len(d.Rows) != tt.rows || tt.rows > 0 && !cmp.Equal(d.Rows[0].Values, tt.first) {
			t.Errorf("%s: got %+v, %v", name, d, problems)
		}
	}
}
