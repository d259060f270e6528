package http

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// variants are a text, its beginnings, and the text with each byte replaced or
// doubled in turn.
func variants(text string, yield func(string)) {
	yield(text)
	for i := range len(text) {
		yield(text[:i])
		yield(text[:i] + text[i:i+1] + text[i:])
		for _, b := range []byte("\"\\{}[],:0-.e \n\x00/u\xffa%#?@A") {
			yield(text[:i] + string(b) + text[i+1:])
		}
	}
}

func TestWhatIsReadAsPlainJSONIsJSON(t *testing.T) {
	tests := map[string]string{
		"a map":            `{"id":"8f21","name":"Ada","roles":["admin"],"total":58.90,"n":-3,"ok":true,"no":false,"nil":null}`,
		"with blanks":      " {\r\n\t\"a\" : [ 1 , 2 ] , \"b\" : { } }\n",
		"a text":           `"a\"b\\c\/d\b\f\n\r\t"`,
		"past ASCII":       `{"ключ": "значение"}`,
		"a number":         `-0.5`,
		"an empty list":    `[]`,
		"lists in lists":   `[[],[[0]],[{"a":[]}]]`,
		"bytes of no text": "[\"\xff\xfe\"]",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if !plainJSON([]byte(text)) {
				t.Error("it was not read as plain")
			}
			variants(text, func(s string) {
				valid := jsontext.Value(s).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
				if plainJSON([]byte(s)) && (!valid || checkBounds([]byte(s)) != nil) {
					t.Errorf("%q passes for JSON", s)
				}
			})
		})
	}
}

func TestWhatIsReadAsAPlainConfigIsWhatTheDecoderReads(t *testing.T) {
	tests := []string{
		`{"body":{"name":"Ada","n":[1.50,{"a":null}]},"headers":{"X-A":"1","X-B":"b"},"method":"POST","url":"http://h/p"}`,
		`{"body":"text","method":"PATCH","url":"http://h"}`,
		`{"url":""}`,
		`{}`,
		`{"body":null,"headers":{},"url":"http://h"}`,
	}
	for _, text := range tests {
		t.Run(text, func(t *testing.T) {
			if !new(config).readPlain([]byte(text)) {
				t.Error("it was not read as plain")
			}
			variants(text, func(s string) {
				plain, decoded := new(config), new(config)
				if !plain.readPlain([]byte(s)) {
					return
				}
				if err := decoded.readJSON(json.RawMessage(s)); err != nil {
					t.Errorf("%s: the decoder says %v", s, err)
				}
				if diff := cmp.Diff(decoded, plain, cmp.AllowUnexported(config{}), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: decoded (-) and plain (+) differ:\n%s", s, diff)
				}
			})
		})
	}
}

func TestWhatIsNotPlainIsLeftToTheDecoder(t *testing.T) {
	tests := map[string]string{
		"another key":         `{"timeout":"3s","url":"http://h"}`,
		"an escape":           `{"url":"http://h/\u0041"}`,
		"past ASCII":          `{"url":"http://h/ä"}`,
		"a list of a header":  `{"headers":{"A":["1","2"]},"url":"http://h"}`,
		"a number as header":  `{"headers":{"A":1},"url":"http://h"}`,
		"a key twice":         `{"url":"http://h","url":"http://i"}`,
		"a header twice":      `{"headers":{"A":"1","A":"2"},"url":"http://h"}`,
		"bytes that are none": "{\"body\":\"\xff\",\"url\":\"http://h\"}",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if new(config).readPlain([]byte(text)) {
				t.Errorf("%s was read as plain", text)
			}
		})
	}
}

func TestWhatIsTakenAsAPlainURLIsWhatNetURLMakesOfIt(t *testing.T) {
	tests := []string{
		"http://127.0.0.1:8080/users/8f21", "https://api.example.com", "http://h/a-b_c~d.e//f?q=a%20b&x=1,2+3", "http://H:65535/",
	}
	for _, text := range tests {
		t.Run(text, func(t *testing.T) {
			if plainURL(text) == nil {
				t.Error("it was not taken as plain")
			}
			variants(text, func(s string) {
				u := plainURL(s)
				if u == nil {
					return
				}
				want, err := url.Parse(s)
				if err != nil || cmp.Diff(want, u) != "" || u.String() != s {
					t.Errorf("%q: got %#v, printed %s, want %#v (%v)", s, u, u, want, err)
				}
			})
		})
	}
}
