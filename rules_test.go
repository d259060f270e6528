package testmesh

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// pureTrees take time, randomness, files and streams as arguments: the same
// input gives the same answer on a laptop, on an agent and in a replay.
var pureTrees = []string{"flow", "controlplane/store", "controlplane/cron"}

// impureImports reach the world outside. net/url and net/netip only parse.
var impureImports = []string{
	"os", "net", "net/http", "net/rpc", "net/smtp", "log", "syscall", "crypto/rand", "plugin", "runtime/debug",
	"golang.org/x/sys", "golang.org/x/net",
}

// storeMayImport is why impureImports do not hold there: it owns a database file.
const storeMayImport = "controlplane/store"

func impure(path string) bool {
	return within(path, impureImports) && path != "net/url" && path != "net/netip" && path != "net/textproto"
}

// ambient lists, by package, what reads the clock or shared randomness. With
// only, it is all but the names given.
var ambient = map[string]struct {
	names []string
	only  bool
}{
	"time":                   {[]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"}, false},
	"math/rand":              {[]string{"New", "NewSource", "NewZipf", "Rand", "Source", "Source64", "Zipf"}, true},
	"math/rand/v2":           {[]string{"New", "NewPCG", "NewChaCha8", "NewZipf", "Rand", "Source", "PCG", "ChaCha8", "Zipf"}, true},
	"github.com/google/uuid": {[]string{"New", "NewString", "NewRandom", "NewUUID", "NewV6", "NewV7", "Must"}, false},
}

func impureUses(s source) []string {
	var bad []string
	if s.pkg != storeMayImport {
		for _, path := range s.imports {
			if impure(path) {
				bad = append(bad, fmt.Sprintf("%s imports %s", s.name, path))
			}
		}
	}
	s.selected(func(n ast.Node, path, name string) {
		if rule, ok := ambient[path]; ok && slices.Contains(rule.names, name) != rule.only {
			bad = append(bad, fmt.Sprintf("%s uses %s.%s", s.at(n), path, name))
		}
	})
	ast.Inspect(s.file, func(n ast.Node) bool {
		if stmt, ok := n.(*ast.GoStmt); ok {
			bad = append(bad, s.at(stmt)+" starts a goroutine")
		}
		return true
	})
	return bad
}

func TestPureTreesTakeTheWorldAsAnArgument(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.generated || !within(s.pkg, pureTrees) {
			continue
		}
		for _, use := range impureUses(s) {
			t.Errorf("%s: take it as an argument", use)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if _, seen := comments[s.pkg]; !seen {
			comments[s.pkg] = nil
		}
		external := strings.HasSuffix(s.file.Name.Name, "_test")
		if s.file.Doc != nil && !s.generated && !external {
			comments[s.pkg] = append(comments[s.pkg], s.name)
		}
	}
	for pkg, files := range comments {
		if strings.HasPrefix(pkg, "proto/") && strings.HasSuffix(pkg, "connect") {
			continue // protoc-gen-connect-go writes all of it; its neighbour has the comment
		}
		switch len(files) {
		case 0:
			t.Errorf("%s: no package comment says what it is for and what it never does", pkg)
		case 1:
		default:
			t.Errorf("%s: %d package comments: %s", pkg, len(files), strings.Join(files, ", "))
		}
	}
}

// sideEffects lists what the files of a package do before main, and what they
// keep from one caller for the next: init functions, variables that something
// writes to, patterns compiled at start.
func sideEffects(files []source) []string {
	var bad []string
	owner := resolve(files)
	for _, s := range files {
		for _, decl := range s.file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Name.Name == "init" && decl.Recv == nil {
					bad = append(bad, s.at(decl)+": func init runs in every program that links this")
				}
			case *ast.GenDecl:
				bad = append(bad, variables(s, decl)...)
			}
		}
		bad = append(bad, writes(s, owner)...)
	}
	return bad
}

// resolve says what the identifiers of a package refer to. It follows no import:
// what another package declares stays unknown, and is not asked for.
func resolve(files []source) *types.Info {
	var trees []*ast.File
	for _, s := range files {
		trees = append(trees, s.file)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{
		Importer: unknownPackages{},
		Error:    func(error) {}, // each unknown package is one
	}
	_, _ = config.Check(files[0].pkg, files[0].fset, trees, info)
	return info
}

type unknownPackages struct{}

func (unknownPackages) Import(path string) (*types.Package, error) {
	return nil, errors.New("not followed: " + path)
}

// mutableTypes exist to be written to.
var mutableTypes = []string{"sync.Mutex", "sync.RWMutex", "sync.Map", "sync.Pool", "sync.Once", "sync.WaitGroup"}

// variables reports what is wrong with a declaration of the package's variables.
func variables(s source, decl *ast.GenDecl) []string {
	var bad []string
	if decl.Tok != token.VAR {
		return nil
	}
	for _, spec := range decl.Specs {
		spec := spec.(*ast.ValueSpec)
		if sel, ok := spec.Type.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && (x.Name == "atomic" || slices.Contains(mutableTypes, x.Name+"."+sel.Sel.Name)) {
				bad = append(bad, fmt.Sprintf("%s: package-level %s.%s is shared state", s.at(spec), x.Name, sel.Sel.Name))
			}
		}
		for _, value := range spec.Values {
			if call, ok := value.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "MustCompile") {
					bad = append(bad, s.at(spec)+": compiled at the start of every program; use sync.OnceValue")
				}
			}
		}
	}
	return bad
}

