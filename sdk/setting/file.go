package setting

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxFile bounds a file of settings.
const maxFile = 1 << 20

// parse finds the settings of a file, strictly: a key that nobody knows is a mistake,
// because what it was meant to do would not happen.
func (t *Table) parse(file string, data []byte) (map[string]*yaml.Node, []error) {
	if len(data) > maxFile {
		return nil, []error{fmt.Errorf("%s: it has %d bytes, and %d are possible", file, len(data), maxFile)}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, []error{fmt.Errorf("%s: %w", file, err)}
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	found := map[string]*yaml.Node{}
	return found, t.walk(file, "", doc.Content[0], found)
}

func place(file string, n *yaml.Node) string {
	return fmt.Sprintf("%s:%d:%d", file, n.Line, n.Column)
}

func (t *Table) walk(file, prefix string, n *yaml.Node, found map[string]*yaml.Node) (problems []error) {
	if n.Kind != yaml.MappingNode {
		return []error{fmt.Errorf("%s: settings are wanted here, each as KEY: VALUE", place(file, n))}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := prefix + key.Value
		switch known, below := t.knows(path); {
		case seen[key.Value]:
			problems = append(problems, fmt.Errorf("%s: %q is there twice", place(file, key), path))
		case known:
			found[path] = value
		case below:
			problems = append(problems, t.walk(file, path+".", value, found)...)
		default:
			problems = append(problems, fmt.Errorf("%s: there is no setting %q%s", place(file, key), path, t.hint(prefix, key.Value)))
		}
		seen[key.Value] = true
	}
	return problems
}

// knows says whether a path is a setting, or begins some.
func (t *Table) knows(path string) (known, below bool) {
	for _, e := range t.list {
		known = known || e.Key == path
		below = below || strings.HasPrefix(e.Key, path+".")
	}
	return known, below
}

// near is how many letters may differ for a guess.
const near = 3

// hint is the key at a level that somebody may have meant.
func (t *Table) hint(prefix, word string) string {
	best, least := "", near
	var all []string
	for _, e := range t.list {
		rest, ok := strings.CutPrefix(e.Key, prefix)
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
		if d := distance(word, name); d < least || d == least && best == "" && d < len(word) {
			best, least = name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("\n  hint: did you mean %q?", best)
	}
	return "\n  hint: there are " + strings.Join(all, ", ")
}

// distance is Levenshtein's: how many letters are to be changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j]+1, left+1)
		}
	}
	return row[len(b)]
}

// read takes the value of a setting from its place in a file.
func (e *entry) read(file string, n *yaml.Node) (problems []error) {
	e.value.reset()
	take := func(n *yaml.Node, text string) {
		if err := e.set(text); err != nil {
			problems = append(problems, fmt.Errorf("%s: %s: %w", place(file, n), e.Key, err))
		}
	}
	wrong := func(n *yaml.Node, want string) {
		problems = append(problems, fmt.Errorf("%s: %s: %w", place(file, n), e.Key, errors.New(want+" is wanted here")))
	}
	_, isList := e.value.(*list)
	_, isMap := e.value.(*table)
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null" && !isMap:
		take(n, n.Value) // one value is a list of one
	case n.Kind == yaml.SequenceNode && isList:
		for _, one := range n.Content {
			if one.Kind != yaml.ScalarNode || one.Tag == "!!null" {
				wrong(one, "a text")
				continue
			}
			take(one, one.Value)
		}
	case n.Kind == yaml.MappingNode && isMap:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i+1].Kind != yaml.ScalarNode {
				wrong(n.Content[i+1], "a text")
				continue
			}
			take(n.Content[i], n.Content[i].Value+"="+n.Content[i+1].Value)
		}
	case isList:
		wrong(n, "a list")
	case isMap:
		wrong(n, "a mapping of names to texts")
	default: // an alias too: nothing here is long enough to be written once
		wrong(n, "one value ("+e.value.Type()+")")
	}
	return problems
}
