package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// authored is a config with every tag that an author can write.
type authored struct {
	Host    string                  `json:"host" doc:"Where to." example:"db:5432" pattern:"^[a-z:0-9]+$" minLength:"2" maxLength:"10"`
	Port    uint16                  `json:"port" default:"80"`
	Level   int                     `json:"level,omitempty" min:"1" max:"9"`
	Ratio   float64                 `json:"ratio,omitempty" min:"0.5"`
	Exact   json.Number             `json:"exact,omitempty" max:"10"`
	Mode    string                  `json:"mode" enum:"fast|slow" default:"fast"`
	Step    int                     `json:"step,omitempty" enum:"1|2"`
	Verify  *bool                   `json:"verify"`
	Wait    time.Duration           `json:"wait" default:"1m30s"`
	Secret  plugin.SecretText       `json:"secret,omitempty" minLength:"4"`
	Source  plugin.File             `json:"source,omitempty"`
	Tags    []string                `json:"tags,omitempty" enum:"a|b" minItems:"1" maxItems:"2"`
	Pair    [2]bool                 `json:"pair,omitempty"`
	Headers map[string]string       `json:"headers,omitempty" maxLength:"3"`
	Any     any                     `json:"any,omitempty"`
	Reply   map[string]any          `json:"reply,omitempty" template:"late"`
	Inner   []struct{ Name string } `json:"inner,omitempty"`
}

func demo() plugin.Plugin {
	same := func(_ context.Context, _ *plugin.Call, in authored) (authored, error) { return in, nil }
	return plugin.New(plugin.Info{Name: "demo", Version: "1.0.0", Summary: "S."},
		plugin.Action("echo", "Give it back.", same, plugin.When(`mode == "fast"`, plugin.Observes()), plugin.When(`level > 3`, plugin.Idempotent()),
			plugin.Once(), plugin.Expect(`port > 0`), plugin.KeyAlias("hostname", "host"), plugin.ResultAlias("server", "host"), plugin.BodyKey("reply")),
		plugin.Function("valid", "Whether.", func(text string) bool { return text != "" }, "text"))
}

func TestAnAuthorsDescriptorIsOneOfTheCatalog(t *testing.T) {
	c, err := catalog.New(demo().Describe())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if !c.Function("demo.valid") {
		t.Error("the catalog does not know the function")
	}
	a, _, _ := c.Action("demo.echo")
	for config, want := range map[string]string{`{host: ab}`: "observe", `{host: ab, mode: slow, level: 4}`: "idempotent", `{host: ab, mode: slow, level: 1}`: "once"} {
		effect, err := a.EffectOf(node(t, config).Plain())
		if got := catalog.EffectName(effect); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", config, got, err, want)
		}
	}
	if files := a.FilePaths(node(t, `{host: ab, source: a.txt}`)); len(files) != 1 || !a.Late("reply") {
		t.Errorf("got files %v, late %v", files, a.Late("reply"))
	}
}

// What the schema of an author's struct takes its decoder takes too, and the
// other way around: the check before a run is the one in the run.
func TestTheSchemaAndTheDecoderOfAnAuthorAgree(t *testing.T) {
	values := []string{
		"null", "true", `""`, `"a"`, `"ab"`, `"a-b"`, `"abcd"`, `"abcdefghijk"`, `"fast"`, `"30s"`, `"soon"`, `"-1s"`, "0", "0.5", "1", "1.0", "2e0", "1.5", "3", "10.01",
		"80", "-1", "65535", "65536", "70000", "1e400", "[]", `["a"]`, `["c"]`, `["a","b","a"]`, "[true,false]", "[true]", "[1]", "{}", `{"a":"b"}`, `{"a":"bcde"}`, `{"a":1}`,
		`[{"name":"x"}]`, `[{}]`, `[{"name":"x","more":1}]`,
	}
	keys := []string{
		"host", "port", "level", "ratio", "exact", "mode", "step", "verify", "wait", "secret", "source", "tags", "pair", "headers", "any", "reply", "inner", "unknown",
	}
	p := demo()
	c, err := catalog.New(p.Describe())
	if err != nil {
		t.Fatal(err)
	}
	a, _, _ := c.Action("demo.echo")
	accepted := 0
	for _, key := range keys {
		for _, v := range values {
			config := `{"host":"db","` + key + `":` + v + `}`
			if key == "host" {
				config = `{"host":` + v + `}`
			}
			decoded, err := value.Decode([]byte(config))
			if err != nil {
				t.Fatal(err)
			}
			if key == "ratio" && v == "1e400" {
				continue // a float64 has no room for it, which no schema says
			}
			schemaErr := a.CheckValue(decoded)
			res, err := p.Execute(context.Background(), &plugin.Request{Action: "demo.echo", Config: json.RawMessage(config)}, nil)
			if (schemaErr == nil) != (err == nil) {
				t.Errorf("%s: the schema says %v, the plugin %v", config, schemaErr, err)
			}
			var known *plugin.Error
			if err != nil && (!errors.As(err, &known) || known.Code != plugin.CodeConfig || known.Field == "") {
				t.Errorf("%s: got %#v, want E-CONFIG with a field", config, err)
			}
			if err == nil {
				accepted++
				checkAgain(t, p, string(res.Result))
			}
		}
	}
	if accepted < 100 || accepted > 400 {
		t.Errorf("%d configs were accepted: the table shows nothing", accepted)
	}
}

// checkAgain wants the result, which is the config, to be as it was.
func checkAgain(t *testing.T, p plugin.Plugin, config string) {
	t.Helper()
	res, err := p.Execute(context.Background(), &plugin.Request{Action: "demo.echo", Config: json.RawMessage(config)}, nil)
	if err != nil || string(res.Result) != config {
		t.Errorf("%s came back as %v, %v", config, res, err)
	}
}
