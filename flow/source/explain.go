package source

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// explain turns an error of the parser into a problem that says what to do. The
// parser knows where it gave up, which is often after the mistake: the lines
// around tell what was meant.
func (t *text) explain(err error) Problem {
	p := Problem{Severity: Error, Code: CodeYAML, Pos: t.pos(1, 1), Message: "this is not YAML: " + clipText(err.Error(), 200)}
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return p
	}
	mark := fault{text: t, line: le.Mark.Line, column: le.Mark.Column, fromLine: le.ContextMark.Line, fromColumn: le.ContextMark.Column}
	if mark.line == 0 {
		mark.line, mark.column = mark.fromLine, max(1, mark.fromColumn)
	}
	if mark.line > len(t.starts) || mark.line > 1 && mark.line == len(t.starts) && t.lineText(mark.line) == "" {
		mark.line = t.lastLine()
		mark.column = len([]rune(t.lineText(mark.line))) + 1
	}
	mark.message = le.Message
	p.Pos = t.pos(mark.line, mark.column)
	p.Text = clipText(strings.TrimSpace(t.restOf(mark.line, mark.column)), 200)
	p.Message = "this is not YAML: " + le.Message
	p.Hint = "look at this line and the one above: a quote, a bracket, a colon or the indentation is off"
	for _, try := range []func(*fault, *Problem) bool{
		(*fault).limits, (*fault).conflictMarker, (*fault).tabs, (*fault).openQuote, (*fault).badEscape, (*fault).hashInBraces, (*fault).placeholder,
		(*fault).afterQuote, (*fault).reserved, (*fault).missingSpace, (*fault).listOnKeyLine,
		(*fault).colonInValue, (*fault).openBracket, (*fault).deeper, (*fault).shallower, (*fault).missingDash, (*fault).unknownAnchor,
	} {
		if try(&mark, &p) {
			break
		}
	}
	return p
}

// fault is where the parser gave up, and why.
type fault struct {
	text                 *text
	message              string
	line, column         int
	fromLine, fromColumn int // the beginning of what it was reading; 0: unknown
}

func (f *fault) is(parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(f.message, part) {
			return true
		}
	}
	return false
}

// limits explains the parser's own bounds.
func (f *fault) limits(p *Problem) bool {
	if !f.is("exceeded max depth") {
		return false
	}
	p.Code = CodeLimit
	p.Message = fmt.Sprintf("lists and maps nest deeper than %d levels", maxDepth)
	p.Hint = "move the inner part to a file of its own"
	return true
}

func (f *fault) conflictMarker(p *Problem) bool {
	for line := max(1, f.line-3); line <= f.line; line++ {
		s := f.text.lineText(line)
		for _, marker := range []string{"<<<<<<<", "=======", ">>>>>>>"} {
			if strings.HasPrefix(s, marker) {
				p.Pos, p.Text = f.text.pos(line, 1), clipText(s, 200)
				p.Message = "a conflict of a merge is left in this file"
				p.Hint = "choose one side and remove the lines that begin with <<<<<<<, ======= and >>>>>>>"
				return true
			}
		}
	}
	return false
}

// tabs finds a tab in the indentation of the lines at the fault.
func (f *fault) tabs(p *Problem) bool {
	for line := f.line; line >= max(1, f.line-1); line-- {
		s := f.text.lineText(line)
		indent := s[:len(s)-len(strings.TrimLeft(s, " \t"))]
		at := strings.IndexByte(indent, '\t')
		if at < 0 {
			continue
		}
		if line != f.line && !f.is("tab", "cannot start any token", "expected") {
			continue
		}
		p.Pos, p.Text = f.text.pos(line, at+1), indent[at:]
		p.Message = "a tab cannot indent a line of YAML"
		p.Hint = "use spaces, two for each level; most editors can convert tabs"
		p.Fix = strings.ReplaceAll(indent, "\t", "  ") + s[len(indent):]
		return true
	}
	return false
}

// openQuote explains a quote that never ends.
func (f *fault) openQuote(p *Problem) bool {
	if !f.is("found unexpected end of stream", "found unexpected document indicator") || f.fromLine == 0 {
		return false
	}
	p.Pos = f.text.pos(f.fromLine, f.fromColumn)
	p.Text = clipText(f.text.restOf(f.fromLine, f.fromColumn), 200)
	p.Message = "this quote is never closed"
	p.Hint = "end the text with the same quote on the same line"
	line := f.text.lineText(f.fromLine)
	quote := f.text.charAt(f.fromLine, f.fromColumn)
	if body := strings.TrimRight(line, " "); strings.Count(body, string(quote))%2 == 1 && !strings.Contains(body, " #") {
		p.Fix = body + string(quote)
	}
	return true
}

