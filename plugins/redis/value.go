package redis

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// form is how the texts of an answer are given.
type form struct {
	As string `json:"as" doc:"How texts are given: as they are, so that 007 is a text; json gives those that are JSON as the value that they write, and others as they are; bytes gives any bytes as base64." enum:"text|json|bytes" default:"text"`
}

// reading is form with a limit.
type reading struct {
	form
	MaxBytes int64 `json:"max_bytes" doc:"Bytes of text that are read of an answer. What is beyond is cut, and an assertion is errored then." min:"1" max:"67108864" default:"10485760"`
}

// notText is a value that is no text.
type notText struct {
	at    string
	bytes int
}

func (e *notText) Error() string {
	return fmt.Sprintf("%s of %d bytes is not text", e.at, e.bytes)
}

// within says in what the value is.
func within(err error, at string) error {
	if e := (*notText)(nil); errors.As(err, &e) {
		e.at = at + e.at
	}
	return err
}

// reply gives an answer as a value of JSON, and says so where it is cut.
func (r reading) reply(call *plugin.Call, a answer, what string) (any, error) {
	v, err := r.convert(r.trimmed(call, a))
	if err != nil {
		return nil, plugin.Errorf(plugin.CodeBody, "%w", within(err, what)).WithHint("as: bytes gives any bytes, as base64")
	}
	return v, nil
}

// trimmed is the value without the part of a letter that a cut left.
func (r reading) trimmed(call *plugin.Call, a answer) any {
	if a.cut == 0 {
		return a.value
	}
	call.Limited(fmt.Sprintf("text of %d bytes, of which max_bytes (%d) are read", a.cut, r.MaxBytes))
	if r.As == "bytes" {
		return a.value
	}
	return whole(a.value)
}

// whole takes out of every text what is no letter.
func whole(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ToValidUTF8(v, "")
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[any]any:
		for key, element := range v {
			v[key] = whole(element)
		}
	}
	return v
}

// forPeople is a value for messages and exchanges: where not all of it is text,
// it is given as base64.
func forPeople(v any) any {
	out, err := form{"text"}.convert(v)
	if err != nil {
		out, _ = form{"bytes"}.convert(v) // which takes anything
	}
	return out
}

// convert gives a value of go-redis as one of JSON: sets are lists, what Redis
// answered with an error inside of a list is {error: …}, numbers keep their
// digits, and a double that no JSON number is (inf, nan) is its name.
func (f form) convert(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, int64:
		return v, nil
	case string:
		return f.text(v)
	case []byte:
		return f.text(string(v))
	case float64:
		return double(v), nil
	case *big.Int:
		return json.Number(v.String()), nil
	case error:
		return map[string]any{"error": v.Error()}, nil
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			var err error
			if out[i], err = f.convert(element); err != nil {
				return nil, within(err, fmt.Sprintf("[%d]", i))
			}
		}
		return out, nil
	case map[any]any:
		return f.convertMap(v)
	}
	return fmt.Sprint(v), nil
}

func (f form) convertMap(m map[any]any) (any, error) {
	out := make(map[string]any, len(m))
	for key, element := range m {
		name := fmt.Sprint(key)
		if !utf8.ValidString(name) {
			if f.As != "bytes" {
				return nil, &notText{"'s key", len(name)}
			}
			name = base64.StdEncoding.EncodeToString([]byte(name))
		}
		var err error
		if out[name], err = f.convert(element); err != nil {
			return nil, within(err, "."+name)
		}
	}
	return out, nil
}

func (f form) text(s string) (any, error) {
	switch {
	case f.As == "bytes":
		return base64.StdEncoding.EncodeToString([]byte(s)), nil
	case !utf8.ValidString(s):
		return nil, &notText{bytes: len(s)}
	case f.As == "json":
		if _, err := value.DecodeLenient([]byte(s)); err == nil {
			return json.RawMessage(s), nil
		}
	}
	return s, nil
}

func double(f float64) any {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	return f
}
