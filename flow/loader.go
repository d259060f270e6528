package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/testmesh/testmesh/flow/assert"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
	"github.com/testmesh/testmesh/flow/value"
)

// Loader compiles the flows of one project and reads each file once: flows,
// folders, env files, rows, sub-flows. It is used by one goroutine at a time.
type Loader struct {
	o        Options
	files    *files
	parsed   map[string]*parsedFile
	folders  map[string]*folder
	envFiles map[string]*envFile
	trees    map[*source.Node]*compiledTree
	literals map[Binding]*compiledTree
	programs map[programKey]*compiled
	// expectations are those of actions, by their text.
	expectations map[string]*assert.Assertion
	stack        []programKey // flows that are being compiled, the callers first
	project      *project
}

type parsedFile struct {
	file     *syntax.File
	problems source.Problems
}

type compiledTree struct {
	tree     *expr.Tree
	problems source.Problems
}

// programKey names a compiled flow: with inherit it sees the caller's env.
type programKey struct {
	path    string
	index   int
	inherit string
}

type compiled struct {
	program  *Program
	problems source.Problems // of the flow and of the flows that it calls
}

// NewLoader makes a loader; it reads nothing yet.
func NewLoader(o Options) *Loader {
	return &Loader{
		o: o, files: newFiles(o.FS),
		parsed: map[string]*parsedFile{}, folders: map[string]*folder{}, envFiles: map[string]*envFile{},
		trees: map[*source.Node]*compiledTree{}, literals: map[Binding]*compiledTree{},
		programs: map[programKey]*compiled{}, expectations: map[string]*assert.Assertion{},
	}
}

// Compile compiles one flow of a file that was parsed already. The program is
// nil where a problem is an error.
func Compile(file *syntax.File, index int, o Options) (*Program, source.Problems) {
	l := NewLoader(o)
	l.Add(file, nil)
	return l.Program(file.Path, index)
}

// Add gives the loader a file that was parsed elsewhere, such as standard input
// or an editor's buffer, with what was found in it.
func (l *Loader) Add(file *syntax.File, problems source.Problems) {
	l.parsed[file.Path] = &parsedFile{file, problems}
	l.files.put(file.Path, file.Data)
}

// Parse reads and parses a flow file, which may have problems and flows both.
func (l *Loader) Parse(path string) (*syntax.File, source.Problems) {
	if f, ok := l.parsed[path]; ok {
		return f.file, f.problems
	}
	entry := &parsedFile{file: &syntax.File{Path: path}}
	data, err := l.files.readUpTo(path, source.MaxSize)
	if err != nil {
		entry.problems = source.Problems{l.files.blameAt(source.Pos{File: path}, path, path, err)}
	} else {
		entry.file, entry.problems = syntax.Parse(path, data)
		if entry.file == nil {
			entry.file = &syntax.File{Path: path, Data: data}
		}
	}
	l.parsed[path] = entry
	return entry.file, entry.problems
}

// Flows compiles every flow of a file. Programs of flows with errors are left
// out; the problems are those of the file and of what its flows call.
func (l *Loader) Flows(path string) ([]*Program, source.Problems) {
	file, problems := l.Parse(path)
	if len(file.Flows) == 0 {
		if len(problems.Errors()) == 0 {
			problems = append(problems, problem(source.CodeYAML, source.Pos{File: path, Line: 1, Column: 1}, "", "the file holds no flow"))
		}
		return nil, problems
	}
	var out []*Program
	all := slices.Clone(problems)
	for i := range file.Flows {
		p, found := l.compile(programKey{path: path, index: i}, nil)
		if p != nil && len(problems.Errors()) == 0 {
			out = append(out, p)
		}
		all = append(all, found...)
	}
	return out, finish(path, all)
}

// Program compiles one flow of a file, counted from 0.
func (l *Loader) Program(path string, index int) (*Program, source.Problems) {
	file, problems := l.Parse(path)
	if index < 0 || index >= len(file.Flows) {
		if len(problems.Errors()) == 0 {
			problems = append(problems, problem(source.CodeName, source.Pos{File: path}, "", fmt.Sprintf("the file has %d flows, and not a flow %d", len(file.Flows), index+1)))
		}
		return nil, problems
	}
	p, found := l.compile(programKey{path: path, index: index}, nil)
	all := append(slices.Clone(problems), found...)
	if len(all.Errors()) > 0 {
		p = nil
	}
	return p, finish(path, all)
}

// Flow compiles the flow of a file that has the name; an empty name means the
// only one.
func (l *Loader) Flow(path, name string) (*Program, source.Problems) {
	file, problems := l.Parse(path)
	index, p := pickFlow(file, name)
	if p != nil {
		if len(problems.Errors()) > 0 {
			return nil, problems
		}
		return nil, append(problems, *p)
	}
	return l.Program(path, index)
}

