//go:build libxml2 && cgo

package main

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"
)

const head = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">`

// utf16Text is a text in UTF-16, little end first with a mark, or big end first
// without.
func utf16Text(text string, mark bool) string {
	var order binary.AppendByteOrder = binary.BigEndian
	var out []byte
	if mark {
		order = binary.LittleEndian
		out = append(out, 0xFF, 0xFE)
	}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

func TestSchemas(t *testing.T) {
	outside := tree(t, map[string]string{"t.xsd": head + `<xs:element name="order" type="xs:int"/></xs:schema>`})
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(orderSchema))
	}))
	defer server.Close()
	element := func(name, kind string) string {
		return `<xs:element name="` + name + `" type="` + kind + `"/>`
	}
	tests := map[string]struct {
		files map[string]string
		want  string
	}{
		"an include beside it": {map[string]string{
			"a/s.xsd": head + `<xs:include schemaLocation="t.xsd"/></xs:schema>`,
			"a/t.xsd": head + element("order", "xs:int") + `</xs:schema>`,
		}, "valid"},
		"an include above it, with a blank in its name": {map[string]string{
			"a/s.xsd":        head + `<xs:include schemaLocation="../my%20types/t.xsd"/></xs:schema>`,
			"my types/t.xsd": head + element("order", "xs:int") + `</xs:schema>`,
		}, "valid"},
		"includes in a circle": {map[string]string{
			"a/s.xsd": head + `<xs:include schemaLocation="t.xsd"/>` + element("order", "xs:int") + `</xs:schema>`,
			"a/t.xsd": head + `<xs:include schemaLocation="s.xsd"/></xs:schema>`,
		}, "valid"},
		"an import of another name space": {map[string]string{
			"a/s.xsd": `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:t"><xs:import namespace="urn:t" schemaLocation="b/t.xsd"/>` +
				element("order", "t:number") + `</xs:schema>`,
			"a/b/t.xsd": `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t"><xs:simpleType name="number"><xs:restriction base="xs:int"/></xs:simpleType></xs:schema>`,
		}, "valid"},
		"a schema in UTF-16": {map[string]string{"a/s.xsd": utf16Text(head+element("order", "xs:int")+`</xs:schema>`, true)}, "valid"},

		"no schema": {
			map[string]string{"a/s.xsd": `<a/>`},
			"E-CONFIG definition schema_file the schema a/s.xsd is wrong: The XML document 'a/s.xsd' is not a schema document",
		},
		"a wrong schema, with its line": {
			map[string]string{"a/s.xsd": head + "\n\n" + element("order", "xs:nothing") + `</xs:schema>`},
			"E-CONFIG definition schema_file the schema a/s.xsd is wrong: a/s.xsd line 3: ",
		},
		"a wrong include, with its name": {map[string]string{
			"a/s.xsd": head + `<xs:include schemaLocation="t.xsd"/></xs:schema>`,
			"a/t.xsd": head + "\n" + element("order", "xs:nothing") + `</xs:schema>`,
		}, "E-CONFIG definition schema_file the schema a/s.xsd is wrong: a/t.xsd line 2: "},
		"an include that is not there": {
			map[string]string{"a/s.xsd": head + `<xs:include schemaLocation="t.xsd"/></xs:schema>`},
			"E-CONFIG definition schema_file there is no file a/t.xsd",
		},
		"an include of the project's neighbour": {
			map[string]string{"a/s.xsd": head + `<xs:include schemaLocation="../../t.xsd"/></xs:schema>`},
			`E-CONFIG definition schema_file a/s.xsd: schemaLocation "../../t.xsd" leads out of the project`,
		},
		"an import by an absolute path": {
			map[string]string{"a/s.xsd": head + `<xs:import schemaLocation="` + outside + `/t.xsd"/></xs:schema>`},
			"E-CONFIG definition schema_file a/s.xsd: schemaLocation ",
		},
		"an import by a file URL": {
			map[string]string{"a/s.xsd": head + `<xs:redefine schemaLocation="file://` + outside + `/t.xsd"/></xs:schema>`},
			"E-CONFIG definition schema_file a/s.xsd: schemaLocation ",
		},
		"an import from the network": {
			map[string]string{"a/s.xsd": head + `<xs:import schemaLocation="` + server.URL + `/t.xsd"/></xs:schema>`},
			"E-CONFIG definition schema_file a/s.xsd: schemaLocation ",
		},
		"a link that leads out": {
			map[string]string{"a/s.xsd": head + `<xs:include schemaLocation="link.xsd"/></xs:schema>`},
			"E-CONFIG definition schema_file ",
		},
		"an entity that reads a file": {map[string]string{
			"a/s.xsd": `<!DOCTYPE x [<!ENTITY e SYSTEM "file://` + outside + `/t.xsd">]>` + head + `&e;</xs:schema>`,
		}, "E-CONFIG definition schema_file a/s.xsd: it has a document type"},
		"an entity behind another encoding": {map[string]string{
			"a/s.xsd": utf16Text(`<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>`+head+`&e;</xs:schema>`, false),
		}, "E-CONFIG definition schema_file a/s.xsd: "},
		"an entity behind UTF-7": {map[string]string{
			"a/s.xsd": `<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE x [+ADwAIQ-ENTITY e SYSTEM "file:///etc/passwd"+AD4]+AD4` + head + `</xs:schema>`,
		}, `E-CONFIG definition schema_file a/s.xsd: its encoding "UTF-7" is not known`},
		"too many files": {manyFiles(), "E-CONFIG definition schema_file the schema has over 500 files"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := tree(t, test.files)
			if err := os.Symlink(filepath.Join(outside, "t.xsd"), filepath.Join(root, "a/link.xsd")); err != nil {
				t.Fatal(err)
			}
			c := map[string]any{"document": "<order>1</order>", "schema_file": "s.xsd"}
			if got := shown(validate(t.Context(), newPlugin("1"), root, "a", c)); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("a server was asked %d times", n)
	}
}

