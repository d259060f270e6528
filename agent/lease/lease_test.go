package lease

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const ttl = 30 * time.Second

// plane is a control plane that does what a test says.
type plane struct {
	mu       sync.Mutex
	polls    []*apiv1.PollRequest
	offers   chan *apiv1.PollResponse
	pollFail error
	start    func() (*apiv1.StartResponse, error)
	renew    func(*apiv1.Lease) *apiv1.Renewal
	renewals int
	down     bool
	deaf     bool // polls are never answered
	returned []string
}

func newPlane() *plane {
	return &plane{
		offers: make(chan *apiv1.PollResponse, 10),
		start: func() (*apiv1.StartResponse, error) {
			return &apiv1.StartResponse{Ttl: durationpb.New(ttl), RenewEvery: durationpb.New(10 * time.Second)}, nil
		},
		renew: func(l *apiv1.Lease) *apiv1.Renewal {
			return &apiv1.Renewal{RunId: l.GetRunId(), Attempt: l.GetAttempt()}
		},
	}
}

func (p *plane) Poll(ctx context.Context, req *apiv1.PollRequest) (*apiv1.PollResponse, error) {
	p.mu.Lock()
	p.polls = append(p.polls, req)
	fail, deaf := p.pollFail, p.deaf
	p.mu.Unlock()
	if deaf {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if fail != nil {
		return nil, fail
	}
	select {
	case res := <-p.offers:
		return res, nil
	case <-time.After(req.GetHold().AsDuration()):
		return &apiv1.PollResponse{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *plane) Start(context.Context, *apiv1.StartRequest) (*apiv1.StartResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start()
}

func (p *plane) Renew(_ context.Context, req *apiv1.RenewRequest) (*apiv1.RenewResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renewals++
	if p.down {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("no route"))
	}
	res := &apiv1.RenewResponse{}
	for _, l := range req.GetLeases() {
		res.Renewals = append(res.Renewals, p.renew(l))
	}
	return res, nil
}

func (p *plane) Return(_ context.Context, req *apiv1.ReturnRequest) (*apiv1.ReturnResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.returned = append(p.returned, req.GetReason())
	return &apiv1.ReturnResponse{}, nil
}

func (p *plane) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *plane) offer(run string) {
	p.offers <- &apiv1.PollResponse{Offers: []*apiv1.Offer{{
		Lease: &apiv1.Lease{RunId: run, Attempt: 1, Fence: 7}, StartWithin: durationpb.New(15 * time.Second),
	}}}
}

// job is a run that ends when it is told to, or when its context ends.
type job struct {
	end      chan struct{}
	prepare  error
	mu       sync.Mutex
	began    int
	cause    error
	endedAt  time.Time
	hurried  bool
	lostSeen bool
}

func newJob() *job { return &job{end: make(chan struct{})} }

func (j *job) Prepare(context.Context, *apiv1.Offer) (Work, error) { return j, j.prepare }
func (j *job) Locks() ([]string, error)                            { return nil, nil }

func (j *job) Run(ctx context.Context, _ *apiv1.StartResponse, hurry, lost <-chan struct{}) {
	j.mu.Lock()
	j.began++
	j.mu.Unlock()
	select {
	case <-j.end:
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // it is torn down, which takes a minute
		select {
		case <-hurry:
		case <-time.After(time.Minute):
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cause, j.endedAt = context.Cause(ctx), time.Now()
	select {
	case <-hurry:
		j.hurried = true
	default:
	}
	select {
	case <-lost:
		j.lostSeen = true
	default:
	}
}

type fixture struct {
	*plane
	*job
	m     *Manager
	began time.Time
	stop  context.CancelFunc
	ended chan error
	skew  time.Duration // of the clock that leases are counted by
	kept  [][]*apiv1.Lease
}

// managed runs a test in a bubble, with a manager of two slots.
func managed(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{plane: newPlane(), job: newJob(), began: time.Now(), ended: make(chan error, 1)}
		f.m = New(Config{
			Gateway: f.plane, Preparer: f.job, Session: "s", Slots: 2, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Keep: func(l []*apiv1.Lease) error { f.kept = append(f.kept, l); return nil },
			Clock: func() time.Duration {
				f.plane.mu.Lock()
				defer f.plane.mu.Unlock()
				return time.Since(f.began) + f.skew
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		f.stop = cancel
		go func() { f.ended <- f.m.Run(ctx) }()
		test(t, f)
		cancel()
		if err := <-f.ended; err != nil && !errors.Is(err, errRevoked) {
			t.Error(err)
		}
	})
}

var errRevoked = connect.NewError(connect.CodeUnauthenticated, errors.New("revoked"))

// after lets time pass, and everything that is due happen.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestALeaseIsRenewedAndEndsWithItsRun(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offer("r")
		after(5 * time.Minute)
		if got := f.m.Leases(); len(got) != 1 || got[0].GetFence() != 7 {
			t.Errorf("got leases %v", got)
		}
		if f.renewals < 29 || f.renewals > 31 {
			t.Errorf("got %d renewals in five minutes", f.renewals)
		}
		close(f.end)
		after(time.Second)
		if got := f.m.Leases(); len(got) != 0 || f.cause != nil {
			t.Errorf("got leases %v, ended by %v", got, f.cause)
		}
		if last := f.kept[len(f.kept)-1]; len(f.kept) != 2 || len(last) != 0 {
			t.Errorf("got kept %v", f.kept)
		}
	})
}

func TestAnAgentStopsBeforeAnotherMayHaveItsRun(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offer("r")
		after(25 * time.Second) // the last renewal that succeeded was sent after 20 s or so
		f.set(func() { f.down = true })
		after(time.Minute)
		sent := 20 * time.Second
		if took := f.endedAt.Sub(f.began); !errors.Is(f.cause, ErrLost) || took >= sent+ttl || took < sent+ttl/2 {
			t.Errorf("it ended after %s by %v, and the lease after %s", took, f.cause, sent+ttl)
		}
		if !f.hurried || !f.lostSeen {
			t.Errorf("teardown went on with a lease that is another's: hurried %t, lost %t", f.hurried, f.lostSeen)
		}
	})
}

