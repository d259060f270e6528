package grpc

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestMistakesInARequestAreNamedWhereTheyAre(t *testing.T) {
	s := against(t, shop(t))
	tests := map[string]struct {
		value string // of the field value of EchoRequest
		field string
		parts []string
	}{
		"a field that is not there":      {`{"tekst":"x"}`, "request.value.tekst", []string{"echo.v1.Everything has no such field", "did you mean text?"}},
		"far from any":                   {`{"zzz":1}`, "request.value.zzz", []string{"it has text, data, flag"}},
		"deep inside":                    {`{"child":{"child":{"txet":1}}}`, "request.value.child.child.txet", []string{"did you mean text?"}},
		"in a map of messages":           {`{"children":{"1":{},"2":{"txet":1}}}`, "request.value.children.2.txet", []string{"did you mean text?"}},
		"a text for a number":            {`{"int64":"five"}`, "request.value.int64", []string{`must be a whole number (int64), not the text "five"`}},
		"a number beyond 64 bits":        {`{"int64":9223372036854775808}`, "request.value.int64", []string{"must be a whole number (int64), not 9223372036854775808"}},
		"a number beyond 32 bits":        {`{"int32":2147483648}`, "request.value.int32", []string{"(int32)"}},
		"a number below zero":            {`{"uint64":-1}`, "request.value.uint64", []string{"(uint64), not -1"}},
		"a fraction for a whole number":  {`{"int32":1.5}`, "request.value.int32", []string{"not 1.5"}},
		"a number for a text":            {`{"text":5}`, "request.value.text", []string{"must be a text, not 5", `write it in quotes: "5"`}},
		"a text for true":                {`{"flag":"true"}`, "request.value.flag", []string{`must be true or false, not the text "true"`}},
		"a text for a double":            {`{"double":"much"}`, "request.value.double", []string{"a number (double)"}},
		"what is no base64":              {`{"data":"***"}`, "request.value.data", []string{"bytes as base64", "${base64_encode(x)}"}},
		"an enum that is not there":      {`{"mood":"MOOD_HAPY"}`, "request.value.mood", []string{"must be a value of echo.v1.Mood", "did you mean MOOD_HAPPY?", "it has MOOD_UNSPECIFIED"}},
		"an enum without its prefix":     {`{"mood":"grumpy"}`, "request.value.mood", []string{"did you mean MOOD_GRUMPY?"}},
		"a list for an enum":             {`{"mood":[]}`, "request.value.mood", []string{"not a list"}},
		"one value for a list":           {`{"texts":"x"}`, "request.value.texts", []string{`must be a list, not the text "x"`}},
		"a wrong value in a list":        {`{"numbers":[1,2,"x"]}`, "request.value.numbers[2]", []string{"(int64)"}},
		"a list for a map":               {`{"counts":[]}`, "request.value.counts", []string{"must be a map, not a list"}},
		"a wrong value in a map":         {`{"counts":{"a":1,"b":"x"}}`, "request.value.counts.b", []string{"(int64)"}},
		"a key that is no number":        {`{"children":{"a":{}}}`, "request.value.children.a", []string{"the key must be a whole number (int32)"}},
		"a text for a message":           {`{"child":"x"}`, "request.value.child", []string{`must be a map, as echo.v1.Everything is a message, not the text "x"`}},
		"a timestamp in another form":    {`{"at":"31.1.2026"}`, "request.value.at", []string{"must be a google.protobuf.Timestamp", `"2026-01-31T12:00:00Z"`}},
		"a duration without its unit":    {`{"lasts":"5"}`, "request.value.lasts", []string{`write it in seconds: "1.5s"`}},
		"a mask that is none":            {`{"mask":"a b"}`, "request.value.mask", []string{"google.protobuf.FieldMask", "with commas"}},
		"an Any without its type":        {`{"any":{"text":"x"}}`, "request.value.any", []string{"is no google.protobuf.Any", "@type"}},
		"an Any that nobody knows":       {`{"any":{"@type":"type.googleapis.com/no.Body"}}`, "request.value.any", []string{"no.Body"}},
		"a text for a wrapped number":    {`{"int64OrNull":"x"}`, "request.value.int64OrNull", []string{"google.protobuf.Int64Value"}},
		"two of one choice":              {`{"name":"x","number":5}`, "request.value", []string{"echo.v1.Everything.choice is already set"}},
		"one field by both of its names": {`{"textOrNull":"x","text_or_null":"y"}`, "request.value", []string{"duplicate"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := s.fault("call", fields{"method": echo, "request": json.RawMessage(`{"value":` + test.value + `}`)})
			if e.Field != test.field || e.Blame != plugin.BlameDefinition {
				t.Errorf("got %s, want the field %s", words(e), test.field)
			}
			wants(t, e, plugin.CodeConfig, test.parts...)
		})
	}
}

func TestARequestThatIsNoMap(t *testing.T) {
	s := against(t, shop(t))
	for request, part := range map[string]string{`[]`: "must be a map", `"x"`: "must be a map", `5`: "must be a map"} {
		wants(t, s.fault("call", fields{"method": echo, "request": json.RawMessage(request)}), plugin.CodeConfig, "request", part)
	}
	for _, request := range []string{`null`, `{}`} {
		if got := s.do("call", fields{"method": echo, "request": json.RawMessage(request)}); got.get("status.name") != "OK" {
			t.Errorf("%s: got %v", request, got.fields)
		}
	}
}

// TestADeepRequestCrashesNothing: a decoder that runs out of stack takes all runs
// of the machine with it.
func TestADeepRequestCrashesNothing(t *testing.T) {
	s := against(t, shop(t))
	const deep = 9_000 // encoding/json takes 10,000
	text := `{"value":{"value":` + strings.Repeat(`[`, deep) + strings.Repeat(`]`, deep) + `}}`
	// The server says that it is too deep for it, which is an answer.
	if got := s.do("call", fields{"method": echo, "request": json.RawMessage(text)}); got.get("status.name") != "INTERNAL" {
		t.Errorf("got %.200v", got.fields)
	}
}
