package plugin

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Either is a value of one of two kinds, which its JSON tells apart: a text or a
// map, a list or a map. One or Other is set; neither where the key was left out.
// A config key of type Either[string, Server] takes an address, or a map that
// says more.
type Either[A, B any] struct {
	One   *A
	Other *B
}

func (Either[A, B]) either() {}

// either is how an Either of any types is known.
type either interface{ either() }

// choicesOf are the shapes of an Either, of which JSON must tell which it is.
func choicesOf(t reflect.Type, where string, depth int) (choices [2]*shape, err error) {
	for i := range choices {
		if choices[i], err = shapeOf(t.Field(i).Type.Elem(), "", where, depth+1); err != nil {
			return choices, err
		}
	}
	one, other := choices[0].looks(), choices[1].looks()
	if one == "" || other == "" || one == other {
		return choices, fmt.Errorf("%s: JSON does not tell the two kinds of %s apart: take a text, a number, true or false, a list, a map", where, t)
	}
	return choices, nil
}

// looks is what the JSON of a shape is in the words of messages; empty: anything.
func (s *shape) looks() string {
	switch s.kind {
	case kindBool:
		return "true or false"
	case kindInteger, kindNumber:
		return "a number"
	case kindText, kindSecret, kindFile, kindBytes, kindDuration:
		return "a text"
	case kindStruct, kindMap:
		return "a map"
	case kindList:
		return "a list"
	}
	return ""
}

// looksLike is what a JSON value is, in the words of looks.
func looksLike(raw json.RawMessage) string {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '{':
		return "a map"
	case raw[0] == '[':
		return "a list"
	case raw[0] == '"':
		return "a text"
	case isNumber(string(raw)):
		return "a number"
	case raw[0] == 't', raw[0] == 'f':
		return "true or false"
	}
	return ""
}

func (d *decoder) decodeEither(s *shape, raw json.RawMessage, v reflect.Value, at string) *Error {
	for i, choice := range s.choices {
		if choice.looks() != looksLike(raw) {
			continue
		}
		chosen := reflect.New(choice.typ)
		if err := d.decode(choice, raw, chosen.Elem(), at); err != nil {
			return err
		}
		v.Field(i).Set(chosen)
		return nil
	}
	return wrong(at, "", "must be %s or %s, not %s", s.choices[0].looks(), s.choices[1].looks(), describe(raw))
}

func (e *encoder) encodeEither(s *shape, v reflect.Value, at string) error {
	for i, choice := range s.choices {
		if !v.Field(i).IsNil() {
			return e.encode(choice, v.Field(i).Elem(), at)
		}
	}
	e.out = append(e.out, "null"...)
	return nil
}
