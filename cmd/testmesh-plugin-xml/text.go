//go:build libxml2 && cgo

package main

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// errDocType is a document type, which is where entities come from: those that
// read files, and those that grow to gigabytes.
var errDocType = errors.New("it has a document type (<!DOCTYPE), which is never read")

// decode gives a file as UTF-8 text, going by its byte order mark, else by its
// declaration. Lines stay where they are.
func decode(data []byte) ([]byte, error) {
	if bom := bytes.HasPrefix(data, []byte("\xEF\xBB\xBF")); bom {
		return plain(data[3:])
	}
	wide := bytes.HasPrefix(data, []byte("\xFE\xFF")) || bytes.HasPrefix(data, []byte("\xFF\xFE"))
	little := bytes.HasPrefix(data, []byte("<\x00"))
	if wide || little || bytes.HasPrefix(data, []byte("\x00<")) {
		end := unicode.BigEndian
		if little {
			end = unicode.LittleEndian
		}
		text, err := unicode.UTF16(end, unicode.UseBOM).NewDecoder().Bytes(data)
		if err != nil {
			return nil, fmt.Errorf("it is no UTF-16: %w", err)
		}
		return plain(text)
	}
	if label := declared(data); label != "" && !strings.EqualFold(label, "utf-8") {
		enc, err := ianaindex.MIME.Encoding(label)
		if err != nil || enc == nil {
			return nil, fmt.Errorf("its encoding %.40q is not known", label)
		}
		text, err := enc.NewDecoder().Bytes(data)
		if err != nil {
			return nil, fmt.Errorf("it is no %.40s: %w", label, err)
		}
		data = text
	}
	return plain(data)
}

// plain checks text that is UTF-8 by now, and takes out what its declaration
// says of the bytes that it was.
func plain(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("it is no UTF-8")
	}
	if docType(text) {
		return nil, errDocType
	}
	if from, to := encodingIn(text); to > from {
		text = bytes.Clone(text)
		for i := from; i < to; i++ {
			text[i] = ' '
		}
	}
	return text, nil
}

// declaration is the first line of a document: <?xml version="1.0" …?>.
func declaration(text []byte) []byte {
	if !bytes.HasPrefix(text, []byte("<?xml ")) && !bytes.HasPrefix(text, []byte("<?xml\t")) &&
		!bytes.HasPrefix(text, []byte("<?xml\n")) && !bytes.HasPrefix(text, []byte("<?xml\r")) {
		return nil
	}
	end := bytes.Index(text, []byte("?>"))
	if end < 0 || end > 1024 {
		return nil
	}
	return text[:end]
}

// encodingIn finds encoding="…" in a declaration.
func encodingIn(text []byte) (from, to int) {
	at := regexp.MustCompile(`\sencoding\s*=\s*("[^"]*"|'[^']*')`).FindIndex(declaration(text))
	if at == nil {
		return 0, 0
	}
	return at[0], at[1]
}

func declared(data []byte) string {
	from, to := encodingIn(data)
	_, label, _ := strings.Cut(string(data[from:to]), "=")
	return strings.Trim(strings.TrimSpace(label), `"'`)
}

// docType says whether a document type stands where one may: before the root,
// after comments and instructions.
func docType(text []byte) bool {
	for {
		text = bytes.TrimLeft(text, " \t\r\n")
		var end string
		switch {
		case bytes.HasPrefix(text, []byte("<?")):
			end = "?>"
		case bytes.HasPrefix(text, []byte("<!--")):
			text, end = text[4:], "-->"
		default:
			return bytes.HasPrefix(text, []byte("<!DOCTYPE"))
		}
		at := bytes.Index(text, []byte(end))
		if at < 0 {
			return false // which the parser will say
		}
		text = text[at+len(end):]
	}
}
