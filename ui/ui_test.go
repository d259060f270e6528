package ui

import (
	"io/fs"
	"strings"
	"testing"
)

func TestTheStubIsAlwaysThere(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	stub, err := fs.ReadFile(files, "stub.html")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(stub), "make build") {
		t.Errorf("stub.html does not say how the page is built:\n%s", stub)
	}
}

// What was built loads nothing that the strict policy of the server refuses: no script
// or style in the page itself, nothing from elsewhere.
func TestTheBuiltPageKeepsThePolicy(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	pages, err := fs.Glob(files, "*.html")
	if err != nil || len(pages) == 0 {
		t.Fatalf("pages %v, error %v", pages, err)
	}
	for _, name := range pages {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []string{"<style", "style=", "onload=", "http://", "https://", "<script>"} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%s holds %s, which the policy refuses", name, bad)
			}
		}
	}
}
