// Package template writes reports of a form that a person describes in a file: a
// text for each section, with the placeholders of the flow language, escaped for
// the format that the text is in. It runs no code but those expressions, all
// bounded; it is a view of the event stream and judges nothing.
package template

import (
	"fmt"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
)

// The sections of a template, in the order in which they are written: header
// once; then for each run as it ends run, step and failure as often as the run
// has them, and run_end; footer once.
const (
	sectionHeader  = "header"
	sectionRun     = "run"
	sectionStep    = "step"
	sectionFailure = "failure"
	sectionRunEnd  = "run_end"
	sectionFooter  = "footer"
)

var sections = [...]string{sectionHeader, sectionRun, sectionStep, sectionFailure, sectionRunEnd, sectionFooter}

// maxLimit bounds the limit of a section.
const maxLimit = 1_000_000

// Template is a template that was read and checked. It is immutable and may make
// any number of reports.
type Template struct {
	name   string
	escape func(string) string
	parts  map[string]*section
	// late: the header reads what is known only when the batch has ended, so that
	// the runs wait for it.
	late bool
	// results and outputs tell what steps are kept with, requests whether the
	// events must have exchanges.
	results, outputs, requests bool
}

// section is one text of a template.
type section struct {
	name      string
	text      *expr.Template
	when      *expr.Expr // nil: always
	separator string     // between two of it
	limit     int        // how often; 0: as often as there is something to say
}

// Name is what the report calls itself, or "".
func (t *Template) Name() string { return t.name }

// Parse reads a template, and says everything that is wrong with it.
func Parse(path string, data []byte) (*Template, source.Problems) {
	docs, problems := source.Load(path, data)
	if len(problems.Errors()) > 0 {
		return nil, problems
	}
	r := reader{t: &Template{parts: map[string]*section{}}}
	if len(docs) != 1 {
		r.fail(source.Pos{File: path, Line: 1, Column: 1}, source.CodeYAML, "", "write one document with the key report", "a report template is one YAML document, not %d", len(docs))
		return nil, r.problems
	}
	r.root(docs[0])
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	return r.t, nil
}

// reader collects what is wrong.
type reader struct {
	t        *Template
	problems source.Problems
}

