package source

import (
	"fmt"
	"strings"
)

// bareValue is a key without a value, whose line may hide one in a comment.
type bareValue struct {
	key string
	pos Pos
}

// markers are the words that begin a marker of `match`.
const markers = " string number integer boolean array object null notnull present absent any uuid date datetime email uri regex "

// markerComments reports `id: #uuid` without quotes, which YAML reads as a key
// without a value: nothing but a pattern of `match` is written like that.
func (l *loader) markerComments() {
	for _, b := range l.bare {
		rest := l.text.restOf(b.pos.Line, b.pos.Column)
		at := strings.IndexByte(rest, '#')
		if at < 0 || strings.TrimSpace(rest[:at]) != "" || !isMarker(rest[at:]) {
			continue
		}
		line := l.text.lineText(b.pos.Line)
		comment := strings.TrimRight(rest[at:], " ")
		pos := l.text.posOf(l.text.starts[b.pos.Line-1] + len(line) - len(rest) + at)
		if len(l.problems) < maxProblems {
			l.problems = append(l.problems, Problem{
				Severity: Error, Code: CodeMatch, Pos: pos, Text: clipText(comment, 200),
				Message: fmt.Sprintf("%q has no value: %s is a comment", clipText(b.key, 80), clipText(comment, 80)),
				Hint:    "put the marker in quotes",
				Fix:     line[:len(line)-len(rest)+at] + quoted(comment),
			})
		}
	}
}

// isMarker tells whether a comment is a marker of `match`, to the letter.
func isMarker(comment string) bool {
	body := strings.TrimPrefix(comment[1:], "#")
	if strings.HasPrefix(body, "[") || strings.HasPrefix(body, "(") {
		return true
	}
	word, rest, _ := strings.Cut(strings.TrimRight(body, " "), " ")
	if word == "" || !strings.Contains(markers, " "+word+" ") {
		return false
	}
	return rest == "" || word == "regex"
}

// cutByComment notes a plain value with #5 right behind it, which YAML takes for
// a comment: comments for people have a blank after the #.
func (l *loader) cutByComment(n *Node, offset int) {
	src := l.text.plain
	end := offset + len(n.Text)
	if end > len(src) || src[offset:end] != n.Text {
		return
	}
	at := end
	for at < len(src) && (src[at] == ' ' || src[at] == '\t') {
		at++
	}
	if at == end || at == len(src) || src[at] != '#' || keyLength(clipText(src[at+1:], 1)) == 0 {
		return
	}
	comment := strings.TrimRight(firstLine(src[at:]), " ")
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, Problem{
			Severity: Note, Code: CodeYAML, Pos: l.text.posOf(at), Text: clipText(comment, 200),
			Message: clipText(comment, 80) + " is a comment, and no part of the value", Hint: "put the value in quotes if it belongs to it",
			Fix: l.text.quoteFrom(n.Pos.Line, n.Pos.Column),
		})
	}
}
