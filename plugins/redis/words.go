package redis

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// line is a command: as redis-cli takes it, or its words one by one.
type line = plugin.Either[string, []json.RawMessage]

// words are the words of a command. field is where the config has it.
func words(field string, l line) ([]any, error) {
	var out []any
	switch {
	case l.One != nil:
		split, err := split(*l.One)
		if err != nil {
			return nil, plugin.Definitionf(field, "%w", err).WithHint("write the words as a list: [SET, key, \"some text\"]")
		}
		for _, w := range split {
			out = append(out, w)
		}
	case l.Other != nil:
		for i, raw := range *l.Other {
			at := fmt.Sprintf("%s[%d]", field, i)
			w, err := argument(at, raw)
			if err != nil {
				return nil, err
			}
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return nil, plugin.Definitionf(field, "is empty")
	}
	if name, ok := out[0].([]byte); !ok || len(name) == 0 {
		return nil, plugin.Definitionf(field, "does not begin with the name of a command")
	}
	return out, nil
}

// argument is one word of a list: a text, a number as it is written, or bytes as
// {base64: …}. What has no one way to be written is an error.
func argument(at string, raw json.RawMessage) (any, error) {
	if len(raw) > 0 && raw[0] == '{' {
		var bytes struct {
			Base64 *string `json:"base64"`
		}
		if err := json.Unmarshal(raw, &bytes); err == nil && bytes.Base64 != nil {
			data, err := base64.StdEncoding.DecodeString(*bytes.Base64)
			if err != nil {
				return nil, plugin.Definitionf(at+".base64", "is not base64: %w", err)
			}
			return data, nil
		}
	}
	if len(raw) == 0 || strings.ContainsRune("{[ntf", rune(raw[0])) {
		return nil, plugin.Definitionf(at, "is %s: a word of a command is a text, a number or {base64: …}", clip(string(raw))).
			WithHint("a value goes as JSON by ${json_encode(x)}")
	}
	return word(raw)
}

// word is a text as it is, and anything else as JSON.
func word(raw json.RawMessage) ([]byte, error) {
	if raw[0] != '"' {
		return raw, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("read a text: %w", err)
	}
	return []byte(text), nil
}

// split takes a line as redis-cli does: words between blanks; "…" may hold
// blanks and \n, \r, \t, \xHH, \" and \\; '…' holds everything as it is, but \'.
func split(text string) ([][]byte, error) {
	var out [][]byte
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return out, nil
		}
		var w []byte
		var err error
		if quote := text[0]; quote == '"' || quote == '\'' {
			w, text, err = quoted(text[1:], quote)
			if err == nil && text != "" && !strings.ContainsRune(" \t\r\n", rune(text[0])) {
				err = fmt.Errorf("a quote ends in the middle of a word, before %q", clip(text))
			}
		} else {
			end := strings.IndexAny(text, " \t\r\n")
			if end < 0 {
				end = len(text)
			}
			w, text = []byte(text[:end]), text[end:]
		}
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
}

// quoted reads to the closing quote and gives what is behind it.
func quoted(text string, quote byte) (w []byte, rest string, err error) {
	w = []byte{}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == quote:
			return w, text[i+1:], nil
		case c != '\\' || i+1 == len(text):
			w = append(w, c)
		case quote == '\'':
			if text[i+1] == '\'' {
				i++
			}
			w = append(w, text[i])
		case text[i+1] == 'x' && i+3 < len(text) && isHex(text[i+2]) && isHex(text[i+3]):
			w = append(w, unhex(text[i+2])<<4|unhex(text[i+3]))
			i += 3
		default:
			i++
			w = append(w, unescaped(text[i]))
		}
	}
	return nil, "", fmt.Errorf("a %c is not closed", quote)
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
