package bundle

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Options are what both ends know of a batch beside its source.
type Options struct {
	FS      fs.FS
	Source  *apiv1.Source
	Catalog *catalog.Catalog
	// Environment is the one of the source; nil: none.
	Environment *flow.Environment
	// ProcessEnv reads the environment of an agent as far as it may be read; nil, and
	// on the control plane: not at all.
	ProcessEnv func(name string) (string, bool)
	// Lenient lets plugins be missing and env be unknown: the control plane plans what
	// an agent with more will run.
	Lenient bool
}

// Loader compiles the flows of a batch, each once.
type Loader struct {
	o      Options
	loader *flow.Loader
}

// NewLoader reads what is common to the flows of a batch.
func NewLoader(o Options) (*Loader, source.Problems) {
	fo := flow.Options{
		FS: o.FS, Catalog: o.Catalog, Environment: o.Environment, Vars: o.Source.GetVars(), ProcessEnv: o.ProcessEnv,
		AllowMissingPlugins: o.Lenient,
	}
	if in := o.Source.GetInputs(); in != nil {
		fo.Inputs = map[string]any{}
		for k, v := range in.AsMap() {
			fo.Inputs[k] = normal(v)
		}
	}
	if name := o.Source.GetData(); name != "" {
		text, err := fs.ReadFile(o.FS, name)
		if err != nil {
			return nil, source.Problems{{Severity: source.Error, Code: source.CodeFile, Message: fmt.Sprintf("read the rows: %v", err)}}
		}
		data, problems := flow.ParseData(name, text)
		if bad := problems.Errors(); len(bad) > 0 {
			return nil, bad
		}
		fo.Data = data
	}
	return &Loader{o, flow.NewLoader(fo)}, nil
}

// normal makes the whole numbers of a Struct integers, which they were before.
func normal(v any) any {
	switch x := v.(type) {
	case float64:
		if n := int64(x); float64(n) == x {
			return n
		}
	case []any:
		for i := range x {
			x[i] = normal(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = normal(x[k])
		}
	}
	return v
}

// Program compiles one flow of the bundle.
func (l *Loader) Program(file string, index int) (*flow.Program, source.Problems) {
	p, problems := l.loader.Program(file, index)
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, bad
	}
	if p == nil {
		return nil, source.Problems{{Severity: source.Error, Code: source.CodeFile, Pos: source.Pos{File: file}, Message: fmt.Sprintf("%s has no flow %d", file, index+1)}}
	}
	return p, nil
}

// Runs are the runs of one flow in the batch, in their order; the place in the list is
// the ordinal of a run.
func (l *Loader) Runs(p *flow.Program) ([]flow.RunSpec, source.Problems) {
	runs, problems := p.Runs(flow.Selection{Iterations: int(l.o.Source.GetIterations()), Repeat: int(l.o.Source.GetRepeat())})
	return runs, problems.Errors()
}

// Plan are the runs of a batch in their order.
func (l *Loader) Plan() ([]*apiv1.Spec, source.Problems) {
	only := map[ordinal]bool{}
	for _, r := range l.o.Source.GetOnly() {
		only[ordinal{r.GetFile(), r.GetIndex(), r.GetOrdinal()}] = true
	}
	var specs []*apiv1.Spec
	var problems source.Problems
	for _, ref := range l.o.Source.GetFlows() {
		p, bad := l.Program(ref.GetFile(), int(ref.GetIndex()))
		if len(bad) > 0 {
			problems = append(problems, bad...)
			continue
		}
		problems = append(problems, l.steps(p)...)
		base, bad := l.spec(p, ref)
		problems = append(problems, bad...)
		runs, bad := l.Runs(p)
		if problems = append(problems, bad...); len(problems) > 0 {
			continue
		}
		for i, r := range runs {
			if len(only) > 0 && !only[ordinal{ref.GetFile(), ref.GetIndex(), int32(i)}] {
				continue
			}
			specs = append(specs, one(base, p, r, i))
		}
	}
	return specs, problems
}

