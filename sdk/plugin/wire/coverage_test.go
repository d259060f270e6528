package wire

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// coverages is a stream that hears of coverage, too.
type coverages struct {
	recorder
	all []plugin.Coverage
}

func (c *coverages) Covered(v plugin.Coverage) { c.all = append(c.all, v) }

func TestCoverageCrosses(t *testing.T) {
	want := plugin.Coverage{Of: "S", Unit: "fields", Items: []string{"a"}, All: []string{"a", "b"}}
	c, _ := dial(t, &fake{execute: func(_ context.Context, _ *plugin.Request, out plugin.Stream) (*plugin.Response, error) {
		out.(interface{ Covered(plugin.Coverage) }).Covered(want)
		return &plugin.Response{Result: json.RawMessage(`{}`)}, nil
	}})
	s := open(t, c, "s1", "r")
	heard := &coverages{}
	for _, out := range []plugin.Stream{heard, &recorder{}} { // the second does not care
		if _, err := c.Execute(t.Context(), s.ID(), &plugin.Request{}, out); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]plugin.Coverage{want}, heard.all); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
