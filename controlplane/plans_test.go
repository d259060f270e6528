package controlplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/testmesh/testmesh/controlplane/api"
	"github.com/testmesh/testmesh/controlplane/store"
	"github.com/testmesh/testmesh/flow/bundle"
	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// counting is a blob store of one text, which counts how often it is read.
type counting struct {
	blobStore
	text string
	read int
}

func (c *counting) Get(context.Context, string) (io.ReadCloser, error) {
	c.read++
	return io.NopCloser(bytes.NewReader([]byte(c.text))), nil
}

// The flow is read and compiled again as soon as anything that the runs depend on is
// another: the source, the environment, what plugins can do. Not before.
func TestAPlanIsMadeAnewOnlyWithSomethingElse(t *testing.T) {
	t.Parallel()
	s, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	const text = "flow:\n  name: Known\n  steps: [{action: log, config: {message: hello}}]\n"
	sum := sha256.Sum256([]byte(text))
	files := []*apiv1.BundleFile{{Path: "a.testmesh.yaml", Sha256: hex.EncodeToString(sum[:]), Size: int64(len(text))}}
	digest, index := bundle.Digest(files), uint64(0)
	apply := func(c *clusterv1.Command) {
		t.Helper()
		index++
		c.Version, c.Workspace = 1, "default"
		if f := s.Apply([]store.Entry{{Index: index, Command: c}})[0].GetFault(); f != nil {
			t.Fatal(f.GetMessage())
		}
	}
	environment := func(text string, base int64) {
		apply(&clusterv1.Command{Body: &clusterv1.Command_PutEnvironment{PutEnvironment: &clusterv1.PutEnvironment{Name: "staging", Text: text, Base: base}}})
	}
	apply(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: digest, Files: files}}})
	environment("env: {A: b}\n", 0)
	blobs := &counting{text: text}
	p := &planner{store: s, again: func(_ context.Context, read func() error) error { return read() }, blobs: blobs}
	source := &apiv1.Source{Bundle: digest, Flows: []*apiv1.FlowRef{{File: "a.testmesh.yaml"}}, Environment: "staging"}
	ids := map[string]bool{}
	for _, step := range []struct {
		name   string
		change func()
		read   int
	}{
		{"first", func() {}, 1},
		{"again", func() {}, 1},
		{"another source", func() { source.Repeat = 2 }, 2},
		{"the first source", func() { source.Repeat = 0 }, 2},
		{"another environment", func() { environment("env: {A: c}\n", 1) }, 3},
		{"another plugin", func() {
			body, err := proto.Marshal(&testmeshv1.Descriptor{Name: "extra", Version: "1.0.0"})
			if err != nil {
				t.Fatal(err)
			}
			apply(&clusterv1.Command{Body: &clusterv1.Command_PutDescriptors{PutDescriptors: &clusterv1.PutDescriptors{Descriptors: [][]byte{body}}}})
		}, 4},
		{"again at the end", func() {}, 4},
	} {
		step.change()
		runs, err := p.Plan(t.Context(), "default", source)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if want := max(1, int(source.GetRepeat())); len(runs) != want || runs[0].GetSpec().GetFlow() != "Known" {
			t.Errorf("%s: got %v, want %d runs of Known", step.name, runs, want)
		}
		for _, r := range runs {
			if ids[r.GetId()] {
				t.Errorf("%s: got the id %s twice", step.name, r.GetId())
			}
			ids[r.GetId()] = true
		}
		if blobs.read != step.read {
			t.Errorf("%s: got the file read %d times, want %d", step.name, blobs.read, step.read)
		}
	}
	// A bundle that was pruned meanwhile is refused, its plan known or not.
	apply(&clusterv1.Command{Time: timestamppb.Now(), Body: &clusterv1.Command_Prune{Prune: &clusterv1.Prune{BundlesBefore: timestamppb.New(time.Now().Add(time.Hour))}}})
	var said *api.Error
	if _, err := p.Plan(t.Context(), "default", source); !errors.As(err, &said) || said.Kind != api.NotFound {
		t.Errorf("a bundle that is gone: got %v, want it not found", err)
	}
}

// However many plans there are, two generations are kept at most, and of these what is
// asked for.
func TestPlansAreBounded(t *testing.T) {
	t.Parallel()
	plan := func(size int) []*apiv1.Spec { return []*apiv1.Spec{{Flow: string(make([]byte, size))}} }
	var p plans
	asked := planKey{1}
	p.put(asked, plan(1))
	p.put(planKey{2}, plan(1))
	const each = 10 << 10
	for n := range 10 * plansBytes / each {
		p.put(planKey{3, byte(n), byte(n >> 8)}, plan(each))
		if _, ok := p.get(asked); !ok {
			t.Fatalf("got the plan that is asked for forgotten after %d others", n)
		}
		if kept := (len(p.young) + len(p.old)) * each; kept > 2*plansBytes+2*each {
			t.Fatalf("got %d bytes kept, want %d at most", kept, 2*plansBytes)
		}
	}
	if _, ok := p.get(planKey{2}); ok {
		t.Error("got a plan that nobody asks for kept for ever")
	}
	large := planKey{4}
	p.put(large, plan(planBytes))
	if _, ok := p.get(large); ok {
		t.Error("got a plan kept that is over its bound")
	}
	one, err := keyOf("default", &apiv1.Source{Trigger: "a"}, "b c", "d")
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []func() (planKey, error){
		func() (planKey, error) { return keyOf("default", &apiv1.Source{Trigger: "b"}, "b c", "d") },
		func() (planKey, error) { return keyOf("default", &apiv1.Source{Trigger: "a"}, "b", "c d") },
		func() (planKey, error) { return keyOf("other", &apiv1.Source{Trigger: "a"}, "b c", "d") },
	} {
		if key, err := other(); err != nil || key == one {
			t.Errorf("got %s for something else, and %v", fmt.Sprintf("%x", key), err)
		}
	}
}
