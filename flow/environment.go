package flow

import (
	"fmt"
	"path"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// Environment is the record of environments/NAME.yaml: what `--env NAME` reads
// and `push` sends.
type Environment struct {
	Name     string
	File     string
	Env      []NamedNode
	Services []NamedNode
	Secrets  []SecretSource
}

// NamedNode is a name with the YAML of its value.
type NamedNode struct {
	Name   string
	Value  *source.Node
	Secret bool
	Pos    source.Pos
}

// SecretSource says where the value of secret.<Name> comes from: exactly one of
// Env, File and Command is set, as From says.
type SecretSource struct {
	Name    string
	From    string   // env | file | command
	Env     string   // the variable of the process; Name where not given
	File    string   // a path below the project's root
	Command []string // program and arguments
	Pos     source.Pos
}

// EnvironmentPath is the file of an environment, below the project's root.
func EnvironmentPath(name string) string { return path.Join("environments", name+".yaml") }

// ParseEnvironment reads an environment. Its name is the file's.
func ParseEnvironment(file string, data []byte) (*Environment, source.Problems) {
	base := path.Base(file)
	env := &Environment{Name: strings.TrimSuffix(base, path.Ext(base)), File: file}
	docs, problems := source.Load(file, data)
	if len(problems.Errors()) > 0 || len(docs) == 0 || docs[0].Kind == source.Null {
		return env, problems
	}
	root := docs[0]
	r := reader{problems: problems}
	if len(docs) > 1 {
		r.add(problem(source.CodeYAML, docs[1].Pos, "", "an environment is one document"))
	}
	for _, e := range r.entries(root, "an environment", "env", "services", "secrets", "name", "description") {
		switch e.Key.Text {
		case "env":
			env.Env = r.named(e.Value, "env")
		case "services":
			env.Services = r.named(e.Value, "services")
			for i := range env.Services {
				r.service(&env.Services[i])
			}
		case "secrets":
			for _, n := range r.named(e.Value, "secrets") {
				if s, ok := r.secret(n, path.Dir(file)); ok {
					env.Secrets = append(env.Secrets, s)
				}
			}
		}
	}
	return env, r.problems
}

// service accepts a URL, or a map with one under `url`.
func (r *reader) service(n *NamedNode) {
	if n.Value.Kind == source.Map && n.Value.Get("url") != nil && len(n.Value.Entries) == 1 {
		n.Value = n.Value.Get("url")
	}
	if n.Value.Kind == source.Null {
		r.add(problem(source.CodeType, n.Value.Pos, "", fmt.Sprintf("service %s has no address", n.Name)))
	}
}

func (r *reader) secret(n NamedNode, dir string) (SecretSource, bool) {
	s := SecretSource{Name: n.Name, Pos: n.Pos}
	if n.Value.Kind != source.Map {
		r.add(hinted(problem(source.CodeSecret, n.Value.Pos, "", fmt.Sprintf("secret %s stands in the file itself", n.Name)),
			fmt.Sprintf("say where it comes from: %s: {from: env}, {from: file, path: …} or {from: command, command: …}", n.Name)))
		return s, false
	}
	from := n.Value.Get("from")
	if from == nil {
		r.add(problem(source.CodeKey, n.Pos, n.Name, fmt.Sprintf("secret %s needs the key \"from\"", n.Name)))
		return s, false
	}
	s.From = from.Text
	switch s.From {
	case "env":
		r.entries(n.Value, "a secret from env", "from", "name")
		s.Env = r.text(n.Value.Get("name"), n.Name)
		return s, true
	case "file":
		r.entries(n.Value, "a secret from a file", "from", "path")
		name, err := within(dir, r.text(n.Value.Get("path"), ""))
		if err != nil || n.Value.Get("path") == nil {
			at := n.Value.Get("path")
			if at == nil {
				at = n.Value
			}
			r.add(problem(source.CodeFile, at.Pos, at.Text, fmt.Sprintf("secret %s needs a path below the project", n.Name)))
			return s, false
		}
		s.File = name
		return s, true
	case "command":
		r.entries(n.Value, "a secret from a command", "from", "command")
		s.Command = r.command(n.Value.Get("command"))
		if len(s.Command) == 0 {
			r.add(problem(source.CodeKey, n.Pos, n.Name, fmt.Sprintf("secret %s needs the key \"command\", a list of program and arguments", n.Name)))
		}
		return s, len(s.Command) > 0
	case "vault":
		r.add(hinted(problem(source.CodeSecret, from.Pos, from.Text, fmt.Sprintf("secret %s comes from Vault, which only a control plane reads", n.Name)),
			"for local runs use from: env, file or command"))
		return s, false
	}
	p := problem(source.CodeType, from.Pos, from.Text, fmt.Sprintf("a secret comes from env, file, command or vault, not from %q", from.Text))
	if near := value.Closest(from.Text, []string{"env", "file", "command", "vault"}); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	r.add(p)
	return s, false
}

func (r *reader) command(n *source.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == source.String {
		return strings.Fields(n.Text)
	}
	var out []string
	for _, item := range n.Items {
		out = append(out, r.text(item, ""))
	}
	return out
}

// reader reads the small files beside flows: environments and folders.
type reader struct{ problems source.Problems }

func (r *reader) add(p source.Problem) { r.problems = append(r.problems, p) }

// entries are those of a map, all with known keys; what is something else is a
// problem.
func (r *reader) entries(n *source.Node, what string, keys ...string) []source.Entry {
	if n.Kind == source.Null {
		return nil
	}
	if n.Kind != source.Map {
		r.add(problem(source.CodeType, n.Pos, n.Text, what+" is a map"))
		return nil
	}
	for _, e := range n.Entries {
		known := false
		for _, k := range keys {
			known = known || k == e.Key.Text
		}
		if known {
			continue
		}
		p := problem(source.CodeKey, e.Key.Pos, e.Key.Text, fmt.Sprintf("unknown key %q in %s", e.Key.Text, what))
		p.Hint = what + " has " + strings.Join(keys, ", ")
		if near := value.Closest(e.Key.Text, keys); near != "" {
			p.Hint = fmt.Sprintf("did you mean %q?", near)
		}
		r.add(p)
	}
	return n.Entries
}

// named are the entries of a map of names; {value, secret: true} marks secrets.
func (r *reader) named(n *source.Node, what string) []NamedNode {
	if n.Kind == source.Null {
		return nil
	}
	if n.Kind != source.Map {
		r.add(problem(source.CodeType, n.Pos, n.Text, what+" is a map of names to values"))
		return nil
	}
	out := make([]NamedNode, 0, len(n.Entries))
	for _, e := range n.Entries {
		v := NamedNode{Name: e.Key.Text, Value: e.Value, Pos: e.Key.Pos}
		if secret := e.Value.Get("secret"); what == "env" && secret != nil && e.Value.Get("value") != nil && len(e.Value.Entries) == 2 {
			v.Value, v.Secret = e.Value.Get("value"), secret.Value == true
		}
		out = append(out, v)
	}
	return out
}

// text is the text of a scalar, or otherwise where n is nil.
func (r *reader) text(n *source.Node, otherwise string) string {
	switch {
	case n == nil:
		return otherwise
	case n.Kind == source.Map || n.Kind == source.List || n.Kind == source.Null:
		r.add(problem(source.CodeType, n.Pos, n.Text, "this must be a text"))
		return otherwise
	}
	return n.Text
}