// badEscape explains \d and its like in double quotes: a regular expression or
// a Windows path.
func (f *fault) badEscape(p *Problem) bool {
	if !f.is("unknown escape character", "did not find expected hexadecimal number") {
		return false
	}
	at := f.text.offsetOf(f.line, f.column)
	if s := f.text.plain; at < len(s) && s[at] != '\\' {
		at = max(strings.LastIndexByte(s[:at], '\\'), 0)
	}
	p.Pos = f.text.posOf(at)
	p.Text = clipRunes(f.text.plain[at:], 2)
	p.Message = fmt.Sprintf("%s is not an escape that double quotes know", p.Text)
	p.Hint = `use single quotes, where a backslash is a backslash, or write \\`
	line := f.text.lineText(p.Pos.Line)
	if f.fromLine != p.Pos.Line {
		return true
	}
	from := len(string([]rune(line)[:f.fromColumn-1]))
	if end := closingQuote(line, from); end > 0 {
		inner := strings.ReplaceAll(strings.ReplaceAll(line[from+1:end], `\"`, `"`), "'", "''")
		p.Fix = line[:from] + "'" + inner + "'" + line[end+1:]
	}
	return true
}

// closingQuote is the index in line of the quote that closes the one at from.
func closingQuote(line string, from int) int {
	for i := from + 1; i < len(line); i++ {
		if line[i] == '\\' && line[from] == '"' {
			i++
			continue
		}
		if line[i] == line[from] {
			return i
		}
	}
	return -1
}

// hashInBraces finds a comment that ate the end of a { } or [ ].
func (f *fault) hashInBraces(p *Problem) bool {
	if !f.is("',' or '}'", "',' or ']'", "did not find expected node content") {
		return false
	}
	from := max(1, min(f.fromLine, f.line))
	for line := from; line <= f.line && line <= from+20; line++ {
		s := f.text.lineText(line)
		at := strings.Index(s, " #") + 1
		if at == 0 || !strings.ContainsAny(s[:at], "{[") || !strings.ContainsAny(s[at:], "}],") {
			continue
		}
		end := strings.IndexAny(s[at:], ",}]")
		p.Pos = f.text.posOf(f.text.starts[line-1] + at)
		p.Text = clipText(s[at:], 200)
		p.Message = "# begins a comment here, which hides the rest of the line"
		p.Hint = "put the value in quotes"
		p.Fix = s[:at] + quoted(s[at:at+end]) + s[at+end:]
		if strings.Contains(p.Fix, " #") {
			p.Fix = ""
		}
		return true
	}
	return false
}

// placeholder explains {{ x }} and, in braces, ${x} without quotes.
func (f *fault) placeholder(p *Problem) bool {
	for _, line := range []int{f.line, f.fromLine} {
		if line == 0 {
			continue
		}
		s := f.text.lineText(line)
		prefix, val := splitValue(s)
		if strings.HasPrefix(val, "{{") {
			p.Pos = f.text.posOf(f.text.starts[line-1] + len(prefix))
			p.Text = clipText(val, 200)
			p.Message = "a value that begins with {{ must be in quotes"
			p.Hint = "YAML reads { as the beginning of a map"
			p.Fix = prefix + quoteValue(val)
			return true
		}
		at := strings.Index(s, "${")
		if at < 0 || !f.is("',' or '}'", "',' or ']'", "node content", "expected key") || !strings.ContainsAny(s[:at], "{[") {
			continue
		}
		end := strings.IndexByte(s[at:], '}')
		if end < 0 || at > 0 && (s[at-1] == '"' || s[at-1] == '\'') {
			continue
		}
		end += at + 1
		for at > 0 && !strings.ContainsRune(" ,{[", rune(s[at-1])) {
			at--
		}
		for end < len(s) && !strings.ContainsRune(",]}", rune(s[end])) {
			end++
		}
		p.Pos = f.text.posOf(f.text.starts[line-1] + at)
		p.Text = s[at:end]
		p.Message = "a placeholder inside { } or [ ] must be in quotes"
		p.Hint = "there YAML reads its } as the end of the map"
		p.Fix = s[:at] + quoted(s[at:end]) + s[end:]
		return true
	}
	return false
}
