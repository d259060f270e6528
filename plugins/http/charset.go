package http

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// toUTF8 gives a body as UTF-8 text by the charset of its Content-Type, or of its
// XML declaration, without a byte order mark; fault says what stands in the way.
// Charsets of East Asia are not there: their tables would be a third of the
// plugin.
func toUTF8(a *answer) (data []byte, fault string) {
	data = a.data
	switch {
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		data = data[3:]
	default:
		name := a.charset
		if name == "" {
			name = declaredCharset(data)
		}
		enc, known := charset(name)
		if !known && !utf8.Valid(data) {
			return data, fmt.Sprintf("the charset %q of the body is not supported", clip(name))
		}
		if enc == nil {
			break
		}
		decoded, err := enc.NewDecoder().Bytes(data)
		if err != nil {
			return data, fmt.Sprintf("the body is not %s: %s", name, err)
		}
		return decoded, ""
	}
	if !utf8.Valid(data) {
		if a.limited != "" { // the cut may have gone through a character
			if whole := data[:len(data)-incomplete(data)]; utf8.Valid(whole) {
				return whole, ""
			}
		}
		return data, "the body is not valid UTF-8"
	}
	return data, ""
}

// incomplete is how many bytes at the end begin a character and do not end it.
func incomplete(data []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(data); n++ {
		if b := data[len(data)-n]; utf8.RuneStart(b) {
			if utf8.FullRune(data[len(data)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}

// charset finds an encoding by its name; nil is UTF-8. ISO 8859-1 is read as
// windows-1252, as the Encoding Standard of WHATWG says.
func charset(name string) (enc encoding.Encoding, known bool) {
	switch strings.ToLower(name) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return nil, true
	case "iso-8859-1", "latin1", "windows-1252", "cp1252":
		return charmap.Windows1252, true
	case "iso-8859-2", "latin2":
		return charmap.ISO8859_2, true
	case "iso-8859-15", "latin-9":
		return charmap.ISO8859_15, true
	case "windows-1250", "cp1250":
		return charmap.Windows1250, true
	case "windows-1251", "cp1251":
		return charmap.Windows1251, true
	case "koi8-r":
		return charmap.KOI8R, true
	case "utf-16":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true
	case "utf-16le":
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), true
	case "utf-16be":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true
	}
	return nil, false
}
