package syntax

import "github.com/testmesh/testmesh/flow/source"

// ParseSteps reads the `setup` and `teardown` of a folder.yaml; nil stands for
// one that is not there. Ids that were left out are made as those of a flow.
func ParseSteps(path string, data []byte, setup, teardown *source.Node) (before, after []*Step, problems source.Problems) {
	p := &parser{file: &File{Path: path, Data: data}, ids: map[string]source.Pos{}, flow: &Flow{}}
	if setup != nil && setup.Kind != source.Null {
		before = p.stepItems(setup, "setup", 1)
	}
	if teardown != nil && teardown.Kind != source.Null {
		after = p.stepItems(teardown, "teardown", 1)
	}
	p.generateIDs()
	return before, after, p.problems
}

// CheckTag judges a tag of a folder as one of a flow; nil: it is one.
func CheckTag(n *source.Node) *source.Problem {
	p := &parser{file: &File{Path: n.Pos.File}}
	f := p.fields(&source.Node{Kind: source.Map, Pos: n.Pos, Entries: []source.Entry{{
		Key: source.NewString(n.Pos, "tags"), Value: &source.Node{Kind: source.List, Pos: n.Pos, Items: []*source.Node{n}},
	}}}, language()["flow"])
	f.names("tags")
	if len(p.problems) == 0 {
		return nil
	}
	return &p.problems[0]
}