// writes reports every assignment to a variable of the package, or through it,
// but for a table that is filled under its own sync.Once and read from then on:
// table.once.Do(func() { table.rows = … }).
func writes(s source, info *types.Info) []string {
	var bad []string
	global := func(target ast.Expr) types.Object {
		if name := root(target); name != nil {
			if v, ok := info.Uses[name].(*types.Var); ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				return v
			}
		}
		return nil
	}
	var filled types.Object // the table whose Once runs
	var until token.Pos     // where that ends
	check := func(n ast.Node, target ast.Expr) {
		if v := global(target); v != nil && (v != filled || n.Pos() > until) {
			bad = append(bad, fmt.Sprintf("%s: writes to the package's variable %s", s.at(n), v.Name()))
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, target := range n.Lhs {
				check(n, target)
			}
		case *ast.IncDecStmt:
			check(n, n.X)
		case *ast.CallExpr:
			if do, ok := n.Fun.(*ast.SelectorExpr); ok && do.Sel.Name == "Do" && global(do.X) != nil {
				filled, until = global(do.X), n.End()
			}
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
				check(n, n.Args[0])
			}
		}
		return true
	})
	return bad
}

// root is the variable that x[i].y and *x write to: x. Nil where it is none.
func root(target ast.Expr) *ast.Ident {
	for {
		switch e := target.(type) {
		case *ast.Ident:
			return e
		case *ast.IndexExpr:
			target = e.X
		case *ast.SelectorExpr:
			target = e.X
		case *ast.StarExpr:
			target = e.X
		case *ast.ParenExpr:
			target = e.X
		default:
			return nil
		}
	}
}

func TestNothingHappensBeforeMain(t *testing.T) {
	byPackage := map[string][]source{}
	for _, s := range sources(t) {
		if !s.test && !s.generated {
			byPackage[s.pkg] = append(byPackage[s.pkg], s)
		}
	}
	for _, files := range byPackage {
		for _, effect := range sideEffects(files) {
			t.Error(effect)
		}
	}
}

// weakTests lists what makes a test green without proof: it sleeps and hopes, it
// skips itself, or nothing in it can fail. In the virtual time of synctest.Test a
// sleep hopes for nothing: it says when.
func weakTests(s source) []string {
	var bad []string
	var virtual []ast.Node
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 2 {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Test" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "synctest" {
					virtual = append(virtual, call.Args[1])
				}
			}
		}
		return true
	})
	within := func(n ast.Node) bool {
		return slices.ContainsFunc(virtual, func(v ast.Node) bool { return v.Pos() <= n.Pos() && n.End() <= v.End() })
	}
	s.selected(func(n ast.Node, path, name string) {
		if path == "time" && name == "Sleep" && !within(n) {
			bad = append(bad, s.at(n)+": time.Sleep; use testing/synctest, or poll and report the last error")
		}
	})
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) &&
				slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
				bad = append(bad, s.at(n)+": a skipped test proves nothing")
			}
		}
		return true
	})
	for _, decl := range s.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && isTest(f) && !canFail(f) {
			bad = append(bad, s.at(f)+": nothing in "+f.Name.Name+" can fail")
		}
	}
	return bad
}

func isTest(f *ast.FuncDecl) bool {
	return (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) &&
		f.Name.Name != "TestMain" && len(f.Type.Params.List) == 1 && len(f.Type.Params.List[0].Names) == 1
}

// canFail says whether f calls a failing method of its parameter, or of one in
// a function inside it, or hands it to something that may.
func canFail(f *ast.FuncDecl) bool {
	failing := []string{"Error", "Errorf", "Fatal", "Fatalf", "Fail", "FailNow"}
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(failing, sel.Sel.Name) {
			found = true
		}
		for _, arg := range call.Args {
			if x, ok := arg.(*ast.Ident); ok && x.Name == f.Type.Params.List[0].Names[0].Name {
				found = true
			}
		}
		return true
	})
	return found
}

func TestTestsCanFail(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			for _, weak := range weakTests(s) {
				t.Error(weak)
			}
		}
	}
}

