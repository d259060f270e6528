package sql

import (
	"strings"
	"unicode/utf8"
)

// class is what a token is, as far as parameters and statements care.
type class int

const (
	blank     class = iota // blanks and comments
	word                   // keywords, identifiers without quotes, numbers
	quoted                 // strings
	name                   // identifiers in quotes
	parameter              // ?, ?1, $1, :name
	semicolon              // the end of a statement
	symbol                 // everything else, a character or an operator
)

// token is a piece of a statement; all tokens together are its text.
type token struct {
	class class
	text  string
	at    int // offset in bytes
}

// lexer cuts the text of a database's SQL into tokens. It judges nothing: what is
// no SQL is left to the database, whose message is better than a guess.
type lexer struct {
	kind kind
	text string
	at   int
	out  []token
	// last is the index of the last token that is no blank; -1: there is none.
	last int
}

// tokens cuts a text into tokens.
func tokens(k kind, text string) []token {
	l := lexer{kind: k, text: text, last: -1}
	for l.at < len(l.text) {
		start := l.at
		c := l.next()
		l.out = append(l.out, token{c, l.text[start:l.at], start})
		if c != blank {
			l.last = len(l.out) - 1
		}
	}
	return l.out
}

// next moves past one token and says what it was.
func (l *lexer) next() class {
	c, rest := l.text[l.at], l.text[l.at:]
	switch {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		l.skip(" \t\n\r\f\v")
		return blank
	case l.comment(rest):
		return blank
	case c == '\'':
		l.quote('\'', l.kind == mysql || l.kind == postgres && l.escapes())
		return quoted
	case c == '"' && l.kind == mysql:
		l.quote('"', true)
		return quoted
	case c == '"', c == '`' && l.kind != postgres:
		l.quote(c, false)
		return name
	case c == '[' && l.kind == sqlite:
		l.until("]")
		return name
	case c == ';':
		l.at++
		return semicolon
	case c == '$':
		return l.dollar(rest)
	case c == ':':
		return l.colon(rest)
	case c == '?':
		return l.question(rest)
	case isWord(c):
		l.word()
		return word
	}
	l.at++
	return symbol
}

func (l *lexer) skip(set string) {
	for l.at < len(l.text) && strings.IndexByte(set, l.text[l.at]) >= 0 {
		l.at++
	}
}

// until moves past the next end, or to the end of the text.
func (l *lexer) until(end string) {
	if i := strings.Index(l.text[l.at+1:], end); i >= 0 {
		l.at += 1 + i + len(end)
		return
	}
	l.at = len(l.text)
}

// comment moves past a comment, if one begins here. PostgreSQL's nest; MySQL's
// `--` wants a blank behind it, and # begins one too.
func (l *lexer) comment(rest string) bool {
	switch {
	case strings.HasPrefix(rest, "--"):
		if l.kind == mysql && len(rest) > 2 && rest[2] > ' ' {
			return false
		}
		l.until("\n")
	case rest[0] == '#' && l.kind == mysql:
		l.until("\n")
	case strings.HasPrefix(rest, "/*"):
		l.block()
	default:
		return false
	}
	return true
}

func (l *lexer) block() {
	depth := 0
	for l.at < len(l.text) {
		switch rest := l.text[l.at:]; {
		case strings.HasPrefix(rest, "/*") && (depth == 0 || l.kind == postgres):
			depth++
			l.at += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.at += 2
			if depth == 0 {
				return
			}
		default:
			l.at++
		}
	}
}

// escapes tells whether the string that begins here is one of PostgreSQL's E'…',
// in which a backslash takes the next character.
func (l *lexer) escapes() bool {
	n := len(l.out)
	return n > 0 && l.out[n-1].class == word && (l.out[n-1].text == "E" || l.out[n-1].text == "e")
}

// quote moves past something in quotes, which are doubled inside.
func (l *lexer) quote(mark byte, backslash bool) {
	for l.at++; l.at < len(l.text); l.at++ {
		switch c := l.text[l.at]; {
		case c == '\\' && backslash:
			l.at++
		case c != mark:
		case strings.HasPrefix(l.text[l.at+1:], string(mark)):
			l.at++
		default:
			l.at++
			return
		}
	}
	l.at = min(l.at, len(l.text))
}

// dollar is $1, a string in PostgreSQL's dollar quotes, or the character.
func (l *lexer) dollar(rest string) class {
	if n := digits(rest[1:]); n > 0 {
		l.at += 1 + n
		return parameter
	}
	l.at++
	if l.kind != postgres {
		return symbol
	}
	tag := 1
	for tag < len(rest) && rest[tag] != '$' && isWord(rest[tag]) {
		tag++
	}
	if tag == len(rest) || rest[tag] != '$' {
		return symbol
	}
	l.at += tag - 1
	l.until(rest[:tag+1])
	return quoted
}

// colon is :name, a cast, an assignment, or the character. Right behind a value
// it is no parameter: the middle of a slice as a[1:n], or the end of a label.
func (l *lexer) colon(rest string) class {
	if len(rest) > 1 && (rest[1] == ':' || rest[1] == '=') {
		l.at += 2
		return symbol
	}
	l.at++
	if len(rest) < 2 || !isWord(rest[1]) || digits(rest[1:]) > 0 {
		return symbol
	}
	if n := len(l.out); n > 0 && l.isValue(n-1) {
		return symbol
	}
	l.word()
	return parameter
}

// question is a parameter, ? or ?1. PostgreSQL has operators of that name for
// JSON, which stand behind a value, where a parameter cannot; ?? is the operator
// anywhere.
func (l *lexer) question(rest string) class {
	if l.kind == postgres {
		if strings.HasPrefix(rest, "??") {
			l.at += 2
			return symbol
		}
		behindAt := l.at > 0 && l.text[l.at-1] == '@' // of a path's operator @?
		if behindAt || l.last >= 0 && l.isValue(l.last) {
			l.at++
			return symbol
		}
	}
	l.at += 1 + digits(rest[1:])
	return parameter
}

// isValue tells whether a value ends with the token: a name, a number, a string,
// a closing bracket, and no keyword that a value follows.
func (l *lexer) isValue(i int) bool {
	switch t := l.out[i]; t.class {
	case quoted, name, parameter:
		return true
	case word:
		return !beforeValue(strings.ToUpper(t.text))
	default:
		return t.text == ")" || t.text == "]"
	}
}

// beforeValue tells whether a value follows a keyword of PostgreSQL.
func beforeValue(keyword string) bool {
	switch keyword {
	case "SELECT", "DISTINCT", "ALL", "WHERE", "AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "TO", "BETWEEN", "SYMMETRIC",
		"CASE", "WHEN", "THEN", "ELSE", "LIMIT", "OFFSET", "FETCH", "FIRST", "NEXT", "ROWS", "RANGE", "GROUPS", "HAVING",
		"ON", "RETURNING", "BY", "VALUES", "IS", "FROM", "FOR", "PLACING", "ZONE", "ANY", "SOME", "USING", "ESCAPE",
		"UNION", "EXCEPT", "INTERSECT", "AS", "SET":
		return true
	}
	return false
}

func (l *lexer) word() {
	for l.at < len(l.text) && (isWord(l.text[l.at]) || l.text[l.at] == '$' && l.kind != sqlite) {
		l.at++
	}
}

// isWord tells whether a byte is one of an identifier, keyword or number.
func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// digits counts those that a text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}
