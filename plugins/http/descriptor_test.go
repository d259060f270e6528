package http

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// keysOf are the JSON names of a struct's fields.
func keysOf(v any) []string {
	var keys []string
	typ := reflect.TypeOf(v)
	for i := range typ.NumField() {
		if name := typ.Field(i).Tag.Get("json"); name != "" {
			keys = append(keys, name)
		}
	}
	slices.Sort(keys)
	return keys
}

func properties(t *testing.T, s any) []string {
	t.Helper()
	object, ok := s.(m)["properties"].(m)
	if !ok {
		t.Fatalf("%v has no properties", s)
	}
	return sortedKeys(object)
}

func decode(t *testing.T, text string) m {
	t.Helper()
	var v m
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTheSchemaAndThePluginKnowTheSameKeys(t *testing.T) {
	doc := decode(t, configSchema)
	props := doc["properties"].(m)
	auths := map[string]bool{}
	for _, kind := range doc["$defs"].(m)["auth"].(m)["oneOf"].(l) {
		for _, key := range properties(t, kind) {
			auths[key] = true
		}
	}
	tests := map[string]struct{ schema, plugin []string }{
		"config":    {properties(t, doc), keysOf(config{})},
		"tls":       {properties(t, props["tls"]), keysOf(tlsConfig{})},
		"multipart": {properties(t, props["multipart"].(m)["items"]), keysOf(part{})},
		"auth":      {sortedKeys(auths), keysOf(auth{})},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.schema, test.plugin); diff != "" {
			t.Errorf("%s (-schema +plugin):\n%s", name, diff)
		}
	}
}

func TestTheResultHasTheMembersOfItsSchema(t *testing.T) {
	all := &members{
		trailer: http.Header{"X": {"1"}}, mimeType: "text/xml", content: content{body: "<a/>", encoding: "base64", fault: "odd", xml: m{"a": ""}},
	}
	names := all.Names()
	for _, name := range names {
		if _, ok := all.Member(name); !ok {
			t.Errorf("%s is a name without a member", name)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(properties(t, decode(t, resultSchema)), names); diff != "" {
		t.Errorf("(-schema +result):\n%s", diff)
	}
	if diff := cmp.Diff(always[:], (&members{}).Names()); diff != "" {
		t.Errorf("the least that a result has (-want +got):\n%s", diff)
	}
	if _, ok := all.Member("nothing"); ok {
		t.Error("a name that the schema does not have has a member")
	}
}

// Each kind of the schema is accepted with what it requires, and refused
// without, by the schema and by the plugin.
func TestEveryAuthOfTheSchemaIsKnownToThePlugin(t *testing.T) {
	server := record(t, nil)
	for _, kind := range decode(t, configSchema)["$defs"].(m)["auth"].(m)["oneOf"].(l) {
		kind := kind.(m)
		name := kind["title"].(string)
		t.Run(name, func(t *testing.T) {
			config := m{"url": server.URL, "auth": m{"type": name}}
			for _, key := range kind["required"].(l) {
				if key != "type" {
					config["auth"].(m)[key.(string)] = server.URL // fits each of them
				}
			}
			if name == "api_key" {
				config["auth"].(m)["name"] = "X-Key"
			}
			c := newCaller(t, Config{})
			fits(t, schemas()[0], "config", mustJSON(t, config))
			if _, err := c.try(t.Context(), config); err != nil && name != "oauth2" {
				t.Errorf("the plugin refuses what the schema accepts: %v", err)
			}
			for _, key := range kind["required"].(l) {
				if key == "type" {
					continue
				}
				less := m{}
				for k, v := range config["auth"].(m) {
					if k != key {
						less[k] = v
					}
				}
				lacking := m{"url": server.URL, "auth": less}
				if err := c.fail(lacking); err.Field != "auth."+key.(string) {
					t.Errorf("without %s the plugin complains of %s", key, err.Field)
				}
				var v any
				_ = json.Unmarshal(mustJSON(t, lacking), &v)
				if len(schemas()[0].Validate(v)) == 0 {
					t.Errorf("the schema accepts %s without %s", name, key)
				}
			}
		})
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestResultsHaveEveryKeyThatTheSchemaPromises(t *testing.T) {
	doc := decode(t, resultSchema)
	c := newCaller(t, Config{})
	seen := map[string]bool{}
	for _, config := range []m{
		{"url": answerWith(t, "<a/>", "Content-Type", "text/xml", "Trailer", "X-T", "X-T", "1")},
		{"url": answerWith(t, "\x00", "Content-Type", "image/png")},
		{"url": answerWith(t, "{", "Content-Type", "application/json", "Set-Cookie", "a=1")},
	} {
		for key := range c.do(config) { // do checks that there is no other
			seen[key] = true
		}
	}
	if diff := cmp.Diff(properties(t, doc), sortedKeys(seen)); diff != "" {
		t.Errorf("keys (-schema +seen):\n%s", diff)
	}
}

func TestDescribeIsTheDescriptor(t *testing.T) {
	p := New(Config{})
	got, want := p.Describe(), Descriptor()
	if got.String() != want.String() {
		t.Errorf("got %v, want %v", got, want)
	}
	action := want.GetActions()[0]
	for _, text := range []string{action.GetSummary(), action.GetDescription(), action.GetExample(), action.GetExpectation(), action.GetBodyKey()} {
		if strings.TrimSpace(text) == "" {
			t.Error("the descriptor leaves something out")
		}
	}
	var undescribed func(path string, v any)
	undescribed = func(path string, v any) {
		props, _ := v.(m)["properties"].(m)
		for name, p := range props {
			if _, ref := p.(m)["$ref"]; !ref && p.(m)["description"] == nil {
				t.Errorf("%s.%s has no description", path, name)
			}
			undescribed(path+"."+name, p)
		}
	}
	undescribed("config", decode(t, configSchema))
	undescribed("result", decode(t, resultSchema))
}