// steps refuses to begin with, or to end after, a step that the flow has not: it would
// run nothing, or all of it.
func (l *Loader) steps(p *flow.Program) (problems source.Problems) {
	ids := make([]string, len(p.Steps))
	for i, s := range p.Steps {
		ids[i] = s.ID
	}
	for what, id := range map[string]string{"begin with": l.o.Source.GetFrom(), "end after": l.o.Source.GetTo()} {
		if id == "" || slices.Contains(ids, id) {
			continue
		}
		hint := source.Suggest(id, ids)
		if hint == "" {
			hint = "its steps are " + strings.Join(ids, ", ")
		}
		problems = append(problems, source.Problem{
			Severity: source.Error, Code: source.CodeName, Pos: source.Pos{File: p.File, Line: p.Line}, Text: id,
			Message: fmt.Sprintf("flow %q has no step %s at its top level to %s", p.Name, id, what), Hint: hint,
		})
	}
	return problems
}

type ordinal struct {
	file  string
	index int32
	n     int32
}

// spec is what all runs of a flow have in common.
func (l *Loader) spec(p *flow.Program, ref *apiv1.FlowRef) (*apiv1.Spec, source.Problems) {
	s := &apiv1.Spec{
		Bundle: l.o.Source.GetBundle(), File: ref.GetFile(), Index: ref.GetIndex(), Flow: p.Name, Suite: p.Suite, Tags: p.Tags,
		Environment: l.o.Source.GetEnvironment(), After: p.After, RerunOnLoss: p.Config.OnAgentLoss == "rerun",
		Timeout: durationpb.New(p.Config.Timeout), Target: l.o.Source.GetTarget(), Plugins: p.Plugins,
	}
	var problems source.Problems
	if s.Target == nil {
		s.Target, problems = target(p)
	}
	for _, t := range p.Locks {
		if v, ok := t.Static(); ok {
			s.Locks = append(s.Locks, value.Text(v))
		}
	}
	return s, problems
}

func one(base *apiv1.Spec, p *flow.Program, r flow.RunSpec, ordinal int) *apiv1.Spec {
	s := &apiv1.Spec{
		Bundle: base.Bundle, File: base.File, Index: base.Index, Flow: base.Flow, Suite: base.Suite, Tags: base.Tags,
		Environment: base.Environment, After: base.After, RerunOnLoss: base.RerunOnLoss, Timeout: base.Timeout, Target: base.Target, Locks: base.Locks, Plugins: base.Plugins,
		Iteration: int32(r.Iteration), Ordinal: int32(ordinal), Label: r.Label,
	}
	if index, name, ok := p.RowOf(r.Row, r.Matrix); ok {
		s.Row = &apiv1.Row{Index: int32(index), Name: name}
	}
	return s
}

// envLabel is the label that target.env means.
const envLabel = "env"

// target are the labels of a flow, which must be known before an agent has the run.
func target(p *flow.Program) (*apiv1.Target, source.Problems) {
	t := p.Target
	if t == nil {
		return nil, nil
	}
	out := &apiv1.Target{Match: map[string]*apiv1.Values{}, Not: map[string]*apiv1.Values{}}
	var problems source.Problems
	add := func(into map[string]*apiv1.Values, key string, templates []*expr.Template) {
		v := &apiv1.Values{}
		for _, one := range templates {
			fixed, ok := one.Static()
			if !ok {
				problems = append(problems, source.Problem{
					Severity: source.Error, Code: source.CodeValue, Pos: source.Pos{File: p.File, Line: p.Line}, Text: one.Source(),
					Message: fmt.Sprintf("flow %q: the label %s of target has a placeholder, and agents are chosen before anything is computed", p.Name, key),
					Hint:    "write the value, or give it with --target",
				})
				continue
			}
			v.Values = append(v.Values, value.Text(fixed))
		}
		into[key] = v
	}
	if t.Env != nil {
		add(out.Match, envLabel, []*expr.Template{t.Env})
	}
	for key, templates := range t.Match {
		add(out.Match, key, templates)
	}
	for key, templates := range t.Not {
		add(out.Not, key, templates)
	}
	return out, problems
}
