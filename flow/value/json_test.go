package value

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawValue draws any value of the model.
func drawValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 7
		if depth == 0 {
			kinds = 5
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]any{nil, true, false}).Draw(t, "simple")
		case 1:
			return rapid.Int64().Draw(t, "int")
		case 2:
			return rapid.Float64().Draw(t, "float")
		case 3:
			n, err := ParseNumber(drawNumber(t, "number"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		case 4:
			return rapid.String().Draw(t, "text")
		case 5:
			return rapid.SliceOfN(drawValue(depth-1), 0, 4).Draw(t, "list")
		}
		return rapid.MapOfN(rapid.StringN(0, 4, -1), drawValue(depth-1), 0, 4).Draw(t, "map")
	})
}

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(3).Draw(t, "value")
		text := Compact(v)
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q is no JSON", text)
		}
		again, err := Decode([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !Equal(v, again) {
			t.Fatalf("%s came back as %s", text, Compact(again))
		}
		if twice := Compact(again); twice != text {
			t.Fatalf("%s printed again is %s", text, twice)
		}
	})
}

func TestCompactPrintsNumbersAsECMADoes(t *testing.T) {
	tests := map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 1e20: "100000000000000000000", 1e21: "1e+21", 123e-8: "0.00000123", 1e-6: "0.000001", 1e-7: "1e-7",
		5e-324: "5e-324", 1.7976931348623157e308: "1.7976931348623157e+308", 1e100: "1e+100", 2.5e-10: "2.5e-10",
	}
	for f, want := range tests {
		if got := Compact(f); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		std, err := json.Marshal(f)
		if err != nil || string(std) != want {
			t.Errorf("encoding/json prints %s, want %s", std, want)
		}
	}
}

func TestCompactSortsKeysAndEscapesOnlyWhatItMust(t *testing.T) {
	got := Compact(map[string]any{"b": []any{nil, true, "<&>\u2028é"}, "a": "\"\\\n\r\t\x01\xff", "": int64(1)})
	want := `{"":1,"a":"\"\\\n\r\t\u0001` + "\ufffd" + `","b":[null,true,"<&>` + "\u2028é" + `"]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefusesWhatIsNotOneDocument(t *testing.T) {
	tests := []struct{ name, text, says string }{
		{"nothing", "", "ends early, at byte 0"},
		{"white space", " \n", "ends early"},
		{"an open list", "[1,", "ends early"},
		{"an open object", `{"a"`, "ends early"},
		{"two documents", "1 2", "more text after the document"},
		{"a trailing comma", "[1,]", `unexpected ']'`},
		{"a comment", "/* */ 1", `unexpected '/'`},
		{"single quotes", "{'a':1}", "a key in double quotes"},
		{"a leading zero", "01", "more text"},
		{"a key twice", `{"a":1,"a":2}`, "duplicate"},
		{"a number past the bounds", "[1e9999]", "exponent past"},
		{"too deep", strings.Repeat("[", MaxDepth+2) + strings.Repeat("]", MaxDepth+2), "nested deeper than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := Decode([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, %v; want an error with %q", v, err, test.says)
			}
		})
	}
}

func TestDecodeLenientTakesTheLastOfTwoKeys(t *testing.T) {
	v, err := DecodeLenient([]byte(`{"a":1,"b":0,"a":2}`))
	if err != nil || Compact(v) != `{"a":2,"b":0}` {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestDecodeReplacesInvalidText(t *testing.T) {
	v, err := Decode([]byte("\"a\xff\\ud800b\""))
	if err != nil || v != "a\ufffd\ufffdb" {
		t.Errorf("got %q, %v", v, err)
	}
}

func TestDecodeTakesWhatIsAsDeepAsTheBound(t *testing.T) {
	if _, err := Decode([]byte(strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth))); err != nil {
		t.Error(err)
	}
}

// FuzzDecode: whatever is read is valid JSON, prints as valid JSON and comes
// back equal.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{`{"a":[1,-0,1.50,1e-320,1e400,"\ud83d\ude00",null]}`, `[1e+4096]`, `"\u0000"`, `{"":{"":[]}}`, `0.1e-4096`, "\"\xff\""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Decode([]byte(text))
		if err != nil {
			return
		}
		if utf8.ValidString(text) && !json.Valid([]byte(text)) {
			t.Fatalf("%q was read and is no JSON", text)
		}
		printed := Compact(v)
		again, err := Decode([]byte(printed))
		if err != nil || !Equal(v, again) {
			t.Fatalf("%q printed as %q and came back as %s, %v", text, printed, Compact(again), err)
		}
		if changes, more := Diff(v, again, 10); len(changes) != 0 || more != 0 {
			t.Fatalf("%q: equal values differ: %v", text, changes)
		}
	})
}
