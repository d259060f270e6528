package schema

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// formatNames are the formats that are checked: those of the standard.
var formatNames = []string{
	"date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6",
	"uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid", "json-pointer", "relative-json-pointer", "regex",
}

// formatTest gives the check of a format, or nil for one that nobody knows.
func formatTest(name string) func(string) error {
	switch name {
	case "date":
		return checkDate
	case "time":
		return checkTime
	case "date-time":
		return checkDateTime
	case "duration":
		return checkDuration
	case "email":
		return func(s string) error { return checkEmail(s, false) }
	case "idn-email":
		return func(s string) error { return checkEmail(s, true) }
	case "hostname":
		return func(s string) error { return checkHostname(s, false) }
	case "idn-hostname":
		return func(s string) error { return checkHostname(s, true) }
	case "ipv4":
		return checkIPv4
	case "ipv6":
		return checkIPv6
	case "uri":
		return func(s string) error { return checkURI(s, true, false) }
	case "uri-reference":
		return func(s string) error { return checkURI(s, false, false) }
	case "iri":
		return func(s string) error { return checkURI(s, true, true) }
	case "iri-reference":
		return func(s string) error { return checkURI(s, false, true) }
	case "uri-template":
		return checkURITemplate
	case "uuid":
		return checkUUID
	case "json-pointer":
		return checkPointer
	case "relative-json-pointer":
		return checkRelativePointer
	case "regex":
		return checkRegex
	}
	return nil
}

// checkRegex takes what ECMA-262 allows, also what RE2 cannot run.
func checkRegex(s string) error {
	if _, flags, ok := strings.Cut(s, "(?"); ok && strings.HasPrefix(strings.TrimLeft(flags, "imsU-"), ")") {
		return errors.New("flags like (?i) are RE2's, not ECMA-262's")
	}
	_, err := compilePattern(s)
	if err != nil && strings.Contains(err.Error(), "not supported") {
		return nil
	}
	return err
}

func checkIPv4(s string) error {
	if a, err := netip.ParseAddr(s); err != nil || !a.Is4() {
		return errors.New("not four numbers from 0 to 255")
	}
	return nil
}

func checkIPv6(s string) error {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return errors.New("not an IPv6 address")
	}
	return nil
}

// checkUUID takes the 8-4-4-4-12 form of RFC 9562 in either case.
func checkUUID(s string) error {
	if len(s) != 36 {
		return fmt.Errorf("%d characters long, not 36", utf8.RuneCountInString(s))
	}
	for i := 0; i < len(s); i++ {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if s[i] != '-' {
				return fmt.Errorf("no '-' at character %d", i+1)
			}
		case !isHex(s[i]):
			return fmt.Errorf("%q at character %d is no hexadecimal digit", s[i], i+1)
		}
	}
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// checkPointer is RFC 6901.
func checkPointer(s string) error {
	if s != "" && s[0] != '/' {
		return errors.New("does not begin with '/'")
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return errors.New("'~' without 0 or 1 after it")
		}
	}
	return nil
}

func checkRelativePointer(s string) error {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n == 0 || n > 1 && s[0] == '0' {
		return errors.New("does not begin with a number")
	}
	if s[n:] == "#" {
		return nil
	}
	return checkPointer(s[n:])
}

// checkURI is RFC 3986, and RFC 3987 where international.
func checkURI(s string, absolute, international bool) error {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return errors.New("'%' without two hexadecimal digits after it")
			}
		case r >= utf8.RuneSelf && !international, r <= ' ' || r == 0x7f, strings.ContainsRune("\"<>\\^`{|}", r):
			return fmt.Errorf("%q must be percent-encoded", r)
		}
		i += size
	}
	u, err := url.Parse(s)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return err
	}
	if absolute && u.Scheme == "" {
		return errors.New("no scheme, such as https:")
	}
	return checkURIParts(s, u)
}

// checkURIParts finds what net/url lets pass.
func checkURIParts(s string, u *url.URL) error {
	beforeFragment, fragment, _ := strings.Cut(s, "#")
	if strings.Contains(fragment, "#") {
		return errors.New("'#' twice")
	}
	if strings.ContainsAny(fragment, "[]") {
		return errors.New("brackets in the fragment")
	}
	rest := beforeFragment
	if u.Host != "" || u.User != nil {
		_, authority, _ := strings.Cut(rest, "//")
		end := strings.IndexAny(authority, "/?")
		if end < 0 {
			end = len(authority)
		}
		rest = authority[end:]
		authority = authority[:end]
		if user, host, ok := cutLast(authority, "@"); ok {
			if strings.ContainsAny(user, "[]@") {
				return errors.New("brackets or a second '@' before '@'")
			}
			authority = host
		}
		if strings.HasPrefix(authority, "[") {
			inside, _, ok := strings.Cut(authority[1:], "]")
			if !ok || !strings.HasPrefix(strings.ToLower(inside), "v") && checkIPv6(inside) != nil {
				return errors.New("no IPv6 address in the brackets")
			}
		} else if _, port, ok := strings.Cut(authority, ":"); ok {
			if _, err := strconv.ParseUint(port, 10, 32); port != "" && err != nil {
				return errors.New("the port is no number")
			}
		}
	}
	if strings.ContainsAny(rest, "[]") {
		return errors.New("brackets must be percent-encoded")
	}
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+len(sep):], true
}

// checkURITemplate is RFC 6570.
func checkURITemplate(s string) error {
	for rest := s; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		literal := rest
		if open >= 0 {
			literal = rest[:open]
		}
		if i := strings.IndexAny(literal, " \"<>\\^`|\x7f"); i >= 0 {
			return fmt.Errorf("%q must be percent-encoded", literal[i])
		}
		if open < 0 {
			return nil
		}
		if rest[open] == '}' {
			return errors.New("'}' without '{'")
		}
		end := strings.IndexByte(rest[open:], '}')
		if end < 0 {
			return errors.New("'{' without '}'")
		}
		if err := checkExpression(rest[open+1 : open+end]); err != nil {
			return err
		}
		rest = rest[open+end+1:]
	}
	return nil
}

func checkExpression(s string) error {
	if s != "" && strings.IndexByte("+#./;?&=,!@|", s[0]) >= 0 {
		s = s[1:]
	}
	for _, variable := range strings.Split(s, ",") {
		name, length, prefixed := strings.Cut(strings.TrimSuffix(variable, "*"), ":")
		if prefixed {
			if n, ok := number(length); !ok || n < 1 || n > 9999 || length[0] == '0' {
				return fmt.Errorf("the prefix length %q is not from 1 to 9999", length)
			}
		}
		if name == "" || name[0] == '.' || name[len(name)-1] == '.' || strings.Contains(name, "..") {
			return fmt.Errorf("the variable name %q has an empty part", name)
		}
		for i := 0; i < len(name); i++ {
			if c := name[i]; c != '_' && c != '.' && c != '%' && !isLetter(c) && (c < '0' || c > '9') {
				return fmt.Errorf("%q in the variable %q", c, name)
			}
		}
	}
	return nil
}