func (r *reader) fail(pos source.Pos, code source.Code, text, hint, format string, args ...any) {
	r.problems = append(r.problems, source.Problem{Code: code, Pos: pos, Text: text, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// keys refuses what n is not, and every key that nobody knows.
func (r *reader) keys(n *source.Node, what string, names ...string) bool {
	if n.Kind != source.Map {
		r.fail(n.Pos, source.CodeType, n.Text, "its keys are "+strings.Join(names, ", "), "%s is a map, not a %s", what, n.Kind)
		return false
	}
	for _, e := range n.Entries {
		if slices.Contains(names, e.Key.Text) {
			continue
		}
		hint := source.Suggest(e.Key.Text, names)
		if hint == "" {
			hint = "its keys are " + strings.Join(names, ", ")
		}
		r.fail(e.Key.Pos, source.CodeKey, e.Key.Text, hint, "unknown key %q in %s", e.Key.Text, what)
	}
	return true
}

func (r *reader) root(doc *source.Node) {
	if !r.keys(doc, "a report template", "report") {
		return
	}
	n := doc.Get("report")
	if n == nil {
		r.fail(doc.Pos, source.CodeKey, "", "begin with report:", "a report template needs the key report")
		return
	}
	if !r.keys(n, "report", slices.Concat([]string{"name", "escape"}, sections[:])...) {
		return
	}
	r.t.name = r.word(n.Get("name"), "name")
	r.escaping(n)
	any := false
	for _, name := range sections {
		if at := n.Get(name); at != nil {
			any = true
			r.section(name, at)
		}
	}
	if !any {
		r.fail(n.Pos, source.CodeKey, "", "the sections are "+strings.Join(sections[:], ", "), "the report has no section, so it would be empty")
	}
}

// word is a text without placeholders.
func (r *reader) word(n *source.Node, key string) string {
	if n == nil {
		return ""
	}
	if n.Kind != source.String {
		r.fail(n.Pos, source.CodeType, n.Text, "", "%s is a text, not a %s", key, n.Kind)
		return ""
	}
	if strings.Contains(n.Text, "${") {
		r.fail(n.Pos, source.CodeExpr, "", "placeholders stand in the text of a section", "%s has no placeholders", key)
	}
	return n.Text
}

// escaping must be said: a format that was guessed lets markup of an answer in.
func (r *reader) escaping(n *source.Node) {
	at := n.Get("escape")
	if at == nil {
		r.fail(n.Pos, source.CodeKey, "", "escape says what the text is: "+strings.Join(formats(), ", "), "the report needs the key escape")
		return
	}
	name := r.word(at, "escape")
	for _, f := range escapes {
		if f.name == name {
			r.t.escape = f.escape
			return
		}
	}
	hint := source.Suggest(name, formats())
	if hint == "" {
		hint = "write one of " + strings.Join(formats(), ", ")
	}
	r.fail(at.Pos, source.CodeType, at.Text, hint, "escape %q is not known", name)
}

// section reads one: a text, or a map with the text and when it is written.
func (r *reader) section(name string, n *source.Node) {
	s := &section{name: name}
	text := n
	if n.Kind == source.Map {
		keys := []string{"text", "when"}
		if name == sectionRun || name == sectionStep || name == sectionFailure {
			keys = append(keys, "separator", "limit")
		}
		if !r.keys(n, name, keys...) {
			return
		}
		if text = n.Get("text"); text == nil {
			r.fail(n.Pos, source.CodeKey, "", "text is what is written", "the section %s needs the key text", name)
			return
		}
		s.separator = r.word(n.Get("separator"), "separator")
		s.limit = r.count(n.Get("limit"))
		if when := n.Get("when"); when != nil {
			s.when = r.when(name, when)
		}
	}
	if text.Kind != source.String {
		r.fail(text.Pos, source.CodeType, text.Text, "write a text, or a map with text and when", "the section %s is a text, not a %s", name, text.Kind)
		return
	}
	// Late: {{ }} stays as it is, for the formats that have it themselves.
	t, p := expr.CompileTemplateNode(text, expr.Options{Late: true})
	if p != nil {
		r.problems = append(r.problems, *p)
		return
	}
	r.reads(name, t.Refs())
	s.text = t
	r.t.parts[name] = s
}

func (r *reader) when(name string, n *source.Node) *expr.Expr {
	x, p := expr.CompileNode(n, expr.Options{})
	if p != nil {
		r.problems = append(r.problems, *p)
		return nil
	}
	if kind := x.StaticKind(); kind != "" && kind != "boolean" {
		r.fail(n.Pos, source.CodeType, n.Text, "", "when is true or false, not a %s", kind)
	}
	r.reads(name, x.Refs())
	return x
}

// reads checks names and notes what the reports will have to keep.
func (r *reader) reads(name string, refs []expr.Ref) {
	r.problems = append(r.problems, known(name, refs)...)
	for _, ref := range refs {
		member := ""
		if len(ref.Path) > 0 {
			member = ref.Path[0]
		}
		whole := member == ""
		switch ref.Name {
		case "batch", "left_out":
			if name == sectionHeader && (whole || ref.Name == "left_out" || isAtEnd(member)) {
				r.t.late = true
			}
		case "step":
			r.t.results = r.t.results || whole || member == "result"
			r.t.outputs = r.t.outputs || whole || member == "outputs"
		case "failure":
			r.t.requests = r.t.requests || whole || member == "request" || member == "curl" || member == "explanation"
		}
	}
}

func isAtEnd(member string) bool {
	return slices.ContainsFunc(roots(sectionHeader)[0].below, func(f field) bool { return f.name == member && f.atEnd })
}

func (r *reader) count(n *source.Node) int {
	if n == nil {
		return 0
	}
	v, ok := n.Value.(int64)
	if !ok || v < 1 || v > maxLimit {
		r.fail(n.Pos, source.CodeType, n.Text, "", "limit is a number from 1 to %d", maxLimit)
		return 0
	}
	return int(v)
}

func problem(ref expr.Ref, text, hint, format string, args ...any) *source.Problem {
	return &source.Problem{Code: source.CodeName, Pos: ref.Pos, Text: text, Message: fmt.Sprintf(format, args...), Hint: hint}
}
