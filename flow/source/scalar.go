package source

import (
	"fmt"
	"math/big"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/testmesh/testmesh/flow/value"
)

// maxHexDigits bounds 0x and 0o numbers: past it they are text that happens to
// look like one.
const maxHexDigits = 64

// scalar fills out from a scalar of the parser.
func (l *loader) scalar(out *Node, n *yaml.Node, tag string, offset int) {
	text := l.text.value(n.Value)
	out.Text = text
	out.Style = styleOf(n)
	if out.Style != Plain || tag == "!!str" || tag == "!" {
		out.Kind, out.Value = String, text
		l.place(out, offset)
		if tag != "" && tag != "!raw" && tag != "!!str" && tag != "!" {
			l.problem(CodeYAML, out.Pos, text, fmt.Sprintf("the tag %s stands before quoted text", tag), "leave the quotes or the tag out")
		}
		return
	}
	kind, v, err := resolve(text)
	if err != nil {
		l.problem(CodeYAML, out.Pos, text, err.Error(), "put it in quotes to make it text")
		kind, v = String, text
	}
	want := map[string]Kind{"!!int": Number, "!!float": Number, "!!bool": Boolean, "!!null": Null}[tag]
	if want != "" && kind != want || tag == "!!int" && !value.IsInteger(v) {
		l.problem(CodeYAML, out.Pos, text, fmt.Sprintf("%q is not what its tag %s says", clipText(text, 80), tag), "leave the tag out")
	}
	out.Kind, out.Value = kind, v
	if kind == String {
		l.place(out, offset)
		l.cutByComment(out, offset)
	}
}

func styleOf(n *yaml.Node) Style {
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		return SingleQuoted
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return DoubleQuoted
	case n.Style&yaml.LiteralStyle != 0:
		return Literal
	case n.Style&yaml.FoldedStyle != 0:
		return Folded
	}
	return Plain
}

// resolve gives a plain scalar its type (YAML 1.2.2 section 10.3).
func resolve(text string) (Kind, any, error) {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return Null, nil, nil
	case "true", "True", "TRUE":
		return Boolean, true, nil
	case "false", "False", "FALSE":
		return Boolean, false, nil
	}
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case ".inf", ".nan":
		return "", nil, fmt.Errorf("%s is a number that JSON does not have", text)
	}
	if number, ok := numberText(text); ok {
		v, err := value.ParseNumber(number)
		if err != nil {
			return "", nil, err
		}
		return Number, v, nil
	}
	return String, text, nil
}

// numberText writes a number of YAML as one of JSON. ok is false for text, and
// for what a number would not print back: leading zeros, +49123.
func numberText(s string) (number string, ok bool) {
	if c := s[0]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' {
		return "", false
	}
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0o") {
		base := 16
		if s[1] == 'o' {
			base = 8
		}
		if len(s) > maxHexDigits || len(s) == 2 || strings.ContainsAny(s[2:], "_+-") {
			return "", false
		}
		n, ok := new(big.Int).SetString(s[2:], base)
		if !ok {
			return "", false
		}
		return n.String(), true
	}
	body := s
	sign := ""
	switch body[0] {
	case '-':
		sign, body = "-", body[1:]
	case '+':
		body = body[1:]
		if !strings.Contains(body, ".") {
			return "", false
		}
	}
	whole := digits(body)
	rest := body[whole:]
	fraction := ""
	if strings.HasPrefix(rest, ".") {
		n := digits(rest[1:])
		fraction, rest = rest[1:1+n], rest[1+n:]
		if whole == 0 && n == 0 {
			return "", false
		}
	} else if whole == 0 {
		return "", false
	}
	exponent := rest
	if exponent != "" {
		if exponent[0] != 'e' && exponent[0] != 'E' {
			return "", false
		}
		power := strings.TrimLeft(exponent[1:], "+-")
		if power == "" || len(exponent)-1-len(power) > 1 || digits(power) != len(power) {
			return "", false
		}
	}
	integer := body[:whole]
	if len(integer) > 1 && integer[0] == '0' {
		return "", false
	}
	if integer == "" {
		integer = "0"
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + integer + fraction + exponent, true
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
