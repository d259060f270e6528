package flow

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// project is every flow of the project by name.
type project struct {
	flows map[string][]flowRef
}

func (p *project) names() []string { return slices.Sorted(maps.Keys(p.flows)) }

// index finds the flows of the whole project, once; it is needed only where a
// flow is named without its file.
func (l *Loader) index() *project {
	if l.project != nil {
		return l.project
	}
	l.project = &project{flows: map[string][]flowRef{}}
	var files []string
	if l.o.FS != nil {
		files, _, _ = Discover(l.o.FS, []string{"."})
	}
	for name := range l.parsed {
		if !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	for _, name := range files {
		file, _ := l.Parse(name)
		for i, f := range file.Flows {
			if f.Name.Value != "" {
				l.project.flows[f.Name.Value] = append(l.project.flows[f.Name.Value], flowRef{name, i})
			}
		}
	}
	return l.project
}

// CheckProject judges `after` of the selected flows against all flows of the
// project: every name must be one of them, and no flow may wait for itself.
func (l *Loader) CheckProject(programs []*Program) source.Problems {
	var problems source.Problems
	circles := map[string]bool{}
	for _, p := range programs {
		if len(p.After) == 0 {
			continue // the other flows of the project do not matter to it
		}
		for i, name := range p.After {
			if len(l.index().flows[name]) > 0 {
				continue
			}
			names := l.index().names()
			pr := problem(source.CodeName, p.afterPos[i], name, fmt.Sprintf("after: no flow of the project is named %q", name))
			if near := value.Closest(name, names); near != "" {
				pr.Hint = fmt.Sprintf("did you mean %q?", near)
			}
			pr.InScope = names[:min(len(names), maxInScope)]
			problems = append(problems, pr)
		}
		chain := l.afterCircle(p.Name)
		if chain == nil {
			continue
		}
		members := slices.Sorted(slices.Values(chain[1:]))
		if key := strings.Join(members, "\x00"); !circles[key] {
			circles[key] = true
			pos := source.Pos{File: p.File, Line: p.Line}
			if len(p.afterPos) > 0 {
				pos = p.afterPos[0]
			}
			problems = append(problems, problem(source.CodeCycle, pos, p.Name, "flows come after each other in a circle: "+strings.Join(chain, " → ")))
		}
	}
	return problems
}

// afterCircle follows `after` from a flow back to it, and returns the way.
func (l *Loader) afterCircle(start string) []string {
	seen := map[string]bool{}
	var follow func(name string, path []string) []string
	follow = func(name string, path []string) []string {
		path = append(path, name)
		for _, next := range l.after(name) {
			if next == start {
				return append(path, start)
			}
			if seen[next] {
				continue
			}
			seen[next] = true
			if chain := follow(next, path); chain != nil {
				return chain
			}
		}
		return nil
	}
	return follow(start, nil)
}

// after are the names that the flows of a name wait for.
func (l *Loader) after(name string) []string {
	var out []string
	for _, ref := range l.index().flows[name] {
		for _, a := range l.parsed[ref.path].file.Flows[ref.index].After {
			if a.Value != name {
				out = append(out, a.Value) // itself is a problem of the flow already
			}
		}
	}
	return out
}
