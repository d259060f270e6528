package stream

import (
	"os"
	"testing"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// A process that was killed leaves its spools; the next one sends what they hold.
func TestASpoolOfAnEarlierProcessIsOpenedAsItIs(t *testing.T) {
	dir, l, budget := t.TempDir(), &apiv1.Lease{RunId: "r", Attempt: 1, Fence: 7}, NewBudget(1000, nil)
	first, err := Create(dir, l, budget, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Write([]byte("{\"a\":1}\n"), true); err != nil {
		t.Fatal(err)
	}
	length, want, _ := first.Complete()
	budget = NewBudget(1000, nil) // of the next process
	s, sum, err := Open(dir, l, budget)
	if err != nil {
		t.Fatal(err)
	}
	if s.Size() != length || sum != want || budget.Taken() != length {
		t.Errorf("got %d bytes with %s, and %d of the budget, want %d with %s", s.Size(), sum, budget.Taken(), length, want)
	}
	if err := s.Write([]byte("{}\n"), true); err == nil {
		t.Error("something was added to it")
	}
	offset, data, err := s.part(frameBytes)
	if err != nil || offset != 0 || string(data) != "{\"a\":1}\n" {
		t.Errorf("got %q from %d (%v)", data, offset, err)
	}
	s.acknowledged(&apiv1.Ack{Durable: length})
	if sent, _ := s.allSent(); !sent {
		t.Error("there is more to send")
	}
	if err := s.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(Name(dir, l)); !os.IsNotExist(err) || budget.Taken() != 0 {
		t.Errorf("it is there still: %v, %d of the budget", err, budget.Taken())
	}
	if _, _, err := Open(dir, l, budget); err == nil {
		t.Error("what is not there was opened")
	}
}
