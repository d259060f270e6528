package sql

import (
	"errors"
	"strings"
)

// array reads an array: {1,NULL,"a b"}, {{1},{2}}, [0:1]={1,2}.
func (t *postgresTypes) array(element uint32, text string) (any, error) {
	if i := strings.Index(text, "={"); strings.HasPrefix(text, "[") && i > 0 {
		text = text[i+1:]
	}
	p := arrayParser{types: t, element: element, text: text}
	if element == 603 { // boxes have a comma in them
		p.comma = ';'
	} else {
		p.comma = ','
	}
	out, err := p.list()
	if err == nil && p.at != len(text) {
		err = errors.New("it is no array")
	}
	return out, err
}

type arrayParser struct {
	types   *postgresTypes
	element uint32
	text    string
	at      int
	comma   byte
}

func (p *arrayParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *arrayParser) list() ([]any, error) {
	out := []any{}
	if p.peek() != '{' {
		return nil, errors.New("it is no array")
	}
	p.at++
	if p.peek() == '}' {
		p.at++
		return out, nil
	}
	for {
		one, err := p.item()
		if err != nil {
			return nil, err
		}
		out = append(out, one)
		switch p.peek() {
		case p.comma:
			p.at++
		case '}':
			p.at++
			return out, nil
		default:
			return nil, errors.New("it is no array")
		}
	}
}

func (p *arrayParser) item() (any, error) {
	switch p.peek() {
	case '{':
		return p.list()
	case '"':
		var text strings.Builder
		for p.at++; p.peek() != '"'; p.at++ {
			if p.peek() == '\\' {
				p.at++
			}
			if p.at >= len(p.text) {
				return nil, errors.New("it is no array")
			}
			text.WriteByte(p.text[p.at])
		}
		p.at++
		return p.types.decode(p.element, []byte(text.String()))
	}
	from := p.at
	for c := p.peek(); c != p.comma && c != '}' && c != 0; c = p.peek() {
		p.at++
	}
	text := p.text[from:p.at]
	if text == "NULL" {
		return nil, nil
	}
	return p.types.decode(p.element, []byte(text))
}

// arrayOf prints a list as an array of a type.
func (t *postgresTypes) arrayOf(elements []any, element uint32) (string, error) {
	var out strings.Builder
	out.WriteByte('{')
	for i, e := range elements {
		if i > 0 {
			out.WriteByte(',')
		}
		inner, nested := e.([]any)
		switch {
		case e == nil:
			out.WriteString("NULL")
		case nested && element != oidJSON && element != oidJSONB:
			text, err := t.arrayOf(inner, element)
			if err != nil {
				return "", err
			}
			out.WriteString(text)
		default:
			converted, err := fromConfig("an element", e)
			if err != nil {
				return "", err
			}
			text, err := t.argument(converted, element)
			if err != nil {
				return "", err
			}
			out.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`)
		}
	}
	out.WriteByte('}')
	return out.String(), nil
}
