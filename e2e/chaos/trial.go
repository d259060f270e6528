package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// trial is one run of a row: what it works with, and what it found.
type trial struct {
	name, dir, bin, off string
	seed                uint64
	long                time.Duration // how long faults come
	lasted              time.Duration // the whole, once it has ended
	short               bool          // the tier of CI
	red                 bool
	rng                 *rand.Rand // of the row's own goroutine
	witness             *witness
	ports               *ports

	mu      sync.Mutex
	untried error // why a process could not be started: the row says nothing then
	broken  []string
	unseen  []string // faults that did not happen: what was claimed was hardly tried
	figures []string
	seen    []string
	sites   []*site
}

// stopped ends a row that cannot go on.
var errStopped = errors.New("the row cannot go on")

// guarded runs a row, and ends whatever it started.
func (t *trial) guarded(ctx context.Context, run func(context.Context, *trial)) {
	defer func() {
		for _, s := range t.sites {
			s.end(len(t.wrong()) > 0)
		}
	}()
	defer func() {
		switch r := recover(); {
		case r == nil:
		case r == any(errStopped):
		default:
			t.failf("the row panicked: %v\n%s", r, debug.Stack())
		}
	}()
	run(ctx, t)
	if ctx.Err() != nil {
		t.failf("%v", context.Cause(ctx))
	}
}

// wrong is why the row fails: claims that did not hold, or were hardly tried.
func (t *trial) wrong() []string { return slices.Concat(t.broken, t.unseen) }

func (t *trial) failf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = append(t.broken, fmt.Sprintf(format, args...))
}

// must ends the row with an error.
func (t *trial) must(err error, doing string) {
	if err != nil {
		t.failf("%s: %v", doing, err)
		panic(errStopped)
	}
}

// able ends the row where it cannot be tried at all.
func (t *trial) able(err error, doing string) {
	if err != nil {
		t.mu.Lock()
		t.untried = fmt.Errorf("%s: %w", doing, err)
		t.mu.Unlock()
	}
	t.must(err, doing)
}

// none wants a count to be 0.
func (t *trial) none(n int, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.figures = append(t.figures, fmt.Sprintf("%d %s", n, what))
	if n != 0 {
		t.broken = append(t.broken, fmt.Sprintf("%d %s, want 0", n, what))
	}
}

// observed wants the fault to have happened so often.
func (t *trial) observed(n, least int, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = append(t.seen, fmt.Sprintf("%d %s", n, what))
	if n < least {
		t.unseen = append(t.unseen, fmt.Sprintf("the fault did not bite: %d %s, want %d at least", n, what, least))
	}
}

// took prints a duration beside its goal; ten times the goal is a failure, because
// the machines of CI are shared.
func (t *trial) took(got, goal time.Duration, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	over := ""
	if got > goal {
		over = " OVER"
	}
	t.figures = append(t.figures, fmt.Sprintf("%s %s (goal %s)%s", what, got.Round(time.Millisecond), goal, over))
	if got > 10*goal {
		t.broken = append(t.broken, fmt.Sprintf("%s took %s, and ten times %s is the bound", what, got.Round(time.Millisecond), goal))
	}
}

// within wants a count to be at most a bound.
func (t *trial) within(got, most int64, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.figures = append(t.figures, fmt.Sprintf("%s %d (bound %d)", what, got, most))
	if got > most {
		t.broken = append(t.broken, fmt.Sprintf("%s is %d, and %d is its bound", what, got, most))
	}
}

// note prints something that is not judged.
func (t *trial) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.figures = append(t.figures, fmt.Sprintf(format, args...))
}

func (t *trial) print(out io.Writer, title string) {
	verdict := "ok"
	if len(t.wrong()) > 0 {
		verdict = "FAILED"
	}
	var worked time.Duration
	for _, s := range t.sites {
		worked += s.worked()
	}
	fmt.Fprintf(out, "%-4s %s\n     %s in %s, %s of processor\n", t.name, title, verdict, t.lasted.Round(100*time.Millisecond), worked.Round(100*time.Millisecond))
	for _, line := range t.seen {
		fmt.Fprintln(out, "     seen   ", line)
	}
	for _, line := range t.figures {
		fmt.Fprintln(out, "     figure ", line)
	}
	for _, line := range t.wrong() {
		fmt.Fprintln(out, "     BROKEN ", line)
	}
}

// until polls a claim; its last error is why it never held.
func (t *trial) until(ctx context.Context, within time.Duration, what string, holds func() error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not within %s", within))
	defer cancel()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.must(fmt.Errorf("%w: %w", context.Cause(ctx), err), "wait for "+what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// every calls f again and again until the faults' time is over.
func (t *trial) every(ctx context.Context, least, most time.Duration, f func(n int)) {
	end := time.After(t.long)
	for n := 0; ; n++ {
		wait := least
		if most > least {
			wait += time.Duration(t.rng.Int64N(int64(most - least)))
		}
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-time.After(wait):
			f(n)
		}
	}
}

// pause lets time go by.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// percentile of durations; 0 where there are none.
func percentile(list []time.Duration, p int) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