func TestAMachineThatSleptLostItsLeases(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offer("r")
		after(time.Second)
		f.set(func() { f.skew = time.Hour }) // nothing of which the other timers saw
		after(200 * time.Millisecond)
		if !errors.Is(f.cause, ErrLost) || f.endedAt.Sub(f.began) > 2*time.Second {
			t.Errorf("it ended after %s by %v", f.endedAt.Sub(f.began), f.cause)
		}
	})
}

func TestWhatTheControlPlaneSaysOfALease(t *testing.T) {
	for name, test := range map[string]struct {
		says      *apiv1.Renewal
		cause     error
		hurried   bool
		tornDown  time.Duration
		byRenewal bool
	}{
		"cancelled, by news of a poll":    {says: &apiv1.Renewal{Cancel: true}, cause: ErrCancelled, tornDown: time.Minute},
		"cancelled, by a renewal":         {says: &apiv1.Renewal{Cancel: true}, cause: ErrCancelled, tornDown: time.Minute, byRenewal: true},
		"cancelled, and its time is over": {says: &apiv1.Renewal{Cancel: true, Force: true}, cause: ErrCancelled, hurried: true},
		"somebody else's":                 {says: &apiv1.Renewal{Fenced: true}, cause: ErrLost, hurried: true},
	} {
		t.Run(name, func(t *testing.T) {
			managed(t, func(t *testing.T, f *fixture) {
				f.offer("r")
				after(time.Second)
				test.says.RunId, test.says.Attempt = "r", 1
				at := time.Now()
				if test.byRenewal {
					f.set(func() { f.renew = func(*apiv1.Lease) *apiv1.Renewal { return test.says } })
					at = f.began.Add(10 * time.Second)
				} else {
					f.offers <- &apiv1.PollResponse{News: []*apiv1.Renewal{test.says}}
				}
				after(2 * time.Minute)
				if !errors.Is(f.cause, test.cause) || f.hurried != test.hurried {
					t.Errorf("it ended by %v, hurried %t", f.cause, f.hurried)
				}
				if took := f.endedAt.Sub(at); took < test.tornDown || took > test.tornDown+time.Second {
					t.Errorf("it took %s, want %s", took, test.tornDown)
				}
			})
		})
	}
}

