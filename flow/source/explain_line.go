package source

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// afterQuote explains text after a closing quote: - "a" in body.tags.
func (f *fault) afterQuote(p *Problem) bool {
	if !f.is("expected key", "expected '-'", "expected ',' or", "node content", "could not find expected ':'", "document start") {
		return false
	}
	for _, line := range []int{f.line, f.line - 1} {
		s := f.text.lineText(line)
		prefix, val := splitValue(s)
		if val == "" || val[0] != '"' && val[0] != '\'' {
			continue
		}
		end := closingQuote(val, 0)
		if end < 0 {
			continue
		}
		rest := strings.TrimLeft(val[end+1:], " ")
		if rest == "" || rest[0] == '#' || rest[0] == ':' {
			continue
		}
		at := len(s) - len(rest)
		p.Pos = f.text.posOf(f.text.starts[line-1] + at)
		p.Text = clipText(rest, 200)
		p.Message = "there is text after the closing quote"
		p.Hint = "put the whole value in quotes of the other kind"
		p.Fix = prefix + quoteValue(val)
		if val[0] == '\'' && strings.HasSuffix(val, "'") && !strings.Contains(val, `"`) {
			p.Message = "a single quote inside single quotes ends the text"
			p.Hint = "write it twice, or use double quotes"
			p.Fix = prefix + `"` + val[1:len(val)-1] + `"`
		}
		return true
	}
	return false
}

// reserved explains a plain value that begins with a character of YAML's own.
func (f *fault) reserved(p *Problem) bool {
	line := f.line
	prefix, val := splitValue(f.text.lineText(line))
	if val == "" || !strings.ContainsRune("*&@`%|>]},?!", rune(val[0])) || !f.is("cannot start", "alphabetic or numeric", "node content", "unknown anchor", "comment or line break", "expected") {
		return false
	}
	if f.is("',' or") && f.fromLine != line || f.is("unknown anchor") && f.column != utf8.RuneCountInString(prefix)+1 {
		return false
	}
	means := map[byte]string{
		'*': "begins an alias in YAML", '&': "begins an anchor in YAML", '!': "begins a tag in YAML",
		'|': "begins a block of text in YAML", '>': "begins a block of text in YAML", '%': "is reserved in YAML",
		'?': "begins a key in YAML",
	}[val[0]]
	if means == "" {
		means = "cannot begin a plain value in YAML"
	}
	p.Pos = f.text.posOf(f.text.starts[line-1] + len(prefix))
	p.Text = clipText(val, 200)
	p.Message = fmt.Sprintf("%c %s", val[0], means)
	p.Hint = "put the value in quotes"
	p.Fix = prefix + quoteValue(val)
	return true
}

// missingSpace explains `timeout:5s`, which is text and no key.
func (f *fault) missingSpace(p *Problem) bool {
	if !f.is("could not find expected ':'", "mapping values are not allowed", "expected key") {
		return false
	}
	for _, line := range []int{f.fromLine, f.line - 1, f.line} {
		s := f.text.lineText(line)
		body := strings.TrimLeft(s, " ")
		indent := len(s) - len(body)
		n := keyLength(body)
		if n == 0 || n+1 >= len(body) || body[n] != ':' || body[n+1] == ' ' || body[n+1] == '/' || body[n+1] == ':' {
			continue
		}
		p.Pos = f.text.pos(line, indent+1)
		p.Text = clipText(body, 200)
		p.Message = "a space is missing after the colon"
		p.Hint = "YAML reads a key only where a space follows the colon"
		p.Fix = s[:indent] + body[:n+1] + " " + body[n+1:]
		return true
	}
	return f.missingColon(p)
}

// missingColon explains a line that is neither key nor value.
func (f *fault) missingColon(p *Problem) bool {
	line := f.fromLine
	if f.is("mapping values are not allowed") { // a word alone, then a key
		above, n := f.text.lineAbove(f.line)
		if word := strings.TrimSpace(above); n == 0 || keyLength(word) != len(word) || indentOf(above) != indentOf(f.text.lineText(f.line)) {
			return false
		}
		line = n
	} else if !f.is("could not find expected ':'") || line == 0 {
		return false
	}
	s := f.text.lineText(line)
	body := strings.TrimSpace(s)
	p.Pos = f.text.posOf(f.text.starts[line-1] + len(s) - len(strings.TrimLeft(s, " ")))
	p.Text = clipText(body, 200)
	p.Message = "this line is no key: a colon is missing"
	p.Hint = "write key: value, or indent the line if it goes on with the text above"
	if n := keyLength(body); n > 0 && n < len(body) && body[n] == ' ' {
		p.Fix = strings.Replace(s, body, body[:n]+":"+body[n:], 1)
	} else if n == len(body) {
		p.Fix = s + ":"
	}
	return true
}

