package sql

import (
	"slices"
	"strings"
)

// piece is one statement of a text.
type piece struct {
	whole  string  // the text that it is a piece of
	tokens []token // without what ends it, and without blanks around it
}

// text is the statement as it is written.
func (p piece) text() string {
	if len(p.tokens) == 0 {
		return ""
	}
	last := p.tokens[len(p.tokens)-1]
	return p.whole[p.tokens[0].at : last.at+len(last.text)]
}

// keywords are the first words of a statement, in capitals, up to most of them.
func (p piece) keywords(most int) []string {
	var out []string
	for _, t := range p.tokens {
		if len(out) == most {
			break
		}
		if t.class == word {
			out = append(out, strings.ToUpper(t.text))
		} else if t.class != blank && t.text != "(" {
			break
		}
	}
	return out
}

// has tells whether one of the words stands in the statement, outside of strings
// and names in quotes.
func (p piece) has(words ...string) bool {
	return slices.ContainsFunc(p.tokens, func(t token) bool {
		return t.class == word && slices.Contains(words, strings.ToUpper(t.text))
	})
}

// reads tells whether a statement only reads, as far as its words tell: what
// functions do is theirs.
func (p piece) reads() bool {
	first := p.keywords(1)
	if len(first) == 0 {
		return false
	}
	switch first[0] {
	case "SELECT", "WITH", "TABLE", "VALUES", "SHOW", "DESCRIBE", "DESC", "FETCH":
		return !p.has("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "INTO")
	}
	return false
}

// isChange tells whether a statement is one that changes rows, by its first word.
func (p piece) isChange() bool {
	first := p.keywords(1)
	if len(first) == 0 {
		return false
	}
	switch first[0] {
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH":
		return true
	}
	return false
}

// splitter cuts a text into its statements.
type splitter struct {
	kind    kind
	whole   string
	pieces  []piece
	current []token
	end     string // what ends a statement; MySQL's clients can change it
	depth   int    // of BEGIN … END in the body of a routine
	routine bool
}

// split cuts a text into its statements. A semicolon ends one, but not in the
// body of a trigger, function or procedure; in MySQL's SQL a line DELIMITER says
// what else does.
func split(k kind, text string) []piece {
	s := splitter{kind: k, whole: text, end: ";"}
	all := tokens(k, text)
	for i := 0; i < len(all); i++ {
		t := all[i]
		switch {
		case s.isEnd(t):
			s.finish()
			for i+1 < len(all) && all[i+1].at < t.at+len(s.end) {
				i++
			}
		case k == mysql && t.class == word && strings.EqualFold(t.text, "DELIMITER") && s.blank():
			line, _, _ := strings.Cut(text[t.at+len(t.text):], "\n")
			if end := strings.TrimSpace(line); end != "" {
				s.end = end
			}
			s.current = nil
			for i+1 < len(all) && all[i+1].at < t.at+len(t.text)+len(line) {
				i++
			}
		default:
			s.body(all, i)
			s.current = append(s.current, t)
		}
	}
	s.finish()
	return s.pieces
}

func (s *splitter) isEnd(t token) bool {
	if s.end == ";" {
		return t.class == semicolon && s.depth == 0
	}
	return t.class != quoted && t.class != name && t.class != blank && strings.HasPrefix(s.whole[t.at:], s.end)
}

// blank tells whether nothing of a statement has come yet.
func (s *splitter) blank() bool {
	return !slices.ContainsFunc(s.current, func(t token) bool { return t.class != blank })
}

// body counts what opens and closes in the body of a routine.
func (s *splitter) body(all []token, i int) {
	if all[i].class != word {
		return
	}
	switch strings.ToUpper(all[i].text) {
	case "TRIGGER", "FUNCTION", "PROCEDURE", "EVENT":
		first := piece{s.whole, s.current}.keywords(1)
		s.routine = s.routine || len(first) > 0 && (first[0] == "CREATE" || first[0] == "ALTER")
	case "BEGIN":
		if s.routine || s.kind == mysql && s.blank() && near(all, i, 1) == "NOT" { // BEGIN NOT ATOMIC
			s.routine = true
			s.depth++
		}
	case "CASE":
		if s.depth > 0 && near(all, i, -1) != "END" {
			s.depth++
		}
	case "END":
		switch near(all, i, 1) {
		case "IF", "LOOP", "WHILE", "REPEAT", "FOR":
		default:
			s.depth = max(s.depth-1, 0)
		}
	}
}

// near is the word before or behind a token, in capitals; empty: there is none.
func near(all []token, i, step int) string {
	for i += step; i >= 0 && i < len(all); i += step {
		if all[i].class == word {
			return strings.ToUpper(all[i].text)
		}
		if all[i].class != blank {
			return ""
		}
	}
	return ""
}

// finish takes what has come as a statement, if it is more than blanks.
func (s *splitter) finish() {
	isSpace := func(t token) bool { return t.class == blank && strings.TrimSpace(t.text) == "" }
	for len(s.current) > 0 && isSpace(s.current[len(s.current)-1]) {
		s.current = s.current[:len(s.current)-1]
	}
	for len(s.current) > 0 && isSpace(s.current[0]) {
		s.current = s.current[1:]
	}
	if !s.blank() {
		s.pieces = append(s.pieces, piece{s.whole, s.current})
	}
	s.current, s.depth, s.routine = nil, 0, false
}
