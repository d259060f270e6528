package flow

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
)

// folder is a folder.yaml: what the flows below a directory share.
type folder struct {
	dir       string
	file      string
	variables []NamedNode
	auth      *source.Node
	setup     []*syntax.Step
	teardown  []*syntax.Step
	tags      []string
	problems  source.Problems
}

// readFolders finds the folder.yaml of every directory from the root down to
// the flow's own.
func (c *compiler) readFolders() {
	dirs := []string{"."}
	if c.p.Dir != "." {
		at := ""
		for _, part := range strings.Split(c.p.Dir, "/") {
			at = path.Join(at, part)
			dirs = append(dirs, at)
		}
	}
	for _, dir := range dirs {
		f := c.l.folder(dir)
		if f == nil {
			continue
		}
		c.add(f.problems...)
		c.addFile(f.file, source.Pos{File: f.file}, f.file)
		c.folders = append(c.folders, f)
		for _, t := range f.tags {
			if !contains(c.p.Tags, t) {
				c.p.Tags = append(c.p.Tags, t)
			}
		}
	}
}

// folder reads the folder.yaml of a directory once; nil where there is none.
func (l *Loader) folder(dir string) *folder {
	if f, ok := l.folders[dir]; ok {
		return f
	}
	l.folders[dir] = nil
	if l.o.FS == nil {
		return nil
	}
	for _, base := range [...]string{"folder.yaml", "folder.yml"} {
		name := path.Join(dir, base)
		data, err := l.files.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		f := &folder{dir: dir, file: name}
		if err != nil {
			f.problems = source.Problems{l.files.blameAt(source.Pos{File: name}, name, name, err)}
		} else {
			f.read(data)
		}
		l.folders[dir] = f
		return f
	}
	return nil
}

func (f *folder) read(data []byte) {
	docs, problems := source.Load(f.file, data)
	r := reader{problems: problems}
	defer func() { f.problems = r.problems }()
	if len(problems.Errors()) > 0 || len(docs) == 0 {
		return
	}
	if len(docs) > 1 {
		r.add(problem(source.CodeYAML, docs[1].Pos, "", "a folder.yaml is one document"))
	}
	root := docs[0]
	for _, e := range r.entries(root, "folder.yaml", "name", "description", "variables", "env", "auth", "setup", "teardown", "tags") {
		switch e.Key.Text {
		case "variables", "env":
			f.variables = append(f.variables, r.named(e.Value, "env")...)
		case "auth":
			if e.Value.Kind != source.Map {
				r.add(problem(source.CodeType, e.Value.Pos, e.Value.Text, "auth is a map, as in the config of http.request"))
				continue
			}
			f.auth = e.Value
		case "tags":
			f.tags = r.tags(e.Value)
		}
	}
	setup, teardown, found := syntax.ParseSteps(f.file, data, root.Get("setup"), root.Get("teardown"))
	f.setup, f.teardown = setup, teardown
	for _, p := range found {
		r.add(p)
	}
}

func (r *reader) tags(n *source.Node) []string {
	if n.Kind != source.List {
		r.add(problem(source.CodeType, n.Pos, n.Text, "tags is a list"))
		return nil
	}
	var out []string
	for _, item := range n.Items {
		text := r.text(item, "")
		if p := syntax.CheckTag(item); p != nil {
			r.add(*p)
			continue
		}
		out = append(out, text)
	}
	return out
}

// folderAuth gives an action the auth of its folder, the inner one first, where
// it takes one and the step says nothing about it.
func (c *compiler) folderAuth(n *node, spec *catalog.Action, config *source.Node) *source.Node {
	if config.Get("auth") != nil || !spec.HasConfigKey("auth") {
		return config
	}
	var auth *source.Node
	for _, f := range c.folders {
		if f.auth != nil && below(n.dir, f.dir) {
			auth = f.auth
		}
	}
	if auth == nil {
		return config
	}
	out := source.Node{Kind: source.Map, Pos: n.step.Action.Pos}
	if config != nil {
		out = *config
		out.Entries = append([]source.Entry(nil), config.Entries...)
	}
	key := source.NewString(auth.Pos, "auth")
	out.Entries = append(out.Entries, source.Entry{Key: key, Value: auth})
	return &out
}

// below tells whether dir is root or below it.
func below(dir, root string) bool {
	return root == "." || dir == root || strings.HasPrefix(dir, root+"/")
}
