package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

// A write that ends in time is none that is stuck, also where it ends between two
// looks; one that does not end is, after its whole time.
func TestTheGuardLooksSeveralTimes(t *testing.T) {
	const limit = 2 * time.Second
	for name, test := range map[string]struct {
		takes time.Duration
		exits int
	}{
		"at once":       {0, 0},
		"almost stuck":  {limit - time.Millisecond, 0},
		"between looks": {limit/looks + time.Millisecond, 0},
		"stuck":         {limit + time.Millisecond, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exits, at, began := 0, time.Duration(0), time.Now()
				g := newGuard(memory{values: map[string][]byte{}}, limit, func(string) { exits++; at = time.Since(began) }, nil)
				err := g.write("wait", func() error {
					<-time.After(test.takes)
					return nil
				})
				<-time.After(3 * limit) // a look that was left behind would show
				synctest.Wait()
				if err != nil || exits != test.exits || exits > 0 && at != limit {
					t.Errorf("got %d exits (at %s) and %v, want %d", exits, at, err, test.exits)
				}
			})
		})
	}
}
