package http

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxXMLDepth bounds how deep a document may nest.
const maxXMLDepth = 200

// parseXML gives a document as a JSON value: attributes are @name, text is
// #text, an element with text alone is its text, repeated elements are lists.
// Name spaces are left out.
func parseXML(data []byte) (json.RawMessage, error) {
	dec := xml.NewDecoder(bytes.NewReader(data))
	dec.CharsetReader = func(charset string, in io.Reader) (io.Reader, error) {
		if strings.EqualFold(charset, "us-ascii") {
			return in, nil
		}
		return nil, fmt.Errorf("charset %s is not supported", charset)
	}
	root := make(map[string]any)
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			v, err := element(dec, start, 0)
			if err != nil {
				return nil, err
			}
			root[start.Name.Local] = v
		}
	}
	if len(root) == 0 {
		return nil, errors.New("it has no element")
	}
	return jsonText(root), nil
}

func element(dec *xml.Decoder, start xml.StartElement, depth int) (any, error) {
	if depth > maxXMLDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxXMLDepth)
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
