package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// store is a plugin that keeps counters for each run.
type store struct {
	mu     sync.Mutex
	opened int
	log    []string
	delay  time.Duration
	fails  error
	closes error
}

func (s *store) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *store) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, ", ")
}

type keyed struct {
	Key string `json:"key"`
}

type counted struct {
	Number int  `json:"number"`
	Is     bool `json:"is"`
}

type listed struct {
	Keys []string `json:"keys"`
}

func (s *store) open(ctx context.Context, call *Call, in keyed) (counted, error) {
	n, err := Keep(ctx, call, in.Key, func() (int, func() error, error) {
		<-time.After(s.delay)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fails != nil {
			return 0, nil, s.fails
		}
		s.opened++
		n := s.opened
		return n, func() error { s.note("close %s %d", in.Key, n); return s.closes }, nil
	})
	return counted{Number: n}, err
}

func (s *store) plugin() Plugin {
	return New(Info{Name: "store", Version: "1.0.0", Summary: "S."},
		Action("open", "Open.", s.open),
		Action("kept", "Look.", func(_ context.Context, call *Call, in keyed) (counted, error) {
			n, ok := Kept[int](call, in.Key)
			return counted{n, ok}, nil
		}),
		Action("text", "Look for another type.", func(ctx context.Context, call *Call, in keyed) (nothing, error) {
			if _, ok := Kept[string](call, in.Key); ok {
				return nothing{}, errors.New("a number is a text")
			}
			_, err := Keep(ctx, call, in.Key, func() (string, func() error, error) { return "", nil, nil })
			return nothing{}, err
		}),
		Action("drop", "Drop.", func(_ context.Context, call *Call, in keyed) (nothing, error) { return nothing{}, Drop(call, in.Key) }),
		Action("keys", "List.", func(_ context.Context, call *Call, in keyed) (listed, error) {
			return listed{KeptKeys(call, in.Key)}, nil
		}),
		Action("panic", "Panic.", func(ctx context.Context, call *Call, in keyed) (nothing, error) {
			_, err := Keep(ctx, call, in.Key, func() (int, func() error, error) { panic("oops") })
			return nothing{}, err
		}))
}

func do(t *testing.T, p Plugin, run, action, key string) (string, error) {
	t.Helper()
	res, err := p.Execute(t.Context(), &Request{Action: "store." + action, RunID: run, Config: []byte(`{"key":"` + key + `"}`)}, nil)
	if err != nil {
		return "", err
	}
	return string(res.Result), nil
}

