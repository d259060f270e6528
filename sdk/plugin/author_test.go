package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// note is embedded in what follows.
type note struct {
	Note string `json:"note,omitempty" doc:"A note."`
}

type inner struct {
	Name  string `json:"name" minLength:"1"`
	Level int    `json:"level" default:"3" min:"1" max:"9"`
}

type everything struct {
	note
	Host     string                     `json:"host" doc:"Where to." example:"db:5432" pattern:"^[a-z:0-9]+$" maxLength:"20"`
	Port     uint16                     `json:"port" default:"80"`
	Small    int8                       `json:"small,omitempty"`
	Ratio    float64                    `json:"ratio,omitempty" min:"0" max:"1"`
	Exact    json.Number                `json:"exact,omitempty"`
	Mode     string                     `json:"mode" enum:"fast|slow" default:"fast"`
	Level    int                        `json:"level,omitempty" enum:"1|2"`
	Verify   *bool                      `json:"verify" doc:"Whether to look."`
	Data     []byte                     `json:"data,omitempty" doc:"What to send."`
	Wait     time.Duration              `json:"wait" default:"1m30s"`
	When     time.Time                  `json:"when,omitempty"`
	Password SecretText                 `json:"password,omitempty"`
	Source   File                       `json:"source,omitempty"`
	Tags     []string                   `json:"tags,omitempty" enum:"a|b" minItems:"1" maxItems:"2"`
	Pair     [2]int                     `json:"pair,omitempty"`
	Headers  map[string]string          `json:"headers,omitempty"`
	Anything any                        `json:"anything,omitempty"`
	Raw      json.RawMessage            `json:"raw,omitempty"`
	Reply    map[string]any             `json:"reply,omitempty" template:"late"`
	Inner    inner                      `json:"inner,omitempty"`
	Inners   []inner                    `json:"inners,omitempty"`
	Deep     map[string]map[string]bool `json:"deep,omitempty"`
	MaxBytes int                        `default:"10"`
	Skipped  int                        `json:"-"`
}

const everythingSchema = `{"type": "object", "required": ["host"], "additionalProperties": false, "properties": {` +
	`"note": {"type": "string", "description": "A note."}, ` +
	`"host": {"type": "string", "description": "Where to.", "maxLength": 20, "pattern": "^[a-z:0-9]+$", "examples": ["db:5432"]}, ` +
	`"port": {"type": "integer", "minimum": 0, "maximum": 65535, "default": 80}, ` +
	`"small": {"type": "integer", "minimum": -128, "maximum": 127}, ` +
	`"ratio": {"type": "number", "minimum": 0, "maximum": 1}, ` +
	`"exact": {"type": "number"}, ` +
	`"mode": {"type": "string", "enum": ["fast", "slow"], "default": "fast"}, ` +
	`"level": {"type": "integer", "enum": [1, 2]}, ` +
	`"verify": {"type": ["boolean", "null"], "description": "Whether to look."}, ` +
	`"data": {"type": "string", "description": "What to send. (base64)"}, ` +
	`"wait": {"type": "string", "x-testmesh-duration": true, "default": "1m30s"}, ` +
	`"when": {"type": "string"}, ` +
	`"password": {"type": "string"}, ` +
	`"source": {"type": "string", "x-testmesh-file": true}, ` +
	`"tags": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string", "enum": ["a", "b"]}}, ` +
	`"pair": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}}, ` +
	`"headers": {"type": "object", "additionalProperties": {"type": "string"}}, ` +
	`"anything": {}, ` +
	`"raw": {}, ` +
	`"reply": {"type": "object", "x-testmesh-template": "late"}, ` +
	`"inner": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {"name": {"type": "string", "minLength": 1}, "level": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3}}}, ` +
	`"inners": {"type": "array", "items": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {"name": {"type": "string", "minLength": 1}, "level": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3}}}}, ` +
	`"deep": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "boolean"}}}, ` +
	`"max_bytes": {"type": "integer", "default": 10}}}`

type nothing struct{}

// echo is a plugin that gives back what it was given.
func echo(parts ...Part) Plugin {
	same := func(_ context.Context, _ *Call, in everything) (everything, error) { return in, nil }
	return New(Info{Name: "demo", Version: "1.0.0", Summary: "A demonstration."}, append(parts, Action("echo", "Give it back.", same))...)
}

