package http

import (
	"errors"
	"fmt"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// text is a JSON scalar as it is printed into a request: a string without its
// quotes, a number as it stands.
type text string

// UnmarshalJSONFrom reads a scalar.
func (t *text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	s, err := readScalar(dec)
	*t = text(s)
	return err
}

// list is the values of a query parameter, form field or header: a scalar is
// one, null none, a list as many as it has.
type list []string

// UnmarshalJSONFrom reads a scalar, null or a list of scalars.
func (l *list) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch dec.PeekKind() {
	case 'n':
		_, err := dec.ReadToken()
		return err
	case '[':
	default:
		s, err := readScalar(dec)
		*l = list{s}
		return err
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		s, err := readScalar(dec)
		if err != nil {
			return err
		}
		*l = append(*l, s)
	}
	_, err := dec.ReadToken()
	return err
}

func readScalar(dec *jsontext.Decoder) (string, error) {
	switch dec.PeekKind() {
	case '{', '[':
		return "", errors.New("a map or a list has no place here")
	case 'n':
		return "", errors.New("null has no place here")
	}
	tok, err := dec.ReadToken()
	if err != nil {
		return "", err
	}
	return tok.String(), nil
}

// scope is a list that may also be written as one text with spaces.
type scope string

// UnmarshalJSONFrom joins a list with spaces (RFC 6749 section 3.3).
func (s *scope) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var l list
	err := l.UnmarshalJSONFrom(dec)
	*s = scope(strings.Join(l, " "))
	return err
}

// duration reads the language's durations: 500ms, 30s, 1m30s, 2h.
type duration time.Duration

// UnmarshalJSONFrom reads a text; a bare number has no unit and is refused.
func (d *duration) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var s string
	if dec.PeekKind() != '"' {
		return errors.New(`a duration is a text with its unit: "30s"`)
	}
	if err := jsonv2.UnmarshalDecode(dec, &s); err != nil {
		return err
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 || strings.ContainsAny(s, "nuµμ+-") {
		return fmt.Errorf("%q is not a duration: write 500ms, 30s, 5m or 1h", clip(s))
	}
	*d = duration(v)
	return nil
}
