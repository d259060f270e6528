package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/source"
)

const configSchema = `{
  "type": "object",
  "required": ["url"],
  "additionalProperties": false,
  "properties": {
    "url": {"type": "string", "minLength": 1},
    "method": {"enum": ["GET", "POST", "PUT"], "default": "GET"},
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "ratio": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "wait": {"type": "string", "x-testmesh-duration": true},
    "verify": {"type": "boolean"},
    "headers": {"type": "object", "additionalProperties": {"type": "string"}},
    "items": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"$ref": "#/$defs/item"}},
    "auth": {"oneOf": [
      {"type": "object", "additionalProperties": false, "required": ["type", "token"], "properties": {"type": {"const": "bearer"}, "token": {"type": "string"}}},
      {"type": "object", "additionalProperties": false, "required": ["type", "user"], "properties": {"type": {"const": "basic"}, "user": {"type": "string"}}}]},
    "body": {"anyOf": [{"type": "string"}, {"type": "number"}]},
    "code": {"type": "string", "minLength": 2, "maxLength": 4},
    "ca": {"type": "string", "x-testmesh-file": true},
    "cas": {"type": "array", "x-testmesh-file": true, "items": {"type": "string"}},
    "reply": {"x-testmesh-template": "late"}
  },
  "$defs": {"item": {"type": "object", "additionalProperties": false, "properties": {"sku": {"type": "string"}, "more": {"$ref": "#/$defs/item"}}}}
}`

const resultSchema = `{"type": "object", "additionalProperties": false, "properties": {"status": {}, "body": {}, "duration_ms": {}}}`

func descriptor() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{
		Name: "demo", Version: "1.0.0",
		Actions: []*testmeshv1.Action{{
			Name: "demo.call", ConfigSchema: configSchema, ResultSchema: resultSchema,
			Expectation: "status < 400", Aliases: []string{"demo_call"}, BodyKey: "body",
			KeyAliases: []*testmeshv1.KeyAlias{{From: "verify_ssl", To: "verify"}, {From: "ssl.ca", To: "ca"}, {From: "kind", To: "auth.type"}},
			ResultAliases: []*testmeshv1.KeyAlias{
				{From: "response_time", To: "duration_ms"}, {From: "response.time", To: "duration_ms"}, {From: "first", To: "body.rows.0"}, {From: "old.status", To: "status"},
			},
			Effects: []*testmeshv1.EffectRule{
				{When: `method in ["GET"]`, Effect: testmeshv1.Effect_EFFECT_OBSERVE},
				{When: `headers["Idempotency-Key"] exists`, Effect: testmeshv1.Effect_EFFECT_IDEMPOTENT},
				{Effect: testmeshv1.Effect_EFFECT_ONCE},
			},
		}},
		Functions: []*testmeshv1.Function{{Name: "luhn"}},
	}
}

func action(t *testing.T) *Action {
	t.Helper()
	c, err := New(descriptor())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	a, _, ok := c.Action("demo.call")
	if !ok {
		t.Fatal("demo.call is not there")
	}
	return a
}

func load(t *testing.T, text string) *source.Node {
	t.Helper()
	docs, problems := source.Load("a.yaml", []byte(text))
	if len(problems) > 0 || len(docs) != 1 {
		t.Fatalf("load %q: %v", text, problems)
	}
	return docs[0]
}

func TestNames(t *testing.T) {
	c, err := New(descriptor())
	if err != nil {
		t.Fatal(err)
	}
	a, alias, ok := c.Action("demo_call")
	if !ok || !alias || a.Name != "demo.call" || a.Plugin != "demo" || a.BodyKey != "body" {
		t.Errorf("demo_call: got %+v, alias %v, ok %v", a, alias, ok)
	}
	if _, alias, _ := c.Action("demo.call"); alias {
		t.Error("the canonical name counts as an alias")
	}
	if got, want := c.Names(), []string{"demo.call"}; !cmp.Equal(got, want) {
		t.Errorf("names: got %v, want %v", got, want)
	}
	if got, want := c.Plugins(), []string{"demo"}; !cmp.Equal(got, want) {
		t.Errorf("plugins: got %v, want %v", got, want)
	}
	if !c.Function("demo.luhn") || c.Function("demo.other") || c.Function("luhn") {
		t.Error("demo.luhn should be the only function")
	}
}

