package inbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// is looks for one text; the others miss by as many letters as they differ in length.
func is(want string) func(string) (Judgement, error) {
	return func(m string) (Judgement, error) {
		return Judgement{Fits: m == want, Differences: max(len(m)-len(want), len(want)-len(m), 1), Miss: fmt.Sprintf("want %q, got %q", want, m)}, nil
	}
}

func quoted(m string) string { return fmt.Sprintf("message %q", m) }

func TestWait(t *testing.T) {
	broken := errors.New("connection reset")
	tests := map[string]struct {
		limits Limits
		before func(b *Inbox[string]) // what came before the look
		during func(b *Inbox[string]) // what comes one second into it
		query  Query[string]
		found  []string
		waited time.Duration
		fault  string // empty: the query is met
		failed bool
	}{
		"what came before is seen":                {before: adds("a", "b"), query: Query[string]{Judge: is("a")}, found: []string{"a"}},
		"a look takes nothing away":               {before: adds("a", "a"), query: Query[string]{Judge: is("a"), Count: 2}, found: []string{"a", "a"}},
		"what comes during it is seen":            {during: adds("a"), query: Query[string]{Judge: is("a")}, found: []string{"a"}, waited: time.Second},
		"nothing at all":                          {query: Query[string]{Judge: is("a")}, waited: 5 * time.Second, failed: true, fault: "no message came from topic t within 5s"},
		"nothing that fits":                       {before: adds("aaaa", "ab", "ccccc"), query: Query[string]{Judge: is("a")}, waited: 5 * time.Second, failed: true, fault: `3 messages came from topic t since the subscription, and none fits within 5s|nearest miss: message "ab"|  want "a", got "ab"`},
		"of equal misses the latest":              {before: adds("b", "c"), query: Query[string]{Judge: is("a")}, waited: 5 * time.Second, failed: true, fault: `2 messages came from topic t since the subscription, and none fits within 5s|nearest miss: message "c"|  want "a", got "c"`},
		"too few":                                 {before: adds("a"), query: Query[string]{Judge: is("a"), Count: 2}, found: []string{"a"}, waited: 5 * time.Second, failed: true, fault: "1 message came from topic t since the subscription, and 1 of the 2 that are wanted fit within 5s"},
		"none is wanted and none comes":           {before: adds("b"), query: Query[string]{Judge: is("a"), Absent: true}, waited: 5 * time.Second},
		"none is wanted and one comes":            {during: adds("a"), query: Query[string]{Judge: is("a"), Absent: true}, found: []string{"a"}, waited: time.Second, failed: true, fault: `a message that should not come came after 1s: message "a"`},
		"none is wanted and some were lost":       {limits: Limits{Messages: 1}, before: adds("a", "b"), query: Query[string]{Judge: is("c"), Absent: true}, waited: 5 * time.Second, fault: "1 messages of topic t were dropped at the limit of the subscription before anybody looked at them"},
		"what was lost cannot be judged":          {limits: Limits{Bytes: 3}, before: adds("aa", "bb"), query: Query[string]{Judge: is("aa")}, waited: 5 * time.Second, fault: `1 messages of topic t were dropped at the limit of the subscription before anybody looked at them|nearest miss: message "bb"|  want "aa", got "bb"`},
		"what was lost does not matter if found":  {limits: Limits{Messages: 1}, before: adds("a", "b"), query: Query[string]{Judge: is("b")}, found: []string{"b"}},
		"a subscription that breaks":              {during: func(b *Inbox[string]) { b.End(broken) }, query: Query[string]{Judge: is("a")}, waited: time.Second, fault: "the subscription to topic t ended while it was waited for: connection reset"},
		"a broken one has shown no absence":       {before: func(b *Inbox[string]) { b.End(broken) }, query: Query[string]{Judge: is("a"), Absent: true}, fault: "the subscription to topic t ended while it was waited for: connection reset"},
		"a subscription that ends in order":       {during: func(b *Inbox[string]) { b.End(nil) }, query: Query[string]{Judge: is("a")}, waited: time.Second, failed: true, fault: "topic t ended after 1s, and no message came from topic t"},
		"what came before the end is seen":        {before: func(b *Inbox[string]) { b.Add("a", 1); b.End(broken) }, query: Query[string]{Judge: is("a")}, found: []string{"a"}},
		"what comes after the end is not":         {before: func(b *Inbox[string]) { b.End(nil); b.Add("a", 1) }, query: Query[string]{Judge: is("a")}, failed: true, fault: "topic t ended after 0s, and no message came from topic t"},
		"what went after it was seen is not lost": {limits: Limits{Messages: 1}, before: adds("b"), during: adds("b"), query: Query[string]{Judge: is("a"), Absent: true}, waited: 5 * time.Second},
		"every message fits without a judge":      {before: adds("x"), found: []string{"x"}},
		"the first can be left out":               {before: adds("a", "b", "a"), query: Query[string]{Judge: is("a"), After: 1}, found: []string{"a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New[string](test.limits)
				if test.before != nil {
					test.before(b)
				}
				if test.during != nil {
					time.AfterFunc(time.Second, func() { test.during(b) })
				}
				test.query.Within = 5 * time.Second
				r, err := b.Wait(t.Context(), test.query)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.found, r.Found); diff != "" {
					t.Errorf("found (-want +got)\n%s", diff)
				}
				if r.Waited != test.waited {
					t.Errorf("got an answer after %s, want %s", r.Waited, test.waited)
				}
				fault := r.Fault("topic t", quoted)
				got := ""
				if fault != nil {
					got = strings.Join(append([]string{fault.Message}, fault.Details...), "|")
					if fault.Failed != test.failed {
						t.Errorf("got failed %v, want %v", fault.Failed, test.failed)
					}
				}
				if got != test.fault {
					t.Errorf("got fault\n%s\nwant\n%s", got, test.fault)
				}
			})
		})
	}
}

