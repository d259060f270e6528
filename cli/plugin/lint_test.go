package plugin

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// only shows some files of a tree.
type only struct {
	fs.FS
	names []string
}

// ReadDir implements fs.ReadDirFS.
func (o only) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := fs.ReadDir(o.FS, name)
	return slices.DeleteFunc(list, func(e fs.DirEntry) bool { return !slices.Contains(o.names, e.Name()) }), err
}

func TestAWholePluginHasAnA(t *testing.T) {
	w := newWorld(t)
	w.want(0, []string{"lint", "../toy", "--grade", "A"}, "toy 1.2.0  grade A\n")
}

func TestFindings(t *testing.T) {
	remove := func(name string) func(*world) {
		return func(w *world) {
			if err := os.RemoveAll(filepath.Join(w.plugin, name)); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	manifest := func(old, replacement string) func(*world) {
		return func(w *world) { w.edit(pluginstore.ManifestFile, old, replacement) }
	}
	descriptor := func(old, replacement string) func(*world) {
		return func(w *world) { w.edit("describe.sh", old, replacement) }
	}
	tests := map[string]struct {
		spoil func(*world)
		id    string
		grade string
	}{
		"no README":                    {remove("README.md"), "readme", "B"},
		"a README of one line":         {func(w *world) { w.write(filepath.Join(w.plugin, "README.md"), "x") }, "readme-short", "B"},
		"no LICENSE":                   {remove("LICENSE"), "license-file", "B"},
		"no CHANGELOG":                 {remove("CHANGELOG.md"), "changelog", "B"},
		"no license":                   {manifest("license: MIT\n", ""), "license", "B"},
		"no homepage":                  {manifest("homepage: https://example.com\n", ""), "homepage", "B"},
		"nowhere to complain":          {manifest("issues: https://example.com/issues\n", ""), "issues", "B"},
		"no summary of the package":    {manifest("summary: Does.\n", ""), "summary", "B"},
		"nothing of permissions":       {manifest("permissions: {network: true, env: [TOY_HOME]}\n", ""), "permissions", "B"},
		"it starts programs":           {manifest("network: true", "exec: true"), "exec", "B"},
		"no conformance":               {manifest("conformance: {secret: {action: toy.do}}\n", ""), "conformance", "B"},
		"no flows":                     {manifest("flows: examples\n", ""), "flows", "B"},
		"an action that no flow uses":  {func(w *world) { w.edit("examples/toy.testmesh.yaml", "toy.do", "http.request") }, "flow-missing", "B"},
		"a file that is not there":     {manifest("[describe.sh]", "[describe.sh, none]"), "files", "F"},
		"a module that is replaced":    {func(w *world) { w.write(filepath.Join(w.plugin, "go.mod"), "module x\n\nreplace a => ../a\n") }, "replace", "B"},
		"no effect":                    {descriptor(`"effects": [{"effect": "EFFECT_ONCE"}], `, ""), "effect", "B"},
		"an effect only sometimes":     {descriptor(`{"effect": "EFFECT_ONCE"}`, `{"when": "text == \"\"", "effect": "EFFECT_ONCE"}`), "effect", "B"},
		"a config that takes any key":  {descriptor(`, \"additionalProperties\": false`, ""), "open-config", "B"},
		"a key without a word":         {descriptor(`, \"description\": \"What was done.\"`, ""), "undocumented", "B"},
		"a limit without a unit":       {descriptor(`\"properties\": {\"text\"`, `\"properties\": {\"idle_timeout\": {\"type\": \"integer\", \"description\": \"Idle.\"}, \"text\"`), "duration", "B"},
		"no config schema":             {descriptor(`"configSchema"`, `"configSchemata"`), "schema", "B"},
		"no example":                   {descriptor(`"example"`, `"exampel"`), "example", "B"},
		"an example of something else": {descriptor(`- action: toy.do`, `- action: log`), "example-other", "B"},
		"an example that is refused":   {descriptor("{text: hello}", "{txet: hello}"), "example-wrong", "F"},
		"a schema that is none":        {descriptor(`{\"type\": \"object\", \"properties\": {\"text\"`, `{\"type\": \"objekt\", \"properties\": {\"text\"`), "descriptor", "F"},
		"an action of another plugin":  {descriptor(`"name": "toy.do"`, `"name": "http.do"`), "descriptor", "F"},
		"an action in capitals": {func(w *world) {
			w.edit("describe.sh", "toy.do", "toy.Do")
			w.edit("examples/toy.testmesh.yaml", "toy.do", "toy.Do")
		}, "action-name", "F"},
		"a summary that is no sentence": {descriptor(`"Do it."`, `"do it"`), "summary-form", "B"},
		"a summary without end":         {descriptor(`"Do it."`, `"Do `+strings.Repeat("it ", 50)+`now."`), "summary-long", "B"},
		"an action without a summary":   {descriptor(`"summary": "Do it.",`, ""), "summary", "B"},
		"nothing to use":                {descriptor(`"actions"`, `"aktions"`), "", "A"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.spoil(w)
			w.run("lint", "../toy", "-o", "json")
			var got struct {
				Grade    string
				Findings []finding
			}
			if err := json.Unmarshal([]byte(w.out), &got); err != nil {
				t.Fatalf("%v\n%s%s", err, w.out, w.err)
			}
			if tt.id != "" && !slices.ContainsFunc(got.Findings, func(f finding) bool { return f.ID == tt.id && f.Why != "" && f.Fix != "" && f.What != "" }) {
				t.Errorf("got %+v, want %s", got.Findings, tt.id)
			}
			if got.Grade != tt.grade {
				t.Errorf("got grade %s, want %s: %+v", got.Grade, tt.grade, got.Findings)
			}
		})
	}
}

func TestGrades(t *testing.T) {
	of := func(weights ...weight) []finding {
		var out []finding
		for _, w := range weights {
			out = append(out, finding{Weight: w})
		}
		return out
	}
	many := slices.Repeat([]weight{should}, 5)
	for want, lists := range map[string][][]finding{
		"A": {of()}, "B": {of(could), of(could, could), of(should)}, "C": {of(should, could), of(should, should, could)},
		"D": {of(should, should, should), of(many[:4]...)}, "E": {of(many...)}, "F": {of(must), of(could, must)},
	} {
		for _, list := range lists {
			if got := grade(list); got != want {
				t.Errorf("%v: got %s, want %s", list, got, want)
			}
		}
	}
}
