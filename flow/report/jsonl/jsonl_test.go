package jsonl

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testmesh/testmesh/flow/event"
)

// writes counts calls: each line is one, so that a reader never sees half.
type writes struct {
	bytes.Buffer
	n int
}

func (w *writes) Write(p []byte) (int, error) {
	w.n++
	return w.Buffer.Write(p)
}

func TestEveryEventIsOneLineInOneWrite(t *testing.T) {
	var out writes
	w := New(&out)
	var wg sync.WaitGroup
	for run := range 8 {
		wg.Go(func() {
			for seq := range 50 {
				err := w.Write(&event.Event{
					Type: event.TypeStepLog, Seq: int64(seq + 1), Time: time.Unix(0, 0).UTC(), RunID: fmt.Sprint(run), Attempt: 1,
					Step: &event.Step{ID: "s"}, Log: &event.Log{Message: "two\nlines\r\u2028"},
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if out.n != 400 || !w.Wants().Exchanges {
		t.Errorf("%d writes", out.n)
	}
	seen := map[string]int64{}
	for line := range strings.Lines(out.String()) {
		e, err := event.Decode([]byte(line))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if e.Log.Message != "two\nlines\r\u2028" || e.Seq != seen[e.RunID]+1 {
			t.Errorf("line %q after %d", line, seen[e.RunID])
		}
		seen[e.RunID] = e.Seq
	}
	if len(seen) != 8 {
		t.Errorf("%d runs", len(seen))
	}
}
