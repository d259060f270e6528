package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestWhatATryCoversIsAnEventOfItsStep(t *testing.T) {
	p := flowOf(t, "  steps: [{id: a, action: sys.call}]\n")
	x := p.engine(t).newRun(t.Context(), Run{Program: p.programs[0], RunID: "r"})
	if err := x.mask.Add("KEY", "s3cr3t-k3y"); err != nil {
		t.Fatal(err)
	}
	r := &stepRun{p: x.topPlace(x.newFrame(p.programs[0], nil, nil)), s: p.programs[0].Steps[0]}
	s := &stream{r: r}
	s.Covered(plugin.Coverage{Of: "S s3cr3t-k3y", Unit: "fields", Items: []string{"a"}, All: []string{"a", "b"}})
	s.Covered(plugin.Coverage{Of: "S", All: make([]string, maxTryCovered)}) // beyond the bound
	s.close()
	s.Covered(plugin.Coverage{Of: "late", Items: []string{"a"}})
	var got []*event.Coverage
	for _, e := range p.sink.of("r") {
		if e.Type == event.TypeStepCoverage {
			got = append(got, e.Coverage)
		}
	}
	want := []*event.Coverage{{Of: "S ‹secret:KEY›", Unit: "fields", Items: []string{"a"}, All: []string{"a", "b"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
