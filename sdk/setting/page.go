package setting

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Reference writes the rows of the reference page, as a table in Markdown.
func (t *Table) Reference(w io.Writer) error {
	if _, err := io.WriteString(w, "| key | flag | variable | default | what it does |\n|---|---|---|---|---|\n"); err != nil {
		return fmt.Errorf("write reference: %w", err)
	}
	for _, e := range t.list {
		def := "–"
		if e.Default != "" {
			def = "`" + e.Default + "`"
		}
		if _, err := fmt.Fprintf(w, "| `%s` | `--%s` | `%s` | %s | %s |\n", e.Key, e.flag(), e.Env, def, strings.ReplaceAll(e.What, "|", `\|`)); err != nil {
			return fmt.Errorf("write reference: %w", err)
		}
	}
	return nil
}

// Print writes the settings as they are now, as a file that could be read again, each
// with where its value is from. Secrets are left out.
func (t *Table) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range t.list {
		at := root
		path := strings.Split(e.Key, ".")
		for _, name := range path[:len(path)-1] {
			at = below(at, name)
		}
		from := e.from
		if from == "" {
			from = "default"
		}
		name := &yaml.Node{Kind: yaml.ScalarNode, Value: path[len(path)-1]}
		value := &yaml.Node{}
		switch {
		case e.Secret && e.from != "":
			value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "", LineComment: "# a secret, from " + from}
		default:
			if err := value.Encode(e.value.plain()); err != nil {
				return fmt.Errorf("print %s: %w", e.Key, err)
			}
			if len(value.Content) > 0 {
				name.HeadComment = "# " + from
				break
			}
			value.LineComment = "# " + from
		}
		at.Content = append(at.Content, name, value)
	}
	data, err := yaml.Marshal(root)
	if err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	return nil
}

// below is the mapping of a name, which is made where it is not there yet.
func below(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	made := &yaml.Node{Kind: yaml.MappingNode}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, made)
	return made
}
