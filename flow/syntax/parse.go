package syntax

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
)

// Limits of a flow.
const (
	maxSteps    = 1000 // a flow that long is generated: rows or for_each say it better
	maxNesting  = 10   // steps within steps
	maxName     = 255
	maxFlows    = 1000 // documents of one file
	maxProblems = 200  // past it more sentences only hide the first
	maxIDLength = 64
)

// Parse reads a flow file. The file is returned, as far as it could be read,
// even where there are problems; problems that are notes stop nothing.
func Parse(path string, data []byte) (*File, source.Problems) {
	return parse(path, data, nil)
}

func parse(path string, data []byte, ed *editor) (*File, source.Problems) {
	docs, problems := source.Load(path, data)
	p := &parser{file: &File{Path: path, Data: data}, problems: problems, ed: ed}
	if ed != nil {
		ed.index(docs)
	}
	for _, doc := range docs {
		if doc.Kind == source.Null {
			continue
		}
		if len(p.file.Flows) >= maxFlows {
			p.fail(source.CodeLimit, doc.Pos, "", fmt.Sprintf("the file holds more than %d flows", maxFlows), "split it")
			break
		}
		if f := p.document(doc); f != nil {
			p.file.Flows = append(p.file.Flows, f)
		}
	}
	if len(p.file.Flows) == 0 && len(p.problems.Errors()) == 0 {
		p.fail(source.CodeKey, source.Pos{File: path, Line: 1, Column: 1}, "", "the file holds no flow", "begin with flow:, then name and steps; `testmesh init` writes an example")
	}
	p.flowNames()
	sort.SliceStable(p.problems, func(i, j int) bool {
		a, b := p.problems[i].Pos, p.problems[j].Pos
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return p.file, p.problems
}

// parser reads the nodes of one file.
type parser struct {
	file     *File
	problems source.Problems
	ed       *editor // nil outside Format

	// Of the flow being read.
	ids     map[string]source.Pos
	unnamed []*Step // in document order
	steps   int
	flow    *Flow
}

func (p *parser) add(problem source.Problem) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, problem)
	}
}

func (p *parser) fail(code source.Code, pos source.Pos, text, message, hint string) {
	p.add(source.Problem{Severity: source.Error, Code: code, Pos: pos, Text: clip(text), Message: message, Hint: hint})
}

// note says that a dialect was read, and how it is spelled now.
func (p *parser) note(at *source.Node, message, hint string) {
	p.add(source.Problem{Severity: source.Note, Code: source.CodeDialect, Pos: at.Pos, Text: clip(at.Text), Message: message, Hint: hint})
}

// renamed notes an older spelling.
func (p *parser) renamed(key *source.Node, now string) {
	p.note(key, fmt.Sprintf("%q is an older spelling of %q", key.Text, now), "`testmesh fmt` rewrites it")
}

// document reads one document: {flow: {...}}, or a bare flow.
func (p *parser) document(doc *source.Node) *Flow {
	if doc.Kind != source.Map {
		p.fail(source.CodeType, doc.Pos, doc.Text, fmt.Sprintf("a flow is a map of keys, this is a %s", doc.Kind), "begin with flow:, then name and steps; `testmesh init` writes an example")
		return nil
	}
	body := doc.Get("flow")
	if body == nil || doc.Get("steps") != nil && body.Kind != source.Map {
		if !p.looksBare(doc) {
			return nil
		}
		return p.parseFlow(doc)
	}
	for _, e := range doc.Entries {
		if e.Key.Text == "flow" {
			continue
		}
		hint := "remove it"
		if language()["flow"].key(e.Key.Text) != nil {
			hint = "indent it, to stand under flow"
		}
		p.fail(source.CodeKey, e.Key.Pos, e.Key.Text, fmt.Sprintf("unknown key %q beside flow", e.Key.Text), hint)
	}
	if body.Kind == source.Null {
		p.fail(source.CodeKey, doc.Entries[0].Key.Pos, "flow", "flow is empty", "indent its keys by two: name, steps")
		return nil
	}
	if body.Kind != source.Map {
		p.wrongKind(body, "flow", "a map of keys: name, steps")
		return nil
	}
	return p.parseFlow(body)
}

