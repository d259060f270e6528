package source

import (
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// FuzzLoad wants from any bytes: no panic, an end, a problem where nothing was
// read, and that every character of every string is where At says.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/seed/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, problems := Load("f", data)
		text := newText("f", data)
		for _, d := range docs {
			checkPlaces(t, text, d, 0)
			d.Plain()
		}
		for _, p := range problems {
			if p.Message == "" || !utf8.ValidString(p.Message+p.Text+p.Hint+p.Fix) && utf8.Valid(data) {
				t.Fatalf("%q: a problem that says nothing: %+v", data, p)
			}
			if lines := Excerpt(data, p.Pos, 3, 2); p.Pos.Line > 0 && len(lines) == 0 {
				t.Fatalf("%q: the place %s is not in the file", data, p.Pos)
			}
		}
	})
}
