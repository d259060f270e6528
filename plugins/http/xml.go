package http

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxXMLDepth bounds how deep a document may nest.
const maxXMLDepth = 200

// parseXML gives a document as a value: attributes are @name, text is #text, an
// element with text alone is its text, repeated elements are lists. Name spaces
// are left out. Entities are those of XML and HTML; a document's own are an
// error, so that none can grow.
func parseXML(data []byte) (map[string]any, error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.Entity = xml.HTMLEntity
	// The text is UTF-8 by now, whatever its declaration says of the bytes.
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	root := make(map[string]any)
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(root) > 0 {
				return nil, fmt.Errorf("a second root element, %s", clip(t.Name.Local))
			}
			if root[t.Name.Local], err = element(dec, t, 0); err != nil {
				return nil, err
			}
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, errors.New("text outside of its root element")
			}
		}
	}
	if len(root) == 0 {
		return nil, errors.New("it has no element")
	}
	return root, nil
}

// declaredCharset is the encoding that an XML declaration names, or empty.
func declaredCharset(data []byte) string {
	const longest = 200
	if !bytes.HasPrefix(data, []byte("<?xml")) {
		return ""
	}
	head := string(data[:min(len(data), longest)])
	declaration, _, found := strings.Cut(head, "?>")
	if !found {
		return ""
	}
	_, rest, _ := strings.Cut(declaration, "encoding=")
	if rest == "" {
		return ""
	}
	name, _, _ := strings.Cut(rest[1:], rest[:1])
	return name
}

func element(dec *xml.Decoder, start xml.StartElement, depth int) (any, error) {
	if depth > maxXMLDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxXMLDepth)
	}
	out := make(map[string]any)
	for _, a := range start.Attr {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
			out["@"+a.Name.Local] = a.Value
		}
	}
	var text strings.Builder
	for {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.StartElement:
			v, err := element(dec, t, depth+1)
			if err != nil {
				return nil, err
			}
			add(out, t.Name.Local, v)
		case xml.EndElement:
			s := strings.TrimSpace(text.String())
			if len(out) == 0 {
				return s, nil
			}
			if s != "" {
				out["#text"] = s
			}
			return out, nil
		}
	}
}

func add(out map[string]any, name string, v any) {
	switch before := out[name].(type) {
	case nil:
		out[name] = v
	case []any:
		out[name] = append(before, v)
	default:
		out[name] = []any{before, v}
	}
}
