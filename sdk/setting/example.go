package setting

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// width of the lines of comments in a file.
const width = 100

// Example writes a file of all settings: each with what it does, as a comment with its
// default, or in force where a value was given. Secrets are never in force there. Lines
// that begin with "#" and no blank hold settings: without it the file says the defaults.
func (t *Table) Example(w io.Writer) error {
	var b bytes.Buffer
	for i, e := range t.list {
		name, _, below := strings.Cut(e.Key, ".")
		switch {
		case !below:
			if err := e.example(&b, "", e.from == "" || e.Secret); err != nil {
				return err
			}
		case t.first(name) == i:
			if err := t.exampleBelow(&b, name); err != nil {
				return err
			}
		}
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// first is the place of the first setting below a name.
func (t *Table) first(name string) int {
	for i, e := range t.list {
		if strings.HasPrefix(e.Key, name+".") {
			return i
		}
	}
	return -1
}

// exampleBelow writes all settings below a name, which may stand there once.
func (t *Table) exampleBelow(b *bytes.Buffer, name string) error {
	out := true // all of them are comments
	for _, e := range t.list {
		if strings.HasPrefix(e.Key, name+".") && e.from != "" && !e.Secret {
			out = false
		}
	}
	mark := ""
	if out {
		mark = "#"
	}
	fmt.Fprintf(b, "\n%s%s:\n", mark, name)
	for _, e := range t.list {
		if !strings.HasPrefix(e.Key, name+".") {
			continue
		}
		if err := e.example(b, mark+"  ", !out && (e.from == "" || e.Secret)); err != nil {
			return err
		}
	}
	return nil
}

// example writes one setting; out makes it a comment.
func (e *entry) example(b *bytes.Buffer, indent string, out bool) error {
	value, err := yaml.Marshal(e.value.plain())
	if err != nil {
		return fmt.Errorf("print %s: %w", e.Key, err)
	}
	what := e.What
	if e.Secret {
		what += "; better in the environment: " + e.Env + ", or " + e.Env + fileSuffix + " with the name of a file that holds it"
		if value = nil; e.from == "" {
			value = []byte(`""`)
		}
	}
	if indent == "" {
		b.WriteString("\n")
	}
	for _, line := range wrapped(what, width-len(indent)-2) {
		fmt.Fprintf(b, "%s# %s\n", indent, line)
	}
	mark := ""
	if out {
		mark = "#"
	}
	name := e.Key[strings.LastIndexByte(e.Key, '.')+1:]
	if text := strings.TrimSuffix(string(value), "\n"); !strings.Contains(text, "\n") && !strings.HasPrefix(text, "- ") && !isMapping(e.value) {
		_, err = fmt.Fprintf(b, "%s%s%s: %s\n", indent, mark, name, text)
		return err
	}
	fmt.Fprintf(b, "%s%s%s:", indent, mark, name)
	if text := strings.TrimSuffix(string(value), "\n"); text == "{}" {
		b.WriteString(" {}\n")
		return nil
	}
	b.WriteString("\n")
	for line := range strings.Lines(string(value)) {
		fmt.Fprintf(b, "%s%s  %s", indent, mark, line)
	}
	return nil
}

func isMapping(v value) bool { _, is := v.(*table); return is }

// wrapped breaks a text into lines of at most so many letters.
func wrapped(text string, most int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > most {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
