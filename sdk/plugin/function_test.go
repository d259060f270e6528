package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func functions() Plugin {
	return New(Info{Name: "demo", Version: "1.0.0", Summary: "S."},
		Function("upper", "In capitals.", strings.ToUpper, "text"),
		Function("sum", "The sum.", func(first int, more ...int) int {
			for _, n := range more {
				first += n
			}
			return first
		}, "first", "more"),
		Function("same", "What it is given.", func(_ context.Context, v any) (any, error) { return v, nil }, "value"),
		Function("size", "Of a file.", func(_ context.Context, files *Files, name File) (int, error) {
			data, err := files.ReadFile(name, 10)
			if err != nil {
				return 0, err
			}
			f, err := files.Open(name)
			if err != nil {
				return 0, err
			}
			return len(data), f.Close()
		}, "file"),
		Function("person", "Of a struct.", func(p login) (string, error) { return p.User, nil }, "person"),
		Function("fail", "Never.", func() (bool, error) { return false, Definitionf("", "never") }),
		Function("broken", "Never.", func() (bool, error) { return false, errors.New("oops") }),
		Function("nan", "Never.", func() any { return func() {} }),
	)
}

func TestFunctionsTakeAndGiveValues(t *testing.T) {
	root := project(t)
	tests := map[string]struct{ name, args, want, message string }{
		"a text":                    {"upper", `["ä<b"]`, `"Ä<B"`, ""},
		"one of several":            {"sum", `[1]`, `1`, ""},
		"several":                   {"sum", `[1,2,3]`, `6`, ""},
		"exact numbers":             {"same", `[1.50]`, `1.50`, ""},
		"anything":                  {"same", `[{"b":[null,1e400],"a":""}]`, `{"a":"","b":[null,1e400]}`, ""},
		"a file":                    {"size", `["data.txt"]`, `4`, ""},
		"a struct":                  {"person", `[{"user":"ada","password":"x"}]`, `"ada"`, ""},
		"another kind":              {"upper", `[1]`, "", "argument 1 of demo.upper (text) must be a text, not 1"},
		"another kind, later":       {"sum", `[1,2,"3"]`, "", `argument 3 of demo.sum (more) must be a whole number, not the text "3"`},
		"below an argument":         {"person", `[{"user":1,"password":"x"}]`, "", "argument 1 of demo.person (person) user: must be a text"},
		"too few":                   {"upper", `[]`, "", "demo.upper takes 1 argument, not 0"},
		"no arguments at all":       {"upper", ``, "", "demo.upper takes 1 argument, not 0"},
		"too many":                  {"upper", `["a","b"]`, "", "demo.upper takes 1 argument, not 2"},
		"too few for more":          {"sum", `[]`, "", "demo.sum takes 1 argument or more, not 0"},
		"some for none":             {"fail", `[1]`, "", "demo.fail takes 0 arguments, not 1"},
		"no list":                   {"upper", `{}`, "", "the arguments of demo.upper are no list"},
		"a file that is not":        {"size", `["none.txt"]`, "", "there is no file none.txt"},
		"an error with words":       {"fail", `[]`, "", "never"},
		"a function that is not":    {"none", `[]`, "", "there is no function demo.none"},
		"an error without words":    {"broken", `[]`, "", "oops"},
		"a result that JSON hasn't": {"nan", `[]`, "", "the result of demo.nan cannot be printed"},
	}
	p := functions()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := p.(Caller).Call(context.Background(), &FunctionRequest{Function: test.name, Args: json.RawMessage(test.args), Root: root, Dir: "flows"})
			if test.message == "" {
				if err != nil || string(got) != test.want {
					t.Errorf("got %s, %v, want %s", got, err, test.want)
				}
				return
			}
			want := BlameDefinition
			if test.name == "broken" || test.name == "nan" {
				want = BlamePlugin
			}
			var known *Error
			if !errors.As(err, &known) || known.Blame != want || !strings.HasPrefix(known.Message, test.message) || known.Field != "" {
				t.Errorf("got %#v, want %q by the %s", err, test.message, want)
			}
		})
	}
}

func TestFunctionsAreDescribed(t *testing.T) {
	var got []string
	for _, f := range functions().Describe().GetFunctions() {
		got = append(got, fmt.Sprint(f.GetName(), f.GetParameters()))
	}
	if want := "upper[text] sum[first more] same[value] size[file] person[person] fail[] broken[] nan[]"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, " "), want)
	}
}
