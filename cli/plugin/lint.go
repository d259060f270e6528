package plugin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// weight says how much a finding matters for the grade.
type weight string

// The weights: a "must" breaks the plugin for its users, a "should" costs them
// time, a "could" is a kindness.
const (
	must   weight = "must"
	should weight = "should"
	could  weight = "could"
)

// finding is one thing to improve.
type finding struct {
	ID     string `json:"id"`
	Weight weight `json:"weight"`
	What   string `json:"what"`
	Why    string `json:"why"`
	Fix    string `json:"fix"`
}

// grades are from best to worst.
const grades = "ABCDEF"

// grade is F where a must is among the findings. Otherwise a should costs two
// points and a could one: none is an A, up to 2 a B, 5 a C, 9 a D, more an E.
func grade(list []finding) string {
	points := 0
	for _, f := range list {
		switch f.Weight {
		case must:
			return "F"
		case should:
			points += 2
		default:
			points++
		}
	}
	for i, limit := range []int{0, 2, 5, 9} {
		if points <= limit {
			return grades[i : i+1]
		}
	}
	return "E"
}

// linted is a plugin as its checks see it.
type linted struct {
	dir        string
	manifest   *pluginstore.Manifest
	descriptor *testmeshv1.Descriptor
	builtins   []Builtin
	found      []finding
}

func (l *linted) add(id string, w weight, why, fix, format string, args ...any) {
	l.found = append(l.found, finding{ID: id, Weight: w, What: fmt.Sprintf(format, args...), Why: why, Fix: fix})
}

func (t *tool) newLint() *cobra.Command {
	var worst string
	cmd := &cobra.Command{
		Use:   "lint [DIR]",
		Short: "Grade a plugin from A to F, with what to improve",
		Long: "Build a plugin and grade it from A to F by its descriptor, manifest and files. Each finding says why and what to do.\n\n" +
			"A finding of weight must makes it an F. Otherwise a should costs two points and a could one:\n" +
			"none is an A, up to 2 a B, 5 a C, 9 a D, more an E. Exit code 1 where the grade is worse than --grade.",
		Args: cobra.MaximumNArgs(1),
	}
	output := outputFlag(cmd)
	cmd.Flags().StringVar(&worst, "grade", "E", "the worst grade that passes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON, err := output()
		if err != nil {
			return err
		}
		if len(worst) != 1 || !strings.Contains(grades, worst) {
			return usage("write a letter from A to F", "--grade %q is no grade", worst)
		}
		dir := t.folder(args)
		m, err := t.manifest(cmd, dir)
		if err != nil {
			return err
		}
		list, err := t.lint(cmd.Context(), dir, m)
		if err != nil {
			return err
		}
		if err := t.printLint(m, list, asJSON); err != nil {
			return err
		}
		if grade(list) > worst {
			return &exit{code: exitFailed}
		}
		return nil
	}
	return cmd
}

func (t *tool) lint(ctx context.Context, dir string, m *pluginstore.Manifest) ([]finding, error) {
	if err := t.build(ctx, dir, m); err != nil {
		return nil, err
	}
	d, err := t.describe(ctx, dir, m)
	if err != nil {
		return nil, err
	}
	l := &linted{dir: dir, manifest: m, descriptor: d, builtins: t.Builtins}
	l.lintFiles()
	l.lintManifest()
	l.lintDescriptor()
	slices.SortStableFunc(l.found, func(a, b finding) int {
		order := []weight{must, should, could}
		return slices.Index(order, a.Weight) - slices.Index(order, b.Weight)
	})
	return l.found, nil
}

func (t *tool) printLint(m *pluginstore.Manifest, list []finding, asJSON bool) error {
	if asJSON {
		return t.printJSON(map[string]any{
			"name": m.Name, "version": m.Version, "grade": grade(list), "findings": append([]finding{}, list...),
		})
	}
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "%-6s  %s  (%s)\n        why  %s\n        fix  %s\n\n", f.Weight, f.What, f.ID, f.Why, f.Fix)
	}
	fmt.Fprintf(&b, "%s %s  grade %s", m.Name, m.Version, grade(list))
	if len(list) > 0 {
		fmt.Fprintf(&b, " · %s", counted(len(list), "finding"))
	}
	_, err := fmt.Fprintln(t.Stdout, b.String())
	return err
}