func TestTheSchemaIsThatOfTheStruct(t *testing.T) {
	spec := echo().Describe().GetActions()[0]
	if got := spec.GetConfigSchema(); got != everythingSchema {
		t.Errorf("got  %s\nwant %s", strings.ReplaceAll(got, `}, "`, "},\n\""), strings.ReplaceAll(everythingSchema, `}, "`, "},\n\""))
	}
	if !json.Valid([]byte(spec.GetConfigSchema())) || spec.GetResultSchema() != spec.GetConfigSchema() {
		t.Errorf("got the result's schema %s", spec.GetResultSchema())
	}
}

func execute(t *testing.T, p Plugin, action, config string) (*Response, error) {
	t.Helper()
	return p.Execute(context.Background(), &Request{Action: action, Config: json.RawMessage(config), RunID: "run", StepID: "step", Try: 1}, nil)
}

func TestAConfigArrivesAsItIsWritten(t *testing.T) {
	const defaults = `"port":80,"mode":"fast","verify":null,"wait":"1m30s"`
	tests := map[string]struct{ config, want string }{
		"only what is required": {`{"host":"db"}`, `{"host":"db",` + defaults + `,"max_bytes":10}`},
		"an embedded struct":    {`{"host":"db","note":"n"}`, `{"note":"n","host":"db",` + defaults + `,"max_bytes":10}`},
		"exact numbers":         {`{"host":"db","exact":1.50,"anything":[1.10,123456789012345678901234567890,1e400,{"a":0.1}],"max_bytes":1}`, `{"host":"db","port":80,"exact":1.50,"mode":"fast","verify":null,"wait":"1m30s","anything":[1.10,123456789012345678901234567890,1e400,{"a":0.1}],"max_bytes":1}`},
		"JSON as it comes":      {`{"host":"db","raw":{"b": 1.0, "a": 2}}`, `{"host":"db",` + defaults + `,"raw":{"b":1.0,"a":2},"max_bytes":10}`},
		"whole fractions":       {`{"host":"db","port":8.0e1}`, `{"host":"db",` + defaults + `,"max_bytes":10}`},
		"null for a pointer":    {`{"host":"db","verify":null}`, `{"host":"db",` + defaults + `,"max_bytes":10}`},
		"a pointer":             {`{"host":"db","verify":false}`, `{"host":"db","port":80,"mode":"fast","verify":false,"wait":"1m30s","max_bytes":10}`},
		"bytes":                 {`{"host":"db","data":"AAEC/w=="}`, `{"host":"db","port":80,"mode":"fast","verify":null,"data":"AAEC/w==","wait":"1m30s","max_bytes":10}`},
		"durations":             {`{"host":"db","wait":"0.0015ms"}`, `{"host":"db","port":80,"mode":"fast","verify":null,"wait":"0.0015ms","max_bytes":10}`},
		"times":                 {`{"host":"db","when":"2026-01-02T03:04:05.5Z"}`, `{"host":"db",` + defaults + `,"when":"2026-01-02T03:04:05.5Z","max_bytes":10}`},
		"lists and maps":        {`{"host":"db","tags":["a","b"],"pair":[1,2],"headers":{"b":"<&>","a":"ü"},"deep":{"x":{"y":true}}}`, `{"host":"db",` + defaults + `,"tags":["a","b"],"pair":[1,2],"headers":{"a":"ü","b":"<&>"},"deep":{"x":{"y":true}},"max_bytes":10}`},
		"nested, with defaults": {`{"host":"db","inner":{"name":"a"},"inners":[{"name":"b","level":1}]}`, `{"host":"db",` + defaults + `,"inner":{"name":"a","level":3},"inners":[{"name":"b","level":1}],"max_bytes":10}`},
		"null within any":       {`{"host":"db","anything":{"a":null}}`, `{"host":"db",` + defaults + `,"anything":{"a":null},"max_bytes":10}`},
	}
	p := echo()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := execute(t, p, "demo.echo", test.config)
			if err != nil {
				t.Fatal(err)
			}
			got := string(res.Result)
			// Defaults below a struct that is left out are there too.
			got = strings.Replace(got, `,"inner":{"name":"","level":3}`, "", 1)
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestWhatDoesNotFitIsNamed(t *testing.T) {
	tests := map[string]struct{ config, field, message, hint string }{
		"an unknown key":          {`{"host":"db","prot":1}`, "prot", "demo.echo has no such key", "it takes note, host, port"},
		"a slip is said first":    {`{"hots":"db"}`, "hots", "demo.echo has no such key", ""},
		"another case":            {`{"HOST":"db"}`, "HOST", "has no such key", ""},
		"a missing key":           {`{}`, "host", "demo.echo needs this key", ""},
		"no config":               {``, "host", "demo.echo needs this key", ""},
		"null":                    {`null`, "host", "demo.echo needs this key", ""},
		"a list":                  {`[]`, "", "must be a map, not a list", ""},
		"null for a text":         {`{"host":null}`, "host", "must be a text, not null", ""},
		"a number for a text":     {`{"host":1}`, "host", "must be a text, not 1", `write it in quotes: "1"`},
		"a text for a number":     {`{"host":"db","port":"80"}`, "port", `must be a whole number, not the text "80"`, "write 80 without quotes"},
		"a fraction":              {`{"host":"db","port":1.5}`, "port", "must be a whole number, not 1.5", ""},
		"too large":               {`{"host":"db","port":70000}`, "port", "70000 is beyond what fits (16 bits)", ""},
		"too small":               {`{"host":"db","port":-1}`, "port", "must be at least 0, not -1", ""},
		"an endless exponent":     {`{"host":"db","port":1e999999999}`, "port", "must be a whole number", ""},
		"over the maximum":        {`{"host":"db","ratio":1.1}`, "ratio", "must be at most 1, not 1.1", ""},
		"under the minimum":       {`{"host":"db","ratio":-0.1}`, "ratio", "must be at least 0, not -0.1", ""},
		"not of the enum":         {`{"host":"db","mode":"Fast"}`, "mode", `must be fast or slow, not the text "Fast"`, ""},
		"no number of the enum":   {`{"host":"db","level":3}`, "level", "must be 1 or 2, not 3", ""},
		"a pattern":               {`{"host":"d b"}`, "host", `must match ^[a-z:0-9]+$, not the text "d b"`, ""},
		"too long":                {`{"host":"aaaaaaaaaaaaaaaaaaaaa"}`, "host", "must have at most 20 characters", ""},
		"a text for a boolean":    {`{"host":"db","verify":"true"}`, "verify", "must be true or false", ""},
		"no base64":               {`{"host":"db","data":"%"}`, "data", "is not base64", "base64_encode"},
		"a duration without unit": {`{"host":"db","wait":30}`, "wait", "must be a text, not 30", "write a unit: 30s, or 30ms"},
		"a duration of nonsense":  {`{"host":"db","wait":"soon"}`, "wait", `is not a duration: the text "soon"`, "500ms"},
		"a negative duration":     {`{"host":"db","wait":"-1s"}`, "wait", "is not a duration", ""},
		"a time of nonsense":      {`{"host":"db","when":"now"}`, "when", "does not fit", ""},
		"an element":              {`{"host":"db","tags":["a","c"]}`, "tags[1]", "must be a or b", ""},
		"too few":                 {`{"host":"db","tags":[]}`, "tags", "has 0 elements and needs at least 1", ""},
		"too many for an array":   {`{"host":"db","pair":[1,2,3]}`, "pair", "has 3 elements and may have at most 2", ""},
		"a value of a map":        {`{"host":"db","headers":{"a":1}}`, "headers.a", "must be a text, not 1", ""},
		"null for a map":          {`{"host":"db","headers":null}`, "headers", "must be a map, not null", ""},
		"null for a list":         {`{"host":"db","tags":null}`, "tags", "must be a list, not null", ""},
		"a key below":             {`{"host":"db","inners":[{"name":"a"},{"nmae":"b"}]}`, "inners[1].nmae", "inners[1] has no such key", "it takes name, level"},
		"a missing key below":     {`{"host":"db","inners":[{}]}`, "inners[0].name", "inners[0] needs this key", ""},
		"an empty text":           {`{"host":"db","inner":{"name":""}}`, "inner.name", "is empty", ""},
		"deep below":              {`{"host":"db","deep":{"x":{"y":1}}}`, "deep.x.y", "must be true or false, not 1", ""},
		"a secret is not shown":   {`{"host":"db","password":123456}`, "password", "must be a text", ""},
	}
	p := echo()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := execute(t, p, "demo.echo", test.config)
			var known *Error
			if !errors.As(err, &known) {
				t.Fatalf("got %v, want a *Error", err)
			}
			if known.Code != CodeConfig || known.Blame != BlameDefinition || known.Failed {
				t.Errorf("got %s of %s, failed %v, want E-CONFIG of the definition", known.Code, known.Blame, known.Failed)
			}
			if known.Field != test.field || !strings.Contains(known.Message, test.message) || !strings.Contains(known.Hint, test.hint) {
				t.Errorf("got %q: %q (%q), want %q: %q (%q)", known.Field, known.Message, known.Hint, test.field, test.message, test.hint)
			}
			if strings.Contains(known.Message+known.Hint, "123456") {
				t.Errorf("the secret is shown: %q", known.Message)
			}
		})
	}
}

