package plugintest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
)

const (
	// callsAtOnce is how many calls one process must have under way.
	callsAtOnce = 50
	// sessionsAtOnce is over how many runs they are spread.
	sessionsAtOnce = 8
	// shortDeadline is the time that a slow step is given.
	shortDeadline = 300 * time.Millisecond
	// healthTimeout is within what Health answers.
	healthTimeout = time.Second
	// beginTimeout is within what calls that were begun are counted.
	beginTimeout = 5 * time.Second
	// healthChecks is how often it is asked under load.
	healthChecks = 10
)

func timeCases() []testCase {
	return []testCase{{
		id:    "deadline",
		title: "a call ends within two seconds of its timeout, with a fault",
		why:   "a step that ignores its timeout holds the run, and the next one, for as long as it likes",
		fix:   "end the work when the timeout of the request is over (in Go: ctx) and say what it was waiting for",
		run:   deadline,
	}, {
		id:    "cancel-call",
		title: "Cancel ends a call within two seconds, with a fault that is no failure",
		why:   "people press Ctrl-C and expect the tests to stop; a cancelled step has judged nothing, so it must not count as failed",
		fix:   "keep the calls under way by call_id; on Cancel end that one with a fault",
		run:   cancelCall,
	}, {
		id:    "cancel-cut",
		title: "a call whose stream is cut ends within two seconds",
		why:   "a host that dies or gives up leaves the call behind; what goes on without it changes systems that nobody tests any more",
		fix:   "end the work when the context of the stream ends",
		run:   cancelCut,
	}, {
		id:    "after-cancel",
		title: "a run goes on after one of its calls was cancelled",
		why:   "teardown runs after a cancellation, over the same connections",
		fix:   "let a cancelled call leave pools, locks and sessions as it found them",
		run:   afterCancel,
	}, {
		id:    "concurrent",
		title: "fifty calls at once get their own answers",
		why:   "all runs of a machine share one process; an answer that lands in another run is a wrong verdict",
		fix:   "keep nothing of a call outside of it, and protect what calls share",
		run:   concurrent,
	}, {
		id:    "waiting",
		title: "fifty calls wait at once, and no call waits for another",
		why:   "a lock around an action makes a hundred runs as slow as their sum",
		fix:   "hold no lock while you wait for the system under test",
		run:   waiting,
	}, {
		id:    "health-load",
		title: "Health answers within a second while fifty calls are under way, and counts them",
		why:   "a host replaces a plugin that does not answer, and with it every run that uses it",
		fix:   "answer Health from counters, without a lock that calls hold, and not on the thread that works",
		run:   healthLoad,
	}}
}

// slow is the step that takes ten seconds unless somebody ends it.
func (k *kit) slow() (step, error) {
	if k.config.Conformance.Slow == nil {
		return step{}, missing("add conformance.slow: {action, config}, a step that takes at least ten seconds unless it is cancelled; ${tcp_silent} is a server that never answers")
	}
	return k.step(*k.config.Conformance.Slow, nil)
}

// endedEarly says what is wrong with the end of a slow step that was cut short.
func endedEarly(out *ended, err error) error {
	switch {
	case err != nil:
		return err
	case out.fault == nil:
		return fmt.Errorf("it ended with the result %s in place of a fault", cut(string(out.result), 100))
	case out.fault.GetFailed():
		return fmt.Errorf("its fault says that the step failed, though nothing was judged: %s", faultText(out.fault))
	case out.fault.GetMessage() == "":
		return errors.New("its fault has no message")
	}
	return nil
}

