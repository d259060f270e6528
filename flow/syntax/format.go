package syntax

import (
	"reflect"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// maxPasses bounds how often Format rewrites: changes that touch each other
// need a pass each, and a file has a handful of those.
const maxPasses = 200

// Format writes a flow file in today's form: dialects rewritten, two blanks a
// level, double quotes where either would do, no blanks at the ends of lines.
// Comments, blank lines and everything else stay as they are. With ids it also
// writes the ids that steps were given; with cat it writes today's names of
// plugin actions and their keys. Formatting twice changes nothing more.
//
// A file with errors is not formatted: out is nil. Notes among the problems tell
// which dialects had to stay because they could not be rewritten safely.
func Format(path string, data []byte, ids bool, cat CatalogView) (out []byte, problems source.Problems) {
	if _, problems = Parse(path, data); len(problems.Errors()) > 0 {
		return nil, problems
	}
	breaks := "\n"
	if strings.Contains(string(data), "\r\n") {
		breaks = "\r\n"
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(data), "\ufeff"))
	f := &formatter{path: path, ids: ids, names: aliasesOf(cat)}
	text = f.modernize(f.rewrite(text))
	for _, step := range []func(string) string{f.quotes, f.indent, f.trim} {
		if next := step(text); next != text && f.sameNodes(text, next) {
			text = next
		}
	}
	_, problems = Parse(path, []byte(text))
	if len(problems.Errors()) > 0 { // every step is verified: this is a bug
		return nil, append(source.Problems{{
			Severity: source.Error, Code: source.CodeInternal, Pos: source.Pos{File: path},
			Message: "the formatted file would not be valid, so that nothing was written",
		}}, problems...)
	}
	for i, p := range problems {
		if p.Code == source.CodeDialect && strings.Contains(p.Hint, "`testmesh fmt`") {
			problems[i].Hint = "it could not be rewritten here: write it in lines of its own, without { }, and format again"
		}
	}
	if breaks != "\n" {
		text = strings.ReplaceAll(text, "\n", breaks)
	}
	return []byte(text), problems
}

// formatter changes the text of one file, step by step, each verified.
type formatter struct {
	path  string
	ids   bool
	names aliases
}

// rewrite brings dialects into today's form.
func (f *formatter) rewrite(text string) string {
	for range maxPasses {
		ed := newEditor(text, f.ids)
		file, _ := parse(f.path, []byte(text), ed)
		if len(ed.changes) == 0 {
			return text
		}
		next, ok := f.try(file, ed, ed.changes)
		for i := 0; !ok && i < len(ed.changes); i++ {
			next, ok = f.try(file, ed, ed.changes[i:i+1])
		}
		if !ok {
			return text
		}
		text = next
	}
	return text
}

// try applies changes; ok is false where the flow would mean something else.
func (f *formatter) try(before *File, ed *editor, changes []change) (text string, ok bool) {
	trial := *ed
	trial.changes = changes
	text, made := trial.apply()
	if made == 0 {
		return "", false
	}
	after, problems := Parse(f.path, []byte(text))
	if len(problems.Errors()) > 0 || !keepsComments(before.Data, text) {
		return "", false
	}
	return text, same(reflect.ValueOf(before.Flows), reflect.ValueOf(after.Flows), "")
}

// keepsComments tells whether everything that may be a comment is still there.
func keepsComments(before []byte, after string) bool {
	for line := range strings.Lines(string(before)) {
		line = strings.TrimRight(line, " \t\n")
		at := strings.Index(" "+line, " #")
		if at >= 0 && !strings.Contains(after, line[at:]) {
			return false
		}
	}
	return true
}

// sameNodes tells whether two texts hold the same values.
func (f *formatter) sameNodes(a, b string) bool {
	x, p := source.Load(f.path, []byte(a))
	y, q := source.Load(f.path, []byte(b))
	if len(p) != len(q) || len(x) != len(y) {
		return false
	}
	for i := range x {
		if !sameNode(x[i], y[i]) {
			return false
		}
	}
	return true
}

// same compares syntax trees but for places.
func same(a, b reflect.Value, name string) bool {
	if a.Type() == reflect.TypeFor[*source.Node]() {
		x, y := a.Interface().(*source.Node), b.Interface().(*source.Node)
		if name == "Config" && (x == nil || len(x.Entries) == 0) && (y == nil || len(y.Entries) == 0) {
			return true
		}
		return sameNode(x, y)
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return same(a.Elem(), b.Elem(), name)
	case reflect.Slice:
		if a.Len() != b.Len() || name == "Needs" && a.IsNil() != b.IsNil() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i), name) {
				return false
			}
		}
		return true
	case reflect.Struct:
		if given, ok := a.Interface().(interface{ Given() bool }); ok && name != "ID" {
			if given.Given() != b.Interface().(interface{ Given() bool }).Given() {
				return false
			}
		}
		for i := range a.NumField() {
			field := a.Type().Field(i).Name
			if field == "Pos" || field == "Node" || field == "Generated" {
				continue
			}
			if !same(a.Field(i), b.Field(i), field) {
				return false
			}
		}
		return true
	}
	return a.Equal(b)
}

func sameNode(a, b *source.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a == b {
		return true
	}
	if a.Kind != b.Kind || a.Tag != b.Tag || len(a.Items) != len(b.Items) || len(a.Entries) != len(b.Entries) {
		return false
	}
	for i := range a.Items {
		if !sameNode(a.Items[i], b.Items[i]) {
			return false
		}
	}
	for i := range a.Entries {
		if a.Entries[i].Key.Text != b.Entries[i].Key.Text || !sameNode(a.Entries[i].Value, b.Entries[i].Value) {
			return false
		}
	}
	return value.Equal(a.Value, b.Value) && (a.Kind == source.Map || a.Kind == source.List || a.Text == b.Text)
}