func TestNewsOfAnotherAttemptIsNotOfThisOne(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offer("r")
		after(time.Second)
		f.offers <- &apiv1.PollResponse{News: []*apiv1.Renewal{{RunId: "r", Attempt: 2, Fenced: true}, {RunId: "x", Attempt: 1, Fenced: true}}}
		after(time.Second)
		if got := f.m.Leases(); len(got) != 1 {
			t.Errorf("got leases %v", got)
		}
		close(f.end)
	})
}

func TestDrainTakesNothingNewAndFinishes(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offer("r")
		after(time.Second)
		n := len(f.polls)
		f.m.Drain()
		after(time.Hour)
		if len(f.polls) != n {
			t.Errorf("it polled %d times more", len(f.polls)-n)
		}
		if f.renewals < 300 {
			t.Errorf("it renewed %d times in an hour", f.renewals)
		}
		close(f.end)
		after(time.Second)
		select {
		case err := <-f.ended:
			f.ended <- err
		default:
			t.Error("it goes on although nothing runs any more")
		}
		if f.cause != nil {
			t.Errorf("the run ended by %v", f.cause)
		}
	})
}

func TestTheWishesOfTheControlPlane(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offers <- &apiv1.PollResponse{Directive: &apiv1.Directive{Paused: true, Note: "a disk is changed"}}
		after(time.Second)
		if got := f.polls[len(f.polls)-1].GetFreeSlots(); got != 0 {
			t.Errorf("a paused agent offers %d slots", got)
		}
		f.offers <- &apiv1.PollResponse{Directive: &apiv1.Directive{}}
		after(time.Second)
		if got := f.polls[len(f.polls)-1].GetFreeSlots(); got != 2 {
			t.Errorf("an agent that was resumed offers %d slots", got)
		}
		f.offers <- &apiv1.PollResponse{Directive: &apiv1.Directive{Drain: true}}
		after(time.Second)
		select {
		case err := <-f.ended:
			f.ended <- err
		default:
			t.Error("an idle agent that is drained goes on")
		}
	})
}

func TestTheEndOfAnAgentTearsDownWhatRuns(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offer("r")
		after(time.Second)
		f.stop()
		after(2 * time.Minute)
		if took := f.endedAt.Sub(f.began); !errors.Is(f.cause, ErrStopped) || took < time.Minute {
			t.Errorf("it ended after %s by %v", took, f.cause)
		}
	})
}

func TestHurryEndsTeardownToo(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.offer("r")
		after(time.Second)
		f.m.Hurry()
		after(time.Second)
		if !errors.Is(f.cause, ErrStopped) || !f.hurried {
			t.Errorf("it ended by %v, hurried %t", f.cause, f.hurried)
		}
	})
}

func TestOffersThatDoNotBegin(t *testing.T) {
	unavailable := connect.NewError(connect.CodeUnavailable, errors.New("no leader"))
	for name, test := range map[string]struct {
		prepare  error
		start    []error // in order; nil: the next answer is the plane's own
		locked   bool
		began    int
		returned []string
	}{
		"one that cannot be prepared goes back":           {prepare: errors.New("no such plugin"), returned: []string{"no such plugin"}},
		"one that is somebody else's goes back":           {start: []error{connect.NewError(connect.CodeAborted, errors.New("fenced"))}, returned: []string{"start: aborted: fenced"}},
		"one that waits for locks is the control plane's": {locked: true},
		"a start is asked for again":                      {start: []error{unavailable, unavailable}, began: 1},
	} {
		t.Run(name, func(t *testing.T) {
			managed(t, func(t *testing.T, f *fixture) {
				f.prepare = test.prepare
				next := f.start
				f.set(func() {
					f.start = func() (*apiv1.StartResponse, error) {
						if len(test.start) > 0 {
							err := test.start[0]
							test.start = test.start[1:]
							return nil, err
						}
						if test.locked {
							return &apiv1.StartResponse{Locked: true}, nil
						}
						return next()
					}
				})
				f.offer("r")
				after(holdMost + time.Second) // a poll with room for one is not asked anew for two
				if f.job.began != test.began || !slices.Equal(f.returned, test.returned) {
					t.Errorf("it began %d times and was returned %q, want %d and %q", f.job.began, f.returned, test.began, test.returned)
				}
				if got := f.polls[len(f.polls)-1].GetFreeSlots(); int(got) != 2-test.began {
					t.Errorf("it offers %d slots", got)
				}
				close(f.end)
			})
		})
	}
}