// pickFlow finds a flow of a file by its name.
func pickFlow(file *syntax.File, name string) (int, *source.Problem) {
	if name == "" && len(file.Flows) == 1 {
		return 0, nil
	}
	names := make([]string, 0, len(file.Flows))
	for i, f := range file.Flows {
		if f.Name.Value == name && name != "" {
			return i, nil
		}
		names = append(names, f.Name.Value)
	}
	at := source.Pos{File: file.Path}
	if name == "" {
		p := hinted(problem(source.CodeName, at, "", fmt.Sprintf("%s holds %d flows", file.Path, len(file.Flows))),
			"say which: "+file.Path+"#"+firstOr(names, "name"))
		p.InScope = names
		return 0, &p
	}
	p := problem(source.CodeName, at, name, fmt.Sprintf("%s has no flow %q", file.Path, name))
	p.Hint = "it has " + quoteAll(names)
	if near := value.Closest(name, names); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return 0, &p
}

func firstOr(list []string, otherwise string) string {
	if len(list) > 0 {
		return list[0]
	}
	return otherwise
}

func quoteAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return strings.Join(out, ", ")
}

// compile compiles a flow once. The caller, where there is one, is a flow that
// hands its env on.
func (l *Loader) compile(key programKey, caller *compiler) (*Program, source.Problems) {
	if done, ok := l.programs[key]; ok {
		return done.program, done.problems
	}
	l.stack = append(l.stack, key)
	c := newCompiler(l, l.parsed[key.path].file, key.index, caller)
	program, problems := c.run()
	l.stack = l.stack[:len(l.stack)-1]
	l.programs[key] = &compiled{program, problems}
	return program, problems
}

// onStack tells whether a flow is being compiled now, which makes calling it a
// circle; it returns the flows of the circle.
func (l *Loader) onStack(path string, index int) []string {
	for i, k := range l.stack {
		if k.path != path || k.index != index {
			continue
		}
		var chain []string
		for _, k := range l.stack[i:] {
			chain = append(chain, l.title(k.path, k.index))
		}
		return append(chain, l.title(path, index))
	}
	return nil
}

// title names a flow in messages: its file, and its name where the file has
// several.
func (l *Loader) title(path string, index int) string {
	file := l.parsed[path].file
	if len(file.Flows) > 1 {
		return path + "#" + file.Flows[index].Name.Value
	}
	return path
}

// tree compiles a value of a file that many flows share once.
func (l *Loader) tree(n *source.Node) *compiledTree {
	if t, ok := l.trees[n]; ok {
		return t
	}
	tree, problems := expr.CompileTree(n, l.exprOptions())
	l.trees[n] = &compiledTree{tree, problems}
	return l.trees[n]
}

// binding compiles a value of a dotenv file once.
func (l *Loader) binding(b Binding) *compiledTree {
	if t, ok := l.literals[b]; ok {
		return t
	}
	t := &compiledTree{}
	if b.Literal {
		t.tree = expr.Literal(b.Value)
	} else {
		n := &source.Node{Kind: source.String, Value: b.Value, Text: b.Value, Pos: b.Pos}
		t.tree, t.problems = expr.CompileTree(n, l.exprOptions())
	}
	l.literals[b] = t
	return t
}

// maxProblems bounds what one flow reports.
const maxProblems = 500

// finish orders problems by file and place, the flow's own file first, and
// drops those that were found twice.
func finish(own string, ps source.Problems) source.Problems {
	slices.SortStableFunc(ps, func(a, b source.Problem) int {
		if (a.Pos.File == own) != (b.Pos.File == own) {
			if a.Pos.File == own {
				return -1
			}
			return 1
		}
		if a.Pos.File != b.Pos.File {
			return strings.Compare(a.Pos.File, b.Pos.File)
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		if a.Pos.Column != b.Pos.Column {
			return a.Pos.Column - b.Pos.Column
		}
		return strings.Compare(a.Message, b.Message)
	})
	ps = slices.CompactFunc(ps, func(a, b source.Problem) bool {
		return a.Pos == b.Pos && a.Message == b.Message && a.Severity == b.Severity
	})
	if len(ps) > maxProblems {
		more := problem(source.CodeLimit, ps[maxProblems].Pos, "", fmt.Sprintf("%d more problems are left out", len(ps)-maxProblems))
		ps = append(ps[:maxProblems:maxProblems], more)
	}
	return ps
}

// exprOptions are the functions that expressions may call beside the
// language's own: those of plugins.
func (l *Loader) exprOptions() expr.Options { return expr.Options{Function: l.o.Catalog.Function} }
