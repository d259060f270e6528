package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// witness is a system under test. It writes down what really reached it, by the
// attempt that each request names, and knows nothing of the control plane.
type witness struct {
	*httptest.Server

	mu       sync.Mutex
	runs     map[string]*history
	overlaps int            // requests of a run while another attempt of it was at work
	stale    int            // requests of an attempt after a newer one had come
	unnamed  int            // requests that name no attempt
	counts   map[string]int // requests, by step
	groups   map[string]int
	most     map[string]int // how many of a group were at work at once
	hooks    map[string]func(attempt)
}

// history is what came of one run.
type history struct {
	fence   uint64 // the newest
	active  map[int]int
	once    map[string]int // steps that must not be repeated
	made    map[string]bool
	removed map[string]int
	visits  []visit
}

// attempt is what a request says of itself.
type attempt struct {
	run    string
	number int
	fence  uint64
}

// visit is one request.
type visit struct {
	attempt
	step       string
	begin, end time.Time
}

func newWitness() *witness {
	w := &witness{runs: map[string]*history{}, counts: map[string]int{}, groups: map[string]int{}, most: map[string]int{}, hooks: map[string]func(attempt){}}
	mux := http.NewServeMux()
	mux.HandleFunc("/read/{step}", w.visited(func(*history, *http.Request) {}))
	mux.HandleFunc("POST /once/{step}", w.visited(func(h *history, r *http.Request) { h.once[r.PathValue("step")]++ }))
	mux.HandleFunc("POST /made/{step}", w.visited(func(h *history, r *http.Request) { h.made[r.PathValue("step")] = true }))
	mux.HandleFunc("DELETE /made/{step}", w.visited(func(h *history, r *http.Request) { h.removed[r.PathValue("step")]++ }))
	w.Server = httptest.NewServer(mux)
	return w
}

// parseAttempt reads "run/attempt/fence".
func parseAttempt(text string) (a attempt, err error) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 || parts[0] == "" {
		return a, fmt.Errorf("%q is no run/attempt/fence", text)
	}
	a.run = parts[0]
	if a.number, err = strconv.Atoi(parts[1]); err != nil {
		return a, err
	}
	a.fence, err = strconv.ParseUint(parts[2], 10, 64)
	return a, err
}

// on calls f with each request of a step, before it is answered.
func (w *witness) on(step string, f func(attempt)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hooks[step] = f
}

// visited writes a request down and answers it after ?ms=, with ?noise= KiB of text.
// Requests with the same ?group= are counted together.
func (w *witness) visited(note func(*history, *http.Request)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		a, err := parseAttempt(r.Header.Get("X-TestMesh-Run"))
		if err != nil {
			w.mu.Lock()
			w.unnamed++
			w.mu.Unlock()
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		step := r.PathValue("step")
		h, place, hook := w.begin(a, step, r, note)
		if hook != nil {
			hook(a)
		}
		ms, _ := strconv.Atoi(r.URL.Query().Get("ms")) // none: at once
		hold(r.Context(), time.Duration(ms)*time.Millisecond)
		w.end(a, h, place, r)
		kib, _ := strconv.Atoi(r.URL.Query().Get("noise")) // none: nothing
		rw.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprint(rw, noise(step, kib)) // who has gone does not read
	}
}

func hold(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done(): // the agent was killed: its work is over
	}
}

func (w *witness) begin(a attempt, step string, r *http.Request, note func(*history, *http.Request)) (h *history, place int, hook func(attempt)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h = w.runs[a.run]; h == nil {
		h = &history{active: map[int]int{}, once: map[string]int{}, made: map[string]bool{}, removed: map[string]int{}}
		w.runs[a.run] = h
	}
	for number, n := range h.active {
		if number != a.number && n > 0 {
			w.overlaps++
			break
		}
	}
	if a.fence < h.fence {
		w.stale++
	}
	h.fence = max(h.fence, a.fence)
	h.active[a.number]++
	note(h, r)
	if g := r.URL.Query().Get("group"); g != "" {
		w.groups[g]++
		w.most[g] = max(w.most[g], w.groups[g])
	}
	w.counts[step]++
	h.visits = append(h.visits, visit{attempt: a, step: step, begin: time.Now()})
	return h, len(h.visits) - 1, w.hooks[step]
}

func (w *witness) end(a attempt, h *history, place int, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.active[a.number]--
	h.visits[place].end = time.Now()
	if g := r.URL.Query().Get("group"); g != "" {
		w.groups[g]--
	}
}

// of is a copy of what came of a run.
func (w *witness) of(run string) (visits []visit, once map[string]int, made, removed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	once = map[string]int{}
	h := w.runs[run]
	if h == nil {
		return nil, once, 0, 0
	}
	for step, n := range h.once {
		once[step] = n
	}
	for step := range h.made {
		made++
		if h.removed[step] > 0 {
			removed++
		}
	}
	return append([]visit(nil), h.visits...), once, made, removed
}

// steps counts the requests of a step.
func (w *witness) steps(step string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[step]
}

// atWork counts the runs with a request under way.
func (w *witness) atWork() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.runs {
		for _, one := range h.active {
			if one > 0 {
				n++
				break
			}
		}
	}
	return n
}

// judge says what the witness has against the whole.
func (w *witness) judge(t *trial, staleAllowed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	repeated := 0
	for _, h := range w.runs {
		for _, n := range h.once {
			if n > 1 {
				repeated++
			}
		}
	}
	t.none(max(0, w.overlaps-staleAllowed), "requests of a run by two agents at once")
	t.none(max(0, w.stale-staleAllowed), "requests of an attempt after a newer one came")
	t.none(repeated, "once steps repeated")
	t.none(w.unnamed, "requests that name no attempt")
}
