package plugin

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/catalog"
)

// exampleProblem compiles an example as a step of a flow. Names that only a
// whole flow would have are not held against it.
func (l *linted) exampleProblem(example string) string {
	step := strings.TrimSpace(example)
	if !strings.HasPrefix(step, "-") {
		step = "- " + strings.ReplaceAll(step, "\n", "\n  ")
	}
	text := "flow:\n  name: example\n  steps:\n    " + strings.ReplaceAll(step, "\n", "\n    ") + "\n"
	descriptors := []*testmeshv1.Descriptor{l.descriptor}
	for _, b := range l.builtins {
		if b.Descriptor.GetName() != l.descriptor.GetName() {
			descriptors = append(descriptors, b.Descriptor)
		}
	}
	c, err := catalog.New(descriptors...)
	if err != nil {
		return err.Error()
	}
	loader := flow.NewLoader(flow.Options{Catalog: c, FS: exampleFile(text)})
	_, problems := loader.Flows(exampleName)
	for _, p := range problems.Errors() {
		if p.Code != "E-NAME" && p.Code != "E-FILE" && p.Code != "E-SECRET" {
			return fmt.Sprintf("%s: %s", p.Code, p.Message)
		}
	}
	return ""
}

const exampleName = "example.testmesh.yaml"

// exampleFile is a project of one flow.
type exampleFile string

// Open implements fs.FS: nothing but the flow is there.
func (f exampleFile) Open(name string) (fs.File, error) {
	if name != exampleName {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &openExample{strings.NewReader(string(f))}, nil
}

type openExample struct{ *strings.Reader }

// Stat implements fs.File.
func (o *openExample) Stat() (fs.FileInfo, error) { return exampleInfo(o.Reader.Size()), nil }

// Close implements fs.File.
func (o *openExample) Close() error { return nil }

// exampleInfo is the size of the flow.
type exampleInfo int64

// Name implements fs.FileInfo.
func (exampleInfo) Name() string { return exampleName }

// Size implements fs.FileInfo.
func (i exampleInfo) Size() int64 { return int64(i) }

// Mode implements fs.FileInfo.
func (exampleInfo) Mode() fs.FileMode { return 0o444 }

// ModTime implements fs.FileInfo.
func (exampleInfo) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (exampleInfo) IsDir() bool { return false }

// Sys implements fs.FileInfo.
func (exampleInfo) Sys() any { return nil }
