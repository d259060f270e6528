package sql

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// maxParameters bounds the values of one statement: what SQLite takes at most,
// and the other two about twice as many.
const maxParameters = 32766

// statement is what is sent to a database: its own placeholders, and a value for
// each. The values are nil, bool, json.Number, string, []byte, and []any and
// map[string]any that a session writes as arrays or JSON.
type statement struct {
	piece
	sent string
	args []any
	// moved says where in the piece a part of what is sent comes from.
	moved []move
}

type move struct{ sent, source int }

// plain is a statement that is sent as it is written.
func plain(p piece) statement {
	at := 0
	if len(p.tokens) > 0 {
		at = p.tokens[0].at
	}
	return statement{piece: p, sent: p.text(), moved: []move{{0, at}}}
}

// command is a statement of our own.
func command(k kind, text string, args ...any) statement {
	return statement{piece: split(k, text)[0], sent: text, args: args}
}

// trace puts a W3C traceparent beside the statement, in a comment of the form that
// SQLCommenter has, which a server's log and list of statements show. What is not
// about rows is left alone: a procedure would keep it.
func (s *statement) trace(k kind, parent string) {
	if parent == "" || k == sqlite || !s.reads() && !s.isChange() {
		return
	}
	comment := "/*traceparent='" + parent + "'*/"
	if k == postgres {
		s.sent += "\n" + comment
		return
	}
	// In front: MySQL's messages quote a statement from the error to its end.
	s.sent = comment + " " + s.sent
	for i := range s.moved {
		s.moved[i].sent += len(comment) + 1
	}
}

// source is the offset in the whole text of a character of what is sent, counted
// from 1 as PostgreSQL does.
func (s statement) source(character int) int {
	at := 0
	for range character - 1 {
		_, size := utf8.DecodeRuneInString(s.sent[at:])
		at += size
	}
	return s.sourceAt(at)
}

// sourceAt is the offset in the whole text of an offset in what is sent.
func (s statement) sourceAt(at int) int {
	var from move
	for _, m := range s.moved {
		if m.sent <= at {
			from = m
		}
	}
	return from.source + at - from.sent
}

// values are the params of a step, and which of them its statements used.
type values struct {
	list  []any
	named map[string]any
	given bool
	next  int // of the list, for ?
	used  map[string]bool
}

func newValues(in plugin.Either[[]any, map[string]any]) *values {
	v := &values{used: map[string]bool{}}
	switch {
	case in.One != nil:
		v.list, v.given = *in.One, true
	case in.Other != nil:
		v.named, v.given = *in.Other, true
	}
	return v
}

