package plugin

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// coverages keeps what a call covered.
type coverages struct{ all []Coverage }

func (*coverages) Log(string, string)              {}
func (*coverages) Exchange(Exchange)               {}
func (*coverages) Artifact(string, string, []byte) {}
func (c *coverages) Covered(v Coverage)            { c.all = append(c.all, v) }

func TestARunTellsWhatItCoveredOnce(t *testing.T) {
	type in struct {
		Items []string `json:"items"`
	}
	p := New(Info{Name: "p", Version: "1.0.0", Summary: "For this test."},
		Action("touch", "Touch.", func(_ context.Context, call *Call, in in) (struct{}, error) {
			call.Covered(Coverage{Of: "S", Unit: "fields", Items: in.Items, All: []string{"a", "b", "c"}})
			return struct{}{}, nil
		}))
	heard := &coverages{}
	for _, step := range []struct{ run, items string }{{"1", `["a"]`}, {"1", `["a","b"]`}, {"1", `["b"]`}, {"2", `[]`}} {
		if _, err := p.Execute(t.Context(), &Request{Action: "p.touch", RunID: step.run, Config: []byte(`{"items":` + step.items + `}`)}, heard); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"a", "b", "c"}
	want := []Coverage{
		{Of: "S", Unit: "fields", Items: []string{"a"}, All: all},
		{Of: "S", Unit: "fields", Items: []string{"b"}},
		{Of: "S", Unit: "fields", All: all},
	}
	if diff := cmp.Diff(want, heard.all); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// A stream that does not care is left alone.
	if _, err := p.Execute(t.Context(), &Request{Action: "p.touch", RunID: "3", Config: []byte(`{"items":["a"]}`)}, nil); err != nil {
		t.Error(err)
	}
}
