package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// at is a moment of a story: how many runs there are then, and how many there ever were.
type at struct {
	after time.Duration
	now   int
	ever  int64
}

func TestWhenAnAgentIsAtRest(t *testing.T) {
	for name, test := range map[string]struct {
		story []at
		until time.Duration
		// want are the first times, each after another run.
		want []time.Duration
		// calls are all of them.
		calls int
	}{
		"after its start":   {until: 41 * time.Second, want: seconds(8), calls: 17},
		"not while it runs": {story: []at{{0, 1, 1}, {47 * time.Second, 0, 1}}, until: 61 * time.Second, want: seconds(54), calls: 4},
		"a run that came and went between two looks is one": {
			story: []at{{12 * time.Second, 0, 1}}, until: 41 * time.Second, want: seconds(8, 20), calls: 13,
		},
		"never while one follows the other": {
			story: []at{{4 * time.Second, 0, 1}, {10 * time.Second, 0, 2}, {16 * time.Second, 0, 3}, {22 * time.Second, 0, 4}},
			until: 29 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				runs := func() (now int, ever int64) {
					for _, a := range test.story {
						if time.Since(began) >= a.after {
							now, ever = a.now, a.ever
						}
					}
					return now, ever
				}
				ctx, cancel := context.WithTimeout(t.Context(), test.until)
				defer cancel()
				var got []time.Duration
				calls := 0
				rests(ctx, runs, func(first bool) {
					if calls++; first {
						got = append(got, time.Since(began))
					}
				})
				if !slices.Equal(got, test.want) || calls != test.calls {
					t.Errorf("got %v and %d calls, want %v and %d", got, calls, test.want, test.calls)
				}
			})
		})
	}
}

func seconds(all ...int) (list []time.Duration) {
	for _, s := range all {
		list = append(list, time.Duration(s)*time.Second)
	}
	return list
}
