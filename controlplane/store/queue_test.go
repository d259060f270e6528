package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
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

// A batch is written at once, and its hash is that of a batch whose runs were added to it
// afterwards, as older programs write it: nodes of both have one history.
func TestABatchThatIsMadeWholeHasTheHashOfTwoSteps(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	worlds := [2]*world{}
	for i := range worlds {
		worlds[i] = newWorld(t)
		worlds[i].bundled()
	}
	whole, steps := worlds[0], worlds[1]
	c := steps.command(oneRun(bundle, 1))
	c.Time = timestamppb.New(clock)
	if f := whole.s.Apply([]Entry{{Index: 2, Term: 1, Command: proto.CloneOf(c)}})[0].GetFault(); f != nil {
		t.Fatal(f.GetMessage())
	}
	a := &applying{writer: steps.s.writer, index: 2, command: c}
	if err := a.raw("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	create := c.GetCreateBatch()
	a.answered(c)
	b := &apiv1.Batch{
		Id: create.GetId(), Workspace: "default", Status: apiv1.BatchStatus_BATCH_STATUS_ACTIVE, Counts: &apiv1.Counts{}, Created: c.GetTime(), Actor: c.GetActor(),
	}
	a.exec("INSERT INTO sources (batch, source) VALUES (?, ?)", b.GetId(), a.packed(create.GetSource()))
	a.exec("INSERT INTO bundle_uses (bundle, batch) VALUES (?, ?)", bundle, b.GetId())
	a.exec("INSERT INTO batches (id, workspace, created, status, expanded, made, record) VALUES (?, ?, ?, ?, 0, 0, ?)",
		b.GetId(), b.GetWorkspace(), a.now(), int(b.GetStatus()), a.packed(b))
	answer := a.expandBatch(&clusterv1.ExpandBatch{BatchId: b.GetId(), First: 1, Runs: create.GetRuns(), Done: true})
	answer.Batch.Source, answer.Index = create.GetSource(), 2
	a.remember(c, answer)
	a.entry(2)
	if err := errors.Join(a.take(), a.raw("COMMIT")); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(whole.s.writer.chain, steps.s.writer.chain) {
		t.Errorf("got the hash %x, want %x", whole.s.writer.chain, steps.s.writer.chain)
	}
	for _, text := range []string{"SELECT record FROM batches", "SELECT record FROM runs", "SELECT answer FROM answers"} {
		var got, want []byte
		if err := errors.Join(whole.s.scalar(t.Context(), &got, text), steps.s.scalar(t.Context(), &want, text)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, want %x, %v", text, got, want, err)
		}
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
