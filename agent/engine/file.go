package engine

import (
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// file reads a JSON or YAML file of the project.
func (r *stepRun) file(name *expr.Template) (any, *try) {
	text, err := name.Text(r.env)
	if err != nil {
		return nil, r.evaluationTry(err, "input_file")
	}
	bad := func(err error) (any, *try) {
		return nil, erroredTry(source.CodeFile, "definition", fmt.Sprintf("input_file %q: %s", text, err))
	}
	project := r.p.f.run.e.cfg.FS
	full := path.Join(r.s.Dir, text)
	if project == nil || path.IsAbs(text) || !fs.ValidPath(full) {
		return bad(fmt.Errorf("it leads out of the project"))
	}
	f, err := project.Open(full)
	if err != nil {
		return bad(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return bad(err)
	}
	if len(data) > maxFileBytes {
		return bad(fmt.Errorf("it is over %d MiB", maxFileBytes>>20))
	}
	v, err := decodeFile(full, data)
	if err != nil {
		return bad(err)
	}
	return v, nil
}

// decodeFile reads JSON, or YAML by its extension.
func decodeFile(name string, data []byte) (any, error) {
	if ext := path.Ext(name); ext != ".yaml" && ext != ".yml" {
		return value.Decode(data)
	}
	docs, problems := source.Load(name, data)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, fmt.Errorf("it holds %d documents, not one", len(docs))
	}
	return nodeValue(docs[0]), nil
}

// nodeValue is a YAML node as plain data.
func nodeValue(n *source.Node) any {
	switch n.Kind {
	case source.List:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			out[i] = nodeValue(item)
		}
		return out
	case source.Map:
		out := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			out[e.Key.Text] = nodeValue(e.Value)
		}
		return out
	}
	return n.Value
}
