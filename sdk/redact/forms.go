package redact

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Which characters an encoder leaves alone, besides letters and digits. They
// differ from one to the next, so a secret with punctuation has many forms, and
// one without has a single one.
var percentKeeps = [...]string{
	"-_.~",                 // RFC 3986 unreserved; Go's QueryEscape
	"-_.~$&+=:@",           // Go's PathEscape
	"-_.~$&+,/:;=@",        // Go's URL.EscapedPath
	"-_.~$&+,;=",           // Go's Userinfo
	"-_.~!$&'()*+,;=:@/?",  // RFC 3986 fragment
	"-_.~!$&()*+,;=:@/?",   // Go's URL.EscapedFragment
	"-_.!~*'()",            // JavaScript's encodeURIComponent
	"-_.!~*'();/?:@&=+$,#", // JavaScript's encodeURI
	"-_.*",                 // WHATWG forms, Java's URLEncoder
	"-_.~/",                // Python's quote
	"-_.",                  // PHP's urlencode
}

// The characters that JSON encoders write as \u00xx although they need not.
var jsonEscapes = [...]string{
	"",
	"<>&",                // Go
	"<>&'=",              // Gson
	"<>&'\"+`",           // .NET
	"<>&'\"+`\u007f\\/=", // the most cautious
}

// nearBytes is the length up to which the base64 digits that a secret shares
// with its neighbours are masked too. They give away at most six bits at either
// end, which matters the less the longer a secret is.
const nearBytes = 64

// forms collects texts without repetition, in order.
type forms struct {
	list  []string
	seen  map[string]bool
	based map[string]bool // texts whose base64 forms are there
}

func newForms() *forms {
	return &forms{seen: map[string]bool{}, based: map[string]bool{}}
}

func (f *forms) add(texts ...string) {
	for _, text := range texts {
		// Only ends cut off base64 can be shorter than a secret may be.
		if len(text) >= MinSecretChars && !f.seen[text] {
			f.seen[text] = true
			f.list = append(f.list, text)
		}
	}
}

// formsOf lists every text that gives a secret away: as it is, percent-encoded,
// as part of a JSON string, of XML and of HTML, in hex, in base64 (also in the
// middle of a longer base64 text, as in Basic authentication), and the usual
// ones of these inside each other. Line by line too, because logs and YAML
// indent, number and re-wrap lines.
func formsOf(value string) []string {
	f := newForms()
	for _, text := range variants(value) {
		digits := hex.EncodeToString([]byte(text))
		f.add(text, digits, strings.ToUpper(digits), fullPercent(text, upperHex), fullPercent(text, lowerHex))
		f.addBase64(text)
		if isPlain(text) {
			continue // the other encodings leave it as it is
		}
		f.add(percentForms(text)...)
		f.add(jsonForms(text)...)
		f.add(markupForms(text)...)
		for _, inner := range []string{
			percent(text, "-_.~", upperHex, true),
			jsonEscape(text, jsonStyle{short: true}),
			jsonEscape(text, jsonStyle{short: true, escape: "<>&"}),
		} {
			f.add(outerForms(inner)...)
			f.addBase64(inner)
		}
		f.add(outerForms(html.EscapeString(text))...)
	}
	return f.list
}

// variants are the texts that count as the secret: all of it, without the white
// space around it, with the other line ends, and each line that is long enough
// to be one by itself.
func variants(value string) []string {
	f := newForms()
	trimmed := strings.TrimSpace(value)
	unix := strings.ReplaceAll(trimmed, "\r\n", "\n")
	f.add(value, trimmed, unix, strings.ReplaceAll(unix, "\n", "\r\n"))
	if !strings.ContainsAny(trimmed, "\r\n") {
		return f.list
	}
	for line := range strings.FieldsFuncSeq(trimmed, func(r rune) bool { return r == '\r' || r == '\n' }) {
		line = strings.TrimSpace(line)
		if isLineSecret(line) {
			f.add(line)
		}
	}
	return f.list
}

// isLineSecret leaves out the lines of a secret that are the same in everyone's:
// PEM's armour and lines of punctuation only.
func isLineSecret(line string) bool {
	armour := strings.HasPrefix(line, "-----") && strings.HasSuffix(line, "-----")
	return refusal(line) == "" && !armour && strings.ContainsFunc(line, func(r rune) bool {
		return r >= utf8.RuneSelf || isAlphanumeric(byte(r))
	})
}

// outerForms are the common encodings of a text that is encoded already: JSON in
// a query, base64 in a query, a query in a query, JSON in JSON, JSON in HTML.
func outerForms(text string) []string {
	return []string{
		percent(text, "-_.~", upperHex, true),
		percent(text, "-_.~", upperHex, false),
		percent(text, "-_.~", lowerHex, false),
		percent(text, "-_.!~*'()", upperHex, false),
		jsonEscape(text, jsonStyle{short: true}),
		jsonEscape(text, jsonStyle{short: true, slash: true}),
		jsonEscape(text, jsonStyle{short: true, escape: "<>&"}),
		jsonEscape(text, jsonStyle{short: true, escape: "<>&'\"+`", upper: true}),
		html.EscapeString(text),
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace(text),
	}
}

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

func percentForms(text string) []string {
	var list []string
	for _, digits := range []string{upperHex, lowerHex} {
		for _, keep := range percentKeeps {
			list = append(list, percent(text, keep, digits, true), percent(text, keep, digits, false))
		}
	}
	return list
}

func fullPercent(text, digits string) string {
	var b strings.Builder
	for i := range len(text) {
		writePercent(&b, text[i], digits)
	}
	return b.String()
}

