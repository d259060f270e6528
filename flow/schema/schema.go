// Package schema validates values against JSON Schema: drafts 4, 6, 7, 2019-09
// and 2020-12, with exact numbers and sentences that name the actual value.
//
// It is our own because the kept library compiles every metaschema at package
// init, which alone costs more than the start of the whole program may; here
// nothing is built before it is used. That library is the oracle of the tests.
//
// The package reads files only through the fs.FS that it is given and never
// the network: a $ref to a URL works where Options.Known holds it or where it
// is one of the metaschemas.
package schema

import (
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/testmesh/testmesh/flow/value"
)

// Draft is a version of the JSON Schema standard.
type Draft int

// The drafts. The zero Draft leaves the choice to $schema, else to Draft2020.
const (
	Draft4 Draft = iota + 1
	Draft6
	Draft7
	Draft2019
	Draft2020
)

// String names the draft as people do: "draft 7", "2020-12".
func (d Draft) String() string {
	switch d {
	case Draft4:
		return "draft 4"
	case Draft6:
		return "draft 6"
	case Draft7:
		return "draft 7"
	case Draft2019:
		return "2019-09"
	case Draft2020:
		return "2020-12"
	}
	return "no draft"
}

// Options says how a schema is read. The zero Options are a schema without
// files in the newest draft.
type Options struct {
	// Draft holds where a document has no $schema.
	Draft Draft
	// Base is the path of the file that the schema stands in, slash separated
	// and relative to the root of FS; relative $refs start there.
	Base string
	// FS holds the files that a $ref may name. Without it only the document
	// itself, Known and the metaschemas can be referred to.
	FS fs.FS
	// Decode reads a file of FS; value.Decode (JSON) where it is nil.
	Decode func(path string, text []byte) (any, error)
	// Known are further schemas by absolute URI.
	Known map[string]any
	// AnnotateFormats makes format an annotation that never fails, as the
	// standards since 2019-09 have it by default. Without it format is
	// asserted in every draft, as those who write `format: date` expect. A
	// format that nobody knows never fails; Unknown lists it.
	AnnotateFormats bool
}

// Schema is a compiled schema. It is immutable: any number of goroutines may
// validate with it.
type Schema struct {
	root    *node
	track   bool // an unevaluated* keyword needs to know what others looked at
	unknown []string
}

// MaxErrors bounds the findings of one validation.
const MaxErrors = 100

// maxFile bounds one schema file: the largest published schemas (FHIR,
// Kubernetes) are under 10 MiB.
const maxFile = 16 << 20

// Compile reads a schema from its decoded document. What is wrong in it comes
// back as *DefinitionError, several joined.
func Compile(doc any, opts Options) (*Schema, error) {
	doc, err := value.Normalize(doc)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return newCompiler(opts).compile(doc, opts.Base, false)
}

// CompileFile reads a schema from a file of fsys, which also serves its $refs.
func CompileFile(fsys fs.FS, name string, opts Options) (*Schema, error) {
	opts.FS, opts.Base = fsys, path.Clean(name)
	doc, err := readFile(opts, opts.Base)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return newCompiler(opts).compile(doc, opts.Base, true)
}

func readFile(opts Options, name string) (any, error) {
	if opts.FS == nil {
		return nil, fmt.Errorf("read %q: no files can be read here", name)
	}
	f, err := opts.FS.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read schema file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read schema file %q: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read schema file %q: over %d bytes", name, maxFile)
	}
	decode := opts.Decode
	if decode == nil {
		decode = func(_ string, text []byte) (any, error) { return value.Decode(text) }
	}
	doc, err := decode(name, text)
	if err != nil {
		return nil, fmt.Errorf("read schema file %q: %w", name, err)
	}
	return value.Normalize(doc)
}

// Validate lists what is wrong with v, in a stable order and at most MaxErrors;
// none says that v is valid. An Error whose Limit is set stands alone and says
// that there is no verdict.
func (s *Schema) Validate(v any) []Error {
	r := run{track: s.track, within: map[*node]*place{}}
	r.eval(s.root, v, &place{})
	if r.limit != nil {
		return []Error{r.limit.render()}
	}
	var out []Error
	for _, f := range r.findings {
		out = append(out, f.render())
	}
	return out
}

// Unknown lists what the standard lets pass but an author hardly meant:
// keywords and formats that do not exist, with the nearest that does, and
// keywords that the draft ignores. Keywords that begin with "x-" are silent.
func (s *Schema) Unknown() []string { return append([]string(nil), s.unknown...) }