func adds(messages ...string) func(*Inbox[string]) {
	return func(b *Inbox[string]) {
		for _, m := range messages {
			b.Add(m, len(m))
		}
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := New[string](Limits{}).Wait(ctx, Query[string]{Within: time.Hour})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's end", err)
		}
	})
}

func TestAnErrorOfTheJudgeEndsTheWait(t *testing.T) {
	b := New[string](Limits{})
	b.Add("a", 1)
	want := errors.New("no such marker")
	_, err := b.Wait(t.Context(), Query[string]{Within: time.Hour, Judge: func(string) (Judgement, error) { return Judgement{}, want }})
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestWhatIsUnderWayWhenTheTimeIsOverIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New[string](Limits{})
		settled := 0
		settle := func(context.Context) error {
			settled++
			b.Add("late", 1)
			return nil
		}
		r, err := b.Wait(t.Context(), Query[string]{Judge: is("late"), Within: time.Second, Settle: settle})
		if err != nil || !r.Met || settled != 1 {
			t.Errorf("got %+v, %v after %d, want the message", r, err, settled)
		}
		r, err = b.Wait(t.Context(), Query[string]{Judge: is("late"), Within: time.Second, Absent: true, Settle: settle})
		if err != nil || r.Met || settled != 1 {
			t.Errorf("what is there already needs no time: got %+v, %v after %d", r, err, settled)
		}
	})
}

func TestASubscriptionThatNoLongerListensHasShownNoAbsence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := errors.New("it does not answer")
		r, err := New[string](Limits{}).Wait(t.Context(), Query[string]{Within: time.Second, Absent: true, Settle: func(context.Context) error { return want }})
		if !errors.Is(err, want) || r.Met {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestManySendersAndWaiters(t *testing.T) {
	b := New[string](Limits{})
	const senders, each = 10, 200
	for range senders {
		go func() {
			for range each {
				b.Add("a", 1)
			}
		}()
	}
	done := make(chan int)
	for range 4 {
		go func() {
			r, err := b.Wait(t.Context(), Query[string]{Count: senders * each, Within: time.Minute})
			if err != nil {
				t.Error(err)
			}
			done <- len(r.Found)
		}()
	}
	for range 4 {
		if got := <-done; got != senders*each {
			t.Errorf("got %d messages, want %d", got, senders*each)
		}
	}
	if got := b.Len(); got != senders*each {
		t.Errorf("got a length of %d, want %d", got, senders*each)
	}
}