func percent(text, keep, digits string, plus bool) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case isAlphanumeric(c) || strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		case c == ' ' && plus:
			b.WriteByte('+')
		default:
			writePercent(&b, c, digits)
		}
	}
	return b.String()
}

func writePercent(b *strings.Builder, c byte, digits string) {
	b.WriteByte('%')
	b.WriteByte(digits[c>>4])
	b.WriteByte(digits[c&15])
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isPlain tells whether text is made of characters that no encoder touches.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// jsonStyle is how an encoder writes strings (RFC 8259 section 7 leaves it open).
type jsonStyle struct {
	escape string // written as \u00xx although allowed
	slash  bool   // `/` as `\/`
	ascii  bool   // everything past ASCII as \uxxxx
	upper  bool   // upper-case hex digits
	short  bool   // \n instead of \u000a, and so on
}

func jsonForms(text string) []string {
	var list []string
	for _, escape := range jsonEscapes {
		for bits := range 16 {
			list = append(list, jsonEscape(text, jsonStyle{
				escape: escape, slash: bits&1 != 0, ascii: bits&2 != 0, upper: bits&4 != 0, short: bits&8 != 0,
			}))
		}
	}
	return list
}

func jsonEscape(text string, style jsonStyle) string {
	var b strings.Builder
	for _, r := range text {
		short := strings.IndexRune("\"\\\b\f\n\r\t", r)
		switch {
		case r < utf8.RuneSelf && strings.IndexByte(style.escape, byte(r)) >= 0:
			writeUnicode(&b, r, style.upper)
		case r == '"' || r == '\\' || r == '/' && style.slash:
			b.WriteByte('\\')
			b.WriteRune(r)
		case short >= 0 && style.short:
			b.WriteByte('\\')
			b.WriteByte(`"\bfnrt`[short])
		// Go writes U+2028 and U+2029 escaped always, because JavaScript once could
		// not read them.
		case r < ' ' || style.ascii && r >= utf8.RuneSelf || style.escape != "" && (r == '\u2028' || r == '\u2029'):
			if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
				writeUnicode(&b, high, style.upper)
				r = low
			}
			writeUnicode(&b, r, style.upper)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func writeUnicode(b *strings.Builder, r rune, upper bool) {
	if upper {
		fmt.Fprintf(b, `\u%04X`, r)
		return
	}
	fmt.Fprintf(b, `\u%04x`, r)
}

func markupForms(text string) []string {
	basic := []string{"&", "&amp;", "<", "&lt;", ">", "&gt;"}
	var list []string
	for _, quote := range []string{`"`, "&quot;", "&#34;", "&#x22;"} {
		for _, apostrophe := range []string{"'", "&apos;", "&#39;", "&#x27;"} {
			pairs := append(basic[:6:6], `"`, quote, "'", apostrophe)
			list = append(list,
				strings.NewReplacer(pairs...).Replace(text),
				// encoding/xml
				strings.NewReplacer(append(pairs, "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")...).Replace(text))
		}
	}
	return append(list, strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(text))
}

// addBase64 adds the digits that a secret makes wherever it stands in a text that
// is base64: what is before it shifts it by 0, 1 or 2 bytes within a group of
// three. A secret by itself is also expected in a URL and in JSON that escapes
// more than it must.
func (f *forms) addBase64(text string) {
	if f.based[text] {
		return
	}
	f.based[text] = true
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		plain := alphabet.WithPadding(base64.NoPadding)
		alone := []string{alphabet.EncodeToString([]byte(text)), plain.EncodeToString([]byte(text))}
		for shift := range 3 {
			alone = append(alone, wholeDigits(text, shift, plain))
			if len(text) <= nearBytes {
				f.add(sharedDigits(text, shift, plain)...)
			}
		}
		f.add(alone...)
		for _, digits := range alone {
			if strings.ContainsAny(digits, "+/=") {
				f.add(percent(digits, "-_.~", upperHex, false), percent(digits, "-_.~", lowerHex, false), percent(digits, "-_.~/", upperHex, false),
					strings.ReplaceAll(digits, "/", `\/`), strings.ReplaceAll(digits, "+", `\u002B`), strings.ReplaceAll(digits, "=", `\u003d`))
			}
		}
	}
}

// wholeDigits are those that hold nothing but bits of text, which begins shift
// bytes after the beginning of a group.
func wholeDigits(text string, shift int, plain *base64.Encoding) string {
	digits := plain.EncodeToString(append(make([]byte, shift, shift+len(text)), text...))
	return digits[(8*shift+5)/6 : 8*(shift+len(text))/6]
}

// sharedDigits are those that hold any bits of text, for everything that may
// stand before and behind it. The digit before shares 2 (shift 1) or 4 (shift 2)
// bits with its neighbour; the digit behind shares 2 or 4, which at the end of a
// text are zeros, with or without padding.
func sharedDigits(text string, shift int, plain *base64.Encoding) []string {
	bits := 8 * (shift + len(text))
	befores, afters, padding := 1, 1, ""
	if shift > 0 {
		befores = 1 << (8 * shift % 6)
	}
	if rest := bits % 6; rest > 0 {
		afters = 1 << (6 - rest)
		padding = strings.Repeat("=", (6-rest)/2)
	}
	group := append(make([]byte, shift, shift+len(text)+1), text...)
	group = append(group, 0)
	var list []string
	for before := range befores {
		if shift > 0 {
			group[shift-1] = byte(before)
		}
		for after := range afters {
			group[len(group)-1] = byte(after << (2 + bits%6))
			digits := plain.EncodeToString(group)[8*shift/6 : (bits+5)/6]
			list = append(list, digits)
			if after == 0 {
				list = append(list, digits+padding)
			}
		}
	}
	return list
}
