package schema

import (
	"strings"
	"testing"

	"github.com/testmesh/testmesh/flow/value"
)

// limited compiles a schema and wants a validation that gives no verdict.
func limited(t *testing.T, schema, v any, says string) {
	t.Helper()
	s, err := Compile(schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	errs := s.Validate(v)
	if len(errs) != 1 || !errs[0].Limit || !strings.Contains(errs[0].Message, says) {
		t.Errorf("got %v, want one limit that says %q", errs, says)
	}
}

func TestLoopsThatOnlyShowWhileValidatingGiveNoVerdict(t *testing.T) {
	tests := map[string]string{
		"then":             `{"if":{"type":"integer"},"then":{"$ref":"#"}}`,
		"dynamicRef":       `{"$dynamicAnchor":"a","anyOf":[{"type":"string"},{"$dynamicRef":"#a"}]}`,
		"inside not":       `{"not":{"if":true,"then":{"$ref":"#"}}}`,
		"dependentSchemas": `{"$defs":{"a":{"dependentSchemas":{"k":{"$ref":"#/$defs/a"}}}},"if":{"type":"integer"},"then":{"if":true,"then":{"$ref":"#/then"}}}`,
	}
	for name, schema := range tests {
		t.Run(name, func(t *testing.T) { limited(t, decode(t, schema), int64(1), "refers back to itself") })
	}
}

func TestExponentialSchemasStop(t *testing.T) {
	// Each of forty definitions applies the next one twice: 2^40 steps.
	defs := map[string]any{}
	name := func(i int) string { return "d" + string(rune('A'+i)) }
	for i := range 40 {
		next := map[string]any{"$ref": "#/$defs/" + name(i+1)}
		defs[name(i)] = map[string]any{"allOf": []any{next, map[string]any{"allOf": []any{next}}}}
	}
	defs[name(40)] = map[string]any{"type": "string"}
	limited(t, map[string]any{"$ref": "#/$defs/" + name(0), "$defs": defs}, "x", "stopped after")
}

func TestDeepValuesAgainstARecursiveSchema(t *testing.T) {
	deep := func(n int, leaf any) any {
		for range n {
			leaf = []any{leaf}
		}
		return leaf
	}
	s, err := Compile(decode(t, `{"type":["array","null"],"items":{"$ref":"#"}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if errs := s.Validate(deep(value.MaxDepth, nil)); len(errs) != 0 {
		t.Errorf("a value as deep as one can be: %v", errs)
	}
	errs := s.Validate(deep(value.MaxDepth, "x"))
	if len(errs) != 1 || errs[0].Limit || strings.Count(errs[0].Path, "[0]") != value.MaxDepth {
		t.Errorf("a wrong leaf: got %d errors", len(errs))
	}
	if errs := s.Validate(deep(20_000, nil)); len(errs) != 1 || !errs[0].Limit {
		t.Errorf("deeper than any: got %d errors", len(errs))
	}
}

func TestDeepSchemasCompile(t *testing.T) {
	var doc any = map[string]any{"type": "integer"}
	for range value.MaxDepth / 2 {
		doc = map[string]any{"not": map[string]any{"not": doc}}
	}
	s, err := Compile(doc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Validate(int64(1))) != 0 || len(s.Validate("x")) == 0 {
		t.Error("an even number of nots changes the verdict")
	}
}

func TestTooManySchemasAreAnError(t *testing.T) {
	list := make([]any, maxSchemas+1)
	for i := range list {
		list[i] = map[string]any{}
	}
	if _, err := Compile(map[string]any{"allOf": list}, Options{}); err == nil || !strings.Contains(err.Error(), "schemas") {
		t.Errorf("got %v", err)
	}
}

func TestLongListsAreComparedWithoutASquare(t *testing.T) {
	list := make([]any, 200_000)
	for i := range list {
		list[i] = int64(i)
	}
	s, err := Compile(decode(t, `{"uniqueItems":true}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if errs := s.Validate(list); len(errs) != 0 {
		t.Fatalf("got %v", errs)
	}
	list[len(list)-1] = 7.0
	if errs := s.Validate(list); len(errs) != 1 || !strings.Contains(errs[0].Message, "[7] and [199999]") {
		t.Errorf("got %v", errs)
	}
}

func TestLargeValuesAreNamedNotPrinted(t *testing.T) {
	large := []any{strings.Repeat("x", 1<<20), map[string]any{"a": strings.Repeat("y", 1<<20)}}
	s, err := Compile(decode(t, `{"type":"null","items":{"type":"null"}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	errs := s.Validate(large)
	if len(errs) != 3 || errs[0].Message != "$: got a list of 2 items, want null" ||
		errs[2].Message != "$[1]: got an object of 1 property, want null" || len(errs[1].Message) > 300 {
		t.Errorf("got %.400v", errs)
	}
}

// FuzzCompileAndValidate looks for panics and hangs in any schema and value.
func FuzzCompileAndValidate(f *testing.F) {
	f.Add(`{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"pattern":"[\\s\\S]\\u{1F600}"}}}`, `{"a":[1,2.5]}`, 5)
	f.Add(`{"$dynamicAnchor":"a","items":{"$dynamicRef":"#a"},"unevaluatedItems":false}`, `[[[]]]`, 5)
	f.Add(`{"id":"x","dependencies":{"a":["b"]},"multipleOf":1e-300}`, `1e300`, 1)
	f.Add(`{"format":"uri-template","contains":{"minContains":2}}`, `"{a"`, 4)
	f.Fuzz(func(t *testing.T, schema, v string, draft int) {
		doc, err := value.Decode([]byte(schema))
		if err != nil {
			return
		}
		instance, err := value.Decode([]byte(v))
		if err != nil {
			return
		}
		s, err := Compile(doc, Options{Draft: Draft(draft)})
		if err != nil {
			return
		}
		for _, e := range s.Validate(instance) {
			if !strings.HasPrefix(e.Path, "$") || !strings.HasPrefix(e.Message, e.Path) {
				t.Errorf("an incomplete error %+v", e)
			}
		}
		if len(s.Unknown()) > maxHints {
			t.Error("more hints than the bound")
		}
	})
}
