package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/dispatch"
	"github.com/testmesh/testmesh/controlplane/store"
	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/bundle"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/flow/source"
)

// planner compiles what is stored, with what the agents' plugins can do.
type planner struct {
	store    *store.Store
	again    func(ctx context.Context, read func() error) error // reads anew what this node does not have yet
	blobs    blobStore
	builtins []*testmeshv1.Descriptor

	plans plans

	mu    sync.Mutex
	known *catalog.Catalog // of the descriptors of key
	key   string
}

// maxFile bounds a file that is read for compiling.
const maxFile = flow.MaxFileBytes

// errBlob is an error of the blob store, which says nothing about a flow.
type errBlob struct{ error }

func (p *planner) bundle(ctx context.Context, digest string) (files []*apiv1.BundleFile, err error) {
	err = p.again(ctx, func() error {
		files, err = p.store.Bundle(ctx, digest)
		return err
	})
	return files, err
}

func (p *planner) environment(ctx context.Context, workspace, name string) (e *apiv1.Environment, err error) {
	err = p.again(ctx, func() error {
		e, err = p.store.Environment(ctx, workspace, name)
		return err
	})
	return e, err
}

// named is the text of the environment of a source; "": it names none.
func (p *planner) named(ctx context.Context, workspace, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	e, err := p.environment(ctx, workspace, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", said(err)
	}
	if err != nil {
		return "", &api.Error{Kind: api.NotFound, Field: "source.environment", Message: fmt.Sprintf("there is no environment %q", name), Cause: err}
	}
	return e.GetText(), nil
}

func (p *planner) load(ctx context.Context, s *apiv1.Source, files []*apiv1.BundleFile, environment string, c *catalog.Catalog, beside []api.File) (*bundle.Loader, *bundled, error) {
	from := &bundled{ctx: ctx, blobs: p.blobs, beside: beside}
	for _, f := range beside {
		files = append(files, f.BundleFile)
	}
	o := bundle.Options{FS: bundle.New(files, from.open), Source: s, Catalog: c, Lenient: true}
	if name := s.GetEnvironment(); name != "" {
		env, problems := flow.ParseEnvironment(flow.EnvironmentPath(name), []byte(environment))
		if bad := problems.Errors(); len(bad) > 0 {
			return nil, nil, asError("source.environment", bad)
		}
		o.Environment = env
	}
	l, problems := bundle.NewLoader(o)
	if len(problems) > 0 {
		return nil, nil, from.blame("source.data", problems)
	}
	return l, from, nil
}

// bundled reads the files of a bundle for the language, which makes problems of the
// flow of all that it cannot read. What the blob store could not give says nothing about
// the flow: it is kept apart.
type bundled struct {
	ctx    context.Context
	blobs  blobStore
	beside []api.File
	fault  error
}

