package stream

import (
	"os"
	"path/filepath"
	"testing"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// A process that was killed leaves its spools; the next one removes them, and nothing
// else of the folder.
func TestSweepRemovesWhatAnEarlierProcessLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	if err := Sweep(dir); err != nil {
		t.Errorf("a folder that is not there yet: %v", err)
	}
	s, err := Create(dir, &apiv1.Lease{RunId: "r", Attempt: 1, Fence: 7}, NewBudget(0, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write([]byte("{}\n"), true); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.txt")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "other.txt" {
		t.Errorf("got %v, want other.txt alone", entries)
	}
}
