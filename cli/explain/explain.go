// Package explain holds a page for every error code and the topics of
// `testmesh explain`, and shows them in a terminal. It decides nothing: what a
// code means is where it is raised.
package explain

import (
	"embed"
	"io/fs"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
)

//go:embed pages/*.md topics/*.md
var files embed.FS

// Page is the Markdown of a code, as E-CONN. It begins with the line "# E-CONN"
// and a sentence that says what the code means.
func Page(code string) (string, bool) { return read("pages", code) }

// Topic is the Markdown of a topic, as exit-codes, in the same shape.
func Topic(name string) (string, bool) { return read("topics", name) }

// Codes are all codes that have a page, in alphabetical order.
func Codes() []string { return list("pages") }

// Topics are all topics, in alphabetical order.
func Topics() []string { return list("topics") }

// Find gives the page or topic that a person means: e-conn and conn are E-CONN,
// Exit_Codes is exit-codes. Where there is none, hint is the nearest name, which
// may be empty.
func Find(asked string) (page, hint string, ok bool) {
	name := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(asked), "_", "-"))
	code := strings.ToUpper(name)
	if page, ok := Page(code); ok {
		return page, "", true
	}
	if page, ok := Page("E-" + code); ok {
		return page, "", true
	}
	if page, ok := Topic(name); ok {
		return page, "", true
	}
	names := append(Topics(), Codes()...)
	for _, c := range Codes() {
		names = append(names, strings.TrimPrefix(c, "E-"))
	}
	for _, try := range []string{code, "E-" + code, name} {
		if hint := source.Suggest(try, names); hint != "" {
			return "", hint, false
		}
	}
	return "", "", false
}

// Summary is the first sentence of a page: what the code or topic is about.
func Summary(page string) string {
	_, rest, _ := strings.Cut(page, "\n")
	paragraph, _, _ := strings.Cut(strings.TrimLeft(rest, "\n"), "\n\n")
	text := strings.Join(strings.Fields(paragraph), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i+1]
	}
	return text
}

func read(dir, name string) (string, bool) {
	if strings.ContainsAny(name, `/\.`) {
		return "", false
	}
	text, err := files.ReadFile(dir + "/" + name + ".md")
	return string(text), err == nil
}

func list(dir string) []string {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".md"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
