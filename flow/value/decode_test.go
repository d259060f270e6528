package value

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// TestEscapesAndBrokenText has what the round trips of the other tests cannot
// make: texts that we never print.
func TestEscapesAndBrokenText(t *testing.T) {
	tests := []struct{ claim, text, want string }{
		{"every short escape", `"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{"a code point", `"\u00e9\u00E9"`, "éé"},
		{"a surrogate pair", `"\ud83d\ude00"`, "😀"},
		{"half a pair is replaced", `"\ud83d!"`, "\ufffd!"},
		{"half a pair before another character", `"\ud83d\u0041"`, "\ufffdA"},
		{"two high halves", `"\ud83d\ud83d\ude00"`, "\ufffd😀"},
		{"bytes that are not UTF-8", "\"a\xffb\"", "a\ufffdb"},
		{"escapes after other text", `"é\n"`, "é\n"},
		{"the empty text", `""`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.claim, func(t *testing.T) {
			got, err := Decode([]byte(tt.text))
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			m, err := Decode([]byte(`{` + tt.text + `: 1}`))
			if err != nil || !Equal(m, map[string]any{tt.want: int64(1)}) {
				t.Errorf("as a key: got %v, %v", m, err)
			}
		})
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	for _, text := range []string{
		`{a: 1}`, `{"a" 1}`, `{"a": 1,}`, `{"a": 1 "b": 2}`, `[1,]`, `[1 2]`, `[,]`, `{,}`, `'a'`, `nul`, `truE`, `tru`,
		`-`, `+1`, `1.`, `.5`, `1e`, `1e+`, `1.e1`, `--1`, `0x1`, `NaN`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\u+123"`, "\"a\nb\"", "\"\\n\x01\"", `"abc`, `"\`,
	} {
		if v, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s was read as %v", text, v)
		} else if !strings.HasPrefix(err.Error(), "decode JSON: ") {
			t.Errorf("%s: the error %q does not say what was tried", text, err)
		}
	}
}

// FuzzDecodeAgrees holds our decoder against a kept one: both accept the same
// documents, and what ours makes prints to the same text.
func FuzzDecodeAgrees(f *testing.F) {
	for _, seed := range []string{
		`{"a": [1, 2.50, -0, 1e3, "x\u00e9\ud83d"], "b": {"c": null}, "d": true}`, `[]`, `{}`, ` "a" `, `01`, `1e400`, "\"\xff\"",
		`[[[[1]]]]`, `{"a":1,"a":2}`, `123456789012345678901234567890`, `-0.0`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ours, err := DecodeLenient(text)
		dec := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
		theirErr := dec.SkipValue()
		if theirErr == nil {
			if _, end := dec.ReadToken(); !errors.Is(end, io.EOF) {
				theirErr = errors.New("more text")
			}
		}
		bounded := err != nil && (strings.Contains(err.Error(), "nested deeper") || strings.Contains(err.Error(), "parse "))
		if (err == nil) != (theirErr == nil) && !bounded {
			t.Fatalf("%q: ours %v, theirs %v", text, err, theirErr)
		}
		if err != nil {
			return
		}
		again, err := Decode(Append(nil, ours))
		if err != nil || !Equal(ours, again) {
			t.Errorf("%q does not survive printing: %v, %v", text, again, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	text := []byte(`{"id":"ord_8f21","status":"confirmed","total":58.90,"items":[` + strings.Repeat(`{"sku":"TEA-001","qty":2,"price":29.90,"tags":["a","b"]},`, 9) + `{"sku":"x","qty":1,"price":1,"tags":[]}]}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}
