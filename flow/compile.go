package flow

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
)

// The defaults of a flow's config.
const (
	defaultRunTimeout      = 5 * time.Minute
	defaultTeardownTimeout = 60 * time.Second
	defaultMaxConcurrent   = 10
	defaultTryTimeout      = 30 * time.Second
	defaultRetryDelay      = time.Second
	defaultMaxDelay        = 30 * time.Second
	defaultEvery           = 250 * time.Millisecond
)

// compiler compiles one flow.
type compiler struct {
	l        *Loader
	file     *syntax.File
	index    int
	flow     *syntax.Flow
	caller   *compiler // hands its env on; nil: nobody
	p        *Program
	problems source.Problems
	called   source.Problems // of the flows that this one calls

	folders []*folder // of the directories above, the root's first
	roots   [phases]*list
	nodes   []*node
	byID    map[string]*node
	outputs map[string][]*definition

	env       map[string]*EnvVar // of every source
	envRead   map[string]bool    // what expressions name
	envUsed   map[string]bool    // what the program needs
	wholeEnv  bool               // something reads env as a whole
	services  map[string]bool    // what expressions name
	absent    map[string]bool    // guarded names: whether they may be absent
	varsRead  map[string]bool
	heldFor   map[string]*expr.Template // locks of called flows, by name
	secrets   map[string]bool
	plugins   map[string]bool
	columns   map[string]bool // of the rows
	inputSeen bool
	vague     bool   // a source of names could not be read
	noColumns bool   // there are rows, but none to know the columns from
	blamed    int    // names that were explained at length
	tracked   *scope // of the step whose clean-up is compiled
}

func newCompiler(l *Loader, file *syntax.File, index int, caller *compiler) *compiler {
	return &compiler{
		l: l, file: file, index: index, flow: file.Flows[index], caller: caller,
		p:    &Program{File: file.Path, Dir: path.Dir(file.Path), Bundle: Bundle{}, options: &l.o},
		byID: map[string]*node{}, outputs: map[string][]*definition{},
		env: map[string]*EnvVar{}, envRead: map[string]bool{}, envUsed: map[string]bool{}, varsRead: map[string]bool{}, heldFor: map[string]*expr.Template{},
		secrets: map[string]bool{}, plugins: map[string]bool{}, columns: map[string]bool{}, services: map[string]bool{}, absent: map[string]bool{},
	}
}

func (c *compiler) add(ps ...source.Problem) {
	for _, p := range ps {
		if p.Severity == "" {
			p.Severity = source.Error
		}
		if p.Fix == "" {
			p.Fix = c.correction(p)
		}
		c.problems = append(c.problems, p)
	}
}

// run compiles the flow; the program is nil where a problem is an error.
func (c *compiler) run() (*Program, source.Problems) {
	c.header()
	c.addFile(c.file.Path, c.flow.Name.Pos, c.file.Path)
	c.readFolders()
	c.inputs()
	c.data()
	c.checkRows()
	c.matrix()
	c.collectColumns()
	c.config()
	c.indexSteps()
	c.readEnv()
	c.phases()
	c.rest()
	c.readServices()
	c.checkEnv()
	c.checkRaces()
	c.collect()
	problems := finish(c.file.Path, append(c.problems, c.called...))
	if len(problems.Errors()) > 0 {
		return nil, problems
	}
	c.p.Version = c.p.Bundle.version(c.p.File, c.index)
	return c.p, problems
}

func (c *compiler) header() {
	f := c.flow
	c.p.Line = f.Pos.Line
	c.p.index = c.index
	c.p.Name, c.p.Description, c.p.Suite = f.Name.Value, f.Description.Value, f.Suite.Value
	c.p.Author, c.p.FlowVersion = f.Author.Value, f.Version.Value
	for _, t := range f.Tags {
		c.p.Tags = append(c.p.Tags, t.Value)
	}
	for _, a := range f.After {
		c.p.After = append(c.p.After, a.Value)
		c.p.afterPos = append(c.p.afterPos, a.Pos)
		if a.Value == f.Name.Value {
			c.add(problem(source.CodeCycle, a.Pos, a.Value, fmt.Sprintf("flow %q comes after itself", a.Value)))
		}
	}
}

