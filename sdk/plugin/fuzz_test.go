package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
)

// Whatever a config is, it is refused by name or comes back as it was taken.
func FuzzConfigs(f *testing.F) {
	for _, config := range []string{
		`{"host":"db"}`, `{"host":"db","exact":1.50,"anything":[1e400,{"a":null}],"raw":{"b": 1.0}}`, `{"host":"db","port":8.0e1,"wait":"1m30s","data":"AAEC/w=="}`,
		`{"host":"db","inner":{"name":"a"},"inners":[{"name":"b","level":1}],"deep":{"x":{"y":true}},"pair":[1,2],"when":"2026-01-02T03:04:05Z"}`,
		`{"host":"db","headers":{"":"\ud800"},"password":"pass","source":"../a","tags":["a"]}`, `null`, `[`, "{\"host\":\"\xff\"}",
	} {
		f.Add([]byte(config))
	}
	p := echo()
	run := func(config []byte) (*Response, error) {
		return p.Execute(context.Background(), &Request{Action: "demo.echo", Config: config}, nil)
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		res, err := run(config)
		if err != nil {
			var known *Error
			if !errors.As(err, &known) || known.Code != CodeConfig || known.Blame != BlameDefinition || known.Message == "" {
				t.Fatalf("%s: got %#v, want E-CONFIG of the definition", config, err)
			}
			return
		}
		if !json.Valid(res.Result) {
			t.Fatalf("%s: the result %s is not JSON", config, res.Result)
		}
		// A struct that was left out is there now, with a name that is too short.
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(res.Result, &fields); err != nil {
			t.Fatal(err)
		}
		if string(fields["inner"]) == `{"name":"","level":3}` {
			delete(fields, "inner")
		}
		again, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		second, err := run(again)
		if err != nil || string(second.Result) != string(res.Result) {
			t.Fatalf("%s became %s, and then %v, %v", config, res.Result, second, err)
		}
	})
}
