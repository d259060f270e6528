package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ask makes a request as a step of an attempt does.
func ask(t *testing.T, w *witness, method, path, attempt string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, w.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if attempt != "" {
		req.Header.Set("X-TestMesh-Run", attempt)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// What the rows stand on: the witness sees each of the crimes, and none where there
// was none.
func TestTheWitnessSees(t *testing.T) {
	type request struct{ method, path, attempt string }
	tests := map[string]struct {
		requests []request
		want     string // of what breaks the row; empty: nothing
	}{
		"nothing, where an attempt follows another": {[]request{{"GET", "/read/a", "r/1/5"}, {"POST", "/once/p", "r/1/5"}, {"GET", "/read/a", "r/2/9"}}, ""},
		"an older attempt that comes back":          {[]request{{"GET", "/read/a", "r/2/9"}, {"GET", "/read/a", "r/1/5"}}, "1 requests of an attempt after a newer one came"},
		"a step that is repeated":                   {[]request{{"POST", "/once/p", "r/1/5"}, {"POST", "/once/p", "r/2/9"}}, "1 once steps repeated"},
		"a request that says nothing of itself":     {[]request{{"GET", "/read/a", ""}}, "1 requests that name no attempt"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWitness()
			defer w.Close()
			for _, r := range test.requests {
				ask(t, w, r.method, r.path, r.attempt)
			}
			trial := &trial{}
			w.judge(trial, 0)
			got := strings.Join(trial.broken, "; ")
			if test.want == "" && got != "" || !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheWitnessSeesTwoAtOnce(t *testing.T) {
	w := newWitness()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	entered := make(chan struct{})
	w.on("slow", func(attempt) { close(entered) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/read/slow?ms=60000&group=g", nil)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("X-TestMesh-Run", "r/1/5")
		if res, err := http.DefaultClient.Do(req); err == nil {
			t.Errorf("it was answered: %v", errorsOf(res.Body.Close()))
		}
	}()
	<-entered
	ask(t, w, http.MethodGet, "/read/other?group=g", "r/2/9")
	if n := w.atWork(); n != 1 {
		t.Errorf("%d runs are at work, want 1", n)
	}
	cancel() // the agent of the first is killed: its work is over
	<-done
	trial := &trial{}
	trial.until(t.Context(), 10*time.Second, "the end of its work", func() error {
		if n := w.atWork(); n != 0 {
			return errAtWork
		}
		return nil
	})
	w.judge(trial, 0)
	if got := strings.Join(trial.broken, "; "); !strings.HasPrefix(got, "1 requests of a run by two agents at once") {
		t.Errorf("got %q", got)
	}
	if got := w.atOnce("g"); got != 2 {
		t.Errorf("%d of the group at once, want 2", got)
	}
}