func (c *compiler) config() {
	in := c.flow.Config
	c.p.Config = Config{
		Timeout:         in.Timeout.Or(defaultRunTimeout),
		TeardownTimeout: in.TeardownTimeout.Or(defaultTeardownTimeout),
		FailFast:        in.FailFast.Or(true),
		MaxConcurrent:   in.MaxConcurrent.Or(defaultMaxConcurrent),
		OnAgentLoss:     in.OnAgentLoss.Or("stop"),
	}
	if in.Retry != nil {
		// Its conditions read the result of each step, so names are resolved
		// where the retry is applied.
		c.p.Config.Retry = c.retry(in.Retry)
	}
}

// rest compiles what stands beside the steps and reads their names.
func (c *compiler) rest() {
	at := &scope{c: c, after: true, what: "output"}
	for _, o := range c.flow.Output {
		c.p.Output = append(c.p.Output, c.output(o, at))
	}
	before := &scope{c: c, what: "locks"}
	for _, n := range c.flow.Locks {
		c.p.Locks = append(c.p.Locks, c.template(n, before))
	}
	c.calledLocks()
	c.target()
	c.fileGlobs()
	if c.inputSeen && c.p.AnyInput {
		c.add(hinted(note(source.CodeInput, c.flow.Pos, "", "the flow declares no input and takes any key"),
			"declare what it takes under `input:` to have it checked"))
	}
}

func (c *compiler) target() {
	t := c.flow.Target
	if t == nil {
		return
	}
	at := &scope{c: c, what: "target"}
	c.p.Target = &Target{}
	if t.Env != nil {
		c.p.Target.Env = c.template(t.Env, at)
	}
	labels := func(entries []source.Entry) map[string][]*expr.Template {
		if len(entries) == 0 {
			return nil
		}
		out := map[string][]*expr.Template{}
		for _, e := range entries {
			items := []*source.Node{e.Value}
			if e.Value.Kind == source.List {
				items = e.Value.Items
			}
			for _, n := range items {
				out[e.Key.Text] = append(out[e.Key.Text], c.template(n, at))
			}
		}
		return out
	}
	c.p.Target.Match, c.p.Target.Not = labels(t.Match), labels(t.Not)
}

// collect writes down which names were read.
func (c *compiler) collect() {
	c.p.Secrets = slices.Sorted(maps.Keys(c.secrets))
	c.p.Plugins = slices.Sorted(maps.Keys(c.plugins))
	for name := range c.l.o.Vars {
		if c.p.declared(name) != nil {
			c.varsRead[name] = true
		}
	}
	c.p.VarsRead = slices.Sorted(maps.Keys(c.varsRead))
	for _, name := range slices.Sorted(maps.Keys(c.envUsed)) {
		c.p.Env = append(c.p.Env, c.env[name])
	}
}

// readServices compiles the addresses of the environment that the flow reads.
func (c *compiler) readServices() {
	e := c.l.o.Environment
	if e == nil {
		return
	}
	at := &scope{c: c, env: true, what: "services"}
	for _, s := range e.Services {
		if !c.services[s.Name] && !c.services["*"] {
			continue
		}
		t := c.l.tree(s.Value)
		c.add(t.problems...)
		if t.tree != nil && len(t.problems.Errors()) == 0 {
			c.p.Services = append(c.p.Services, NamedTree{Name: s.Name, Value: t.tree})
			c.resolve(t.tree.Refs(), at)
		}
	}
}

// addFile puts a file into the bundle.
func (c *compiler) addFile(name string, pos source.Pos, text string) bool {
	sum, err := c.l.files.hash(name)
	if err != nil {
		c.add(c.l.files.blameAt(pos, text, name, err))
		return false
	}
	c.p.Bundle[name] = sum
	return true
}

