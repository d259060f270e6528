package flow

import (
	"slices"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/flow/source"
)

func names(p *Program) (list []string) {
	for _, t := range p.Locks {
		list = append(list, t.Source())
	}
	return list
}

// A run holds the locks of the flows that it calls, also of those that these call, once
// each, from its beginning on.
func TestLocksOfCalledFlowsAreTheCallers(t *testing.T) {
	const step = "  steps:\n    - {id: one, action: log, config: {message: x}}\n"
	p := compiles(t, map[string]string{
		"a.yaml": head + "  locks: [own, shared]\n  steps:\n    - {id: b, action: run_flow, config: {flow: b.yaml}}\n    - {id: c, action: run_flow, config: {flow: c.yaml}}\n",
		"b.yaml": "flow:\n  name: B\n  locks: [shared, of-b]\n  steps:\n    - {id: c, action: run_flow, config: {flow: c.yaml}}\n",
		"c.yaml": "flow:\n  name: C\n  locks: [of-c]\n" + step,
	})
	if got, want := names(p), []string{"own", "shared", "of-b", "of-c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A lock that is known only once a flow is called cannot be held from the beginning on:
// that is said, and not passed over.
func TestALockOfACalledFlowWithAPlaceholder(t *testing.T) {
	l := NewLoader(Options{Catalog: testCatalog(t), FS: projectFiles(map[string]string{
		"a.yaml": head + "  steps:\n    - {id: b, action: run_flow, config: {flow: b.yaml, input: {db: x}}}\n",
		"b.yaml": "flow:\n  name: B\n  input: {db: {type: string}}\n  locks: [fixed, \"db-${input.db}\"]\n  steps:\n    - {id: one, action: log, config: {message: x}}\n",
	})})
	programs, problems := l.Flows("a.yaml")
	if len(problems.Errors()) > 0 || len(programs) != 1 {
		t.Fatalf("got %v", problems)
	}
	if got := names(programs[0]); !slices.Equal(got, []string{"fixed"}) {
		t.Errorf("got the locks %q", got)
	}
	said := slices.ContainsFunc(problems, func(p source.Problem) bool {
		return strings.Contains(p.Message, `the lock db-${input.db} of flow "B" is not held`) && p.Hint != ""
	})
	if !said {
		t.Errorf("got %v", problems)
	}
	if own, problems := l.Flows("b.yaml"); len(problems) != 0 || len(own[0].Locks) != 2 {
		t.Errorf("the flow by itself: %v, %v", own, problems)
	}
}