// listOnKeyLine explains `assert: - status == 200`.
func (f *fault) listOnKeyLine(p *Problem) bool {
	if !f.is("block sequence entries are not allowed") {
		return false
	}
	s := f.text.lineText(f.line)
	prefix, val := splitValue(s)
	p.Message = "a list cannot begin on the line of its key"
	p.Hint = "put each item on a line of its own, with a dash, or write [a, b]"
	if strings.HasPrefix(val, "- ") {
		p.Fix = strings.TrimRight(prefix, " ") + "\n" + strings.Repeat(" ", indentOf(s)+2) + val
	}
	return true
}

// colonInValue explains `message: error: not found`.
func (f *fault) colonInValue(p *Problem) bool {
	if !f.is("mapping values are not allowed") {
		return false
	}
	s := f.text.lineText(f.line)
	prefix, val := splitValue(s)
	at := len(string([]rune(s)[:min(f.column-1, utf8.RuneCountInString(s))]))
	if val == "" || at < len(prefix) || strings.ContainsAny(val[:1], `"'{[|>`) {
		return false
	}
	p.Pos = f.text.posOf(f.text.starts[f.line-1] + len(prefix))
	p.Text = clipText(val, 200)
	p.Message = "a plain value cannot hold a colon followed by a space"
	p.Hint = "put the value in quotes"
	p.Fix = prefix + quoteValue(val)
	return true
}

// openBracket explains a list or map in brackets that never ends.
func (f *fault) openBracket(p *Problem) bool {
	if !f.is("',' or ']'", "',' or '}'") || f.fromLine == 0 {
		return false
	}
	open := f.text.charAt(f.fromLine, f.fromColumn)
	p.Pos = f.text.pos(f.fromLine, f.fromColumn)
	p.Text = clipText(f.text.restOf(f.fromLine, f.fromColumn), 200)
	closes := map[rune]string{'[': "]", '{': "}"}[open]
	p.Message = fmt.Sprintf("this %c is not closed, or a comma is missing in it", open)
	p.Hint = fmt.Sprintf("separate the items by commas and end them with %s (line %d cannot go on here)", closes, f.line)
	if f.line == f.fromLine {
		if f.bracketsInItem(p) {
			return true
		}
		p.Hint = fmt.Sprintf("separate the items by commas and end them with %s", closes)
		p.Pos, p.Text = f.text.pos(f.line, f.column), clipText(f.text.restOf(f.line, f.column), 200)
		p.Message = fmt.Sprintf("a comma or %s is missing before this", closes)
	}
	return true
}

// bracketsInItem explains an expression with brackets of its own in a list:
// [status == 200, body.items[0].sku == "A"].
func (f *fault) bracketsInItem(p *Problem) bool {
	s := f.text.lineText(f.line)
	runes := []rune(s)
	if f.text.charAt(f.fromLine, f.fromColumn) != '[' || f.column < 2 || f.column-1 > len(runes) {
		return false
	}
	from, at := len(string(runes[:f.fromColumn])), len(string(runes[:f.column-1]))
	if at >= len(s) || s[at] != '[' || from >= at {
		return false
	}
	if comma := strings.LastIndex(s[from:at], ", "); comma >= 0 {
		from += comma + 2
	}
	if strings.TrimSpace(s[from:at]) == "" || strings.ContainsAny(s[from:at], `"'{`) {
		return false
	}
	end, depth := at, 0
	for ; end < len(s) && (depth > 0 || s[end] != ',' && s[end] != ']'); end++ {
		switch s[end] {
		case '[':
			depth++
		case ']':
			depth--
		}
	}
	if end == len(s) {
		return false
	}
	p.Pos, p.Text = f.text.posOf(f.text.starts[f.line-1]+from), clipText(s[from:end], 200)
	p.Message = "an expression with brackets inside [ ] must be in quotes"
	p.Hint = "there YAML reads its ] as the end of the list"
	p.Fix = s[:from] + "'" + strings.ReplaceAll(s[from:end], "'", "''") + "'" + s[end:]
	return true
}

