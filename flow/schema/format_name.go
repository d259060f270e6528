package schema

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checkEmail is RFC 5321's Mailbox, and RFC 6531's where international.
func checkEmail(s string, international bool) error {
	local, domain, ok := cutLast(s, "@")
	switch {
	case !ok:
		return errors.New("no '@'")
	case local == "" || len(local) > 64:
		return errors.New("the part before '@' must have 1 to 64 bytes")
	case len(s) > 254:
		return errors.New("over 254 bytes")
	}
	if err := checkLocal(local, international); err != nil {
		return err
	}
	if strings.HasPrefix(domain, "[") && strings.HasSuffix(domain, "]") {
		address := domain[1 : len(domain)-1]
		if v6, ok := strings.CutPrefix(address, "IPv6:"); ok {
			return checkIPv6(v6)
		}
		return checkIPv4(address)
	}
	if err := checkHostname(domain, international); err != nil {
		return fmt.Errorf("after '@': %w", err)
	}
	return nil
}

func checkLocal(local string, international bool) error {
	if len(local) >= 2 && local[0] == '"' && local[len(local)-1] == '"' {
		inside := local[1 : len(local)-1]
		for i := 0; i < len(inside); i++ {
			switch c := inside[i]; {
			case c == '\\' && i+1 < len(inside):
				i++
			case c < ' ' || c == 0x7f || c == '"' || c == '\\' || c >= utf8.RuneSelf && !international:
				return fmt.Errorf("%q between the quotes", c)
			}
		}
		return nil
	}
	for _, atom := range strings.Split(local, ".") {
		if atom == "" {
			return errors.New("a '.' at an end or twice before '@'")
		}
		for _, r := range atom {
			plain := r < utf8.RuneSelf && (isLetter(byte(r)) || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r))
			if !plain && !(international && r >= utf8.RuneSelf) {
				return fmt.Errorf("%q before '@'", r)
			}
		}
	}
	return nil
}

// checkHostname is RFC 1123 section 2.1, and the characters of RFC 5892 where
// international: letters, digits and marks, not its rules of context.
func checkHostname(s string, international bool) error {
	if s == "" || len(s) > 253 {
		return errors.New("a host name has 1 to 253 bytes")
	}
	dots := "."
	if international {
		dots = ".。．｡" // RFC 3490 section 3.1
	}
	for _, label := range strings.FieldsFunc(markEmpty(s, dots), func(r rune) bool { return strings.ContainsRune(dots, r) }) {
		if err := checkLabel(label, international); err != nil {
			return err
		}
	}
	return nil
}

// markEmpty puts a character that no label may have between two dots, since
// FieldsFunc drops empty fields.
func markEmpty(s, dots string) string {
	var out strings.Builder
	last := '.'
	for _, r := range s {
		if strings.ContainsRune(dots, r) && strings.ContainsRune(dots, last) {
			out.WriteByte(0)
		}
		out.WriteRune(r)
		last = r
	}
	if strings.ContainsRune(dots, last) {
		out.WriteByte(0)
	}
	return out.String()
}

func checkLabel(label string, international bool) error {
	if label == "\x00" {
		return errors.New("a '.' at an end or twice")
	}
	if len(label) > 63 {
		return fmt.Errorf("the part %q has over 63 bytes", label)
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return fmt.Errorf("the part %q begins or ends with '-'", label)
	}
	for i, r := range label {
		plain := r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		wide := international && r >= utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || i > 0 && unicode.IsMark(r))
		if !plain && !wide {
			return fmt.Errorf("%q in the part %q", r, label)
		}
	}
	return nil
}
