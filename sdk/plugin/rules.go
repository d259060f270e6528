package plugin

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rules are what a value must keep beside its type.
type rules struct {
	enum                 []json.RawMessage
	min, max             json.RawMessage
	minLength, maxLength int
	minItems, maxItems   int // maxItems and maxLength: -1 for none
	pattern              *regexp.Regexp
}

// read takes the tags that bound a value.
func (r *rules) read(tag reflect.StructTag, k kind, where string) error {
	textual := k == kindText || k == kindSecret || k == kindFile || k == kindBytes
	numeric := k == kindInteger || k == kindNumber
	var err error
	if text, ok := tag.Lookup("enum"); ok {
		if !numeric && k != kindText {
			return fmt.Errorf("%s: enum is for texts and numbers", where)
		}
		for _, choice := range strings.Split(text, "|") {
			raw := quoted(choice)
			if numeric {
				raw = json.RawMessage(choice)
			}
			if numeric && !isNumber(choice) {
				return fmt.Errorf("%s: enum: %q is no number", where, choice)
			}
			r.enum = append(r.enum, raw)
		}
	}
	for name, target := range map[string]*json.RawMessage{"min": &r.min, "max": &r.max} {
		if text, ok := tag.Lookup(name); ok {
			if !numeric || !isNumber(text) {
				return fmt.Errorf("%s: %s is a number, for numbers; lengths are minLength, maxLength, minItems and maxItems", where, name)
			}
			*target = json.RawMessage(text)
		}
	}
	if r.minLength, r.maxLength, err = lengths(tag, "minLength", "maxLength", textual, where); err != nil {
		return err
	}
	if text, ok := tag.Lookup("pattern"); ok {
		if !textual {
			return fmt.Errorf("%s: pattern is for texts", where)
		}
		if r.pattern, err = regexp.Compile(text); err != nil {
			return fmt.Errorf("%s: pattern: %w", where, err)
		}
	}
	return nil
}

// readItems takes the tags that bound a list itself.
func (r *rules) readItems(tag reflect.StructTag, s *shape, where string) error {
	slice := s.kind == kindList && s.typ.Kind() == reflect.Slice
	least, most, err := lengths(tag, "minItems", "maxItems", slice, where)
	if slice {
		r.minItems, r.maxItems = least, most
	}
	return err
}

func lengths(tag reflect.StructTag, low, high string, fits bool, where string) (least, most int, err error) {
	most = -1
	for name, target := range map[string]*int{low: &least, high: &most} {
		text, ok := tag.Lookup(name)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || !fits {
			return 0, 0, fmt.Errorf("%s: %s:%q does not fit a field of this type", where, name, text)
		}
		*target = n
	}
	return least, most, nil
}

// check judges a value that has the right type.
func (r *rules) check(raw json.RawMessage, k kind, at string) *Error {
	if len(r.enum) > 0 && !r.chosen(raw) {
		choices := make([]string, len(r.enum))
		for i, choice := range r.enum {
			choices[i] = plain(choice)
		}
		return wrong(at, "", "must be %s, not %s", or(choices), describe(raw))
	}
	switch k {
	case kindInteger, kindNumber:
		if r.min != nil && number(raw) < number(r.min) {
			return wrong(at, "", "must be at least %s, not %s", r.min, raw)
		}
		if r.max != nil && number(raw) > number(r.max) {
			return wrong(at, "", "must be at most %s, not %s", r.max, raw)
		}
	case kindText, kindSecret, kindFile, kindBytes:
		return r.checkText(raw, k, at)
	}
	return nil
}

func (r *rules) checkText(raw json.RawMessage, k kind, at string) *Error {
	if r.minLength == 0 && r.maxLength < 0 && r.pattern == nil {
		return nil
	}
	text, _ := textOf(raw)
	switch n := utf8.RuneCountInString(text); {
	case n == 0 && r.minLength > 0:
		return wrong(at, "", "is empty")
	case n < r.minLength:
		return wrong(at, "", "must have at least %d characters", r.minLength)
	case r.maxLength >= 0 && n > r.maxLength:
		return wrong(at, "", "must have at most %d characters", r.maxLength)
	case r.pattern == nil || r.pattern.MatchString(text):
		return nil
	case k == kindSecret:
		return wrong(at, "", "must match %s", r.pattern)
	}
	return wrong(at, "", "must match %s, not %s", r.pattern, describe(raw))
}

func (r *rules) checkItems(n int, at string) *Error {
	switch {
	case n < r.minItems:
		return wrong(at, "", "has %d elements and needs at least %d", n, r.minItems)
	case r.maxItems >= 0 && n > r.maxItems:
		return wrong(at, "", "has %d elements and may have at most %d", n, r.maxItems)
	}
	return nil
}

func (r *rules) chosen(raw json.RawMessage) bool {
	for _, choice := range r.enum {
		if plain(choice) == plain(raw) || isNumber(string(raw)) && isNumber(string(choice)) && number(raw) == number(choice) {
			return true
		}
	}
	return false
}

// number is a JSON number near enough to compare it with a bound of a tag.
func number(raw json.RawMessage) float64 {
	f, _ := strconv.ParseFloat(string(raw), 64) // too large: an infinity, which compares rightly
	return f
}

func isNumber(text string) bool {
	return text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && json.Valid([]byte(text))
}

func textOf(raw json.RawMessage) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; raw[len(raw)-1] == '"' && isPlain(inner) {
		return string(inner), true
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return "", false
	}
	return text, true
}

// isPlain tells whether JSON writes a text as it is: most keys and values are.
func isPlain[T ~string | ~[]byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plain is a value without the quotes of a text.
func plain(raw json.RawMessage) string {
	if text, ok := textOf(raw); ok {
		return text
	}
	return string(raw)
}

// describe says what a value is in the words of messages.
func describe(raw json.RawMessage) string {
	switch {
	case len(raw) == 0:
		return "nothing"
	case raw[0] == '{':
		return "a map"
	case raw[0] == '[':
		return "a list"
	}
	if text, ok := textOf(raw); ok {
		return "the text " + strconv.Quote(cut(text))
	}
	return cut(string(raw))
}

// unquote is the hint for a number that was written as a text.
func unquote(raw json.RawMessage) string {
	if text, ok := textOf(raw); ok && isNumber(text) {
		return "write " + cut(text) + " without quotes"
	}
	return ""
}

func cut(text string) string {
	if utf8.RuneCountInString(text) <= maxQuoted {
		return text
	}
	return string([]rune(text)[:maxQuoted]) + "…"
}

func or(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