// deeper explains a line that is indented more than its siblings.
func (f *fault) deeper(p *Problem) bool {
	if !f.is("mapping values are not allowed", "expected key", "block collection") {
		return false
	}
	s := f.text.lineText(f.line)
	above, n := f.text.lineAbove(f.line)
	if n == 0 || indentOf(s) <= indentOf(above) || strings.HasSuffix(strings.TrimRight(above, " "), ":") {
		return false
	}
	if prefix, val := splitValue(above); val != "" && prefix != above[:indentOf(above)] && strings.HasPrefix(strings.TrimLeft(s, " "), "- ") {
		p.Pos = f.text.pos(f.line, indentOf(s)+1)
		p.Text = clipText(strings.TrimSpace(s), 200)
		p.Message = fmt.Sprintf("a list cannot follow here: the key on line %d has a value already", n)
		p.Hint = "a line is missing with the key that the list belongs to, such as steps:"
		return true
	}
	want := indentOf(above)
	if body := strings.TrimLeft(above, " "); strings.HasPrefix(body, "- ") && !strings.HasPrefix(strings.TrimLeft(s, " "), "- ") {
		want += len(body) - len(strings.TrimLeft(body[1:], " "))
	}
	if want == indentOf(s) {
		return false
	}
	p.Pos = f.text.pos(f.line, indentOf(s)+1)
	p.Text = clipText(strings.TrimSpace(s), 200)
	p.Message = fmt.Sprintf("this line is indented by %d, but line %d above it by %d", indentOf(s), n, want)
	p.Hint = "give lines of one map the same indentation"
	p.Fix = strings.Repeat(" ", want) + strings.TrimLeft(s, " ")
	return true
}

// shallower explains a line whose indentation is that of no line above.
func (f *fault) shallower(p *Problem) bool {
	if !f.is("expected key", "expected '-'", "block") {
		return false
	}
	s := f.text.lineText(f.line)
	indent := indentOf(s)
	if f.column != indent+1 {
		return false
	}
	levels := f.text.openIndents(f.line)
	best := -1
	for _, level := range levels {
		if level == indent {
			return false
		}
		if best < 0 || abs(level-indent) <= abs(best-indent) { // the deeper of two: keys are deeper than dashes
			best = level
		}
	}
	if best < 0 {
		return false
	}
	p.Text = clipText(strings.TrimSpace(s), 200)
	p.Message = fmt.Sprintf("no line above is indented by %d", indent)
	p.Hint = fmt.Sprintf("the blocks above are indented by %s", joinInts(levels))
	p.Fix = strings.Repeat(" ", best) + strings.TrimLeft(s, " ")
	return true
}

// missingDash explains a key among the items of a list.
func (f *fault) missingDash(p *Problem) bool {
	if !f.is("expected '-'", "expected key") {
		return false
	}
	s := f.text.lineText(f.line)
	body := strings.TrimLeft(s, " ")
	p.Text = clipText(strings.TrimSpace(s), 200)
	if strings.HasPrefix(body, "- ") {
		p.Message = "a list item stands among the keys of a map"
		p.Hint = "indent it under the key that it belongs to, or remove the dash"
		return true
	}
	if !f.is("expected '-'") {
		return false
	}
	p.Message = "this line stands among the items of a list, but has no dash"
	p.Hint = fmt.Sprintf("begin it with - for a new item, or indent it by two more to belong to the item above (line %d)", f.fromLine)
	p.Fix = "  " + s
	if f.inItemAbove(body[:keyLength(body)], indentOf(s)) {
		p.Fix = strings.Repeat(" ", indentOf(s)) + "- " + body
	}
	return true
}

// inItemAbove tells whether the list item above has the key already: then the
// line begins a new one.
func (f *fault) inItemAbove(key string, indent int) bool {
	const look = 200 // lines of one item
	for line := f.line - 1; key != "" && line >= max(1, f.line-look); line-- {
		s := f.text.lineText(line)
		body := strings.TrimLeft(s, " ")
		dash := indentOf(s) == indent && strings.HasPrefix(body, "- ")
		if dash {
			body = strings.TrimLeft(body[2:], " ")
		}
		if (dash || indentOf(s) == indent+2) && strings.HasPrefix(body, key+":") {
			return true
		}
		if dash {
			return false
		}
	}
	return false
}

func (f *fault) unknownAnchor(p *Problem) bool {
	if !f.is("unknown anchor") {
		return false
	}
	name := f.message // unknown anchor 'name' referenced
	if _, rest, ok := strings.Cut(name, "'"); ok {
		name = rest[:max(0, strings.LastIndexByte(rest, '\''))]
	}
	name = clipText(name, 80)
	p.Text = "*" + name
	p.Message = fmt.Sprintf("no anchor &%s stands above this alias", name)
	p.Hint = "put the value in quotes if * is text"
	return true
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
