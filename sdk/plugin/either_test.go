package plugin

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

type place struct {
	Host     string     `json:"host"`
	Port     int        `json:"port" default:"80"`
	Password SecretText `json:"password,omitempty"`
}

type eitherConfig struct {
	To     Either[string, place]          `json:"to" doc:"Where to."`
	Params Either[[]any, map[string]any]  `json:"params,omitempty"`
	Limit  Either[int, bool]              `json:"limit" default:"5"`
	Deep   []Either[SecretText, []string] `json:"deep,omitempty"`
}

func eitherEcho() Plugin {
	same := func(_ context.Context, _ *Call, in eitherConfig) (eitherConfig, error) { return in, nil }
	return New(Info{Name: "demo", Version: "1.0.0", Summary: "S."}, Action("echo", "Give it back.", same))
}

func TestAValueOfOneOfTwoKinds(t *testing.T) {
	tests := map[string]struct{ config, want, wrong, field string }{
		"the one":           {config: `{"to":"db"}`, want: `{"to":"db","limit":5}`},
		"the other":         {config: `{"to":{"host":"db"}}`, want: `{"to":{"host":"db","port":80},"limit":5}`},
		"a list":            {config: `{"to":"db","params":[1.50]}`, want: `{"to":"db","params":[1.50],"limit":5}`},
		"a map":             {config: `{"to":"db","params":{"a":null}}`, want: `{"to":"db","params":{"a":null},"limit":5}`},
		"no default":        {config: `{"to":"db","limit":false}`, want: `{"to":"db","limit":false}`},
		"within a list":     {config: `{"to":"db","deep":["s3cr3t",["a"]]}`, want: `{"to":"db","limit":5,"deep":["s3cr3t",["a"]]}`},
		"neither":           {config: `{"to":5}`, wrong: "must be a text or a map, not 5", field: "to"},
		"null":              {config: `{"to":null}`, wrong: "must be a text or a map, not null", field: "to"},
		"missing":           {config: `{}`, wrong: "needs this key", field: "to"},
		"a slip in it":      {config: `{"to":{"hots":"db"}}`, wrong: "no such key", field: "to.hots"},
		"a wrong value":     {config: `{"to":{"host":"db","port":"x"}}`, wrong: "must be a whole number", field: "to.port"},
		"neither of a list": {config: `{"to":"db","deep":[1]}`, wrong: "must be a text or a list, not 1", field: "deep[0]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			res, err := execute(t, eitherEcho(), "demo.echo", test.config)
			if test.wrong == "" {
				if err != nil || string(res.Result) != test.want {
					t.Errorf("got %v, %v, want %s", res, err, test.want)
				}
				return
			}
			known, ok := err.(*Error)
			if !ok || !strings.Contains(known.Message, test.wrong) || known.Field != test.field {
				t.Errorf("got %#v, want %s: %s", err, test.field, test.wrong)
			}
		})
	}
}

func TestSecretsWithinAValueOfTwoKindsAreKnown(t *testing.T) {
	res, err := execute(t, eitherEcho(), "demo.echo", `{"to":{"host":"db","password":"pa55word"},"deep":["s3cr3t"]}`)
	if err != nil || len(res.Secrets) != 2 {
		t.Errorf("got %v, %v, want two secrets", res, err)
	}
}

func TestTheSchemaOfAValueOfTwoKinds(t *testing.T) {
	schema := eitherEcho().Describe().GetActions()[0].GetConfigSchema()
	for _, want := range []string{
		`"to": {"description": "Where to.", "oneOf": [{"type": "string"}, {"type": "object", "required": ["host"]`,
		`"params": {"oneOf": [{"type": "array"}, {"type": "object"}]}`,
		`"limit": {"oneOf": [{"type": "integer"}, {"type": "boolean"}], "default": 5}`,
		`"required": ["to"]`,
	} {
		if !strings.Contains(schema, want) || !json.Valid([]byte(schema)) {
			t.Errorf("got %s, want %s in it", schema, want)
		}
	}
}

func TestTwoKindsThatJSONDoesNotTellApart(t *testing.T) {
	type both struct {
		A Either[string, SecretText] `json:"a"`
		B Either[any, string]        `json:"b"`
		C Either[int, chan int]      `json:"c"`
	}
	run := func(context.Context, *Call, both) (nothing, error) { return nothing{}, nil }
	_, err := build(Info{Name: "demo", Version: "1.0.0", Summary: "S."}, []Part{Action("do", "S.", run)})
	for _, want := range []string{"config.A: JSON does not tell", "config.B: JSON does not tell", "config.C: a chan int"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