func TestMistakesOfTheAuthorAreNamed(t *testing.T) {
	run := func(context.Context, *Call, nothing) (nothing, error) { return nothing{}, nil }
	act := func(options ...Option) Part { return Action("go", "Go.", run, options...) }
	type fine struct{ Below []any }
	type node struct{ Children map[string]node }
	tests := map[string]struct {
		part Part
		want string
	}{
		"a name with a dot":        {Action("demo.go", "Go.", run), `"demo.go" is not [a-z][a-z0-9_]*, without the plugin's`},
		"no summary":               {Action("go", "", run), "there is no summary"},
		"no function":              {Action[nothing, nothing]("go", "Go.", nil), "there is no function"},
		"a config that is a text":  {Action("go", "Go.", func(context.Context, *Call, string) (nothing, error) { return nothing{}, nil }), "a config or result is a struct or a map, not string"},
		"a result that is a list":  {Action("go", "Go.", func(context.Context, *Call, nothing) ([]int, error) { return nil, nil }), "result: a config or result is a struct"},
		"a channel":                {typed[struct{ C chan int }](), "config.C: a chan int is no value of JSON"},
		"an interface":             {typed[struct{ E error }](), "config.E: error is an interface"},
		"keys that are numbers":    {typed[struct{ M map[int]string }](), "the keys of a map are texts"},
		"a type that holds itself": {typed[node](), "nested deeper than 24, or holds itself"},
		"two keys of a name": {typed[struct {
			MaxBytes int
			Max      int `json:"max_bytes"`
		}](), `two fields are named "max_bytes"`},
		"a key with a dot": {typed[struct {
			A string `json:"a.b"`
		}](), `the key "a.b" cannot be written in a path`},
		"an option of nobody": {typed[struct {
			A int `json:"a,string"`
		}](), `the json option "string" is not known`},
		"a default that is none": {typed[struct {
			A int `default:"x"`
		}](), `config.A: default: "x" must be a whole number`},
		"a default out of its range": {typed[struct {
			A int `default:"5" max:"3"`
		}](), "must be at most 3"},
		"an example that is none": {typed[struct {
			A bool `example:"yes"`
		}](), "example"},
		"an enum of a boolean": {typed[struct {
			A bool `enum:"true|false"`
		}](), "enum is for texts and numbers"},
		"an enum of no number": {typed[struct {
			A int `enum:"1|two"`
		}](), `"two" is no number`},
		"a minimum of a text": {typed[struct {
			A string `min:"1"`
		}](), "min is a number, for numbers"},
		"a length of a number": {typed[struct {
			A int `minLength:"1"`
		}](), `minLength:"1" does not fit`},
		"items of a text": {typed[struct {
			A string `minItems:"1"`
		}](), `minItems:"1" does not fit`},
		"a pattern of a number": {typed[struct {
			A int `pattern:"x"`
		}](), "pattern is for texts"},
		"a broken pattern": {typed[struct {
			A string `pattern:"("`
		}](), "pattern: error parsing regexp"},
		"a tag with a slip": {typed[struct {
			A string `minlength:"1"`
		}](), `the tag "minlength" says nothing here`},
		"a tag with an underscore": {typed[struct {
			A []int `min_items:"1"`
		}](), `the tag "min_items" says nothing here`},
		"an embedded pointer":        {typed[struct{ *note }](), "embedded, which only a struct can be"},
		"an effect after the last":   {act(Once(), Observes()), "an effect follows one that always holds"},
		"two expectations":           {act(Expect("a"), Expect("b")), "there are two expectations"},
		"a body that is no result":   {act(BodyKey("body")), `the body key "body" is no key of the result`},
		"an alias of itself":         {act(KeyAlias("a", "a")), `the alias "a" of "a" says nothing`},
		"an empty result alias":      {act(ResultAlias("", "a")), `the alias "" of "a" says nothing`},
		"a taken alias":              {act(Alias("demo.echo")), "the name demo.echo is taken"},
		"an example that is no step": {act(Example("action: demo.go")), "an example is a list of one step"},
		"a taken name":               {Action("echo", "Go.", run), "the name demo.echo is taken"},
		"no function at all":         {Function("f", "F.", 1), "it is no Go function"},
		"a nil function":             {Function("f", "F.", (func() int)(nil)), "it is no Go function"},
		"a function of a channel":    {Function("f", "F.", func(chan int) int { return 0 }, "c"), "argument 1: a chan int is no value"},
		"a function of nothing":      {Function("f", "F.", func() {}), "it gives a value, or a value and an error"},
		"a function of three":        {Function("f", "F.", func() (int, int, error) { return 0, 0, nil }), "it gives a value, or a value and an error"},
		"arguments without names":    {Function("f", "F.", func(int, int) int { return 0 }, "a"), "it takes 2 arguments (up to 16), and 1 are named"},
		"a function without summary": {Function("f", "", func() int { return 0 }), "there is no summary"},
		"a function's name":          {Function("F", "F.", func() int { return 0 }), "is not [a-z][a-z0-9_]*"},
		"nothing is wrong":           {typed[fine](), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := build(Info{Name: "demo", Version: "1.0.0", Summary: "S."}, []Part{Action("echo", "Echo.", run), test.part})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want one that holds %q", got, test.want)
			}
		})
	}
}