func (c *bundled) open(sum string) ([]byte, error) {
	for _, f := range c.beside {
		if f.GetSha256() == sum {
			return f.Content, nil
		}
	}
	r, err := c.blobs.Get(c.ctx, "files/"+sum[:2]+"/"+sum)
	if err != nil {
		return nil, c.noted(err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	return data, c.noted(err)
}

func (c *bundled) noted(err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.fault = errors.Join(c.fault, err)
	}
	return err
}

// blame is the error of problems of a field.
func (c *bundled) blame(field string, problems source.Problems) error {
	if c.fault != nil {
		return &api.Error{Kind: api.Unavailable, Message: "the files of the flow cannot be read at the moment: try again", Cause: errBlob{c.fault}}
	}
	return asError(field, problems)
}

// catalog is what the built-in plugins and those of the agents can do: of each the
// newest version. The key is of the descriptors that it is made of.
func (p *planner) catalog(ctx context.Context) (c *catalog.Catalog, key string, err error) {
	// Making one takes longer than all else that a batch needs, and they seldom change.
	digests, err := p.store.DescriptorDigests(ctx)
	if err != nil {
		return nil, "", err
	}
	key = strings.Join(digests, " ")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil && p.key == key {
		return p.known, key, nil
	}
	described, err := p.store.Descriptors(ctx)
	if err != nil {
		return nil, "", err
	}
	newest := map[string]*testmeshv1.Descriptor{}
	for _, d := range described { // by name and version
		one := &testmeshv1.Descriptor{}
		if err := proto.Unmarshal(d.Body, one); err == nil {
			newest[one.GetName()] = one
		}
	}
	for _, d := range p.builtins {
		newest[d.GetName()] = d
	}
	names := make([]string, 0, len(newest))
	for name := range newest {
		names = append(names, name)
	}
	sort.Strings(names)
	list := make([]*testmeshv1.Descriptor, len(names))
	for i, name := range names {
		list[i] = newest[name]
	}
	if c, err = catalog.New(list...); err == nil {
		p.known, p.key = c, key
	}
	return c, key, err
}

// specs are what the runs of a source run.
func (p *planner) specs(ctx context.Context, workspace string, s *apiv1.Source, beside []api.File) ([]*apiv1.Spec, error) {
	c, descriptors, err := p.catalog(ctx)
	if err != nil {
		return nil, err
	}
	environment, err := p.named(ctx, workspace, s.GetEnvironment())
	if err != nil {
		return nil, err
	}
	key, err := keyOf(workspace, s, environment, descriptors)
	if err != nil {
		return nil, err
	}
	if specs, known := p.plans.get(key); known && len(beside) == 0 {
		// A bundle that is gone is refused also where its plan is known.
		if has, err := p.store.HasBundle(ctx, s.GetBundle()); has || err != nil {
			return specs, err
		}
	}
	files, err := p.bundle(ctx, s.GetBundle())
	if err != nil {
		return nil, said(err)
	}
	l, from, err := p.load(ctx, s, files, environment, c, beside)
	if err != nil {
		return nil, err
	}
	specs, problems := l.Plan()
	if len(problems) > 0 {
		return nil, from.blame("source.flows", problems)
	}
	if len(beside) == 0 { // whose bundle is another one in the end
		p.plans.put(key, specs)
	}
	return specs, nil
}

// Plan makes the runs of a source: the same ones every time, but for their ids.
func (p *planner) Plan(ctx context.Context, workspace string, s *apiv1.Source, beside ...api.File) ([]*clusterv1.NewRun, error) {
	specs, err := p.specs(ctx, workspace, s, beside)
	if err != nil {
		return nil, err
	}
	of := map[string]string{}
	for _, r := range s.GetOnly() {
		of[fmt.Sprintf("%s#%d#%d", r.GetFile(), r.GetIndex(), r.GetOrdinal())] = r.GetRunId()
	}
	runs := make([]*clusterv1.NewRun, len(specs))
	for i, s := range specs {
		runs[i] = &clusterv1.NewRun{Id: newID(), Spec: s, RerunOf: of[fmt.Sprintf("%s#%d#%d", s.GetFile(), s.GetIndex(), s.GetOrdinal())]}
	}
	return runs, nil
}

// Expand makes the runs of a batch.
func (p *planner) Expand(ctx context.Context, b *apiv1.Batch) ([]*clusterv1.NewRun, error) {
	runs, err := p.Plan(ctx, b.GetWorkspace(), b.GetSource())
	var blobs errBlob
	if errors.As(err, &blobs) {
		return nil, fmt.Errorf("%w: %w", dispatch.ErrAgain, err)
	}
	return runs, err
}

// Flows are those of a bundle, with the files that each names.
func (p *planner) Flows(ctx context.Context, digest string) ([]*clusterv1.PushedFlow, error) {
	files, err := p.bundle(ctx, digest)
	if err != nil {
		return nil, said(err)
	}
	c, _, err := p.catalog(ctx)
	if err != nil {
		return nil, err
	}
	from := &bundled{ctx: ctx, blobs: p.blobs}
	list, problems := bundle.Flows(bundle.New(files, from.open), c)
	if len(problems) > 0 {
		return nil, from.blame("bundle", problems)
	}
	byPath := make(map[string]*apiv1.BundleFile, len(files))
	for _, f := range files {
		byPath[f.GetPath()] = f
	}
	out := make([]*clusterv1.PushedFlow, len(list))
	for i, one := range list {
		out[i] = &clusterv1.PushedFlow{Flow: one.Flow}
		for _, name := range one.Files {
			if f := byPath[name]; f != nil {
				out[i].Files = append(out[i].Files, f)
				one.Flow.Size += f.GetSize()
			}
		}
		one.Flow.Digest, one.Flow.Bundle = bundle.Digest(out[i].GetFiles()), digest
	}
	return out, nil
}

// Describe says what a flow of some files is queued with.
func (p *planner) Describe(ctx context.Context, files []*apiv1.BundleFile, file string, index int) (*apiv1.GetFlowResponse, error) {
	c, _, err := p.catalog(ctx)
	if err != nil {
		return nil, err
	}
	from := &bundled{ctx: ctx, blobs: p.blobs}
	out, problems := bundle.Describe(bundle.New(files, from.open), c, file, index)
	if len(problems) > 0 {
		return nil, from.blame("file", problems)
	}
	return out, nil
}

// Environment says what is wrong with the text of one.
func (p *planner) Environment(name, text string) error {
	_, problems := flow.ParseEnvironment(flow.EnvironmentPath(name), []byte(text))
	if bad := problems.Errors(); len(bad) > 0 {
		return asError("text", bad)
	}
	return nil
}

// shownProblems are told in one answer.
const shownProblems = 20

// asError tells problems of a definition with their places.
func asError(field string, problems source.Problems) error {
	var lines []string
	for i, p := range problems {
		if i == shownProblems {
			lines = append(lines, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		line := p.Message
		if p.Pos.File != "" {
			line = fmt.Sprintf("%s:%d:%d: %s", p.Pos.File, p.Pos.Line, p.Pos.Column, p.Message)
		}
		if p.Hint != "" {
			line += " (" + p.Hint + ")"
		}
		lines = append(lines, line)
	}
	return &api.Error{Kind: api.Invalid, Field: field, Message: strings.Join(lines, "\n")}
}
