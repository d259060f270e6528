package match

import "testing"

func TestPatternsAsJSON(t *testing.T) {
	tests := map[string]struct {
		pattern, actual string
		miss            string // the first mismatch; empty: it matches
	}{
		"a part of it":             {`{"value": {"id": "#uuid"}}`, `{"value": {"id": "0b9f0a3e-6b0f-4a36-8a9c-0a2a7a3c8f11", "n": 1}}`, ""},
		"exact numbers":            {`{"n": 9007199254740993}`, `{"n": 9007199254740993}`, ""},
		"exact numbers that miss":  {`{"n": 9007199254740993}`, `{"n": 9007199254740992}`, "$.n: want 9007199254740993 (number), got 9007199254740992 (number)"},
		"an expression over _":     {`{"n": "#(_ > 2)"}`, `{"n": 3}`, ""},
		"an operator":              {`{"l": {"$contains": [2]}}`, `{"l": [1, 2]}`, ""},
		"dollars are no templates": {`{"t": "${x}"}`, `{"t": "${x}"}`, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := CompileJSON([]byte(test.pattern))
			if err != nil {
				t.Fatal(err)
			}
			found, err := p.MatchJSON([]byte(test.actual))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(found) > 0 {
				got = found[0].Message
			}
			if got != test.miss {
				t.Errorf("got %q, want %q", got, test.miss)
			}
		})
	}
}

func TestPatternsThatAreNone(t *testing.T) {
	for _, text := range []string{`{`, `"#unknown"`, `{"$nope": 1}`} {
		if _, err := CompileJSON([]byte(text)); err == nil {
			t.Errorf("%s: got no error", text)
		}
	}
	p, err := CompileJSON([]byte(`1`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.MatchJSON([]byte(`{`)); err == nil {
		t.Error("half a JSON text: got no error")
	}
}
