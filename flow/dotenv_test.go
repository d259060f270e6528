package flow

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/source"
)

func TestParseDotenv(t *testing.T) {
	for name, tt := range map[string]struct {
		text     string
		want     []Binding
		problems []string
	}{
		"nothing":                      {"\n# a comment\n   \n", nil, nil},
		"plain values":                 {"A=1\nB = two words \nC=\n", []Binding{{Name: "A", Value: "1"}, {Name: "B", Value: "two words"}, {Name: "C"}}, nil},
		"export and a comment":         {"export A=x # why\nB=a#b\nC=# all of it\n", []Binding{{Name: "A", Value: "x"}, {Name: "B", Value: "a#b"}, {Name: "C"}}, nil},
		"double quotes":                {`A="a # b\n\"c\" \x \${D}"` + "\n", []Binding{{Name: "A", Value: "a # b\n\"c\" \\x $${D}"}}, nil},
		"a dollar without a brace":     {`A="\$5"`, []Binding{{Name: "A", Value: "$5"}}, nil},
		"single quotes are literal":    {`A='${B} \n' # c`, []Binding{{Name: "A", Value: `${B} \n`, Literal: true}}, nil},
		"a value over lines":           {"A=\"x\ny\"\nB=2\n", []Binding{{Name: "A", Value: "x\ny"}, {Name: "B", Value: "2"}}, nil},
		"windows line ends and a mark": {"\ufeffA=1\r\nB=2\r\n", []Binding{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}, nil},
		"a line that is no binding":    {"A=1\nnonsense\n", []Binding{{Name: "A", Value: "1"}}, []string{"x.env:2:1: a line of an env file is NAME=value"}},
		"a name that is none":          {"a-b=1\n", nil, []string{`x.env:1:1: "a-b" is not a name: letters, digits and _`}},
		"a quote that does not close":  {"A=1\n B=\"x\nC=1", []Binding{{Name: "A", Value: "1"}}, []string{"x.env:2:2: the value of B has no closing \""}},
		"not text":                     {"A=\xff", nil, []string{"x.env: the file is not UTF-8 text"}},
	} {
		got, problems := ParseDotenv("x.env", []byte(tt.text))
		for i := range got {
			got[i].Pos = source.Pos{}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		var words []string
		for _, p := range problems {
			words = append(words, p.Error())
		}
		if diff := cmp.Diff(tt.problems, words); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", name, diff)
		}
	}
}

func TestDotenvKnowsItsLines(t *testing.T) {
	got, _ := ParseDotenv("x.env", []byte("A=\"1\n2\"\n\n  B=3\n"))
	want := []source.Pos{{File: "x.env", Line: 1, Column: 1}, {File: "x.env", Line: 4, Column: 3}}
	for i, b := range got {
		if b.Pos != want[i] {
			t.Errorf("%s: got %v, want %v", b.Name, b.Pos, want[i])
		}
	}
}
