package http

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a JSON body, below those of the language's values: what is past
// them is shown as text, and the step says why.
const (
	maxJSONDepth    = 900
	maxJSONNumber   = 3000 // digits
	maxJSONExponent = 3    // digits
)

// checkJSON checks a document, of which duplicate keys are accepted as every
// client does; the last one wins where it is read.
func checkJSON(data []byte) error {
	if plainJSON(data) {
		return nil
	}
	if !jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
		return faultOfJSON(data)
	}
	return checkBounds(data)
}

// faultOfJSON says what keeps a document from being JSON.
func faultOfJSON(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := dec.SkipValue(); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return fmt.Errorf("it ends early, at byte %d", len(data))
		}
		var syntactic *jsontext.SyntacticError
		if errors.As(err, &syntactic) {
			return fmt.Errorf("%w at byte %d", syntactic.Err, syntactic.ByteOffset)
		}
		return err
	}
	return fmt.Errorf("more text follows it, from byte %d on", dec.InputOffset())
}

// checkBounds walks over a valid document.
func checkBounds(data []byte) error {
	depth, digits, exponent := 0, 0, 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case c == '{' || c == '[':
			if depth++; depth > maxJSONDepth {
				return fmt.Errorf("it is nested deeper than %d", maxJSONDepth)
			}
		case c == '}' || c == ']':
			depth--
			digits, exponent = 0, 0
		case c >= '0' && c <= '9':
			if digits++; exponent > 0 {
				exponent++
			}
			if digits > maxJSONNumber || exponent > maxJSONExponent+1 {
				return fmt.Errorf("a number at byte %d is past what any system counts with", i)
			}
		case c == 'e' || c == 'E':
			exponent = 1 // and one for each digit after it
		case c == ',' || c == ':':
			digits, exponent = 0, 0
		}
	}
	return nil
}