func TestWhatIsKeptBelongsToItsRun(t *testing.T) {
	s := &store{}
	p := s.plugin()
	for _, call := range []struct{ run, action, key, want string }{
		{"1", "kept", "a", `{"number":0,"is":false}`},
		{"1", "open", "a", `{"number":1,"is":false}`},
		{"1", "open", "a", `{"number":1,"is":false}`},
		{"1", "kept", "a", `{"number":1,"is":true}`},
		{"1", "open", "b", `{"number":2,"is":false}`},
		{"2", "kept", "a", `{"number":0,"is":false}`},
		{"2", "open", "a", `{"number":3,"is":false}`},
		{"1", "drop", "none", `{}`},
		{"1", "open", "c", `{"number":4,"is":false}`},
		{"1", "drop", "b", `{}`},
		{"1", "kept", "b", `{"number":0,"is":false}`},
	} {
		if got, err := do(t, p, call.run, call.action, call.key); err != nil || got != call.want {
			t.Errorf("%s %s in run %s: got %s, %v, want %s", call.action, call.key, call.run, got, err, call.want)
		}
	}
	p.EndRun("1")
	p.EndRun("1")
	p.EndRun("none")
	if got, err := do(t, p, "1", "open", "a"); err != nil || got != `{"number":5,"is":false}` {
		t.Errorf("the same run again: got %s, %v", got, err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	got := s.said()
	// The last two are of two runs, which end in any order.
	if !strings.HasPrefix(got, "close b 2, close c 4, close a 1, ") || !strings.Contains(got, "close a 3") || !strings.Contains(got, "close a 5") || len(s.log) != 5 {
		t.Errorf("got %s", got)
	}
}

func TestTheKeysOfARunAreListedAsTheyWereOpened(t *testing.T) {
	p := (&store{}).plugin()
	for _, call := range []struct{ run, action, key, want string }{
		{"1", "keys", "", `{"keys":[]}`},
		{"1", "open", "sub:b", `{"number":1,"is":false}`},
		{"1", "open", "pool", `{"number":2,"is":false}`},
		{"1", "open", "sub:a", `{"number":3,"is":false}`},
		{"2", "open", "sub:c", `{"number":4,"is":false}`},
		{"1", "keys", "sub:", `{"keys":["sub:b","sub:a"]}`},
		{"1", "drop", "sub:b", `{}`},
		{"1", "keys", "", `{"keys":["pool","sub:a"]}`},
	} {
		if got, err := do(t, p, call.run, call.action, call.key); err != nil || got != call.want {
			t.Errorf("%s %q in run %s: got %s, %v, want %s", call.action, call.key, call.run, got, err, call.want)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestCallsAtTheSameTimeOpenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{delay: time.Second}
		p := s.plugin()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if got, err := do(t, p, "1", "open", "a"); err != nil || got != `{"number":1,"is":false}` {
					t.Errorf("got %s, %v", got, err)
				}
			})
		}
		synctest.Wait()
		if got, err := do(t, p, "1", "kept", "a"); err != nil || got != `{"number":0,"is":false}` {
			t.Errorf("while it is opened: got %s, %v", got, err)
		}
		if _, err := do(t, p, "1", "drop", "a"); err != nil {
			t.Errorf("while it is opened: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_, err := p.Execute(ctx, &Request{Action: "store.open", RunID: "1", Config: []byte(`{"key":"a"}`)}, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that did not want to wait: got %v", err)
		}
		all.Wait()
	})
}

func TestWhatCouldNotBeOpenedIsNotKept(t *testing.T) {
	s := &store{fails: Errorf(CodeConn, "refused")}
	p := s.plugin()
	if _, err := do(t, p, "1", "open", "a"); err == nil || err.Error() != "refused" {
		t.Errorf("got %v", err)
	}
	s.fails = nil
	if got, err := do(t, p, "1", "open", "a"); err != nil || got != `{"number":1,"is":false}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAnOpeningThatPanicsLetsTheOthersGoOn(t *testing.T) {
	p := (&store{}).plugin()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = do(t, p, "1", "panic", "a")
	}()
	if got, err := do(t, p, "1", "open", "a"); err != nil || got != `{"number":1,"is":false}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestWhatIsKeptHasOneType(t *testing.T) {
	p := (&store{}).plugin()
	if _, err := do(t, p, "1", "open", "a"); err != nil {
		t.Fatal(err)
	}
	_, err := do(t, p, "1", "text", "a")
	var known *Error
	if !errors.As(err, &known) || known.Blame != BlamePlugin || known.Message != `what is kept as "a" is a int, not a string` {
		t.Errorf("got %v", err)
	}
}

func TestARunThatEndsWhileSomethingIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{delay: time.Second}
		p := s.plugin()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := do(t, p, "1", "open", "a"); err == nil || !strings.Contains(err.Error(), "the run has ended") {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		p.EndRun("1")
		all.Wait()
		if got := s.said(); got != "close a 1" {
			t.Errorf("what came too late was not closed: %q", got)
		}
	})
}

func TestCloseSaysWhatTheEndsOfRunsDid(t *testing.T) {
	s := &store{closes: errors.New("broken pipe")}
	p := s.plugin()
	for i := range maxEndFaults + 5 {
		run := fmt.Sprint(i)
		if _, err := do(t, p, run, "open", "a"); err != nil {
			t.Fatal(err)
		}
		p.EndRun(run)
	}
	err := p.Close()
	if err == nil || strings.Count(err.Error(), `close "a": broken pipe`) != maxEndFaults {
		t.Errorf("got %v", err)
	}
}