// looksBare decides whether a document without `flow:` is a flow of the dialect
// or something else.
func (p *parser) looksBare(doc *source.Node) bool {
	if doc.Get("name") != nil || doc.Get("steps") != nil {
		p.note(doc.Entries[0].Key, "the flow has no flow: around it", "`testmesh fmt` writes it")
		p.ed.wrap(doc)
		return true
	}
	if len(doc.Entries) == 0 {
		p.fail(source.CodeKey, doc.Pos, "", "the flow is empty", "begin with flow:, then name and steps")
		return false
	}
	key := doc.Entries[0].Key
	hint := source.Suggest(key.Text, []string{"flow"})
	if hint == "" {
		hint = "begin with flow:, then name and steps; `testmesh init` writes an example"
	}
	problem := source.Problem{
		Severity: source.Error, Code: source.CodeKey, Pos: key.Pos, Text: clip(key.Text),
		Message: fmt.Sprintf("unknown key %q: this is not a flow", clip(key.Text)), Hint: hint,
	}
	if strings.HasPrefix(hint, "did you mean") {
		problem.Fix = source.Corrected(p.file.Data, key.Pos, key.Text, "flow")
	}
	p.add(problem)
	return false
}

// flowNames checks that the flows of a file can be told apart.
func (p *parser) flowNames() {
	seen := map[string]source.Pos{}
	for _, f := range p.file.Flows {
		if !f.Name.Given() {
			continue
		}
		if first, ok := seen[f.Name.Value]; ok {
			p.fail(source.CodeID, f.Name.Pos, f.Name.Value, fmt.Sprintf("another flow of this file, on line %d, has the name %q", first.Line, clip(f.Name.Value)), "give each flow of a file its own name")
			continue
		}
		seen[f.Name.Value] = f.Name.Pos
	}
}

// IsFlowFile tells whether a file of a directory is a flow: every
// *.testmesh.yaml or .yml, and every other YAML file whose root has `flow`, or
// both `name` and `steps`. It reads no further than it must.
func IsFlowFile(path string, data []byte) bool {
	slash := path[strings.LastIndexAny(path, `/\`)+1:]
	lower := strings.ToLower(slash)
	if strings.HasSuffix(lower, ".testmesh.yaml") || strings.HasSuffix(lower, ".testmesh.yml") {
		return true
	}
	if !strings.HasSuffix(lower, ".yaml") && !strings.HasSuffix(lower, ".yml") {
		return false
	}
	if lower == "folder.yaml" || slices.Contains(strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }), ".testmesh") {
		return false
	}
	return rootHasFlow(path, data)
}

// rootHasFlow looks at the keys of the root by lines, since a broken flow is a
// flow too; a document in braces is parsed.
func rootHasFlow(path string, data []byte) bool {
	if len(data) > source.MaxSize {
		return false
	}
	var name, steps bool
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) {
		line = bytes.TrimRight(line, " \t\r\n")
		if len(line) == 0 || line[0] == '#' || line[0] == '%' {
			continue
		}
		if bytes.HasPrefix(line, []byte("---")) {
			name, steps = false, false
			continue
		}
		if line[0] == '{' {
			docs, _ := source.Load(path, data)
			return slices.ContainsFunc(docs, func(d *source.Node) bool {
				return d.Get("flow") != nil || d.Get("name") != nil && d.Get("steps") != nil
			})
		}
		key, rest, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(rest) > 0 && rest[0] != ' ' && rest[0] != '\t' {
			continue
		}
		switch strings.Trim(string(key), `"' `) {
		case "flow":
			if key[0] != ' ' {
				return true
			}
		case "name":
			name = name || key[0] != ' '
		case "steps":
			steps = steps || key[0] != ' '
		}
		if name && steps {
			return true
		}
	}
	return false
}

// clip bounds what a message repeats of the file.
func clip(s string) string {
	if at := strings.IndexByte(s, '\n'); at >= 0 {
		s = s[:at]
	}
	const limit = 120
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && s[cut]&0xC0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
