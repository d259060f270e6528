package engine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/expr"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

func TestOlderNamesOfAnEarlierResult(t *testing.T) {
	c, err := catalog.New(&testmeshv1.Descriptor{Name: "http", Actions: []*testmeshv1.Action{{
		Name: "http.request", ResultAliases: []*testmeshv1.KeyAlias{{From: "response_time", To: "duration_ms"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	spec, _, _ := c.Action("http.request")
	r := &record{step: &flow.Step{ID: "get", Spec: spec}, outputs: map[string]any{"result": "mine"}, result: given(map[string]any{"status": int64(200), "duration_ms": 1.5})}
	s := &scope{l: &layer{steps: map[string]*record{"get": r}}}
	if v, ok, err := s.Member("get", "response"); err != nil || !ok || v.(map[string]any)["status"] != int64(200) {
		t.Errorf("get.response: got %v, %v, %v, want the whole result", v, ok, err)
	}
	if v, ok, err := s.Member("get", "response_time"); err != nil || !ok || v != 1.5 {
		t.Errorf("get.response_time: got %v, %v, %v, want 1.5", v, ok, err)
	}
	for name, want := range map[string]any{"status": int64(200), "result": "mine"} {
		if v, ok, err := s.Member("get", name); err != nil || !ok || v != want {
			t.Errorf("get.%s: got %v, %v, %v, want %v", name, v, ok, err, want)
		}
	}
	if v, ok, _ := s.Member("get", "nothing"); ok {
		t.Errorf("get.nothing: got %v, want nothing", v)
	}
}

func TestServicesAreEvaluated(t *testing.T) {
	f := &frame{
		run:  &run{e: &Engine{}, services: map[string]any{"given": "http://given", "users": "${unexpanded}"}},
		prog: &flow.Program{Services: []flow.NamedTree{{Name: "users", Value: expr.Literal("http://users")}}},
	}
	v, ok, err := f.services(nil)
	want := map[string]any{"given": "http://given", "users": "http://users"}
	if err != nil || !ok || !cmp.Equal(v, want) {
		t.Errorf("got %v, %v, %v, want %v", v, ok, err, want)
	}
}
