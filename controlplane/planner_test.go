package controlplane

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/dispatch"
	"github.com/testmesh/testmesh/controlplane/store"
	"github.com/testmesh/testmesh/flow/bundle"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// failing is a blob store that gives nothing but an error.
type failing struct {
	blobStore
	err error
}

func (f failing) Get(context.Context, string) (io.ReadCloser, error) { return nil, f.err }

// What a blob store cannot give at the moment says nothing about a flow: whoever asks
// is told to try again, and a batch that was acknowledged waits. What it says is not
// there is a fault of the bundle.
func TestAnOutageOfTheBlobsIsNoFaultOfTheFlow(t *testing.T) {
	s, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	files := []*apiv1.BundleFile{{Path: "a.testmesh.yaml", Sha256: "6ae8a75555209fd6c44157c0aed8016e763ff435a19cf186f76863140143ff72", Size: 4}}
	digest := bundle.Digest(files)
	s.Apply([]store.Entry{{Index: 1, Command: &clusterv1.Command{
		Version: 1, Workspace: "default", Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: digest, Files: files}},
	}}})
	source := &apiv1.Source{Bundle: digest, Flows: []*apiv1.FlowRef{{File: "a.testmesh.yaml"}}}
	for name, test := range map[string]struct {
		err   error
		kind  api.Kind
		again bool
	}{
		"an outage":                {errors.New("connection refused"), api.Unavailable, true},
		"a file that is not there": {fs.ErrNotExist, api.Invalid, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &planner{store: s, again: func(_ context.Context, read func() error) error { return read() }, blobs: failing{err: test.err}}
			_, err := p.Plan(t.Context(), "default", source)
			var said *api.Error
			if !errors.As(err, &said) || said.Kind != test.kind {
				t.Errorf("Plan: got %v, want the kind %v", err, test.kind)
			}
			_, err = p.Expand(t.Context(), &apiv1.Batch{Workspace: "default", Source: source})
			if err == nil || errors.Is(err, dispatch.ErrAgain) != test.again {
				t.Errorf("Expand: got %v, want it tried again: %v", err, test.again)
			}
		})
	}
}

// The catalog is made once for the descriptors that there are, and anew with others.
func TestTheCatalogIsMadeAnewWithOtherDescriptors(t *testing.T) {
	s, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &planner{store: s, blobs: failing{}}
	first, _, err := p.catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := p.catalog(t.Context()); err != nil || again != first {
		t.Errorf("got another catalog of the same descriptors, and %v", err)
	}
	body, err := proto.Marshal(&testmeshv1.Descriptor{Name: "extra", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	a := s.Apply([]store.Entry{{Index: 1, Command: &clusterv1.Command{
		Version: 1, Workspace: "default", Body: &clusterv1.Command_PutDescriptors{PutDescriptors: &clusterv1.PutDescriptors{Descriptors: [][]byte{body}}},
	}}})
	if f := a[0].GetFault(); f != nil {
		t.Fatal(f.GetMessage())
	}
	if other, _, err := p.catalog(t.Context()); err != nil || other == first {
		t.Errorf("got the old catalog, and %v", err)
	}
}
