package plugintest

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestLookupFollowsKeysAndIndexes(t *testing.T) {
	result := json.RawMessage(`{"a": {"b": [10, {"c": 1.50}]}, "n": null}`)
	tests := map[string]struct{ path, want, problem string }{
		"the whole":         {"", string(result), ""},
		"a key":             {"n", "null", ""},
		"an index":          {"a.b.0", "10", ""},
		"a number as it is": {"a.b.1.c", "1.50", ""},
		"no such key":       {"a.x", "", "its keys are b"},
		"no such index":     {"a.b.2", "", "a list of 2"},
		"no index":          {"a.b.x", "", "a list of 2"},
		"below a number":    {"a.b.0.x", "", "the result has no"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := lookup(result, test.path)
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("got %s, %v, want an error that says %q", got, err, test.problem)
				}
				return
			}
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestSameJSONTellsApartWhatPeopleTellApart(t *testing.T) {
	tests := map[string]struct {
		got, want string
		same      bool
	}{
		"order of keys":               {`{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		"space":                       {` [ 1 ] `, `[1]`, true},
		"escapes":                     {`"\u00e9"`, `"é"`, true},
		"numbers by how they look":    {`1.0`, `1`, false},
		"the sign of zero":            {`0`, `-0`, false},
		"null and absent":             {`{}`, `{"a":null}`, false},
		"null and nothing":            {`{"a":""}`, `{"a":null}`, false},
		"composed and decomposed":     {`"\u00e9"`, `"e\u0301"`, false},
		"a longer list":               {`[1,2]`, `[1]`, false},
		"a list is no object":         {`[]`, `{}`, false},
		"deep inside":                 {`{"a":[{"b":1}]}`, `{"a":[{"b":2}]}`, false},
		"a number and its text":       {`1`, `"1"`, false},
		"two values":                  {`1 2`, `1`, false},
		"no JSON at all":              {`x`, `1`, false},
		"an object for a text":        {`{}`, `""`, false},
		"another key, the same count": {`{"a":1}`, `{"b":1}`, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := sameJSON(json.RawMessage(test.got), json.RawMessage(test.want))
			if (err == nil) != test.same {
				t.Errorf("got %v, want the same %v", err, test.same)
			}
		})
	}
}

func TestWithoutLeavesOutWhatDiffersByNature(t *testing.T) {
	value := json.RawMessage(`{"a":1,"at":{"now":5,"kept":1.50},"list":[{"id":7},8]}`)
	got, err := without(value, []string{"at.now", "list.0.id", "list.1", "none.such", "list.9", "a.b"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"a":1,"at":{"kept":1.50},"list":[{},null]}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := without(json.RawMessage(`{`), nil); err == nil {
		t.Error("half a value was taken")
	}
}

func TestNamesAndVersionsOfADescriptor(t *testing.T) {
	for name, want := range map[string]bool{
		"tcp": true, "a1_b": true, "": false, "1a": false, "_a": false, "Tcp": false, "a-b": false, "é": false, "a.b": false,
	} {
		if got := isName(name); got != want {
			t.Errorf("name %q: got %v, want %v", name, got, want)
		}
	}
	for version, want := range map[string]bool{
		"1.2.3": true, "0.0.0": true, "1.2.3-rc.1": true, "1.2.3+build": true, "1.2": false, "": false, "v1.2.3": false,
		"01.2.3": false, "1.2.x": false, "1.2.3.4": false,
	} {
		if got := isVersion(version); got != want {
			t.Errorf("version %q: got %v, want %v", version, got, want)
		}
	}
}
