package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

var errAtWork = errors.New("it is at work")

func errorsOf(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// A row fails for each reason to, and only then.
func TestATrialFails(t *testing.T) {
	tests := map[string]struct {
		run  func(context.Context, *trial)
		want string
	}{
		"not, where all is well": {func(_ context.Context, t *trial) {
			t.none(0, "runs lost")
			t.observed(3, 3, "kills")
			t.took(9*time.Second, time.Second, "a gap")
			t.within(2, 2, "bytes")
		}, ""},
		"with a count that is not 0":        {func(_ context.Context, t *trial) { t.none(2, "runs lost") }, "2 runs lost, want 0"},
		"with a fault that did not bite":    {func(_ context.Context, t *trial) { t.observed(0, 1, "kills") }, "the fault did not bite: 0 kills, want 1 at least"},
		"with ten times a goal":             {func(_ context.Context, t *trial) { t.took(11*time.Second, time.Second, "a gap") }, "a gap took 11s, and ten times 1s is the bound"},
		"with more than a bound":            {func(_ context.Context, t *trial) { t.within(3, 2, "bytes") }, "bytes is 3, and 2 is its bound"},
		"with an error that it cannot pass": {func(_ context.Context, t *trial) { t.must(errAtWork, "start"); t.failf("gone on") }, "start: it is at work"},
		"with a panic":                      {func(context.Context, *trial) { panic("oh") }, "the row panicked: oh"},
		"with what never comes": {func(ctx context.Context, t *trial) {
			t.until(ctx, time.Millisecond, "it", func() error { return errAtWork })
		}, "wait for it: not within 1ms: it is at work"},
		"where its time is over":             {func(ctx context.Context, _ *trial) { <-ctx.Done() }, "the row hangs"},
		"not, where what it waits for is so": {func(ctx context.Context, t *trial) { t.until(ctx, time.Second, "it", func() error { return nil }) }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the row hangs"))
			defer cancel()
			one := &trial{}
			one.guarded(ctx, test.run)
			if got := strings.Join(one.wrong(), "; "); test.want == "" && got != "" || !strings.HasPrefix(got, test.want) || strings.Contains(got, "gone on") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// What was acknowledged is compared with what there is, and with what the witness saw.
func TestASiteIsJudged(t *testing.T) {
	passed := func(id string) *apiv1.Run {
		return &apiv1.Run{Id: id, BatchId: "b", Status: apiv1.RunStatus_RUN_STATUS_PASSED, Spec: &apiv1.Spec{Bundle: "pays"}}
	}
	tests := map[string]struct {
		acked int
		runs  []*apiv1.Run
		batch string
		paid  []string
		want  string
	}{
		"all is well":                  {2, []*apiv1.Run{passed("r1"), passed("r2")}, "b", []string{"r1", "r2"}, ""},
		"a run is lost":                {2, []*apiv1.Run{passed("r1")}, "b", []string{"r1"}, "1 acknowledged runs lost"},
		"a run too much":               {1, []*apiv1.Run{passed("r1"), passed("r2")}, "b", []string{"r1", "r2"}, "1 runs more than were asked for"},
		"a batch that nobody knows of": {0, []*apiv1.Run{passed("r1")}, "c", []string{"r1"}, "1 runs of batches that nobody was told of"},
		"green without proof":          {1, []*apiv1.Run{passed("r1")}, "b", nil, "1 runs that passed without what the witness must have seen"},
		"failed for nothing": {
			1,
			[]*apiv1.Run{{Id: "r1", BatchId: "b", Status: apiv1.RunStatus_RUN_STATUS_FAILED, Spec: &apiv1.Spec{}}},
			"b", nil,
			"1 runs failed, though the system answered as it should",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			one := &trial{witness: newWitness()}
			defer one.witness.Close()
			for _, run := range test.paid {
				ask(t, one.witness, "POST", "/once/p", run+"/1/5")
			}
			s := &site{t: one, batch: map[string]sent{}, pays: map[string]int{"pays": 1}}
			if test.acked > 0 {
				s.batch["b"] = sent{runs: test.acked}
			}
			s.judge(map[string][]*apiv1.Run{test.batch: test.runs}, 0)
			if got := strings.Join(one.broken, "; "); test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Rows are tried side by side, each is told of once, and a failure is named.
func TestRowsAreTriedSideBySide(t *testing.T) {
	meet := make(chan struct{})
	named := func(name string, run func(context.Context, *trial)) row {
		return row{name: name, title: "the row " + name, full: time.Second, run: run}
	}
	rows := []row{
		named("A", func(_ context.Context, t *trial) { meet <- struct{}{}; t.observed(2, 1, "kills") }),
		named("B", func(_ context.Context, t *trial) { <-meet; t.none(1, "runs lost") }),
	}
	var out strings.Builder
	err := options{tier: "full", side: 2, seed: 5, out: &out}.all(t.Context(), rows)
	if got := errorsOf(err); got != "failed: B; -seed 5 has the same faults" {
		t.Errorf("got %q", got)
	}
	for _, want := range []string{"A    the row A\n     ok in ", "seen    2 kills", "B    the row B\n     FAILED in ", "BROKEN  1 runs lost, want 0", "2 rows in 0s, 1 failed"} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("%q is not there once in:\n%s", want, out.String())
		}
	}
}

// A protection that is off is to be noticed; that a process cannot be started says
// nothing about it.
func TestRedWantsRed(t *testing.T) {
	tests := map[string]struct {
		run       func(context.Context, *trial)
		want, out string
	}{
		"noticed":          {func(_ context.Context, t *trial) { t.failf("%s is off\nand more", t.off) }, "no error", "R    no_luck          red, as it must be: no_luck is off\n1 protections"},
		"not noticed":      {func(context.Context, *trial) {}, "green without their protection: R with no_luck", "GREEN, which it must not be"},
		"not tried at all": {func(_ context.Context, t *trial) { t.able(errAtWork, "start a node") }, "start a node: it is at work", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			err := options{tier: "ci", side: 1, out: &out}.proveRed(t.Context(), []row{{name: "R", red: []string{"no_luck"}, run: test.run}})
			if got := errorsOf(err); got != test.want || !strings.Contains(out.String(), test.out) {
				t.Errorf("got %q and\n%s", got, out.String())
			}
		})
	}
}

// Addresses are given once, are free, and are not those that connections get.
func TestPortsAreGivenOnce(t *testing.T) {
	p, one := newPorts(), &trial{}
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.next+1))
	if err == nil {
		defer taken.Close()
	}
	seen := map[string]bool{}
	for range 50 {
		address := p.free(one)
		_, port, err := net.SplitHostPort(address)
		if number, _ := strconv.Atoi(port); err != nil || seen[address] || number < firstPort || number >= lastPort || taken != nil && address == taken.Addr().String() {
			t.Errorf("got %s (%v)", address, err)
		}
		seen[address] = true
	}
}

func TestTheLongestGapIsBetweenTwoAcknowledgements(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	s := &site{acks: []time.Time{at(9), at(1), at(2), at(5)}}
	if got := s.gap(); got != 4*time.Second {
		t.Errorf("got %s, want 4s", got)
	}
	if got := percentile([]time.Duration{5, 1, 4, 2, 3}, 50); got != 3 {
		t.Errorf("got the median %d, want 3", got)
	}
}

// The proxy cuts as often as it is told, and then lets everything through.
func TestTheProxyCuts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // it says again what it hears
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	p := newProxy(&trial{}, l.Addr().String())
	defer p.Close()
	p.cutAfter(1000, 3)
	whole := 0
	for range 10 {
		if got := echoed(t, p, 10_000); got == 10_000 {
			whole++
		}
	}
	if p.count() != 3 || whole < 7 {
		t.Errorf("%d cuts, %d of 10 connections carried everything", p.count(), whole)
	}
	p.part()
	if got := echoed(t, p, 10); got != 0 {
		t.Errorf("%d bytes came through while all was cut off", got)
	}
	p.heal()
	if got := echoed(t, p, 10); got != 10 {
		t.Errorf("%d of 10 bytes came through afterwards", got)
	}
}

// echoed is how much of what is sent comes back.
func echoed(t *testing.T, p *proxy, n int) int {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		_, _ = c.Write(make([]byte, n)) // it may be cut
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, _ := io.Copy(io.Discard, c) // until it is cut
	return int(got)
}

func TestRowsAreChosenByName(t *testing.T) {
	names := func(o options) (list []string) {
		chosen, err := o.choose()
		if err != nil {
			return []string{err.Error()}
		}
		for _, r := range chosen {
			list = append(list, r.name)
		}
		return list
	}
	if got := names(options{only: "r17,R1", tier: "ci"}); !slices.Equal(got, []string{"R17", "R1"}) {
		t.Errorf("got %q", got)
	}
	if got := names(options{only: "R99", tier: "ci"}); !slices.Equal(got, []string{`-only "R99": there is no such row`}) {
		t.Errorf("got %q", got)
	}
	full, ci := names(options{tier: "full"}), names(options{tier: "ci"})
	if len(full) != len(rows()) || len(ci) > len(full) || len(ci) < 8 {
		t.Errorf("%d rows in full, %d in ci, of %d", len(full), len(ci), len(rows()))
	}
	if got := names(options{tier: "nightly"}); !strings.Contains(got[0], "nightly") {
		t.Errorf("got %q", got)
	}
}
