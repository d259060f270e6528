package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/testmesh/testmesh/flow"
	"github.com/testmesh/testmesh/flow/event"
	"github.com/testmesh/testmesh/flow/expr"
	"github.com/testmesh/testmesh/flow/source"
)

// attempts tries the step until it passes or may not be repeated. The verdict
// is the last try's.
func (r *stepRun) attempts(ctx context.Context) *try {
	if r.s.Eventually != nil {
		return r.eventually(ctx)
	}
	policy := r.s.Retry
	if policy == nil && r.s.Spec != nil {
		policy = r.p.retry
	}
	limit := 1
	if policy != nil {
		limit = policy.MaxAttempts
	}
	before := r.tries // of a debugger's retry
	for n := 1; ; n++ {
		t := r.once(ctx, before+n)
		bad := t.status == event.Failed || t.status == event.Errored
		if !bad || n >= limit || ctx.Err() != nil || !r.repeats(policy, t) {
			return t
		}
		if !r.pause(ctx, t, r.delay(policy, n, t)) {
			return r.stopped(ctx, t)
		}
	}
}

// pause reports that a try is repeated and waits; false: ctx ended first.
func (r *stepRun) pause(ctx context.Context, t *try, d time.Duration) bool {
	r.start()
	r.p.f.run.out.emit(event.Event{Type: event.TypeStepRetrying, Step: r.ev, Retrying: &event.Retrying{
		Status: t.status, Error: t.err, Assertions: t.assertions, NextInMS: d.Milliseconds(),
	}})
	r.kids = nil // the children of a try that is repeated do not count
	return sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// once makes one try: the action, the judgement, what is tracked.
func (r *stepRun) once(ctx context.Context, n int) *try {
	r.tries = n
	if n > 1 {
		ev := *r.ev
		ev.Try = n
		r.ev = &ev
		r.rand = random{run: r.rand.run, key: r.rand.key, try: n}
	}
	r.scope.own = nil
	began := r.p.f.run.e.cfg.Now()
	inner, stop := ctx, context.CancelFunc(func() {})
	if r.s.Timeout > 0 {
		r.limit = timeLimit{what: "timeout", d: r.s.Timeout}
		inner, stop = r.p.f.run.limit(ctx, r.s.Timeout, &r.limit)
	}
	defer stop()
	var t *try
	if r.s.Spec != nil {
		t = r.plugin(inner)
	} else {
		t = r.control(inner)
	}
	if t.status == event.Cancelled {
		r.blame(inner, t)
	}
	t.duration = r.p.f.run.since(began)
	r.look(t)
	if t.status == "" {
		r.judge(t)
	}
	if t.stream != nil {
		t.stream.release()
	}
	r.track(t)
	return t
}

// blame turns a try that its context ended into what the cause means: the
// step's own limit or the run's is errored, everything else was cancelled.
func (r *stepRun) blame(ctx context.Context, t *try) {
	cause := context.Cause(ctx)
	var own *timeLimit
	switch {
	case cause == nil:
		if t.reason == "" {
			t.reason = whyCancelled
		}
	case errors.As(cause, &own) && own == &r.limit:
		code, message := source.CodeTimeout, fmt.Sprintf("no answer within %s", own.d)
		if r.s.Spec == nil {
			message = fmt.Sprintf("not done within %s", own.d)
		}
		t.status, t.reason = event.Errored, whyTimeout
		t.err = keepBlame(t.err, &event.Error{
			Code: string(code), Message: message, Blame: "system", Hint: "raise `timeout` of the step if the system may take longer",
		})
	case errors.Is(cause, errRunTimeout), errors.Is(cause, errCallTimeout):
		t.status, t.reason = event.Errored, errRunTimeout.Error()
		t.err = keepBlame(t.err, &event.Error{
			Code: string(source.CodeRunLimit), Message: fmt.Sprintf("the run's time of %s was over", r.p.f.prog.Config.Timeout),
			Blame: "system", Hint: "raise `config.timeout` of the flow if it may take longer",
		})
	case errors.Is(cause, errCleanTime):
		t.status, t.reason = event.Errored, errCleanTime.Error()
		t.err = keepBlame(t.err, &event.Error{
			Code: string(source.CodeTimeout), Message: fmt.Sprintf("the time of %s for teardown was over", r.p.f.prog.Config.TeardownTimeout),
			Blame: "system", Hint: "raise `config.teardown_timeout` of the flow if it may take longer",
		})
	default:
		t.status, t.reason = event.Cancelled, stopReason(ctx)
	}
}

// keepBlame keeps what a plugin said about its own time limit, and that one did
// not stop.
func keepBlame(had, now *event.Error) *event.Error {
	switch {
	case had == nil:
	case had.Blame == "plugin":
		now.Blame, now.Hint, now.Details = "plugin", had.Message, had.Details
	case had.Code == now.Code:
		return had
	}
	return now
}

// stopped is a try after which the step ended while it waited to repeat it.
func (r *stepRun) stopped(ctx context.Context, t *try) *try {
	out := *t
	out.status = event.Cancelled
	r.blame(ctx, &out)
	if out.status == event.Cancelled && out.err != nil {
		out.err = nil
	}
	return &out
}

// repeats tells whether a try that did not pass is repeated. A condition that
// cannot be evaluated does not hold.
func (r *stepRun) repeats(policy *flow.Retry, t *try) bool {
	if len(policy.RetryOn) == 0 && len(policy.RetryOnNot) == 0 {
		return true
	}
	r.own.isRetry = true
	defer func() { r.own.isRetry = false }()
	if err := r.failure(t).err; err != nil {
		r.own.code = err.Code
	}
	if r.anyHolds(policy.RetryOnNot) {
		return false
	}
	return len(policy.RetryOn) == 0 || r.anyHolds(policy.RetryOn)
}

func (r *stepRun) anyHolds(list []*expr.Expr) bool {
	for _, e := range list {
		if v, err := e.Eval(r.env); err == nil && v == true {
			return true
		}
	}
	return false
}

// delay is how long to wait after the n-th try. What a system asked for counts
// up to max_delay.
func (r *stepRun) delay(p *flow.Retry, n int, t *try) time.Duration {
	d := float64(p.Delay)
	switch p.Backoff {
	case "linear":
		d *= float64(n)
	case "exponential":
		d *= math.Pow(2, float64(n-1))
	}
	if p.Jitter > 0 {
		d *= 1 + p.Jitter*(2*r.rand.unit()-1)
	}
	d = max(d, float64(t.retryAfter), 0)
	if p.MaxDelay > 0 {
		d = min(d, float64(p.MaxDelay))
	}
	return time.Duration(min(d, float64(math.MaxInt64/2)))
}

// eventually repeats failed and errored tries until one passes or the time is
// over; then it reports the last observation: failed, or errored where no try
// got an answer.
func (r *stepRun) eventually(ctx context.Context) *try {
	limit := &timeLimit{what: "within", d: r.s.Eventually.Within}
	inner, stop := r.p.f.run.limit(ctx, limit.d, limit)
	defer stop()
	var seen *try // the last try that got an answer
	before := r.tries
	for n := 1; ; n++ {
		t := r.once(inner, before+n)
		over := errors.Is(context.Cause(inner), limit)
		if t.status == event.Cancelled && over {
			// The wait's end cut this try short: it observed nothing.
			t.status, t.err = event.Errored, &event.Error{
				Code: string(source.CodeTimeout), Message: fmt.Sprintf("no answer when the %s were over", limit.d), Blame: "system",
			}
		}
		if t.status != event.Failed && t.status != event.Errored {
			return t
		}
		if t.answered {
			seen = t
		}
		end, _ := inner.Deadline()
		if !over && ctx.Err() == nil && time.Until(end) > r.s.Eventually.Every && r.pause(inner, t, r.s.Eventually.Every) {
			continue
		}
		if ctx.Err() != nil {
			return r.stopped(ctx, t)
		}
		return waitOver(limit, t, seen)
	}
}

// waitOver is the verdict of a wait that ended.
func waitOver(limit *timeLimit, last, seen *try) *try {
	if seen == nil {
		return last
	}
	out := *seen
	out.status = event.Failed
	message := fmt.Sprintf("not within %s", limit.d)
	if seen.err != nil {
		message += ": " + seen.err.Message
	}
	out.err = &event.Error{Code: string(source.CodeWait), Message: message, Blame: "system"}
	if seen.err != nil {
		out.err.Hint, out.err.Line, out.err.Column, out.err.Width = seen.err.Hint, seen.err.Line, seen.err.Column, seen.err.Width
	}
	return &out
}
