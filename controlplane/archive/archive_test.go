package archive

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func run(n int) *apiv1.Run {
	return &apiv1.Run{
		Id: fmt.Sprintf("run-%04d", n), Workspace: "default", Number: int32(n), Created: timestamppb.New(noon.Add(time.Duration(n/2) * time.Second)),
		Outputs: `{"a":1}`, StepSummaries: []*apiv1.StepSummary{{StepId: "greet"}},
	}
}

func TestRunsComeBackTheNewestFirst(t *testing.T) {
	var runs []*apiv1.Run
	for n := range 101 {
		runs = append(runs, run(n*37%101))
	}
	f, err := Pack(runs)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(f.Key, "days/default/2026-11-30/") || !strings.HasSuffix(f.Key, ".zst") {
		t.Errorf("its key is %s", f.Key)
	}
	at := 100
	err = Read(bytes.NewReader(f.Data), f.SHA256, func(r *apiv1.Run) error {
		if !proto.Equal(r, run(at)) {
			t.Errorf("got %v in the place of run %d", r, at)
		}
		at--
		return nil
	})
	if err != nil || at != -1 {
		t.Errorf("%d are left, %v", at+1, err)
	}
	turned := append(runs[50:], runs[:50]...)
	again, err := Pack(turned)
	if err != nil || again.Key != f.Key || !bytes.Equal(again.Data, f.Data) {
		t.Errorf("the same runs gave another file: %v, %v", again, err)
	}
}

func TestWhatIsNoFile(t *testing.T) {
	other, tomorrow := run(2), run(2)
	other.Workspace = "another"
	tomorrow.Created = timestamppb.New(noon.Add(12 * time.Hour))
	many := make([]*apiv1.Run, MaxRuns+1)
	for name, runs := range map[string][]*apiv1.Run{"none": nil, "two workspaces": {run(1), other}, "two days": {run(1), tomorrow}, "too many": many} {
		if f, err := Pack(runs); err == nil {
			t.Errorf("%s were packed: %s", name, f.Key)
		}
	}
}

func TestAReaderStopsWhereItLikes(t *testing.T) {
	f, err := Pack([]*apiv1.Run{run(1), run(2), run(3)})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	if err := Read(bytes.NewReader(f.Data), f.SHA256, func(*apiv1.Run) error { seen++; return Stop() }); err != nil || seen != 1 {
		t.Errorf("%d were seen, %v", seen, err)
	}
	wrong := errors.New("wrong")
	if err := Read(bytes.NewReader(f.Data), f.SHA256, func(*apiv1.Run) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
}

func TestDamageShowsBeforeTheFirstRun(t *testing.T) {
	f, err := Pack([]*apiv1.Run{run(1), run(2)})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"cut": f.Data[:len(f.Data)-1], "longer": append(bytes.Clone(f.Data), 0), "changed": append([]byte{f.Data[0] ^ 1}, f.Data[1:]...), "empty": nil,
	} {
		err := Read(bytes.NewReader(data), f.SHA256, func(*apiv1.Run) error { t.Errorf("%s: a run was shown", name); return nil })
		if err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
