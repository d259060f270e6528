package graphql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxSchema bounds a schema; that of GitHub is about 1.5 MB, and 5 MB as the
	// JSON of an introspection.
	maxSchema = 32 << 20
	// maxSchemas bounds those that the process keeps for the next runs.
	maxSchemas = 16
)

// schema is what a server can be asked, ready to check queries by.
type schema struct {
	*ast.Schema
	// fields are those that a query can reach: "Product.name", in alphabetical
	// order.
	fields []string
}

// parseSchema reads SDL, or the JSON of an introspection.
func parseSchema(text []byte) (*schema, error) {
	sdl := string(text)
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("{")) {
		described, err := readIntrospection(trimmed)
		if err != nil {
			return nil, err
		}
		sdl = described.sdl()
	}
	parsed, err := gqlparser.LoadSchema(&ast.Source{Input: sdl})
	if err != nil {
		return nil, err
	}
	if parsed.Query == nil {
		return nil, errors.New("it has no type for queries")
	}
	return &schema{parsed, reachable(parsed)}, nil
}

// reachable lists the fields of the types that the roots lead to. What nothing
// leads to cannot be asked for, nor covered.
func reachable(s *ast.Schema) []string {
	found := map[string]bool{}
	fields := []string{}
	var visit func(d *ast.Definition)
	visit = func(d *ast.Definition) {
		if d == nil || found[d.Name] || strings.HasPrefix(d.Name, "__") || d.IsLeafType() {
			return
		}
		found[d.Name] = true
		for _, possible := range s.PossibleTypes[d.Name] {
			visit(possible)
		}
		for _, f := range d.Fields {
			if !strings.HasPrefix(f.Name, "__") {
				fields = append(fields, d.Name+"."+f.Name)
				visit(s.Types[f.Type.Name()])
			}
		}
	}
	visit(s.Query)
	visit(s.Mutation)
	visit(s.Subscription)
	slices.Sort(fields)
	return fields
}

// schemas keeps those that were read from files, for all runs of the process.
type schemas struct {
	mu   sync.Mutex
	byID map[fileID]*loading
	turn int
}

// fileID is a file as it was when it was read.
type fileID struct {
	name  string
	size  int64
	mtime time.Time
}

// loading is a schema that is read once, however many ask for it at once.
type loading struct {
	read func() (*schema, error)
	used int
}

// file reads the schema that a config names.
func (all *schemas) file(call *plugin.Call, name plugin.File) (*schema, error) {
	f, err := call.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", name, err)
	}
	if info.Size() > maxSchema {
		return nil, plugin.Definitionf("schema", "%s is over %d MiB", name, maxSchema>>20)
	}
	id := fileID{f.Name(), info.Size(), info.ModTime()}
	s, err := all.get(id, func() (*schema, error) {
		text, err := io.ReadAll(io.LimitReader(f, maxSchema))
		if err != nil {
			return nil, err
		}
		return parseSchema(text)
	})
	if err != nil {
		all.forget(id) // the file may be another one the next time
		return nil, schemaFault(name, err)
	}
	return s, nil
}

func (all *schemas) get(id fileID, read func() (*schema, error)) (*schema, error) {
	all.mu.Lock()
	l := all.byID[id]
	if l == nil {
		l = &loading{read: sync.OnceValues(read)}
		if all.byID == nil {
			all.byID = make(map[fileID]*loading)
		}
		all.byID[id] = l
	}
	all.turn++
	l.used = all.turn
	if len(all.byID) > maxSchemas {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(all.byID)), func(a, b fileID) int { return all.byID[a].used - all.byID[b].used })
		delete(all.byID, oldest)
	}
	all.mu.Unlock()
	return l.read()
}

func (all *schemas) forget(id fileID) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.byID, id)
}

func schemaFault(name plugin.File, err error) error {
	var wrong *gqlerror.Error
	if errors.As(err, &wrong) && len(wrong.Locations) > 0 {
		return plugin.Definitionf("schema", "%s:%d:%d: %s", name, wrong.Locations[0].Line, wrong.Locations[0].Column, strings.TrimSuffix(wrong.Message, "."))
	}
	return plugin.Definitionf("schema", "%s: %w", name, err).WithHint("a schema is SDL, or the JSON that an introspection gives")
}

// check validates the operation where a schema is known.
func (g *plug) check(ctx context.Context, call *plugin.Call, r *request, o *operation, t *target) error {
	var s *schema
	var err error
	switch {
	case r.Schema != "":
		s, err = g.schemas.file(call, r.Schema)
	case r.Introspect:
		s, err = t.schema(ctx, call)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return o.validate(s)
}
