package cli

import (
	"iter"
	"strings"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/syntax"
)

// actions shows plugins to the schema of flow files and to the formatter.
type actions []*testmeshv1.Descriptor

// Actions implements syntax.CatalogView.
func (a actions) Actions() iter.Seq[syntax.Action] {
	return func(yield func(syntax.Action) bool) {
		for _, p := range a {
			for _, spec := range p.GetActions() {
				keys := make(map[string]string)
				for _, k := range spec.GetKeyAliases() {
					if !strings.Contains(k.GetFrom(), ".") {
						keys[k.GetFrom()] = k.GetTo()
					}
				}
				if !yield(syntax.Action{
					Name: spec.GetName(), Summary: spec.GetSummary(), ConfigSchema: spec.GetConfigSchema(),
					Aliases: spec.GetAliases(), KeyAliases: keys,
				}) {
					return
				}
			}
		}
	}
}