// TestTheRulesFindWhatTheyForbid shows each rule a file that breaks it and one
// that does not.
func TestTheRulesFindWhatTheyForbid(t *testing.T) {
	sideEffectsOf := func(s source) []string { return sideEffects([]source{s}) }
	tests := map[string]struct {
		rule func(source) []string
		code string
		want string // part of the only complaint; empty: none
	}{
		"the clock":              {impureUses, `import "time"; func f() { _ = time.Now() }`, "time.Now"},
		"a duration is no clock": {impureUses, `import "time"; const d = time.Second`, ""},
		"the renamed clock":      {impureUses, `import clock "time"; func f() { clock.Sleep(1) }`, "time.Sleep"},
		"shared randomness":      {impureUses, `import "math/rand/v2"; func f() int { return rand.N(3) }`, "rand/v2.N"},
		"own randomness":         {impureUses, `import "math/rand/v2"; func f(r *rand.Rand) int { return r.IntN(3) }`, ""},
		"ids":                    {impureUses, `import "github.com/google/uuid"; func f() any { return uuid.New() }`, "uuid.New"},
		"the file system":        {impureUses, `import "os"; var _ = os.Args`, "imports os"},
		"processes":              {impureUses, `import "os/exec"; var _ exec.Cmd`, "imports os/exec"},
		"the network":            {impureUses, `import "net/http"; var _ http.Client`, "imports net/http"},
		"addresses only parse":   {impureUses, `import "net/url"; var _ url.URL`, ""},
		"goroutines":             {impureUses, `func f() { go f() }`, "goroutine"},

		"init":                     {sideEffectsOf, `func init() {}`, "func init"},
		"a method named init":      {sideEffectsOf, `type T int; func (T) init() {}`, ""},
		"an assigned variable":     {sideEffectsOf, `var n int; func f() { n = 1 }`, "variable n"},
		"a counted variable":       {sideEffectsOf, `var n int; func f() { n++ }`, "variable n"},
		"a written map":            {sideEffectsOf, `var m = map[int]int{}; func f() { m[1] = 2 }`, "variable m"},
		"a deleted key":            {sideEffectsOf, `var m = map[int]int{}; func f() { delete(m, 1) }`, "variable m"},
		"a written field":          {sideEffectsOf, `var s struct{ n int }; func f() { s.n = 1 }`, "variable s"},
		"a local of the same name": {sideEffectsOf, `var n = 1; func f() { n := 2; n = 3; _ = n }`, ""},
		"a table that is read":     {sideEffectsOf, `var m = map[int]int{1: 2}; func f() int { return m[1] }`, ""},
		"a table under its Once":   {sideEffectsOf, `import "sync"; var m struct { once sync.Once; n int }; func f() { m.once.Do(func() { m.n = 1 }) }`, ""},
		"a write after the Once":   {sideEffectsOf, `import "sync"; var m struct { once sync.Once; n int }; func f() { m.once.Do(func() {}); m.n = 1 }`, "variable m"},
		"a lock":                   {sideEffectsOf, `import "sync"; var mu sync.Mutex`, "shared state"},
		"a pattern at start":       {sideEffectsOf, `import "regexp"; var re = regexp.MustCompile("x")`, "OnceValue"},
		"a pattern at first use":   {sideEffectsOf, `import ("regexp"; "sync"); var re = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("x") })`, ""},

		"a test that sleeps":       {weakTests, `import ("testing"; "time"); func TestX(t *testing.T) { time.Sleep(1); t.Fatal() }`, "time.Sleep"},
		"a sleep in virtual time":  {weakTests, `import ("testing"; "testing/synctest"; "time"); func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1); t.Fatal() }) }`, ""},
		"a sleep beside it":        {weakTests, `import ("testing"; "testing/synctest"; "time"); func TestX(t *testing.T) { synctest.Test(t, func(t *testing.T) { t.Fatal() }); time.Sleep(1) }`, "time.Sleep"},
		"a test that skips itself": {weakTests, `import "testing"; func TestX(t *testing.T) { t.Skip(); t.Fatal() }`, "proves nothing"},
		"a test without a claim":   {weakTests, `import "testing"; func TestX(t *testing.T) { println() }`, "can fail"},
		"a test that claims":       {weakTests, `import "testing"; func TestX(t *testing.T) { t.Error() }`, ""},
		"a test by another's hand": {weakTests, `import "testing"; func TestX(t *testing.T) { want(t, 1) }`, ""},
		"a table test that claims": {weakTests, `import "testing"; func TestX(t *testing.T) { t.Run("", func(t *testing.T) { t.Fatal() }) }`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parse(token.NewFileSet(), "x.go", "flow/x", "package x; "+test.code)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(test.rule(s), "; ")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want one complaint that holds %q", got, test.want)
			}
		})
	}
}
