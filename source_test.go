package testmesh

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one parsed Go file.
type source struct {
	name      string // from the module's root
	pkg       string
	test      bool
	generated bool
	fset      *token.FileSet
	file      *ast.File
	imports   map[string]string // local name -> import path
}

func (s source) at(n ast.Node) string {
	return s.name + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// parse reads one file; text is nil to read it from disk.
func parse(fset *token.FileSet, name, pkg string, text any) (source, error) {
	s := source{name: name, pkg: pkg, fset: fset, imports: map[string]string{}}
	file, err := parser.ParseFile(s.fset, name, text, parser.ParseComments)
	if err != nil {
		return s, err
	}
	s.file, s.test, s.generated = file, strings.HasSuffix(name, "_test.go"), ast.IsGenerated(file)
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return s, err
		}
		local := localName(path)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		s.imports[local] = path
	}
	return s, nil
}

// localName guesses the name of an imported package: the last element, but for
// the number of a major version.
func localName(path string) string {
	elements := strings.Split(path, "/")
	last := elements[len(elements)-1]
	if len(elements) > 1 && len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = elements[len(elements)-2]
	}
	return last
}

// sources parses every file of the module that the current system builds.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := packages()
	if err != nil {
		t.Fatal(err)
	}
	var files []source
	fset := token.NewFileSet()
	for _, p := range all {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			path := name
			if !p.isRoot() {
				path = filepath.Join(p.rel(), name)
			}
			s, err := parse(fset, path, p.rel(), nil)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, s)
		}
	}
	return files
}

// selected calls found with the import path and the name of every pkg.Name in s.
func (s source) selected(found func(n ast.Node, path, name string)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				if path, ok := s.imports[x.Name]; ok {
					found(n, path, sel.Sel.Name)
				}
			}
		}
		return true
	})
}
