package http

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What most steps send and most systems answer is read here, in one pass and
// without the machinery of the general readers. Each of these functions says no
// wherever it is not sure, and the general reader decides then.

// maxPlainDepth bounds the recursion of plainReader.
const maxPlainDepth = 50

// plainReader reads JSON.
type plainReader struct {
	text []byte
	at   int
}

// readPlain fills in a config of method, url, headers of one text each and a
// JSON body, printed without blanks and escapes.
func (c *config) readPlain(text []byte) bool {
	r := plainReader{text: text}
	if !r.next('{') {
		return false
	}
	for first := true; !r.next('}'); first = false {
		if !first && !r.next(',') {
			return false
		}
		key, ok := r.quoted()
		if !ok || !r.next(':') || !c.readPlainKey(string(key), &r) {
			return false
		}
	}
	return r.at == len(text) && utf8.Valid(text)
}

// readPlainKey reads the value of a key, each at most once.
func (c *config) readPlainKey(key string, r *plainReader) (ok bool) {
	switch key {
	case "method":
		var method []byte
		if method, ok = r.quoted(); c.Method != "" {
			return false
		}
		c.Method = methodOf(method)
	case "url":
		var where []byte
		if where, ok = r.quoted(); c.URL != "" {
			return false
		}
		c.URL = string(where)
	case "body":
		if c.Body != nil {
			return false
		}
		from := r.at
		ok = r.value(0)
		c.Body = r.text[from:r.at:r.at]
	case "headers":
		if c.Headers != nil || !r.next('{') {
			return false
		}
		return c.readPlainHeaders(r)
	}
	return ok
}

func (c *config) readPlainHeaders(r *plainReader) bool {
	c.Headers = make(map[string]list)
	for first := true; !r.next('}'); first = false {
		if !first && !r.next(',') {
			return false
		}
		name, ok := r.quoted()
		if _, twice := c.Headers[string(name)]; !ok || twice || !r.next(':') {
			return false
		}
		value, ok := r.quoted()
		if !ok {
			return false
		}
		c.Headers[string(name)] = list{string(value)}
	}
	return true
}

// next takes one sign.
func (r *plainReader) next(sign byte) bool {
	if r.at >= len(r.text) || r.text[r.at] != sign {
		return false
	}
	r.at++
	return true
}

// quoted reads a string of ASCII without escapes.
func (r *plainReader) quoted() ([]byte, bool) {
	if !r.next('"') {
		return nil, false
	}
	for from := r.at; r.at < len(r.text); r.at++ {
		switch b := r.text[r.at]; {
		case b == '"':
			r.at++
			return r.text[from : r.at-1], true
		case b == '\\' || b < ' ' || b >= 0x80:
			return nil, false
		}
	}
	return nil, false
}

// methodOf makes no text anew of the usual methods.
func methodOf(text []byte) string {
	switch string(text) {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodPost:
		return http.MethodPost
	case http.MethodPut:
		return http.MethodPut
	case http.MethodDelete:
		return http.MethodDelete
	}
	return string(text)
}

// plainJSON tells that a document is valid, and within the bounds of checkBounds.
func plainJSON(data []byte) bool {
	r := plainReader{text: data}
	r.blanks()
	if !r.value(0) {
		return false
	}
	r.blanks()
	return r.at == len(data)
}

func (r *plainReader) blanks() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\n', '\r', '\t':
			r.at++
		default:
			return
		}
	}
}

// value goes past one value.
func (r *plainReader) value(depth int) bool {
	if r.at >= len(r.text) || depth > maxPlainDepth {
		return false
	}
	switch b := r.text[r.at]; b {
	case '{':
		return r.members(depth, '}')
	case '[':
		return r.members(depth, ']')
	case '"':
		return r.string()
	case 't':
		return r.word("true")
	case 'f':
		return r.word("false")
	case 'n':
		return r.word("null")
	default:
		return r.number()
	}
}

func (r *plainReader) word(word string) bool {
	for i := range len(word) {
		if !r.next(word[i]) {
			return false
		}
	}
	return true
}

// members goes past a map or a list.
func (r *plainReader) members(depth int, end byte) bool {
	r.at++
	r.blanks()
	if r.next(end) {
		return true
	}
	for {
		if end == '}' {
			if r.at >= len(r.text) || r.text[r.at] != '"' || !r.string() {
				return false
			}
			r.blanks()
			if !r.next(':') {
				return false
			}
			r.blanks()
		}
		if !r.value(depth + 1) {
			return false
		}
		r.blanks()
		if r.next(end) {
			return true
		}
		if !r.next(',') {
			return false
		}
		r.blanks()
	}
}

// string goes past a string; \u, which may be no character, is left to the
// general reader.
func (r *plainReader) string() bool {
	for r.at++; r.at < len(r.text); r.at++ {
		switch b := r.text[r.at]; {
		case b == '"':
			r.at++
			return true
		case b == '\\':
			r.at++
			if r.at >= len(r.text) || strings.IndexByte(`"\/bfnrt`, r.text[r.at]) < 0 {
				return false
			}
		case b < ' ':
			return false
		}
	}
	return false
}

// maxPlainDigits bounds a number that is not looked at closer.
const maxPlainDigits = 100

// number goes past a number without an exponent.
func (r *plainReader) number() bool {
	from := r.at
	r.next('-')
	whole := r.at
	if r.digits() == 0 || r.text[whole] == '0' && r.at > whole+1 {
		return false
	}
	if r.next('.') && r.digits() == 0 {
		return false
	}
	if r.at < len(r.text) && (r.text[r.at] == 'e' || r.text[r.at] == 'E') {
		return false
	}
	return r.at-from <= maxPlainDigits
}

func (r *plainReader) digits() int {
	from := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	return r.at - from
}

// plainURL takes an http URL apart that needs no escapes, and is printed again
// as it stands; nil: look closer.
func plainURL(s string) *url.URL {
	scheme, rest, _ := strings.Cut(s, "://")
	if scheme != "http" && scheme != "https" {
		return nil
	}
	end := 0
	for end < len(rest) && (isWord(rest[end]) || rest[end] == '.' || rest[end] == '-') {
		end++
	}
	if end == 0 {
		return nil
	}
	if end < len(rest) && rest[end] == ':' {
		from := end + 1
		for end++; end < len(rest) && rest[end] >= '0' && rest[end] <= '9'; end++ {
		}
		if n, err := strconv.Atoi(rest[from:end]); err != nil || n < 1 || n > 65535 {
			return nil
		}
	}
	u := &url.URL{Scheme: scheme, Host: rest[:end]}
	from := end
	for end < len(rest) && (isWord(rest[end]) || strings.IndexByte("/-._~", rest[end]) >= 0) {
		end++
	}
	if u.Path = rest[from:end]; u.Path != "" && u.Path[0] != '/' {
		return nil
	}
	if end == len(rest) {
		return u
	}
	if u.RawQuery = rest[end+1:]; rest[end] != '?' || u.RawQuery == "" || u.Path == "" {
		return nil
	}
	for i := range len(u.RawQuery) {
		if b := u.RawQuery[i]; !isWord(b) && strings.IndexByte("=&%+-._~,:/", b) < 0 {
			return nil
		}
	}
	return u
}

func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z'
}
