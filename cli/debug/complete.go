package debug

import (
	"slices"
	"strings"

	"github.com/testmesh/testmesh/agent/engine"
)

// Completions are the lines that a line may become: commands, then steps and
// names by what the command takes. It is asked while the run stands still.
func (d *Debugger) Completions(line string) []string {
	name, args, spaced := strings.Cut(line, " ")
	var out []string
	if !spaced {
		for _, c := range commands() {
			if strings.HasPrefix(c.name, name) {
				out = append(out, c.name)
			}
		}
		return out
	}
	c, err := find(name)
	if err != nil {
		return nil
	}
	var words []string
	switch c.name {
	case "continue", "list", "request", "response", "exchange", "curl", "break":
		words = d.outline.sorted()
		if c.name == "break" {
			words = append(words, "failure")
		}
	case "print", "set", "display", "vars":
		words = d.names
	}
	at := strings.LastIndexAny(args, " .(+-*/=<>!&|,[{") + 1
	for _, w := range words {
		if strings.HasPrefix(w, args[at:]) {
			out = append(out, name+" "+args[:at]+w)
		}
	}
	return out
}

// namesOf are the words that the names of variables complete to.
func namesOf(list []engine.Variable) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