func deadline(ctx context.Context, k *kit) error {
	st, err := k.slow()
	if err != nil {
		return err
	}
	st.timeout = shortDeadline
	return k.with(ctx, func(_ *subject, in *session) error {
		ctx, end := context.WithTimeout(ctx, shortDeadline+grace)
		defer end()
		out, err := in.do(ctx, st)
		if status.Code(errors.Unwrap(err)) == codes.DeadlineExceeded {
			return fmt.Errorf("the call was still going %v after its timeout", grace)
		}
		if err := endedEarly(out, err); err != nil {
			return err
		}
		const early = shortDeadline * 9 / 10
		if out.took < early {
			return fmt.Errorf("the step of conformance.slow ended after %v already: %s", out.took.Round(time.Millisecond), faultText(out.fault))
		}
		k.measured("after the timeout", milliseconds(out.took-shortDeadline), "ms")
		return nil
	})
}

// underWay begins a slow step and waits until Health counts it.
func (in *session) underWay(ctx context.Context, st step) (func() (*ended, error), error) {
	stream, err := in.begin(ctx, st)
	if err != nil {
		return nil, err
	}
	type end struct {
		out *ended
		err error
	}
	ends := make(chan end, 1)
	go func() {
		out, err := collect(stream)
		ends <- end{out, err}
	}()
	err = in.subject.executing(ctx, beginTimeout, func(n int32) bool { return n > 0 })
	if err != nil {
		err = fmt.Errorf("a call is under way, but %w", err)
	}
	wait := func() (*ended, error) { e := <-ends; return e.out, e.err }
	select {
	case e := <-ends:
		if e.err == nil && e.out.fault != nil {
			return nil, fmt.Errorf("the step of conformance.slow ended at once: %s", faultText(e.out.fault))
		}
		return nil, errors.Join(errors.New("the step of conformance.slow ended at once"), e.err)
	default:
		return wait, err
	}
}

func cancelCall(ctx context.Context, k *kit) error {
	st, err := k.slow()
	if err != nil {
		return err
	}
	st.id = k.id("call")
	return k.with(ctx, func(s *subject, in *session) error {
		ctx, leave := context.WithCancel(ctx)
		defer leave()
		wait, err := in.underWay(ctx, st)
		if err != nil {
			return err
		}
		began := time.Now()
		late := time.AfterFunc(grace, leave)
		if _, err := s.api.Cancel(ctx, &pluginv1.CancelRequest{CallId: st.id, Reason: "the run was cancelled"}); err != nil {
			return fmt.Errorf("it did not answer Cancel: %w", err)
		}
		out, err := wait()
		if !late.Stop() {
			return fmt.Errorf("the call was still going %v after Cancel", grace)
		}
		k.measured("cancel", milliseconds(time.Since(began)), "ms")
		return endedEarly(out, err)
	})
}

func cancelCut(ctx context.Context, k *kit) error {
	st, err := k.slow()
	if err != nil {
		return err
	}
	return k.with(ctx, func(s *subject, in *session) error {
		call, cut := context.WithCancel(ctx)
		defer cut()
		wait, err := in.underWay(call, st)
		if err != nil {
			return err
		}
		began := time.Now()
		cut()
		_, _ = wait() // our own end of it
		if err := s.executing(ctx, grace, func(n int32) bool { return n == 0 }); err != nil {
			return fmt.Errorf("%v after the stream was cut %w", grace, err)
		}
		k.measured("cut", milliseconds(time.Since(began)), "ms")
		return nil
	})
}

func afterCancel(ctx context.Context, k *kit) error {
	st, err := k.slow()
	if err != nil {
		return err
	}
	good, err := k.anyCall()
	if err != nil {
		return err
	}
	st.id = k.id("call")
	return k.with(ctx, func(s *subject, in *session) error {
		wait, err := in.underWay(ctx, st)
		if err != nil {
			return err
		}
		if _, err := s.api.Cancel(ctx, &pluginv1.CancelRequest{CallId: st.id, Reason: "the run was cancelled"}); err != nil {
			return fmt.Errorf("it did not answer Cancel: %w", err)
		}
		if err := endedEarly(wait()); err != nil {
			return err
		}
		if _, err := in.succeed(ctx, good); err != nil {
			return fmt.Errorf("the next call of the run: %w", err)
		}
		return nil
	})
}
