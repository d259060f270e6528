package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxProto bounds one .proto file, and maxProtos how many one brings along: all
	// of googleapis are about 5,000.
	maxProto  = 4 << 20
	maxProtos = 10_000
	// maxSet bounds a descriptor set, and what a reflection service sends.
	maxSet = 64 << 20
	// maxProblems bounds what is said of files that do not compile.
	maxProblems = 10
)

// compileProto makes a schema of .proto files.
func compileProto(ctx context.Context, call *plugin.Call, given []plugin.File, importPaths []string) (*schema, error) {
	for _, file := range given { // in words of its own, where it is not there
		f, err := call.Open(file)
		if err != nil {
			return nil, err
		}
		_ = f.Close()
	}
	roots, names := importRoots(given, importPaths)
	found := &protoFiles{call: call, roots: roots}
	var problems problems
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(protocompile.ResolverFunc(found.resolve)),
		Reporter: reporter.NewReporter(problems.add, nil),
	}
	files, err := compiler.Compile(ctx, names...)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case found.fault() != nil:
		return nil, found.fault()
	case err != nil:
		return nil, problems.fault(given[0], err, roots)
	}
	registry := new(protoregistry.Files)
	for _, f := range files {
		if err := register(registry, f); err != nil {
			return nil, plugin.Definitionf("proto_file", "%s: %s", given[0], err).
				WithHint("two files define one thing, or one file has two names: name the folder that imports are relative to in import_paths")
		}
	}
	return newSchema(registry, joined(given), "is "+joined(given)+" of the same version as the server?"), nil
}

// register adds a file and all that it imports.
func register(registry *protoregistry.Files, f protoreflect.FileDescriptor) error {
	if _, err := registry.FindFileByPath(f.Path()); err == nil {
		return nil
	}
	imports := f.Imports()
	for i := range imports.Len() {
		if err := register(registry, imports.Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	return registry.RegisterFile(f)
}

func joined(given []plugin.File) string {
	texts := make([]string, len(given))
	for i, f := range given {
		texts[i] = string(f)
	}
	return strings.Join(texts, ", ")
}

// importRoots gives the folders that imports are looked for in, and the files
// under the names that imports would use for them. Without import_paths these
// are the folder of each file and those above it, as far as its path goes.
func importRoots(given []plugin.File, importPaths []string) (roots, names []string) {
	for _, dir := range importPaths {
		roots = append(roots, path.Clean(dir))
	}
	if len(roots) == 0 {
		for _, file := range given {
			for dir := path.Dir(path.Clean(string(file))); ; dir = path.Dir(dir) {
				if !slices.Contains(roots, dir) {
					roots = append(roots, dir)
				}
				if dir == "." || dir == "/" || path.Base(dir) == ".." {
					break
				}
			}
		}
	}
	for _, file := range given {
		names = append(names, nameBelow(roots, path.Clean(string(file))))
	}
	return roots, names
}

// nameBelow is a file's path from the first root that it is below.
func nameBelow(roots []string, file string) string {
	for _, root := range roots {
		if root == "." && !strings.HasPrefix(file, "../") {
			return file
		}
		if name, below := strings.CutPrefix(file, root+"/"); below {
			return name
		}
	}
	return file
}

// protoFiles finds .proto files for the compiler.
type protoFiles struct {
	call  *plugin.Call
	roots []string

	mu    sync.Mutex
	count int
	err   error // that is not about one import alone
}

func (p *protoFiles) fault() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *protoFiles) resolve(name string) (protocompile.SearchResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count++; p.count > maxProtos {
		p.err = plugin.Definitionf("proto_file", "brings along more than %d files", maxProtos)
		return protocompile.SearchResult{}, p.err
	}
	for _, root := range append(p.roots, "") {
		data, err := p.call.ReadFile(plugin.File(path.Join(root, name)), maxProto)
		switch {
		case err == nil:
			return protocompile.SearchResult{Source: strings.NewReader(string(data))}, nil
		case errors.Is(err, fs.ErrNotExist):
		default:
			p.err = err
			return protocompile.SearchResult{}, err
		}
	}
	return protocompile.SearchResult{}, protoregistry.NotFound
}

// problems are what is wrong with .proto files.
type problems struct {
	mu   sync.Mutex
	list []string
}

func (p *problems) add(err reporter.ErrorWithPos) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := err.GetPosition()
	p.list = append(p.list, fmt.Sprintf("%s:%d:%d: %s", at.Filename, at.Line, at.Col, err.Unwrap()))
	if len(p.list) >= maxProblems {
		return err
	}
	return nil
}

func (p *problems) fault(file plugin.File, err error, roots []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) == 0 {
		p.list = append(p.list, err.Error())
	}
	e := plugin.Definitionf("proto_file", "%s does not compile: %s", file, p.list[0]).WithDetails(p.list[1:]...)
	if errors.Is(err, protoregistry.NotFound) || strings.Contains(p.list[0], "could not resolve path") || strings.Contains(p.list[0], "not found") {
		return e.WithHint("imports were looked for in %s: name the folder that they are relative to in import_paths", strings.Join(roots, ", "))
	}
	return e
}

// readSet makes a schema of a file of descriptors.
func readSet(call *plugin.Call, name plugin.File) (*schema, error) {
	f, err := call.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSet+1))
	if err != nil {
		return nil, plugin.Definitionf("descriptor_set", "read %s: %w", name, err)
	}
	if len(data) > maxSet {
		return nil, plugin.Definitionf("descriptor_set", "%s is over %d MiB", name, maxSet>>20)
	}
	const made = "make it with buf build -o FILE, or protoc --include_imports --descriptor_set_out=FILE"
	var set descriptorpb.FileDescriptorSet
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &set); err != nil || len(set.GetFile()) == 0 {
		return nil, plugin.Definitionf("descriptor_set", "%s is no descriptor set", name).WithHint(made)
	}
	registry, err := assemble(set.GetFile())
	var missing *missingImport
	switch {
	case errors.As(err, &missing):
		return nil, plugin.Definitionf("descriptor_set", "%s lacks %s", name, missing).WithHint(made)
	case err != nil:
		return nil, plugin.Definitionf("descriptor_set", "%s does not fit together: %w", name, err).WithHint(made)
	}
	return newSchema(registry, string(name), "is "+string(name)+" of the same version as the server?"), nil
}