func manyFiles() map[string]string {
	out := map[string]string{}
	var all strings.Builder
	for i := range maxSchemaFiles {
		name := fmt.Sprintf("t%d.xsd", i)
		out["a/"+name] = head + `</xs:schema>`
		all.WriteString(`<xs:include schemaLocation="` + name + `"/>`)
	}
	out["a/s.xsd"] = head + all.String() + `</xs:schema>`
	return out
}

// What the look into the schema's text would miss, libxml2 does not get either.
func TestLibxml2OpensNothingByItself(t *testing.T) {
	outside := tree(t, map[string]string{
		"t.xsd": head + `<xs:element name="order" type="xs:int"/></xs:schema>`,
		"e.txt": `<xs:element name="order" type="xs:int"/>`,
	})
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer server.Close()
	lib := start()
	for name, text := range map[string]string{
		"an include by path":       head + `<xs:include schemaLocation="` + outside + `/t.xsd"/></xs:schema>`,
		"an include by URL":        head + `<xs:include schemaLocation="file://` + outside + `/t.xsd"/></xs:schema>`,
		"an include by HTTP":       head + `<xs:include schemaLocation="` + server.URL + `/t.xsd"/></xs:schema>`,
		"an entity that is a file": `<!DOCTYPE x [<!ENTITY e SYSTEM "file://` + outside + `/e.txt">]>` + head + `&e;</xs:schema>`,
		"a document type elsewhere": `<!DOCTYPE x SYSTEM "` + server.URL + `/x.dtd">` + head +
			`<xs:include schemaLocation="nowhere.xsd"/></xs:schema>`,
	} {
		t.Run(name, func(t *testing.T) {
			compiled, found, err := lib.compile([]file{{"s.xsd", []byte(text)}})
			if err != nil {
				t.Fatal(err)
			}
			if compiled == nil {
				if found.count == 0 {
					t.Error("refused without a word")
				}
				return
			}
			defer compiled.free()
			if seen, err := compiled.validate([]byte("<order>1</order>")); err != nil || seen.count == 0 {
				t.Errorf("a file that was not handed over was read (%v)", err)
			}
		})
	}
	if len(asked) != 0 {
		t.Errorf("a server was asked for %s", <-asked)
	}
}

