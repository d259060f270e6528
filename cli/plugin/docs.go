package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// Marks around the part of a README that `plugin docs` writes.
const (
	docsBegin = "<!-- testmesh plugin docs -->"
	docsEnd   = "<!-- /testmesh plugin docs -->"
)

func (t *tool) newDocs() *cobra.Command {
	var write, compare bool
	cmd := &cobra.Command{
		Use:   "docs [DIR]",
		Short: "Print the reference of a plugin as Markdown",
		Long: "Build a plugin and print the reference of its actions and functions as Markdown.\n\n" +
			"--write puts it into README.md between the lines\n  " + docsBegin + "\n  " + docsEnd + "\nand --check says with exit code 1 that it is out of date there.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := t.folder(args)
			m, err := t.manifest(cmd, dir)
			if err != nil {
				return err
			}
			if err := t.build(cmd.Context(), dir, m); err != nil {
				return err
			}
			d, err := t.describe(cmd.Context(), dir, m)
			if err != nil {
				return err
			}
			text := reference(m, d)
			if !write && !compare {
				_, err := t.Stdout.Write(text)
				return err
			}
			return t.intoReadme(filepath.Join(dir, "README.md"), m, text, compare)
		},
	}
	cmd.Flags().BoolVar(&write, "write", false, "write it into README.md")
	cmd.Flags().BoolVar(&compare, "check", false, "write nothing; exit code 1 if README.md would change")
	return cmd
}

func (t *tool) intoReadme(file string, m *pluginstore.Manifest, text []byte, compare bool) error {
	before, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		before = fmt.Appendf(nil, "# %s\n\n%s\n\n%s\n%s\n", m.Name, m.Summary, docsBegin, docsEnd)
	} else if err != nil {
		return errored("", "%w", err)
	}
	head, rest, ok := bytes.Cut(before, []byte(docsBegin))
	_, tail, closed := bytes.Cut(rest, []byte(docsEnd))
	if !ok || !closed {
		return usage("", "%s has no place for the reference\n  hint: write these two lines where it belongs:\n  %s\n  %s", t.shown(file), docsBegin, docsEnd)
	}
	after := slices.Concat(head, []byte(docsBegin+"\n\n"), text, []byte("\n"+docsEnd), tail)
	if bytes.Equal(before, after) {
		return nil
	}
	if compare {
		return coded(exitFailed, "testmesh plugin docs --write", "%s is out of date", t.shown(file))
	}
	if err := os.WriteFile(file, after, 0o644); err != nil {
		return errored("", "%w", err)
	}
	_, err = fmt.Fprintln(t.Stdout, t.shown(file))
	return err
}

// reference is the Markdown of a plugin's actions and functions.
func reference(m *pluginstore.Manifest, d *testmeshv1.Descriptor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Version %s. It may: %s.\n", m.Version, permissions(m.Permissions))
	for _, a := range d.GetActions() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", a.GetName(), a.GetSummary())
		if text := strings.TrimSpace(a.GetDescription()); text != "" {
			fmt.Fprintf(&b, "\n%s\n", text)
		}
		schemaTable(&b, "Config", a.GetConfigSchema())
		schemaTable(&b, "Result", a.GetResultSchema())
		if text := strings.TrimSpace(a.GetExample()); text != "" {
			fmt.Fprintf(&b, "\n```yaml\n%s\n```\n", text)
		}
	}
	if len(d.GetFunctions()) > 0 {
		b.WriteString("\n## Functions\n")
	}
	for _, f := range d.GetFunctions() {
		fmt.Fprintf(&b, "\n- `%s(%s)`: %s\n", functionName(d, f), strings.Join(f.GetParameters(), ", "), f.GetSummary())
	}
	return b.Bytes()
}

// property is what a page says of one key.
type property struct {
	Description string               `json:"description"`
	Type        any                  `json:"type"`
	Enum        []json.RawMessage    `json:"enum"`
	Default     json.RawMessage      `json:"default"`
	Ref         string               `json:"$ref"`
	File        bool                 `json:"x-testmesh-file"`
	Duration    bool                 `json:"x-testmesh-duration"`
	Properties  map[string]*property `json:"properties"`
	Required    []string             `json:"required"`
	Additional  json.RawMessage      `json:"additionalProperties"`
	Defs        map[string]*property `json:"$defs"`
}

// schemaOf reads the schema of a config or result; nil where there is none.
func schemaOf(text string) (*property, error) {
	if text == "" {
		return nil, nil
	}
	var p property
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return nil, fmt.Errorf("the schema is no JSON Schema: %w", err)
	}
	return &p, nil
}

// resolved follows a reference into $defs.
func (p *property) resolved(root *property) *property {
	name, ok := strings.CutPrefix(p.Ref, "#/$defs/")
	if to := root.Defs[name]; ok && to != nil {
		return to
	}
	return p
}

func schemaTable(b *bytes.Buffer, title, text string) {
	root, err := schemaOf(text)
	if err != nil || root == nil || len(root.Properties) == 0 {
		return // lint says what is wrong with it
	}
	fmt.Fprintf(b, "\n| %s | | |\n|---|---|---|\n", title)
	for _, name := range slices.Sorted(maps.Keys(root.Properties)) {
		p := root.Properties[name]
		kind := kindOf(p.resolved(root))
		if slices.Contains(root.Required, name) {
			kind += ", required"
		}
		if len(p.Default) > 0 {
			kind += ", default `" + cell(string(p.Default)) + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, cell(p.Description))
	}
}

func kindOf(p *property) string {
	switch {
	case p.Duration:
		return "duration"
	case p.File:
		return "file"
	case len(p.Enum) > 0:
		var words []string
		for _, e := range p.Enum {
			words = append(words, "`"+cell(string(e))+"`")
		}
		return strings.Join(words, " or ")
	}
	switch kind := p.Type.(type) {
	case string:
		return kind
	case []any:
		var words []string
		for _, k := range kind {
			words = append(words, fmt.Sprint(k))
		}
		return strings.Join(words, " or ")
	}
	return "any"
}

func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
