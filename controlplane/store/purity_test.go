package store

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// applied are the files that Apply consists of.
var applied = []string{"agent.go", "apply.go", "archive.go", "batch.go", "changes.go", "flow.go", "lease.go", "member.go", "run.go", "schema.go", "writer.go"}

// impure is what would make two nodes differ. Package time is needed for the length
// of what a command brings; its clock is not.
var impure = []string{"os", "net", "math/rand", "math/rand/v2", "crypto/rand", "github.com/google/uuid"}

func TestApplyKnowsNothingOfItsNode(t *testing.T) {
	for _, name := range applied {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(impure, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		for _, call := range []string{"time.Now", "time.Since", "time.Until", "CURRENT_", "random()", "datetime("} {
			if strings.Contains(string(text), call) {
				t.Errorf("%s has %s", name, call)
			}
		}
	}
}