// typed is an action with a config of a type.
func typed[In any](options ...Option) Part {
	return Action("go", "Go.", func(context.Context, *Call, In) (nothing, error) { return nothing{}, nil }, options...)
}

func TestInfoIsChecked(t *testing.T) {
	part := typed[nothing]()
	tests := map[string]struct {
		info  Info
		parts []Part
		want  string
	}{
		"a name":        {Info{"Demo", "1.0.0", "S."}, []Part{part}, `the name "Demo" is not`},
		"no name":       {Info{"", "1.0.0", "S."}, []Part{part}, `the name "" is not`},
		"a version":     {Info{"demo", "1.0", "S."}, []Part{part}, `the version "1.0" is not`},
		"no summary":    {Info{"demo", "1.0.0", ""}, []Part{part}, "there is no summary"},
		"no parts":      {Info{"demo", "1.0.0", "S."}, nil, "neither an action nor a function"},
		"a pre-release": {Info{"demo_2", "1.0.0-rc.1+b.2", "S."}, []Part{part}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := build(test.info, test.parts)
			if got := errorText(err); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want one that holds %q", got, test.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestNewPanicsWithAllMistakes(t *testing.T) {
	defer func() {
		err, _ := recover().(error)
		for _, want := range []string{"plugin Demo: ", `the name "Demo"`, "the version", "neither an action nor a function"} {
			if !strings.Contains(errorText(err), want) {
				t.Errorf("got %v, want it to hold %q", err, want)
			}
		}
	}()
	New(Info{Name: "Demo", Summary: "S."})
	t.Error("it was made")
}

func TestAnActionIsOnceWhereNothingElseHolds(t *testing.T) {
	tests := map[string]struct {
		options []Option
		rules   int
	}{
		"nothing said": {nil, 1},
		"a condition":  {[]Option{When("a", Observes())}, 2},
		"said":         {[]Option{Once()}, 1},
	}
	for name, test := range tests {
		p := New(Info{Name: "demo", Version: "1.0.0", Summary: "S."}, typed[nothing](test.options...))
		rules := p.Describe().GetActions()[0].GetEffects()
		if last := rules[len(rules)-1]; len(rules) != test.rules || last.GetWhen() != "" || last.GetEffect() != testmeshv1.Effect_EFFECT_ONCE {
			t.Errorf("%s: got %v", name, rules)
		}
	}
}

func TestOptionsAreWrittenDown(t *testing.T) {
	run := func(context.Context, *Call, nothing) (struct{ Body any }, error) { return struct{ Body any }{}, nil }
	p := New(Info{Name: "demo", Version: "1.0.0", Summary: "S."}, Action("go", "Go.", run,
		When("a", Observes()), When("b", Idempotent()), When("c", Consumes()), When("d", Loads()), When("e", Removes()), Once(),
		Expect("body != null"), Description("Long."), Example("\n- action: demo.go\n"), Alias("go", "demo_go"),
		KeyAlias("x", "a.b"), ResultAlias("y", "body"), BodyKey("body")))
	got := p.Describe().GetActions()[0]
	var effects []testmeshv1.Effect
	for _, rule := range got.GetEffects() {
		effects = append(effects, rule.GetEffect())
	}
	want := []testmeshv1.Effect{1, 2, 4, 5, 6, 3}
	for i := range want {
		if i >= len(effects) || effects[i] != want[i] {
			t.Fatalf("got effects %v, want %v", effects, want)
		}
	}
	if got.GetEffects()[0].GetWhen() != "a" || got.GetEffects()[5].GetWhen() != "" {
		t.Errorf("got conditions %v", got.GetEffects())
	}
	if got.GetExpectation() != "body != null" || got.GetDescription() != "Long." || got.GetExample() != "- action: demo.go\n" ||
		len(got.GetAliases()) != 2 || got.GetKeyAliases()[0].GetTo() != "a.b" || got.GetResultAliases()[0].GetFrom() != "y" || got.GetBodyKey() != "body" {
		t.Errorf("got %v", got)
	}
}