func TestNilCatalogKnowsNothing(t *testing.T) {
	var c *Catalog
	if _, _, ok := c.Action("http.request"); ok || c.Names() != nil || c.Plugins() != nil || c.Function("a.b") || c.Suggest("x") != "" {
		t.Error("a nil catalog knows something")
	}
	if got := c.Absent("http.request"); got != "http" {
		t.Errorf("absent: got %q, want http", got)
	}
}

func TestSuggest(t *testing.T) {
	c, _ := New(descriptor())
	for name, want := range map[string]string{
		"demo.cal": "demo.call", "demo_cal": "demo.call", "demo": "demo.call", "call": "demo.call",
		"DEMO.CALL": "demo.call", "something": "", "demo.entirely": "",
	} {
		if got := c.Suggest(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestAbsent(t *testing.T) {
	c, _ := New(descriptor(), &testmeshv1.Descriptor{Name: "http"})
	for name, want := range map[string]string{
		"kafka.publish": "kafka", "kafka_publish": "kafka", "mock_server_start": "mock", "database_query": "sql",
		"postgresql.query": "sql", "rabbitmq.publish": "amqp", "acme.do": "acme", "docker_run": "docker",
		"demo.other": "", "http.get": "", "http_request": "", "nonsense": "", "Bad Name.x": "", "acme.": "", "grpc": "grpc",
	} {
		if got := c.Absent(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	one := func(change func(*testmeshv1.Descriptor)) []*testmeshv1.Descriptor {
		d := descriptor()
		change(d)
		return []*testmeshv1.Descriptor{d}
	}
	for name, tt := range map[string]struct {
		ds   []*testmeshv1.Descriptor
		want string
	}{
		"two plugins of one name": {[]*testmeshv1.Descriptor{descriptor(), descriptor()}, "two plugins of this name"},
		"a bad name":              {one(func(d *testmeshv1.Descriptor) { d.Name = "De mo" }), "is not [a-z]"},
		"a foreign action":        {one(func(d *testmeshv1.Descriptor) { d.Actions[0].Name = "other.call" }), `does not begin with "demo."`},
		"an alias that is taken": {one(func(d *testmeshv1.Descriptor) {
			d.Actions = append(d.Actions, &testmeshv1.Action{Name: "demo.two", Aliases: []string{"demo_call"}})
		}), `the name "demo_call" already means demo.call`},
		"two functions of one name": {one(func(d *testmeshv1.Descriptor) {
			d.Functions = append(d.Functions, &testmeshv1.Function{Name: "demo.luhn"})
		}), `two functions "demo.luhn"`},
	} {
		if _, err := New(tt.ds...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*testmeshv1.Action)
		want   string
	}{
		"a schema that is no JSON":       {func(a *testmeshv1.Action) { a.ConfigSchema = "{" }, "config schema: decode schema"},
		"a reference that leads nowhere": {func(a *testmeshv1.Action) { a.ResultSchema = `{"$ref": "#/$defs/no"}` }, "leads nowhere"},
		"a schema that is a list":        {func(a *testmeshv1.Action) { a.ConfigSchema = "[]" }, "neither an object nor a boolean"},
		"an effect without one":          {func(a *testmeshv1.Action) { a.Effects = []*testmeshv1.EffectRule{{When: "true"}} }, "has no effect"},
		"an effect that does not parse":  {func(a *testmeshv1.Action) { a.Effects[0].When = "method in [" }, "effect rule 1"},
		"an expectation of nonsense":     {func(a *testmeshv1.Action) { a.Expectation = "status <" }, "compile expectation"},
		"an alias of itself":             {func(a *testmeshv1.Action) { a.KeyAliases[0].To = a.KeyAliases[0].From }, "says nothing"},
	} {
		d := descriptor()
		tt.change(d.Actions[0])
		c, err := New(d)
		if err != nil {
			t.Fatalf("%s: new: %v", name, err)
		}
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestEffectOf(t *testing.T) {
	a := action(t)
	for name, tt := range map[string]struct {
		config any
		want   string
	}{
		"the default of the schema counts":     {map[string]any{}, "observe"},
		"no config at all":                     {nil, "observe"},
		"the first rule that holds":            {map[string]any{"method": "GET", "headers": map[string]any{"Idempotency-Key": "1"}}, "observe"},
		"a later rule":                         {map[string]any{"method": "POST", "headers": map[string]any{"Idempotency-Key": "1"}}, "idempotent"},
		"a rule that reads nothing is no rule": {map[string]any{"method": "POST"}, "once"},
		"a value that is no text":              {map[string]any{"method": int64(1)}, "once"},
		"a value too long to be remembered":    {map[string]any{"method": strings.Repeat("G", 100)}, "once"},
	} {
		for range 2 { // the second time it may be remembered
			got, err := a.EffectOf(tt.config)
			if err != nil || EffectName(got) != tt.want {
				t.Errorf("%s: got %s, %v, want %s", name, EffectName(got), err, tt.want)
			}
		}
	}
	bare := newAction("demo", &testmeshv1.Action{Name: "demo.bare"})
	if got, err := bare.EffectOf(nil); err != nil || got != testmeshv1.Effect_EFFECT_ONCE {
		t.Errorf("without rules: got %v, %v, want the careful effect", got, err)
	}
}

func TestEffectWords(t *testing.T) {
	for _, word := range []string{"observe", "idempotent", "once", "consume", "load", "teardown"} {
		e, ok := ParseEffect(word)
		if !ok || EffectName(e) != word {
			t.Errorf("%s: got %v, %v", word, e, ok)
		}
	}
	for _, word := range []string{"", "Once", "unspecified", "twice"} {
		if e, ok := ParseEffect(word); ok {
			t.Errorf("%q: got %v, want none", word, e)
		}
	}
	if got, want := len(effectNames), len(testmeshv1.Effect_name); got != want {
		t.Errorf("%d effects have a word, want %d", got, want)
	}
	if got := EffectName(testmeshv1.Effect_EFFECT_UNSPECIFIED); got != "" {
		t.Errorf("unspecified: got %q", got)
	}
}

func TestResultNames(t *testing.T) {
	a := action(t)
	if got, want := a.ResultKeys(), []string{"body", "duration_ms", "status"}; !cmp.Equal(got, want) {
		t.Errorf("keys: got %v, want %v", got, want)
	}
	if !a.ResultClosed() {
		t.Error("the result has no other keys, and counts as open")
	}
	want := []string{"body", "duration_ms", "status", "result", "response", "response_time", "first", "old"}
	if got := a.ResultNames(); !cmp.Equal(got, want) {
		t.Errorf("names: got %v, want %v", got, want)
	}
}

func TestResultName(t *testing.T) {
	a := action(t)
	result := map[string]any{"status": int64(200), "duration_ms": 1.5, "body": map[string]any{"rows": []any{"x"}}}
	for name, tt := range map[string]struct {
		name string
		want any
		ok   bool
	}{
		"a key":                         {"status", int64(200), true},
		"an alias":                      {"response_time", 1.5, true},
		"an alias of an element":        {"first", "x", true},
		"an alias below a name":         {"old", map[string]any{"status": int64(200)}, true},
		"the whole":                     {"result", result, true},
		"the whole, with what it lacks": {"response", map[string]any{"status": int64(200), "duration_ms": 1.5, "time": 1.5, "body": result["body"]}, true},
		"nothing":                       {"other", nil, false},
	} {
		got, ok := a.ResultName(result, tt.name)
		if ok != tt.ok || ok && !cmp.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v, want %v, %v", name, got, ok, tt.want, tt.ok)
		}
	}
	if _, ok := result["time"]; ok {
		t.Error("the result itself was changed")
	}
	if v, ok := a.ResultName("text", "result"); !ok || v != "text" {
		t.Errorf("a result that is no map: got %v, %v", v, ok)
	}
	if v, ok := a.ResultName(map[string]any{"body": map[string]any{"rows": []any{}}}, "first"); ok {
		t.Errorf("an alias of an element that is not there: got %v", v)
	}
}
