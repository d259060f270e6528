package syntax

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// plugins is a catalog of two actions.
type plugins struct{}

const requestSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["url"],
  "additionalProperties": false,
  "$defs": {"count": {"type": "integer", "minimum": 0}},
  "properties": {
    "method": {"enum": ["GET", "POST", "DELETE"], "description": "The method."},
    "url": {"type": "string"},
    "body": true,
    "headers": {"type": "object", "additionalProperties": {"type": ["string", "number"]}},
    "follow_redirects": {"type": "boolean"},
    "max_redirects": {"$ref": "#/$defs/count"},
    "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false}
  }
}`

func (plugins) Actions() iter.Seq[Action] {
	return slices.Values([]Action{
		{Name: "test.request", Summary: "Sends a request.", ConfigSchema: requestSchema, Aliases: []string{"test_request"}, KeyAliases: map[string]string{"address": "url", "a.b": "c"}},
		{Name: "test.free", Summary: "Takes anything."},
	})
}

// compile gives the printed schema, having checked it against draft-07's own.
func compile(t testing.TB, cat CatalogView) *jsonschema.Schema {
	t.Helper()
	var out bytes.Buffer
	if err := Schema(cat, &out); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("flow.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("flow.json") // checks the schema against its meta-schema
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate judges every document of a file by the schema.
func validate(s *jsonschema.Schema, data []byte) error {
	docs, problems := source.Load("f", data)
	if err := problems.Err(); err != nil {
		return err
	}
	for _, d := range docs {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(value.Compact(d.Plain())))
		if err != nil {
			return err
		}
		if err := s.Validate(v); err != nil {
			return err
		}
	}
	return nil
}

func TestSchemaAcceptsEveryExample(t *testing.T) {
	s := compile(t, nil)
	for name, data := range examples(t) {
		if _, problems := Parse(name, data); len(problems.Errors()) > 0 {
			continue // TestEveryExampleParses says so
		}
		if err := validate(s, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryExampleParses(t *testing.T) {
	for name, data := range examples(t) {
		if _, problems := Parse(name, data); len(problems.Errors()) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestSchemaAcceptsBothDialects(t *testing.T) {
	s := compile(t, nil)
	files, _ := filepath.Glob("testdata/format/*.txtar")
	for _, file := range files {
		for _, f := range archive(t, file).Files {
			if err := validate(s, f.Data); err != nil {
				t.Errorf("%s %s: %v", file, f.Name, err)
			}
		}
	}
}

// step is a flow with one step of an action, as text.
func stepOf(action, rest string) []byte {
	return []byte(fmt.Sprintf("flow:\n  name: f\n  steps:\n    - action: %s\n%s", action, rest))
}

func TestSchemaAndParseAgreeOnEveryKey(t *testing.T) {
	s := compile(t, plugins{})
	inner := "          - {action: log, config: {message: hi}}\n"
	bodies := map[string]string{ // a valid rest of a step, for each place of a key
		"flow":       "  %s\n",
		"config":     "  config:\n    max_concurrent: 3\n    %s\n",
		"target":     "  target:\n    env: x\n    %s\n",
		"input":      "  input:\n    role:\n      type: string\n      %s\n",
		"step":       "      %s\n",
		"retry":      "      retry:\n        max_attempts: 2\n        %s\n",
		"eventually": "      eventually:\n        within: 3s\n        %s\n",
		"track":      "      track:\n        resource_id: x\n        cleanup: {action: log, config: {message: hi}}\n        %s\n",
	}
	for place, body := range bodies {
		for key, valid := range map[string]bool{"description: x": place == "flow" || place == "step" || place == "input", "zzz: 1": false, "unknown_key: [1]": false} {
			base := stepOf("log", "      config: {message: hi}\n")
			if body[2] == ' ' && strings.HasPrefix(body, "      ") {
				base = append(base, fmt.Sprintf(body, key)...)
			} else {
				base = []byte(strings.Replace(string(base), "  steps:", strings.TrimSuffix(fmt.Sprintf(body, key), "\n")+"\n  steps:", 1))
			}
			agree(t, s, place+" "+key, base, valid)
		}
	}
	for action, config := range map[string]string{
		"log": "message: hi", "delay": "duration: 1s", "fail": "message: x", "wait_for": "url: tcp://x:1", "run_flow": "flow: x.yaml", "transform": "input: 1",
		"condition": "if: a\n        then:\n" + inner, "for_each": "items: a\n        steps:\n" + inner,
		"parallel": "steps:\n" + inner, "wait_until": "condition: a\n        steps:\n" + inner,
	} {
		config = strings.TrimSuffix(config, "\n")
		agree(t, s, action, stepOf(action, "      config:\n        "+config+"\n"), true)
		agree(t, s, action+" zzz", stepOf(action, "      config:\n        "+config+"\n        zzz: 1\n"), false)
	}
	agree(t, s, "assert", stepOf("assert", "      assert: [a == 1]\n      config: {data: x}\n"), true)
	agree(t, s, "set", stepOf("set", "      config: {anything: 1}\n"), true)
}

func agree(t *testing.T, s *jsonschema.Schema, what string, data []byte, valid bool) {
	t.Helper()
	_, problems := Parse("f", data)
	if got := problems.Err(); (got == nil) != valid {
		t.Errorf("%s: Parse says %v, want valid %t\n%s", what, got, valid, data)
	}
	if got := validate(s, data); (got == nil) != valid {
		t.Errorf("%s: the schema says %v, want valid %t\n%s", what, got, valid, data)
	}
}

func TestSchemaChecksConfigsOfPlugins(t *testing.T) {
	s := compile(t, plugins{})
	for _, c := range []struct {
		action, config string
		valid          bool
	}{
		{"test.request", "{url: x, method: GET, max_redirects: 3, follow_redirects: true}", true},
		{"test.request", "{url: x, follow_redirects: \"${F}\", max_redirects: \"{{ N }}\", method: \"${M}\", pair: [1, a]}", true},
		{"test.request", "{url: x, headers: {a: 1, b: \"${x}\"}}", true},
		{"test.request", "{url: x, headers: \"${h}\"}", true},
		{"test_request", "{url: x, assert: [a], retry: {max_attempts: 2}, poll: {timeout: 3s}}", true},
		{"test_request", "{address: x}", true},
		{"test.free", "{a: 1}", true},
		{"other.plugin", "{a: 1}", true},
		{"test.request", "{url: x, methd: GET}", false},
		{"test.request", "{url: x, follow_redirects: yes}", false},
		{"test_request", "{url: x, max_redirects: -1}", false},
		{"test.request", "{url: x, pair: [a, 1]}", false},
		{"test.request", "{url: x, pair: [1, a, 3]}", false},
		{"test.request", "{url: x, method: PUT}", false},
		{"test.request", "\"${c}\"", false},
	} {
		err := validate(s, stepOf(c.action, "      config: "+c.config+"\n"))
		if (err == nil) != c.valid {
			t.Errorf("%s %s: %v", c.action, c.config, err)
		}
	}
}

type broken struct{}

func (broken) Actions() iter.Seq[Action] {
	return slices.Values([]Action{{Name: "x.y", ConfigSchema: "{"}})
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, fmt.Errorf("no space left") }

func TestSchemaReportsWhatItCannotWrite(t *testing.T) {
	if err := Schema(broken{}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "config of x.y") {
		t.Errorf("got %v", err)
	}
	if err := Schema(nil, full{}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %v", err)
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	var out bytes.Buffer
	if err := Schema(plugins{}, &out); err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Definitions map[string]struct{ Properties map[string]any }
	}
	if err := json.Unmarshal(out.Bytes(), &schema); err != nil {
		t.Fatal(err)
	}
	for name, d := range schema.Definitions {
		if language()[name] == nil { // of a plugin
			continue
		}
		for key, p := range d.Properties {
			if p.(map[string]any)["description"] == nil {
				t.Errorf("%s of %s has no description", key, name)
			}
		}
	}
	docs := Reference()
	if len(docs) < 90 {
		t.Errorf("the reference has only %d keys", len(docs))
	}
	for _, k := range docs {
		if k.Where == "" || k.Doc == "" || !strings.HasSuffix(k.Doc, ".") || k.Type == "" {
			t.Errorf("an entry without place, sentence or type: %+v", k)
		}
	}
}
