package schema

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/flow/value"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := value.Decode([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestMessagesNameTheActualValue(t *testing.T) {
	tests := []struct{ name, schema, value, want string }{
		{"a wrong type", `{"properties":{"price":{"type":"number"}}}`, `{"price":"12"}`, `$.price: got "12" (string), want number`},
		{"several types", `{"type":["null","integer"]}`, `1.5`, `$: got 1.5 (number), want null or integer`},
		{"a missing property, and a similar one", `{"items":{"required":["qty"]}}`, `[{"qtty":1}]`, `$[0]: the property "qty" is missing (there is "qtty")`},
		{"a property too many, and a similar one", `{"properties":{"price":{}},"additionalProperties":false}`, `{"prize":1}`, `$.prize: the property "prize" is not allowed (did you mean "price"?); got 1 (number)`},
		{"a path that needs quotes", `{"properties":{"x-y":{"const":1}}}`, `{"x-y":2}`, `$["x-y"]: got 2 (number), want 1 (number)`},
		{"an enum, and a similar value", `{"enum":["new","paid"]}`, `"payd"`, `$: got "payd" (string), want one of "new", "paid" (did you mean "paid"?)`},
		{"a number out of range", `{"maximum":10}`, `10.5`, `$: got 10.5 (number), want at most 10`},
		{"an exclusive bound", `{"exclusiveMinimum":0}`, `0`, `$: got 0 (number), want more than 0`},
		{"a step", `{"multipleOf":0.01}`, `3.001`, `$: got 3.001 (number), want a multiple of 0.01`},
		{"a length", `{"minLength":3}`, `"é"`, `$: got "é" (string) with 1 character, want at least 3`},
		{"a pattern", `{"pattern":"^\\d+$"}`, `"1a"`, `$: got "1a" (string), which does not match the pattern "^\\d+$"`},
		{"a format", `{"format":"date"}`, `"2023-02-29"`, `$: got "2023-02-29" (string), want the format date: there is no day 29 in month 2 of 2023`},
		{"the same item twice", `{"uniqueItems":true}`, `[1,2,1.0]`, `$: the items [0] and [2] are the same: 1 (number)`},
		{"contains", `{"contains":{"const":1}}`, `[2,3]`, `$: 0 of 2 items are as #/contains asks, want at least 1; got [2,3] (array)`},
		{"an item too many", `{"prefixItems":[true],"items":false}`, `[1,2]`, `$[1]: item not allowed; got a list of 2, want at most 1`},
		{
			"the nearest of alternatives", `{"anyOf":[{"type":"string"},{"properties":{"k":{"const":"a"},"v":{"type":"null"}}},{"properties":{"k":{"const":"b"},"v":{"type":"number"}}}]}`, `{"k":"b","v":"x"}`,
			`$: got {"k":"b","v":"x"} (object), which matches none of 3 schemas; the nearest says $.v: got "x" (string), want number`,
		},
		{"two of oneOf", `{"oneOf":[{"minimum":1},{"type":"string"},{"minimum":2}]}`, `3`, `$: got 3 (number), which matches 2 of the schemas, #0 and #2, want exactly one`},
		{"not", `{"not":{"const":1}}`, `1`, `$: got 1 (number), which #/not excludes`},
		{"nothing is allowed", `{"properties":{"a":false}}`, `{"a":[1]}`, `$.a: nothing is allowed here, got [1] (array)`},
		{"a name", `{"propertyNames":{"maxLength":1}}`, `{"ab":1}`, `$.ab: the property's name is not allowed: got "ab" (string) with 2 characters, want at most 1`},
		{"a dependency", `{"dependentRequired":{"card":["cvc"]}}`, `{"card":1}`, `$: the property "cvc" is missing beside "card"`},
		{"an unevaluated property", `{"properties":{"a":{}},"unevaluatedProperties":false}`, `{"z":1}`, `$.z: the property "z" is not allowed; got 1 (number)`},
		{"an unevaluated item", `{"prefixItems":[true],"unevaluatedItems":false}`, `[1,2]`, `$[1]: no other keyword allows the item; got 2 (number)`},
		{"exact digits", `{"const":0.1234567890123456789}`, `0.12345678901234567891`, `$: got 0.12345678901234567891 (number), want 0.1234567890123456789 (number)`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := Compile(decode(t, test.schema), Options{})
			if err != nil {
				t.Fatal(err)
			}
			errs := s.Validate(decode(t, test.value))
			if len(errs) != 1 {
				t.Fatalf("got %d errors %v, want one", len(errs), errs)
			}
			if diff := cmp.Diff(test.want, errs[0].Message); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsSayWhereInValueAndSchema(t *testing.T) {
	s, err := Compile(decode(t, `{"properties":{"a/b":{"items":{"$ref":"#/$defs/x~1y"}}},"$defs":{"x/y":{"minimum":1}}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := s.Validate(decode(t, `{"a/b":[1,0]}`))
	want := []Error{{Path: `$["a/b"][1]`, Pointer: "/a~1b/1", SchemaPath: "#/$defs/x~1y/minimum", Keyword: "minimum", Message: `$["a/b"][1]: got 0 (number), want at least 1`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsComeInOneOrderAndAreBounded(t *testing.T) {
	s, err := Compile(decode(t, `{"required":["id"],"additionalProperties":{"type":"string"}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	many := map[string]any{}
	for i := range 500 {
		many[fmt.Sprintf("k%03d", i)] = int64(i)
	}
	first := s.Validate(many)
	if len(first) != MaxErrors || first[0].Keyword != "required" || first[1].Path != "$.k000" || first[2].Path != "$.k001" {
		t.Fatalf("got %d errors, first %v", len(first), first[:3])
	}
	for range 5 {
		if diff := cmp.Diff(first, s.Validate(many)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestBrokenSchemasAreErrorsWithTheirPlace(t *testing.T) {
	tests := []struct{ name, schema, where, says string }{
		{"a type that does not exist", `{"properties":{"a":{"type":"strnig"}}}`, "#/properties/a/type", `unknown type "strnig" (did you mean "string"?)`},
		{"required that is no list", `{"required":"a"}`, "#/required", `want a list; found "a" (string)`},
		{"required with a number", `{"required":["a",1]}`, "#/required", `an element that is no string: 1 (number)`},
		{"a $ref to nothing", `{"$ref":"#/$defs/a","$defs":{"b":{}}}`, "#/$ref", `there is no "a" in #/$defs`},
		{"a $ref to what is no schema", `{"$ref":"#/title","title":"t"}`, "#/$ref", `#/title is no schema but "t" (string)`},
		{"a $ref to a missing anchor", `{"$ref":"#a"}`, "#/$ref", `no anchor "a" in #`},
		{"a $ref to the network", `{"$ref":"https://example.com/a.json"}`, "#/$ref", "the network is never read"},
		{"a $ref out of the project", `{"$ref":"../../a.json"}`, "#/$ref", "leads out of the project"},
		{"a schema that is its own $ref", `{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}}`, "#/$defs/b/allOf/0", "refers back to itself"},
		{"a list of items in 2020-12", `{"items":[{}]}`, "#/items", "(draft 4 has that form; the schema is read as 2020-12)"},
		{"a boolean exclusiveMinimum in 2020-12", `{"exclusiveMinimum":true}`, "#/exclusiveMinimum", "draft 4 has that form"},
		{"true as a schema in draft 4", `{"$schema":"http://json-schema.org/draft-04/schema#","properties":{"a":true}}`, "#/properties/a", "no schemas in draft 4"},
		{"a look-ahead", `{"pattern":"(?=a)"}`, "#/pattern", "not supported by RE2"},
		{"a broken pattern of a property", `{"patternProperties":{"a/(":{}}}`, "#/patternProperties/a~1(", "missing closing )"},
		{"a negative count", `{"minItems":-1}`, "#/minItems", "want a whole number from 0"},
		{"multipleOf 0", `{"multipleOf":0}`, "#/multipleOf", "want a number above 0"},
		{"no alternative", `{"anyOf":[]}`, "#/anyOf", "want at least one schema"},
		{"a number as a schema", `{"not":1}`, "#/not", "want a schema"},
		{"a draft that is not known", `{"$schema":"http://json-schema.org/draft-03/schema#"}`, "#/$schema", "unknown $schema"},
		{"the same $id twice", `{"$defs":{"a":{"$id":"http://e.test/x"},"b":{"$id":"http://e.test/x"}}}`, "#/$defs/a/$id", "a second schema with the id"},
		{"a wrong $recursiveRef", `{"$schema":"https://json-schema.org/draft/2019-09/schema","$recursiveRef":"#/a"}`, "#/$recursiveRef", `can only be "#"`},
		{"a vocabulary that is not known", `{"$schema":"https://e.test/meta"}`, "#/$schema", `requires the vocabulary "https://e.test/vocab"`},
	}
	known := map[string]any{"https://e.test/meta": map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"$vocabulary": map[string]any{"https://e.test/vocab": true},
	}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Compile(decode(t, test.schema), Options{Base: "flows/a.yaml", Known: known})
			var definition *DefinitionError
			if !errors.As(err, &definition) {
				t.Fatalf("got %v, want a DefinitionError", err)
			}
			if definition.SchemaPath != test.where || !strings.Contains(definition.Message, test.says) {
				t.Errorf("got %s: %s\nwant %s: …%s…", definition.SchemaPath, definition.Message, test.where, test.says)
			}
		})
	}
}

func TestSeveralProblemsAreToldAtOnce(t *testing.T) {
	_, err := Compile(decode(t, `{"type":"x","required":1,"properties":{"a":{"minLength":"1"}}}`), Options{})
	if got := strings.Count(fmt.Sprint(err), "schema #/"); got != 3 {
		t.Errorf("got %d problems, want 3: %v", got, err)
	}
}

func TestUnknownListsWhatIsIgnored(t *testing.T) {
	tests := []struct {
		name, schema string
		want         []string
	}{
		{"a typo", `{"requried":["a"]}`, []string{`#/requried: not a keyword of JSON Schema, ignored (did you mean "required"?)`}},
		{"deep inside", `{"properties":{"a":{"minimun":1}}}`, []string{`#/properties/a/minimun: not a keyword of JSON Schema, ignored (did you mean "minimum"?)`}},
		{"another draft's keyword", `{"$schema":"http://json-schema.org/draft-07/schema#","minContains":1}`, []string{`#/minContains: not a keyword of draft 7, ignored`}},
		{"beside $ref in draft 7", `{"$schema":"http://json-schema.org/draft-07/schema#","properties":{"a":{"$ref":"#","minLength":1}}}`, []string{`#/properties/a/minLength: ignored beside $ref in draft 7`}},
		{"an unknown format", `{"format":"datetime"}`, []string{`#/format: unknown format "datetime", never checked (did you mean "date-time"?)`}},
		{"extensions and annotations are silent", `{"x-testmesh":1,"title":"t","default":1,"$comment":"c","$schema":"https://json-schema.org/draft/2020-12/schema"}`, nil},
		{"names of properties are no keywords", `{"properties":{"requried":{}},"const":{"typo":1}}`, nil},
		{"metaschemas are silent", `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := Compile(decode(t, test.schema), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, s.Unknown()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFilesRefToEachOther(t *testing.T) {
	files := fstest.MapFS{
		"schemas/order.json":         {Data: []byte(`{"properties":{"to":{"$ref":"parts/address.json"},"id":{"$ref":"../shared/id.json#/definitions/id"}}}`)},
		"schemas/parts/address.json": {Data: []byte(`{"required":["city"],"properties":{"order":{"$ref":"../order.json"}}}`)},
		"shared/id.json":             {Data: []byte(`{"$schema":"http://json-schema.org/draft-04/schema#","definitions":{"id":{"minimum":1,"exclusiveMinimum":true}}}`)},
		"schemas/named.json":         {Data: []byte(`{"$id":"https://example.com/schemas/named.json","properties":{"to":{"$ref":"parts/address.json"}}}`)},
		"broken.json":                {Data: []byte(`{"$ref":"schemas/bad.json"}`)},
		"schemas/bad.json":           {Data: []byte(`{"type":"text"}`)},
		"notjson.yaml":               {Data: []byte(`type: integer`)},
	}
	tests := []struct{ name, file, value, want string }{
		{"a relative path", "schemas/order.json", `{"to":{}}`, `schemas/parts/address.json#/required`},
		{"a fragment of a file in its own draft", "schemas/order.json", `{"id":1}`, `shared/id.json#/definitions/id/minimum`},
		{"a circle of files", "schemas/order.json", `{"to":{"city":"x","order":{"to":1,"id":0}}}`, `shared/id.json#/definitions/id/minimum`},
		{"neighbours of a file that names itself by a URL", "schemas/named.json", `{"to":{}}`, `schemas/parts/address.json#/required`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := CompileFile(files, test.file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			errs := s.Validate(decode(t, test.value))
			if len(errs) != 1 || errs[0].SchemaPath != test.want {
				t.Errorf("got %+v, want one error at %s", errs, test.want)
			}
		})
	}
	t.Run("a problem in another file names that file", func(t *testing.T) {
		_, err := CompileFile(files, "broken.json", Options{})
		if err == nil || !strings.Contains(err.Error(), "schemas/bad.json#/type") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a missing file names the file", func(t *testing.T) {
		_, err := CompileFile(files, "none.json", Options{})
		if err == nil || !strings.Contains(err.Error(), "none.json") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another format by Decode", func(t *testing.T) {
		s, err := CompileFile(files, "notjson.yaml", Options{Decode: func(path string, text []byte) (any, error) {
			key, v, _ := strings.Cut(string(text), ": ")
			return map[string]any{key: v}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Validate("x")) != 1 || len(s.Validate(int64(1))) != 0 {
			t.Error("the schema of the decoded file is not in force")
		}
	})
}

func TestFormatsCanBeAnnotations(t *testing.T) {
	for draft := Draft4; draft <= Draft2020; draft++ {
		for _, annotate := range []bool{false, true} {
			s, err := Compile(decode(t, `{"format":"ipv4"}`), Options{Draft: draft, AnnotateFormats: annotate})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(s.Validate("x")) == 0; got != annotate {
				t.Errorf("%s, AnnotateFormats %v: got valid %v", draft, annotate, got)
			}
		}
	}
}

func TestCustomMetaschemasSwitchVocabularies(t *testing.T) {
	known := map[string]any{
		"https://e.test/loose": decode(t, `{"$schema":"https://json-schema.org/draft/2020-12/schema","$vocabulary":{
			"https://json-schema.org/draft/2020-12/vocab/core":true,"https://json-schema.org/draft/2020-12/vocab/applicator":true,"https://e.test/optional":false}}`),
		"https://e.test/formats": decode(t, `{"$schema":"https://json-schema.org/draft/2020-12/schema","$vocabulary":{
			"https://json-schema.org/draft/2020-12/vocab/core":true,"https://json-schema.org/draft/2020-12/vocab/format-assertion":true}}`),
	}
	loose, err := Compile(decode(t, `{"$schema":"https://e.test/loose","properties":{"a":{"minimum":5},"b":false}}`), Options{Known: known})
	if err != nil {
		t.Fatal(err)
	}
	if errs := loose.Validate(decode(t, `{"a":1}`)); len(errs) != 0 {
		t.Errorf("without the validation vocabulary: %v", errs)
	}
	if errs := loose.Validate(decode(t, `{"b":1}`)); len(errs) != 1 {
		t.Errorf("with the applicator vocabulary: %v", errs)
	}
	strict, err := Compile(decode(t, `{"$schema":"https://e.test/formats","format":"ipv4"}`), Options{Known: known, AnnotateFormats: true})
	if err != nil {
		t.Fatal(err)
	}
	if errs := strict.Validate("x"); len(errs) != 1 {
		t.Errorf("with the format-assertion vocabulary: %v", errs)
	}
}

func TestSchemasAreSharedBetweenGoroutines(t *testing.T) {
	s, err := Compile(decode(t, `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	bad := decode(t, `{"properties":{"a":{"type":"x"}}}`)
	want := s.Validate(bad)
	if len(want) == 0 {
		t.Fatal("the value is valid")
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if diff := cmp.Diff(want, s.Validate(bad)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	group.Wait()
}