// A machine that is gone answers nothing: a poll that is overdue is asked again, as the
// same one, so that what was offered is not lost; where there are several nodes at
// another.
func TestAPollThatIsNeverAnsweredIsAskedAgain(t *testing.T) {
	p := newPlane()
	p.deaf = true
	synctest.Test(t, func(t *testing.T) {
		m := New(Config{Gateway: p, Session: "s", Slots: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		time.Sleep(holdMost + overdue - time.Second)
		synctest.Wait()
		p.set(func() {
			if n := len(p.polls); n != 1 {
				t.Errorf("%d polls before the first is overdue", n)
			}
		})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		p.set(func() {
			if len(p.polls) != 2 || p.polls[0].GetPollId() != p.polls[1].GetPollId() {
				t.Errorf("got the polls %v, want the same one again", p.polls)
			}
			p.deaf = false
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestARevokedAgentEnds(t *testing.T) {
	managed(t, func(t *testing.T, f *fixture) {
		f.set(func() { f.pollFail = errRevoked })
		f.offers <- &apiv1.PollResponse{}
		after(time.Second)
		select {
		case err := <-f.ended:
			f.ended <- err
			if !errors.Is(err, errRevoked) {
				t.Errorf("got %v", err)
			}
		default:
			t.Error("it goes on")
		}
	})
}

func TestAnAdoptedLeaseIsKeptUntilItsEndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j, began := newPlane(), newJob(), time.Now()
		m := New(Config{
			Gateway: p, Preparer: j, Session: "s", Slots: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Clock: func() time.Duration { return time.Since(began) },
		})
		told, lost := make(chan struct{}), false
		m.Adopt(&apiv1.Lease{RunId: "r", Attempt: 3, Fence: 9}, func(_ context.Context, gone <-chan struct{}) {
			select {
			case <-told:
			case <-gone:
				lost = true
			}
		})
		m.renew = time.Second
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		p.set(func() {
			p.renew = func(l *apiv1.Lease) *apiv1.Renewal {
				return &apiv1.Renewal{RunId: l.GetRunId(), Attempt: l.GetAttempt(), Cancel: true}
			}
		})
		after(time.Minute)
		if got := m.Leases(); len(got) != 1 || lost || p.renewals < 50 {
			t.Errorf("got leases %v after %d renewals, lost %t", got, p.renewals, lost)
		}
		close(told)
		after(time.Second)
		if got := m.Leases(); len(got) != 0 {
			t.Errorf("got leases %v", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestPollsAreHeldAsLongAsThePathAllows(t *testing.T) {
	h := newHold()
	for _, d := range []time.Duration{20 * time.Second, 0, 50 * time.Millisecond, 14 * time.Second} {
		h.cut(d) // a proxy's 20 s; nobody there; a reset; the proxy is at 14 s
	}
	if got := h.length(); got != 10500*time.Millisecond {
		t.Errorf("got a hold of %s", got)
	}
	for range 1000 {
		h.cut(h.length())
	}
	if got := h.length(); got != holdLeast {
		t.Errorf("got a hold of %s, want at least %s", got, holdLeast)
	}
	for range 20 * probeAfter {
		h.answered(0) // work comes, which says nothing of the path
	}
	if got := h.length(); got != holdLeast {
		t.Errorf("got a hold of %s", got)
	}
	for range 20 * probeAfter {
		h.answered(h.length())
	}
	if got := h.length(); got != holdMost {
		t.Errorf("got a hold of %s, want %s again", got, holdMost)
	}
}

func TestTheClockOfLeasesGoesOn(t *testing.T) {
	a := sinceBoot()
	if b := sinceBoot(); a <= 0 || b < a {
		t.Errorf("got %s, then %s", a, b)
	}
}

// Whoever is asked whether the agent lives looks at this: leases that nobody looks after.
func TestLeasesThatNobodyLooksAfter(t *testing.T) {
	now := time.Hour
	m := New(Config{Gateway: newPlane(), Session: "s", Slots: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: func() time.Duration { return now }})
	if m.Stuck() {
		t.Error("one without leases is stuck")
	}
	m.held["run"] = &held{}
	m.beat.Store(int64(now))
	if now += stuckAfter; m.Stuck() {
		t.Error("it is stuck while its leases are looked at now and then")
	}
	if now++; !m.Stuck() {
		t.Error("it is not stuck though nobody looks after its leases")
	}
}
