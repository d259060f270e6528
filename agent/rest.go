package agent

import (
	"context"
	"time"
)

const (
	// restAfter is how long an agent has had no run until it is at rest: long enough that
	// one to whom runs come every few seconds is not.
	restAfter = 8 * time.Second
	// restLook is how often that is looked at.
	restLook = 2 * time.Second
)

// rests calls atRest as long as the agent has nothing to do, each time it looks; first
// says that it has only now come to rest, after its start or the last of its runs. It
// returns when ctx ends. runs is how many there are, and how many there ever were.
func rests(ctx context.Context, runs func() (now int, ever int64), atRest func(first bool)) {
	look := time.NewTicker(restLook)
	defer look.Stop()
	seen, since, first := int64(0), time.Now(), true
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		now, ever := runs()
		if now > 0 || ever != seen {
			seen, since, first = ever, time.Now(), true
			continue
		}
		if time.Since(since) < restAfter {
			continue
		}
		atRest(first)
		first = false
	}
}

// runs is how many runs the agent has, and how many it was ever offered.
func (a *Agent) runs() (now int, ever int64) {
	return len(a.manager.Leases()), a.offers.Load()
}
