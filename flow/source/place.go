package source

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// At is the place in the file of the byte offset in Text. Offsets inside an
// escape of a double quoted string, or in the blanks that a fold replaced, give
// the place where that begins.
func (n *Node) At(offset int) Pos {
	offset = max(0, min(offset, len(n.Text)))
	if n.Style == synthetic || n.Kind == List || n.Kind == Map {
		return n.Pos
	}
	start := lineStart{pos: n.Pos}
	if n.Style == SingleQuoted || n.Style == DoubleQuoted {
		start.pos.Column++
	}
	if len(n.lines) > 0 {
		i := sort.Search(len(n.lines), func(i int) bool { return n.lines[i].offset > offset }) - 1
		if i >= 0 {
			start = n.lines[i]
		}
	}
	start.pos.Column += utf8.RuneCountInString(n.Text[start.offset:offset])
	return start.pos
}

// place fills n.lines where the text is not one run of characters in the file.
// offset is the byte of the file where the scalar begins.
func (l *loader) place(n *Node, offset int) {
	src := l.text.plain
	if offset >= len(src) {
		return
	}
	switch n.Style {
	case Plain:
		if strings.HasPrefix(src[offset:], n.Text) {
			return
		}
		l.placeFlow(n, offset, 0)
	case SingleQuoted, DoubleQuoted:
		quote := src[offset]
		if quote != '\'' && quote != '"' {
			return
		}
		if strings.HasPrefix(src[offset+1:], n.Text) && strings.IndexByte(n.Text, '\n') < 0 &&
			strings.IndexByte(n.Text, quote) < 0 && strings.IndexByte(n.Text, '\\') < 0 {
			return
		}
		l.placeFlow(n, offset+1, quote)
	case Literal, Folded:
		l.placeBlock(n, offset)
	}
}

// placeFlow walks the text and the file side by side through a plain or quoted
// scalar: quotes doubled, escapes, and line folds (YAML 1.2.2 section 7.3).
func (l *loader) placeFlow(n *Node, at int, quote byte) {
	src, text := l.text.plain, n.Text
	mark := func(in int) {
		if k := len(n.lines); k > 0 && n.lines[k-1].offset == in {
			n.lines[k-1].pos = l.text.posOf(at)
			return
		}
		n.lines = append(n.lines, lineStart{offset: in, pos: l.text.posOf(at)})
	}
	mark(0)
	for in := 0; in <= len(text) && at < len(src); {
		switch c := src[at]; {
		case quote != 0 && c == quote:
			if quote != '\'' || at+1 >= len(src) || src[at+1] != quote {
				return // the end
			}
			at += 2
			in++
			mark(in)
		case quote == '"' && c == '\\':
			size, gives := escape(src[at:])
			at += size
			if gives < 0 { // an escaped line break: the blanks after it are gone
				for at < len(src) && (src[at] == ' ' || src[at] == '\t' || src[at] == '\n') {
					if src[at] == '\n' && in < len(text) && text[in] == '\n' {
						in++
					}
					at++
				}
			} else {
				in += gives
			}
			mark(in)
		case blankToBreak(src[at:]) >= 0:
			at += blankToBreak(src[at:])
			breaks := 0
			for at < len(src) && (src[at] == ' ' || src[at] == '\t' || src[at] == '\n') {
				if src[at] == '\n' {
					breaks++
				}
				at++
			}
			in += max(1, breaks-1)
			mark(in)
		default:
			if quote == 0 && in >= len(text) {
				return
			}
			_, size := utf8.DecodeRuneInString(src[at:])
			at += size
			in += size
		}
	}
}

// blankToBreak is the number of blanks before a line break at the beginning of
// s, or -1 where something else stands there.
func blankToBreak(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t':
		case '\n':
			return i
		default:
			return -1
		}
	}
	return -1
}

// escape measures the escape at the beginning of s: its bytes in the file, and
// the bytes that it gives, or -1 for an escaped line break.
func escape(s string) (size, gives int) {
	if len(s) < 2 {
		return len(s), 0
	}
	width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]
	if width > 0 && len(s) >= 2+width {
		r := rune(0)
		for _, c := range []byte(s[2 : 2+width]) {
			r = r<<4 | rune(unhex(c))
		}
		return 2 + width, max(1, utf8.RuneLen(r))
	}
	switch s[1] {
	case '\n':
		return 2, -1
	case 'N', '_': // U+0085, U+00A0
		return 2, 2
	case 'L', 'P': // U+2028, U+2029
		return 2, 3
	}
	_, size = utf8.DecodeRuneInString(s[1:])
	return 1 + size, 1
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}

// placeBlock finds the lines of a literal or folded block: each stands in the
// text as it is, without its indentation (YAML 1.2.2 section 8.1).
func (l *loader) placeBlock(n *Node, offset int) {
	first := l.text.posOf(offset).Line + 1
	indent := -1
	in := 0
	for line := first; in < len(n.Text) && line <= len(l.text.starts); line++ {
		raw := l.text.lineText(line)
		trimmed := strings.TrimLeft(raw, " ")
		if trimmed == "" && indent < 0 {
			continue
		}
		if indent < 0 {
			// More blanks than the block's own indentation are part of the text.
			body := strings.TrimLeft(n.Text, "\n")
			indent = max(0, len(raw)-len(trimmed)-(len(body)-len(strings.TrimLeft(body, " "))))
		}
		content := ""
		if len(raw) > indent {
			content = raw[indent:]
		}
		if content == "" {
			continue
		}
		for in < len(n.Text) && (n.Text[in] == '\n' || n.Text[in] == ' ') && !strings.HasPrefix(n.Text[in:], content) {
			in++
		}
		if !strings.HasPrefix(n.Text[in:], content) {
			return
		}
		pos := l.text.pos(line, indent+1)
		n.lines = append(n.lines, lineStart{offset: in, pos: pos})
		in += len(content)
	}
}

// skipProperties is the offset of what follows the anchor and the tag at offset.
func (t *text) skipProperties(offset int, anchor string) int {
	s := t.plain
	for offset < len(s) {
		switch c := s[offset]; {
		case c == '&' && strings.HasPrefix(s[offset+1:], anchor):
			offset += 1 + len(anchor)
		case c == '!':
			for offset < len(s) && !strings.ContainsRune(" \t\n,[]{}", rune(s[offset])) {
				offset++
			}
		case c == ' ' || c == '\t' || c == '\n':
			offset++
		case c == '#' && offset > 0 && (s[offset-1] == ' ' || s[offset-1] == '\n' || s[offset-1] == '\t'):
			for offset < len(s) && s[offset] != '\n' {
				offset++
			}
		default:
			return offset
		}
	}
	return offset
}
