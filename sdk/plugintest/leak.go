package plugintest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// leakCalls is how many calls a round has, over leakRuns sessions.
	leakCalls = 500
	leakRuns  = 10
	// leakPayload is what each carries, so that one that is kept shows: 16 MiB a
	// round. A protocol that carries less is called more often, at most leakMore
	// times as often, which still shows what keeps 3 KiB a call.
	leakPayload = 32 << 10
	leakMore    = 4

	// leakRounds is how many rounds a plugin has to show that it keeps nothing, and
	// leastRounds how many it takes. Node, which collects for the first time after a
	// thousand calls and more, is found innocent after five to eight thousand.
	leakRounds  = 24
	leastRounds = 3
	// What a round may add, in KiB and in files: a third of what a round carries. It
	// is less than a half because a collector such as Go's holds over twice what is
	// alive and may give it back any time: of what three rounds leaked, as little as
	// three quarters of one are more than what was held after the first.
	leakMemory = leakCalls * leakPayload / 3 >> 10
	leakFiles  = 2
	// More than this since the first round no pool and no collector explains.
	manyFiles  = leakCalls / 2
	muchMemory = 384 << 10
)

// usage is what a process uses: open files, and memory of its own in KiB.
type usage struct{ files, memory float64 }

func (u usage) since(before usage) usage {
	return usage{u.files - before.files, u.memory - before.memory}
}

// leak judges what a process used after each round of so many calls. What is kept
// is never collected, so that it adds up; what a collector has not taken yet does
// not, but comes and goes from one round to the next. So the last round is held
// against the one after a third of the calls, however the memory went between
// them. judged is false while it may be either.
func leak(after []usage, calls int) (judged bool, found error) {
	last, rounds := after[len(after)-1], len(after)
	all := last.since(after[0])
	if all.files > manyFiles || all.memory > muchMemory {
		return true, all.left((rounds-1)*calls, last)
	}
	if rounds < leastRounds {
		return false, nil
	}
	third := rounds / leastRounds
	later := float64(rounds - third)
	added := last.since(after[third-1])
	switch {
	case added.files <= leakFiles*later && added.memory <= leakMemory*later:
		return true, nil
	case rounds < leakRounds:
		return false, nil
	default:
		return true, added.left((rounds-third)*calls, last)
	}
}

// left says what calls added, of all there is.
func (u usage) left(calls int, all usage) error {
	if u.files > leakFiles*float64(calls)/leakCalls {
		return fmt.Errorf("%d calls left %.0f files open that were not before, %.0f in all", calls, u.files, all.files)
	}
	return fmt.Errorf("%d calls left %.0f KiB of memory that were not used before, %.0f KiB in all", calls, u.memory, all.memory)
}

func leaks(ctx context.Context, k *kit) error {
	if !canMeasure {
		return missing("run the kit on Linux, where a process shows its open files and its memory")
	}
	st, calls, err := k.heavyCall()
	if err != nil {
		return err
	}
	s, err := k.start(ctx)
	if err != nil {
		return err
	}
	defer s.kill()
	var after []usage
	for {
		each, err := k.round(ctx, s, st, calls)
		if err != nil {
			return err
		}
		used, err := s.usageSettled(ctx, after)
		if err != nil {
			return err
		}
		after = append(after, used)
		judged, found := leak(after, calls)
		if !judged {
			continue
		}
		all := used.since(after[0])
		k.measured("a call", milliseconds(each), "ms")
		k.measured("calls", float64(len(after)*calls), "calls")
		k.measured("memory since the first round", all.memory, "KiB")
		k.measured("open files since the first round", all.files, "files")
		return found
	}
}

// heavyCall is a call that carries so much that it shows where it is kept, and how
// often a round makes it.
func (k *kit) heavyCall() (st step, calls int, err error) {
	echo, err := k.textEcho()
	if err != nil {
		st, err = k.anyCall()
		return st, leakCalls, err
	}
	size, calls := payloadOf(echo.Limit)
	payload, err := printJSON(longText(size))
	if err != nil {
		return step{}, 0, err
	}
	st, err = k.sent(echo, payload)
	return st, calls, err
}

// payloadOf gives what a call carries where limit bytes are the most, and the
// calls of a round.
func payloadOf(limit int) (size, calls int) {
	if limit <= 0 || limit >= leakPayload {
		return leakPayload, leakCalls
	}
	return limit, leakCalls * min(leakPayload/limit, leakMore)
}

// round makes so many calls over a few sessions that it opens and closes, and
// gives how long one took.
func (k *kit) round(ctx context.Context, s *subject, st step, calls int) (each time.Duration, err error) {
	began := time.Now()
	for range leakRuns {
		in, err := s.open(ctx, k.id("run"))
		if err != nil {
			return 0, err
		}
		for range calls / leakRuns {
			if _, err := in.succeed(ctx, st); err != nil {
				in.cut()
				return 0, err
			}
		}
		if err := in.close(ctx); err != nil {
			return 0, err
		}
	}
	return time.Since(began) / time.Duration(calls), nil
}

// usageSettled measures once connections that are on their way out are gone.
func (s *subject) usageSettled(ctx context.Context, before []usage) (usage, error) {
	_ = poll(ctx, releaseTimeout, func() error {
		now, err := s.process.usage()
		if err == nil && len(before) > 0 && now.files > before[len(before)-1].files+leakFiles {
			return errors.New("files are open")
		}
		return nil
	})
	return s.process.usage()
}