// bind writes the placeholders of the database for the parameters of a text's
// statements, and finds the value of each. A value that nothing takes is an error:
// one of the two is misspelt.
func (v *values) bind(k kind, pieces []piece) ([]statement, error) {
	if err := v.checkStyle(k, pieces); err != nil {
		return nil, err
	}
	out := make([]statement, 0, len(pieces))
	for _, p := range pieces {
		b := binding{kind: k, values: v, numbers: map[string]int{}}
		s, err := b.bind(p)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	for i := range v.list {
		if key := "$" + strconv.Itoa(i+1); !v.used[key] {
			return nil, plugin.Definitionf("params", "holds %s, and the statement does not use number %d", count(len(v.list), "value"), i+1).
				WithHint("a value is one too many, or a placeholder is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.named)) {
		if !v.used[":"+name] {
			return nil, plugin.Definitionf("params."+name, "is not in the statement: there is no :%s", name).
				WithHint("take it out, or write :%s where it belongs", name)
		}
	}
	return out, nil
}

// checkStyle wants one way of writing parameters, that of the params.
func (v *values) checkStyle(k kind, pieces []piece) error {
	seen := map[byte]string{}
	for _, p := range pieces {
		for _, t := range p.tokens {
			if t.class == parameter && seen[t.text[0]] == "" {
				seen[t.text[0]] = t.text
			}
		}
	}
	if len(seen) > 1 {
		both := slices.Sorted(maps.Values(seen))
		return plugin.Definitionf("query", "has parameters of two kinds: %s and %s", both[0], both[1]).WithHint("write all of them as :name, or as ?, or as $1")
	}
	first := ""
	for _, text := range seen {
		first = text
	}
	switch named := strings.HasPrefix(first, ":"); {
	case first == "":
	case !v.given && k == postgres && first[0] == '$': // of a PREPARE or a function
	case !v.given:
		return plugin.Definitionf("params", "is missing: the statement has the parameter %s", first).WithHint("%s", sample(first))
	case named && v.named == nil:
		return plugin.Definitionf("params", "is a list, and the statement names its parameters: %s", first).WithHint("%s", sample(first))
	case !named && v.named != nil:
		return plugin.Definitionf("params", "is a map, and the statement counts its parameters: %s", first).WithHint("write them as :name, or params as a list")
	}
	return nil
}

func sample(parameter string) string {
	if name, named := strings.CutPrefix(parameter, ":"); named {
		return fmt.Sprintf("write params: {%s: …}", name)
	}
	return "write params: […], a value for each in their order"
}

// binding writes one statement.
type binding struct {
	kind    kind
	values  *values
	out     strings.Builder
	s       statement
	numbers map[string]int // of PostgreSQL, by parameter
	lists   []bool         // for every open bracket, whether it is that of IN (…)
	before  token          // the last one that is no blank
}

func (b *binding) bind(p piece) (statement, error) {
	if !b.values.given {
		return plain(p), nil
	}
	b.s.piece = p
	for i, t := range p.tokens {
		b.s.moved = append(b.s.moved, move{b.out.Len(), t.at})
		switch {
		case t.class == parameter:
			if err := b.parameter(t, p.tokens[i+1:]); err != nil {
				return statement{}, err
			}
		case t.text == "??" && t.class == symbol:
			b.out.WriteString("?")
		default:
			b.out.WriteString(t.text)
		}
		switch {
		case t.text == "(" && t.class == symbol:
			b.lists = append(b.lists, b.afterIn())
		case t.text == ")" && t.class == symbol && len(b.lists) > 0:
			b.lists = b.lists[:len(b.lists)-1]
		}
		if t.class != blank {
			b.before = t
		}
	}
	b.s.sent = b.out.String()
	if len(b.s.args) > maxParameters {
		return statement{}, plugin.Definitionf("params", "gives the statement %d values, at most %d are possible", len(b.s.args), maxParameters)
	}
	return b.s, nil
}

func (b *binding) afterIn() bool {
	return b.before.class == word && strings.EqualFold(b.before.text, "IN")
}

// parameter writes one, with the value that it stands for.
func (b *binding) parameter(t token, behind []token) error {
	key, v, err := b.values.take(t.text)
	if err != nil {
		return err
	}
	list, isList := v.([]any)
	switch {
	case isList && b.afterIn():
		b.out.WriteByte('(')
		err = b.elements(key, list)
		b.out.WriteByte(')')
	case isList && b.alone(behind):
		err = b.elements(key, list)
	default:
		err = b.value(key, v)
	}
	return err
}

// alone tells whether a parameter is an element of IN (…).
func (b *binding) alone(behind []token) bool {
	if len(b.lists) == 0 || !b.lists[len(b.lists)-1] || b.before.text != "(" && b.before.text != "," {
		return false
	}
	for _, t := range behind {
		if t.class != blank {
			return t.text == ")" || t.text == ","
		}
	}
	return false
}

// elements writes every element of a list for IN; lists among them are rows.
func (b *binding) elements(key string, list []any) error {
	if len(list) == 0 {
		return plugin.Definitionf("params", "the list for %s is empty, and IN () is no SQL", key).
			WithHint("when nothing is to be looked for, skip the step by `when`")
	}
	for i, e := range list {
		if i > 0 {
			b.out.WriteString(", ")
		}
		at := fmt.Sprintf("%s[%d]", key, i)
		row, isRow := e.([]any)
		if !isRow {
			if err := b.value(at, e); err != nil {
				return err
			}
			continue
		}
		b.out.WriteByte('(')
		if err := b.elements(at, row); err != nil {
			return err
		}
		b.out.WriteByte(')')
	}
	return nil
}

// value writes the placeholder of a value. PostgreSQL's are numbered, so that the
// same parameter is the same value to it, of one type.
func (b *binding) value(key string, v any) error {
	v, err := fromConfig(key, v)
	if err != nil {
		return err
	}
	if number, ok := v.(json.Number); ok && b.kind == mysql && !isInteger(number) {
		// What MySQL is sent as a value is a text or a float64 to it; only in its own
		// text it is an exact decimal.
		b.out.WriteString("(" + number.String() + ")")
		return nil
	}
	if b.kind != postgres {
		b.s.args = append(b.s.args, v)
		b.out.WriteByte('?')
		return nil
	}
	n := b.numbers[key]
	if n == 0 {
		b.s.args = append(b.s.args, v)
		n = len(b.s.args)
		b.numbers[key] = n
	}
	b.out.WriteString("$" + strconv.Itoa(n))
	return nil
}

// take finds the value of a parameter; key is its name in messages, with the
// number of the value for ?.
func (v *values) take(text string) (key string, found any, err error) {
	if name, named := strings.CutPrefix(text, ":"); named {
		found, ok := v.named[name]
		if !ok {
			e := plugin.Definitionf("params", "has no value for :%s", name)
			if near := value.Closest(name, slices.Sorted(maps.Keys(v.named))); near != "" {
				return "", nil, e.WithHint("did you mean :%s?", near)
			}
			return "", nil, e.WithHint("it has %s", list(slices.Sorted(maps.Keys(v.named)), "nothing"))
		}
		v.used[text] = true
		return text, found, nil
	}
	n, err := strconv.Atoi(text[1:])
	if text == "?" {
		v.next++
		n, err = v.next, nil
	}
	if err != nil || n < 1 || n > len(v.list) {
		return "", nil, plugin.Definitionf("params", "holds %s, and the statement asks for number %d", count(len(v.list), "value"), n)
	}
	key = "$" + strconv.Itoa(n)
	v.used[key] = true
	return key, v.list[n-1], nil
}

// fromConfig is a value as statements have it: {$bytes: "…"} is bytes.
func fromConfig(key string, v any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return v, nil
	}
	text, ok := m["$bytes"].(string)
	if !ok {
		return v, nil
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, plugin.Definitionf("params", "the $bytes of %s is not base64: %s", key, err)
	}
	return data, nil
}

// isInteger tells whether a number is whole and fits 64 bits, with a sign or
// without.
func isInteger(n json.Number) bool {
	_, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		_, err = strconv.ParseUint(n.String(), 10, 64)
	}
	return err == nil
}

// jsonText is a list or map as JSON, its texts as they are.
func jsonText(v any) (string, error) {
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(out.String(), "\n"), err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// list is names in a sentence, not too many of them.
func list(names []string, none string) string {
	const most = 10
	switch {
	case len(names) == 0:
		return none
	case len(names) > most:
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