// needFile puts a file that a node names into the bundle; dir is the folder
// that the name is relative to.
func (c *compiler) needFile(n *source.Node, dir string) (string, bool) {
	name, err := within(dir, n.Text)
	if err != nil {
		c.add(c.l.files.blame(n, n.Text, err))
		return "", false
	}
	return name, c.addFile(name, n.Pos, n.Text)
}

// readFile is needFile with the content.
func (c *compiler) readFile(n *source.Node, dir string) (name string, data []byte, ok bool) {
	name, ok = c.needFile(n, dir)
	if !ok {
		return "", nil, false
	}
	data, err := c.l.files.read(name)
	if err != nil {
		c.add(c.l.files.blame(n, name, err))
		return "", nil, false
	}
	return name, data, true
}

// fileGlobs adds the files that are named while the flow runs.
func (c *compiler) fileGlobs() {
	for _, g := range c.flow.Files {
		n := &source.Node{Kind: source.String, Text: g.Value, Pos: g.Pos}
		names, err := c.glob(g.Value, c.p.Dir)
		switch {
		case err != nil:
			c.add(c.l.files.blame(n, g.Value, err))
		case len(names) == 0:
			c.add(problem(source.CodeFile, g.Pos, g.Value, fmt.Sprintf("no file matches %q", g.Value)))
		}
		for _, name := range names {
			c.addFile(name, g.Pos, g.Value)
		}
	}
}

// template compiles a value field's text and resolves what it reads.
func (c *compiler) template(n *source.Node, at *scope) *expr.Template {
	if n.Kind == source.Map || n.Kind == source.List {
		c.add(problem(source.CodeType, n.Pos, n.Text, at.what+" must be a text"))
		return nil
	}
	t, p := expr.CompileTemplateNode(n, c.exprOptions())
	if p != nil {
		c.add(*p)
		return nil
	}
	c.resolve(t.Refs(), at)
	return t
}

// tree compiles a value and resolves what it reads.
func (c *compiler) tree(n *source.Node, at *scope) *expr.Tree {
	t, problems := expr.CompileTree(n, c.exprOptions())
	c.add(problems...)
	if t != nil && len(problems.Errors()) == 0 {
		c.resolve(t.Refs(), at)
	}
	return t
}

// expression compiles an expression field and resolves what it reads.
func (c *compiler) expression(n *source.Node, at *scope, jsonPath bool) *expr.Expr {
	if n.Kind == source.Map || n.Kind == source.List {
		c.add(problem(source.CodeType, n.Pos, n.Text, at.what+" must be an expression"))
		return nil
	}
	o := c.exprOptions()
	o.JSONPath = jsonPath
	e, p := expr.CompileNode(n, o)
	if p != nil {
		c.add(*p)
		return nil
	}
	c.resolve(e.Refs(), at)
	return e
}

// condition compiles an expression that must be true or false.
func (c *compiler) condition(n *source.Node, at *scope) *expr.Expr {
	if n.Kind == source.Null {
		c.add(problem(source.CodeType, n.Pos, "", at.what+" is empty"))
		return nil
	}
	e := c.expression(n, at, false)
	if e == nil {
		return nil
	}
	if kind := e.StaticKind(); kind != "" && kind != "boolean" {
		c.add(hinted(problem(source.CodeType, n.Pos, n.Text, fmt.Sprintf("%s is %s, not true or false", at.what, article(kind))),
			"compare it: "+strings.TrimSpace(n.Text)+" == …"))
		return e
	}
	if v, ok := e.Constant(); ok {
		c.add(note(source.CodeExpr, n.Pos, n.Text, fmt.Sprintf("%s is always %v", at.what, v)))
	}
	return e
}

func (c *compiler) exprOptions() expr.Options {
	return c.l.exprOptions()
}

func (c *compiler) output(o *syntax.Output, at *scope) *Output {
	out := &Output{Name: o.Name.Value, Secret: o.Secret, Pos: o.Name.Pos}
	out.Value = c.expression(o.Value, at.named("output "+o.Name.Value), true)
	return out
}