// has says whether one of the files is in the plugin's folder.
func (l *linted) has(names ...string) bool {
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(l.dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

func (l *linted) lintFiles() {
	if !l.has("README.md") {
		l.add("readme", should, "it is what people read before they install", "testmesh plugin docs --write makes a README.md with the reference",
			"there is no README.md")
	} else if text, err := os.ReadFile(filepath.Join(l.dir, "README.md")); err == nil && len(text) < 200 {
		l.add("readme-short", could, "it is what people read before they install", "say what the plugin is for, what it needs, and show a step",
			"README.md has %d bytes", len(text))
	}
	if !l.has("LICENSE", "LICENSE.md", "LICENSE.txt", "COPYING") {
		l.add("license-file", should, "without its text a license does not hold in many places", "add a file LICENSE",
			"there is no LICENSE")
	}
	if !l.has("CHANGELOG.md") {
		l.add("changelog", could, "who raises the version wants to know what changes", "add CHANGELOG.md with a section a version",
			"there is no CHANGELOG.md")
	}
	if text, err := os.ReadFile(filepath.Join(l.dir, "go.mod")); err == nil && strings.Contains(string(text), "\nreplace ") {
		l.add("replace", could, "a build on another machine does not find the folder", "require a released version and take the replace line out",
			"go.mod replaces a module")
	}
	if err := l.manifest.CheckFiles(l.dir); err != nil {
		l.add("files", must, "the package would lack what the plugin is made of", "correct files in "+pluginstore.ManifestFile, "%v", err)
	}
}

func (l *linted) lintManifest() {
	m := l.manifest
	if slices.ContainsFunc(l.builtins, func(b Builtin) bool { return b.Descriptor.GetName() == m.Name }) {
		l.add("name-taken", must, "it cannot be installed", "give the plugin another name", "%s is the name of a built-in plugin", m.Name)
	}
	if m.License == "" {
		l.add("license", should, "a company may not use what has none", "license: Apache-2.0, or another SPDX name", "the manifest names no license")
	}
	for key, text := range map[string]string{"homepage": m.Homepage, "issues": m.Issues} {
		if text == "" {
			l.add(key, could, "who has a problem looks for where to go", key+": https://…", "the manifest has no %s", key)
		}
	}
	if m.Summary == "" {
		l.add("summary", should, "it is all that a list of plugins shows", "summary: one sentence", "the manifest has no summary")
	}
	if m.At("permissions").Line == 0 {
		l.add("permissions", should, "they are shown when somebody installs it, and none are said to be needed",
			"permissions: {network: true}, or permissions: {} where it needs none", "the manifest says nothing of permissions")
	}
	if m.Permissions.Exec {
		l.add("exec", could, "people think twice before they install what starts programs", "do it with a library where there is one", "it starts programs")
	}
	if len(m.Conformance) == 0 {
		l.add("conformance", should, "the kit can only try what it knows how to use", "add conformance: with echo, bad and slow (docs: Plugins)",
			"the manifest does not say how the kit can exercise it")
	}
	l.lintFlows()
}

func (l *linted) lintFlows() {
	if l.manifest.Flows == "" {
		l.add("flows", should, "they are the examples that people copy, and plugin test runs them", "flows: examples, with a flow for each action",
			"the manifest names no folder of flows")
		return
	}
	var all strings.Builder
	files, err := filepath.Glob(filepath.Join(l.dir, filepath.FromSlash(l.manifest.Flows), "*.y*ml"))
	if err != nil {
		return // the pattern is ours and the folder's name was checked
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			all.Write(text)
		}
	}
	for _, name := range slices.Concat(actionNames(l.descriptor), functionNames(l.descriptor)) {
		if !strings.Contains(all.String(), name) {
			l.add("flow-missing", could, "what no flow uses is tried by nobody", "use it in a flow of "+l.manifest.Flows, "no flow uses %s", name)
		}
	}
}
