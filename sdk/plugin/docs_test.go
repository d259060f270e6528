package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
	"time"
)

// The guide names every tag, every option and every part, and what a call can do.
func TestTheGuideIsComplete(t *testing.T) {
	guide, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	names := fieldTags()
	for _, file := range []string{"option.go", "author.go", "fault.go", "keep.go", "call.go", "function.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Name.IsExported() && (f.Recv == nil || receiver(f) == "Call") {
				names = append(names, f.Name.Name)
			}
		}
	}
	if len(names) < 40 {
		t.Fatalf("only %d names were found: %q", len(names), names)
	}
	for _, name := range names {
		if !strings.Contains(string(guide), name) {
			t.Errorf("docs/plugins.md does not mention %s", name)
		}
	}
}

func receiver(f *ast.FuncDecl) string {
	if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
		if name, ok := star.X.(*ast.Ident); ok {
			return name.Name
		}
	}
	return ""
}

// A plugin of one action, as a host calls it.
func ExampleNew() {
	type in struct {
		Name string        `json:"name" doc:"Whom to greet." minLength:"1"`
		Wait time.Duration `json:"wait" doc:"How long to think about it." default:"0s"`
	}
	type out struct {
		Greeting string `json:"greeting"`
	}
	p := New(Info{Name: "polite", Version: "1.0.0", Summary: "Greets."},
		Action("greet", "Greet somebody.", func(_ context.Context, _ *Call, in in) (out, error) {
			return out{"Hello " + in.Name}, nil
		}, Observes()))

	res, err := p.Execute(context.Background(), &Request{Action: "polite.greet", Config: json.RawMessage(`{"name": "Ada"}`)}, nil)
	fmt.Println(string(res.Result), err)
	_, err = p.Execute(context.Background(), &Request{Action: "polite.greet", Config: json.RawMessage(`{"name": 17}`)}, nil)
	fmt.Println(err)
	// Output:
	// {"greeting":"Hello Ada"} <nil>
	// must be a text, not 17
}
