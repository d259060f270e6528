package flow

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/source"
)

// Binding is one name of a dotenv file with its value.
type Binding struct {
	Name  string
	Value string
	// Literal values (in single quotes) hold no placeholders.
	Literal bool
	Pos     source.Pos
}

// ParseDotenv reads a dotenv file: NAME=value lines, `export` before a name,
// `#` comments, single quotes (literal), double quotes (with \n \t \" \\ \$ and
// over several lines).
func ParseDotenv(file string, data []byte) ([]Binding, source.Problems) {
	if !utf8.Valid(data) {
		return nil, source.Problems{problem(source.CodeFile, source.Pos{File: file}, "", "the file is not UTF-8 text")}
	}
	p := dotenv{file: file, text: strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n"), line: 1}
	for p.text != "" {
		p.entry()
	}
	return p.out, p.problems
}

type dotenv struct {
	file     string
	text     string // what is left
	line     int
	out      []Binding
	problems source.Problems
}

func (p *dotenv) bad(column int, text, message string) {
	p.problems = append(p.problems, problem(source.CodeFile, source.Pos{File: p.file, Line: p.line, Column: column}, text, message))
}

// entry reads one line, or the several of a quoted value.
func (p *dotenv) entry() {
	line, rest, _ := strings.Cut(p.text, "\n")
	next := func() { p.text, p.line = rest, p.line+1 }
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' {
		next()
		return
	}
	body := strings.TrimSpace(strings.TrimPrefix(trimmed, "export "))
	name, value, ok := strings.Cut(body, "=")
	name = strings.TrimSpace(name)
	column := strings.Index(line, name) + 1
	switch {
	case !ok:
		p.bad(column, body, "a line of an env file is NAME=value")
		next()
		return
	case !envName(name):
		p.bad(column, name, fmt.Sprintf("%q is not a name: letters, digits and _", name))
		next()
		return
	}
	b := Binding{Name: name, Pos: source.Pos{File: p.file, Line: p.line, Column: column}}
	value = strings.TrimLeft(value, " \t")
	if value == "" || value[0] != '"' && value[0] != '\'' {
		b.Value = strings.TrimSpace(uncomment(value))
		p.out = append(p.out, b)
		next()
		return
	}
	quote := value[0]
	// The value may go on over the following lines.
	whole := p.text[strings.Index(p.text, "=")+1:]
	whole = whole[strings.IndexByte(whole, quote)+1:]
	end := closing(whole, quote)
	if end < 0 {
		p.bad(column, name, fmt.Sprintf("the value of %s has no closing %c", name, quote))
		p.text = ""
		return
	}
	b.Literal = quote == '\''
	b.Value = whole[:end]
	if !b.Literal {
		b.Value = unescape(b.Value)
	}
	p.out = append(p.out, b)
	p.line += strings.Count(whole[:end], "\n")
	_, rest, _ = strings.Cut(whole[end+1:], "\n")
	next()
}

// uncomment cuts ` # …` off an unquoted value.
func uncomment(s string) string {
	if strings.HasPrefix(s, "#") {
		return ""
	}
	for i := 1; i < len(s); i++ {
		if s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t') {
			return s[:i-1]
		}
	}
	return s
}

func closing(s string, quote byte) int {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quote == '"':
			i++
		case s[i] == quote:
			return i
		}
	}
	return -1
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case '"', '\\':
			b.WriteByte(s[i])
		case '$':
			b.WriteByte('$')
			if i+1 < len(s) && s[i+1] == '{' {
				b.WriteByte('$') // `$${` writes the brace
			}
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func envName(s string) bool {
	for i, r := range s {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && (r >= '0' && r <= '9' || r == '.') {
			continue
		}
		return false
	}
	return s != ""
}

// origin names a place in a few words: "environments/staging.yaml:3".
func origin(pos source.Pos) string {
	if pos.Line == 0 {
		return pos.File
	}
	return pos.File + ":" + strconv.Itoa(pos.Line)
}
