package stream

import (
	"testing"
	"testing/synctest"
	"time"
)

// A run is finished as soon as its agent has sent all: what is on its way then is waited
// for, for a moment, and kept at once, not when a segment would have been.
func TestTheEndOfARunWaitsForWhatIsOnItsWay(t *testing.T) {
	const text = "one\ntwo\n"
	for name, test := range map[string]struct {
		after time.Duration
		kept  bool
	}{
		"on its way": {100 * time.Millisecond, true},
		"too late":   {2 * arriveWithin, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shelf := newShelf()
				s := node(t, shelf, nil)
				appended(t, s, 0, text[:4])
				done := make(chan error, 1)
				began := time.Now()
				go func() { done <- s.Durable(t.Context(), "run", 1, int64(len(text)), sumOf(text)) }()
				select {
				case err := <-done:
					if test.kept {
						t.Errorf("got %v before the end came", err)
					}
					done <- err
				case <-time.After(test.after):
					appended(t, s, 4, text[4:])
				}
				err := <-done
				if kept := err == nil; kept != test.kept || kept && time.Since(began) >= sealAfter {
					t.Errorf("after %s: got %v, want it kept: %v", time.Since(began), err, test.kept)
				}
				if test.kept && all(t, s, 0) != text {
					t.Error("what is kept is not what came")
				}
			})
		})
	}
}