func TestDocumentsNameNoSchemas(t *testing.T) {
	root := tree(t, map[string]string{"s.xsd": head + `<xs:element name="a" type="xs:int"/></xs:schema>`, "t.xsd": head + `<xs:element name="b" type="xs:int"/></xs:schema>`})
	c := map[string]any{"schema_file": "s.xsd", "document": `<b xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="` + root + `/t.xsd">1</b>`}
	want := "invalid line 1: Element 'b': No matching global declaration"
	if got := shown(validate(t.Context(), newPlugin("1"), root, "", c)); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The schema stays: a pattern of a schema may take libxml2 any time, which is
// what leaving a judgement behind is for.
func FuzzDocument(f *testing.F) {
	f.Add([]byte("<order><id>1</id></order>"))
	f.Add([]byte("<order><id>x</id><note/><note a='&#65;'><![CDATA[x]]></note></order>"))
	f.Add([]byte("\xFF\xFE<\x00a\x00/\x00>\x00"))
	f.Add([]byte("<?xml version='1.0' encoding='windows-1252'?><!-- <!DOCTYPE --><q:order/>"))
	compiled, _, err := start().compile([]file{{"s.xsd", []byte(orderSchema)}})
	if err != nil || compiled == nil {
		f.Fatalf("no schema: %v", err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := decode(data)
		if err != nil {
			return
		}
		seen, err := compiled.validate(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen.problems) > maxProblems || seen.count < len(seen.problems) {
			t.Fatalf("%d problems of %d", len(seen.problems), seen.count)
		}
	})
}

func FuzzLocations(f *testing.F) {
	f.Add("a/s.xsd", []byte(head+`<xs:include schemaLocation="../t.xsd"/><import schemaLocation="http://x/y"/></xs:schema>`))
	f.Add("s.xsd", []byte(`<xs:override schemaLocation="%2e%2e/t.xsd"/>`))
	f.Fuzz(func(t *testing.T, from string, text []byte) {
		named, err := locations(text)
		if err != nil || !fs.ValidPath(from) {
			return
		}
		for _, location := range named {
			if name, err := resolve(from, location); err == nil && !fs.ValidPath(name) {
				t.Fatalf("%q in %s is read as %s", location, from, name)
			}
		}
	})
}

func TestWhichSchema(t *testing.T) {
	root := tree(t, map[string]string{"flows/t.xsd": head + `<xs:element name="order" type="xs:int"/></xs:schema>`})
	including := head + `<xs:include schemaLocation="t.xsd"/></xs:schema>`
	tests := map[string]struct {
		config map[string]any
		root   string
		want   string
	}{
		"a file":                         {map[string]any{"schema_file": "t.xsd"}, root, "valid"},
		"a text":                         {map[string]any{"schema": " \n" + orderSchema}, root, "invalid line 1: Element 'order': "},
		"a text that includes a file":    {map[string]any{"schema": including}, root, "valid"},
		"a text, where no file may be":   {map[string]any{"schema": orderSchema}, "", "invalid line 1: Element 'order': "},
		"an include, where none may be":  {map[string]any{"schema": including}, "", "E-CONFIG definition schema this step may not read files"},
		"a file, where none may be":      {map[string]any{"schema_file": "t.xsd"}, "", "E-CONFIG definition schema_file this step may not read files"},
		"a wrong text":                   {map[string]any{"schema": head + "\n<xs:nothing/></xs:schema>"}, root, "E-CONFIG definition schema the schema is wrong: line 2: "},
		"a text that is no XML":          {map[string]any{"schema": "<a"}, root, "E-CONFIG definition schema flows/(inline): XML syntax error on line 1"},
		"a text with a document type":    {map[string]any{"schema": "<!DOCTYPE a>" + head}, root, "E-CONFIG definition schema the schema: it has a document type"},
		"a path in the place of a text":  {map[string]any{"schema": "t.xsd"}, root, "E-CONFIG definition schema schema takes the schema's text, schema_file its path"},
		"a text in the place of a path":  {map[string]any{"schema_file": orderSchema}, root, "E-CONFIG definition schema_file schema_file takes the path of a schema"},
		"both":                           {map[string]any{"schema": orderSchema, "schema_file": "t.xsd"}, root, "E-CONFIG definition schema schema and schema_file exclude each other"},
		"neither":                        {map[string]any{}, root, "E-CONFIG definition schema_file schema_file takes the path of a schema"},
		"a folder":                       {map[string]any{"schema_file": "."}, root, "E-CONFIG definition schema_file flows is not a file"},
		"a text over the limit of files": {map[string]any{"schema": "<" + strings.Repeat(" ", maxFileBytes)}, root, "E-CONFIG definition schema the schema is over 4 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["document"] = "<order>1</order>"
			if got := shown(validate(t.Context(), newPlugin("1"), test.root, "flows", test.config)); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
