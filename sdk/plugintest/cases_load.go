package plugintest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
)

// sessions opens several, for runs that go on at once.
func (k *kit) sessions(ctx context.Context, s *subject, n int) ([]*session, func(), error) {
	var all []*session
	cut := func() {
		for _, in := range all {
			in.cut()
		}
	}
	for range n {
		in, err := s.open(ctx, k.id("run"))
		if err != nil {
			cut()
			return nil, nil, err
		}
		all = append(all, in)
	}
	return all, cut, nil
}

// atOnce runs f n times at once and gives the first error.
func atOnce(n int, f func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func concurrent(ctx context.Context, k *kit) error {
	echo, err := k.textEcho()
	if err != nil {
		return err
	}
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	runs, cut, err := k.sessions(ctx, s, sessionsAtOnce)
	if err != nil {
		return err
	}
	defer cut()
	steps := make([]step, callsAtOnce)
	payloads := make([][]byte, callsAtOnce)
	for i := range steps {
		text := fmt.Sprintf("payload %d", i)
		if payloads[i], err = printJSON(text); err != nil {
			return err
		}
		if steps[i], err = k.sent(echo, payloads[i]); err != nil {
			return err
		}
	}
	if err := k.measureCall(ctx, runs[0], steps[0]); err != nil {
		return err
	}
	began := time.Now()
	err = atOnce(callsAtOnce, func(i int) error {
		got, err := runs[i%len(runs)].back(ctx, steps[i], echo.Result)
		if err != nil {
			return err
		}
		return sameJSON(got, payloads[i])
	})
	k.measured("fifty at once", milliseconds(time.Since(began)), "ms")
	return err
}

// measureCall keeps the median of what a small call takes.
func (k *kit) measureCall(ctx context.Context, in *session, st step) error {
	const calls = 101
	took := make([]time.Duration, calls)
	for i := range took {
		out, err := in.succeed(ctx, st)
		if err != nil {
			return err
		}
		took[i] = out.took
	}
	slices.Sort(took)
	k.measured("a small call", milliseconds(took[calls/2]), "ms")
	return nil
}

// manySlow begins fifty slow calls; end cancels them and gives how they ended.
func (k *kit) manySlow(ctx context.Context, s *subject) (end func() error, err error) {
	st, err := k.slow()
	if err != nil {
		return nil, err
	}
	runs, cut, err := k.sessions(ctx, s, sessionsAtOnce)
	if err != nil {
		return nil, err
	}
	ids := make([]string, callsAtOnce)
	for i := range ids {
		ids[i] = k.id("call")
	}
	ctx, leave := context.WithCancel(ctx)
	all := make(chan error, 1)
	go func() {
		all <- atOnce(callsAtOnce, func(i int) error {
			mine := st
			mine.id = ids[i]
			return endedEarly(runs[i%len(runs)].do(ctx, mine))
		})
	}()
	err = s.executing(ctx, beginTimeout, func(n int32) bool { return n == callsAtOnce })
	return func() error {
		defer cut()
		defer leave()
		late := time.AfterFunc(grace, leave)
		for _, id := range ids {
			if _, err := s.api.Cancel(ctx, &pluginv1.CancelRequest{CallId: id, Reason: "the run was cancelled"}); err != nil {
				return fmt.Errorf("it did not answer Cancel: %w", err)
			}
		}
		err := <-all
		if !late.Stop() {
			return fmt.Errorf("not all of %d calls had ended %v after Cancel", callsAtOnce, grace)
		}
		return err
	}, err
}

func waiting(ctx context.Context, k *kit) error {
	good, err := k.anyCall()
	if err != nil {
		return err
	}
	if _, err := k.slow(); err != nil {
		return err
	}
	return k.with(ctx, func(s *subject, in *session) error {
		end, err := k.manySlow(ctx, s)
		if end == nil {
			return err
		}
		if err != nil {
			return errors.Join(fmt.Errorf("of %d slow calls: %w", callsAtOnce, err), end())
		}
		quick, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		if _, err := in.succeed(quick, good); err != nil {
			return errors.Join(fmt.Errorf("beside %d calls that wait: %w", callsAtOnce, err), end())
		}
		return end()
	})
}

func healthLoad(ctx context.Context, k *kit) error {
	if _, err := k.slow(); err != nil {
		return err
	}
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	end, err := k.manySlow(ctx, s)
	if end == nil {
		return err
	}
	slowest := time.Duration(0)
	for range healthChecks {
		if err != nil {
			break
		}
		began := time.Now()
		var h *pluginv1.HealthResponse
		h, err = s.health(ctx)
		slowest = max(slowest, time.Since(began))
		switch {
		case err != nil:
		case !h.GetReady():
			err = fmt.Errorf("Health says that it is not ready: %q", h.GetDetail())
		case h.GetSessions() < sessionsAtOnce:
			err = fmt.Errorf("Health counts %d sessions, %d are open", h.GetSessions(), sessionsAtOnce)
		case slowest > healthTimeout:
			err = fmt.Errorf("Health took %v", slowest.Round(time.Millisecond))
		}
	}
	k.measured("health", milliseconds(slowest), "ms")
	return errors.Join(err, end())
}
