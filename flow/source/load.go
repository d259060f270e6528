package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// MaxSize bounds a file: a flow is written by hand, and no hand writes more.
const MaxSize = 1 << 20

// maxDepth bounds how deep lists and maps nest: ten levels of steps need about
// sixty, and every walk over the nodes is recursive.
const maxDepth = 200

// expansionFactor bounds what aliases and merge keys may expand a document to,
// in sizes of the file.
const expansionFactor = 10

// maxProblems bounds what is said about one file: past it more sentences only
// hide the first.
const maxProblems = 100

// Load reads the YAML documents of a file, each as its root node. Documents are
// returned as far as they could be read even where problems were found, so that
// a caller can say more about the rest; with a syntax error they end before it.
//
// Scalars follow YAML 1.2's core schema, except that a number which would not
// print back as it was written is text: 007, +49123. Infinities and NaN have no
// JSON form and are problems.
func Load(path string, data []byte) (docs []*Node, problems Problems) {
	return load(path, data, MaxSize)
}

// MaxData bounds a YAML file of rows or inputs, which programs write.
const MaxData = 16 << 20

// Decode reads one YAML document as a plain value of package value. No document
// at all is nil.
func Decode(path string, data []byte) (any, Problems) {
	docs, problems := load(path, data, MaxData)
	if len(problems.Errors()) > 0 {
		return nil, problems
	}
	switch len(docs) {
	case 0:
		return nil, problems
	case 1:
		return docs[0].Plain(), problems
	}
	problems = append(problems, Problem{
		Severity: Error, Code: CodeYAML, Pos: docs[1].Pos,
		Message: fmt.Sprintf("the file holds %d documents, one was expected", len(docs)),
		Hint:    "remove the lines of --- between them",
	})
	return nil, problems
}

func load(path string, data []byte, limit int) (docs []*Node, problems Problems) {
	if len(data) > limit {
		return nil, Problems{{
			Severity: Error, Code: CodeLimit, Pos: Pos{File: path},
			Message: fmt.Sprintf("the file has %d bytes, more than the %d that one may have", len(data), limit),
			Hint:    "split it, or move data to a file of rows",
		}}
	}
	if p := checkBytes(path, data); p != nil {
		return nil, Problems{*p}
	}
	l := &loader{text: newText(path, data), anchors: map[*yaml.Node]*expansion{}}
	defer func() {
		if r := recover(); r != nil { // a bug of the parser must not end the program
			docs = nil
			problems = Problems{{
				Severity: Error, Code: CodeYAML, Pos: Pos{File: path, Line: 1, Column: 1},
				Message: "this YAML cannot be read: " + clipText(fmt.Sprint(r), 200),
			}}
		}
	}()
	docs = l.documents()
	l.markerComments()
	return docs, l.problems
}

// loader reads one file.
type loader struct {
	text     *text
	problems Problems
	anchors  map[*yaml.Node]*expansion
	budget   int // what aliases may still expand to
	bare     []bareValue
}

// expansion is an anchored node that was read: shared by its aliases.
type expansion struct {
	node *Node
	size int
	open bool // being read: an alias to it is a circle
}

func (l *loader) documents() []*Node {
	yl, err := yaml.NewLoader(strings.NewReader(l.text.parsed),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		l.problems = append(l.problems, l.text.explain(err))
		return nil
	}
	var docs []*Node
	for {
		var doc yaml.Node
		err := yl.Load(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			l.problems = append(l.problems, l.text.explain(err))
			return docs
		}
		if len(doc.Content) == 0 {
			continue
		}
		clear(l.anchors) // anchors end with their document
		l.budget = expansionFactor * len(l.text.parsed)
		if root, _ := l.node(doc.Content[0], 0, false); root != nil {
			docs = append(docs, root)
		}
		if len(l.problems) >= maxProblems {
			return docs
		}
	}
}

func (l *loader) problem(code Code, pos Pos, text, message, hint string) {
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, Problem{
			Severity: Error, Code: code, Pos: pos, Text: clipText(firstLine(text), 200), Message: message, Hint: hint,
		})
	}
}

// checkBytes refuses what is no text at all.
func checkBytes(path string, data []byte) *Problem {
	fail := func(offset int, message, hint string) *Problem {
		before := data[:offset]
		line := 1 + bytes.Count(before, []byte("\n"))
		column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
		return &Problem{
			Severity: Error, Code: CodeYAML, Pos: Pos{File: path, Line: line, Column: column},
			Message: message, Hint: hint,
		}
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return fail(0, "the file is UTF-16", "save it as UTF-8")
	}
	if at := bytes.IndexByte(data, 0); at >= 0 && at < 8000 {
		return fail(at, "this is a binary file, not YAML", "give the path of a flow file")
	}
	for i := 0; i < len(data); {
		if c := data[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				return fail(i, fmt.Sprintf("the control character 0x%02X cannot stand in YAML", c),
					fmt.Sprintf(`remove it, or write it as "\x%02x" in double quotes`, c))
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return fail(i, fmt.Sprintf("the byte 0x%02X is not UTF-8", data[i]), "save the file as UTF-8")
		}
		if r == 0xFFFE || r == 0xFFFF {
			return fail(i, fmt.Sprintf("the character U+%04X cannot stand in YAML", r), "remove it")
		}
		i += size
	}
	return nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// clipText cuts s at limit bytes, between characters.
func clipText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
