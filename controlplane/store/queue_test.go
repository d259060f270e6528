package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
	clusterv1 "github.com/testmesh/testmesh/proto/testmesh/cluster/v1"
)

// oneRun is the command of a batch of one run, as the API makes it.
func oneRun(bundle string, n int) *clusterv1.Command {
	id := func() string { return uuid.Must(uuid.NewV7()).String() }
	const file = "flows/checkout.testmesh.yaml"
	return &clusterv1.Command{
		Version: 1, Workspace: "default", Actor: "admin", Time: timestamppb.Now(), RequestId: fmt.Sprintf("key/admin/CreateBatchRequest/%d", n), RequestDigest: make([]byte, 32),
		Body: &clusterv1.Command_CreateBatch{CreateBatch: &clusterv1.CreateBatch{
			Id: id(), Source: &apiv1.Source{Bundle: bundle, Flows: []*apiv1.FlowRef{{File: file}}, Priority: 2},
			Runs: []*clusterv1.NewRun{{Id: id(), Spec: &apiv1.Spec{Bundle: bundle, File: file, Flow: "Checkout", Timeout: durationpb.New(0), Plugins: []string{"http"}}}},
		}},
	}
}

// What came to be with all of its runs goes with the change, as the state has it; what
// was touched after that in the same change, or comes in parts, must be read.
func TestAChangeBringsWhatWasMadeWhole(t *testing.T) {
	w := newWorld(t)
	w.must(&clusterv1.Command{Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: bundle}}})
	changes, stop := w.s.Changes()
	defer stop()
	n := 0
	commands := func(runs int, touch *clusterv1.Command) (list []Entry, batch string) {
		n++
		c := oneRun(bundle, n)
		b := c.GetCreateBatch()
		b.Id, b.Runs = fmt.Sprintf("made-%d", n), nil
		for i := range runs {
			b.Runs = append(b.Runs, &clusterv1.NewRun{Id: fmt.Sprintf("%s-%d", b.GetId(), i), Spec: &apiv1.Spec{Flow: "f"}})
		}
		for _, c := range []*clusterv1.Command{c, touch} {
			if c != nil {
				w.index++
				list = append(list, Entry{Index: w.index, Term: 1, Command: w.command(c)})
			}
		}
		return list, b.GetId()
	}
	for _, test := range []struct {
		name  string
		runs  int
		touch *clusterv1.Command
		made  bool
	}{
		{"with its runs", 3, nil, true},
		{"without", 0, nil, false},
		{"one run is cancelled at once", 3, &clusterv1.Command{Body: &clusterv1.Command_CancelRuns{CancelRuns: &clusterv1.CancelRuns{RunIds: []string{"made-3-1"}}}}, false},
		{"another run is touched", 3, &clusterv1.Command{Body: &clusterv1.Command_SetPriority{SetPriority: &clusterv1.SetPriority{RunIds: []string{"made-1-0"}, Priority: 4}}}, true},
		{"more than one change brings along", madeMost/2 + 1, nil, true},
	} {
		entries, id := commands(test.runs, test.touch)
		for _, a := range w.s.Apply(entries) {
			if f := a.GetFault(); f != nil {
				t.Fatalf("%s: %s", test.name, f.GetMessage())
			}
		}
		c := <-changes
		if made := len(c.Made) == 1; made != test.made {
			t.Errorf("%s: got %v, want it made whole: %v", test.name, c.Made, test.made)
			continue
		}
		if !slices.Contains(c.Batches, id) {
			t.Errorf("%s: got %v, want the batch among them", test.name, c.Batches)
		}
		for _, m := range c.Made {
			b, err := w.s.Batch(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			runs, err := w.s.RunsOfBatch(t.Context(), id)
			if diff := cmp.Diff(Made{b, runs}, m, protocmp.Transform()); diff != "" || err != nil {
				t.Errorf("%s: the state has it otherwise (%v):\n%s", test.name, err, diff)
			}
		}
	}
	first, _ := commands(madeMost/2+1, nil)
	second, _ := commands(madeMost/2+1, nil)
	w.s.Apply(append(first, second...))
	if c := <-changes; len(c.Made) != 1 || len(c.Batches) != 2 {
		t.Errorf("two batches of many: got %d brought along of %d, want one", len(c.Made), len(c.Batches))
	}
}

// BenchmarkQueue is what one node takes to apply the command of a batch of one run, of
// which so many are committed together.
func BenchmarkQueue(b *testing.B) {
	for _, together := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(together), func(b *testing.B) {
			s, err := Open(Config{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					b.Error(err)
				}
			}()
			index := uint64(1)
			s.Apply([]Entry{{Index: index, Command: &clusterv1.Command{
				Version: 1, Workspace: "default", Body: &clusterv1.Command_PutBundle{PutBundle: &clusterv1.PutBundle{Digest: bundle}},
			}}})
			b.ResetTimer()
			for n := 0; n < b.N; n += together {
				var entries []Entry
				for i := range min(together, b.N-n) {
					index++
					entries = append(entries, Entry{Index: index, Command: oneRun(bundle, n+i)})
				}
				for _, a := range s.Apply(entries) {
					if f := a.GetFault(); f != nil {
						b.Fatal(f.GetMessage())
					}
				}
			}
		})
	}
}
