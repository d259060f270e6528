package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// quietFor is how long the control plane may be silent before the agent is not ready: a
// poll is held for 30 s.
const quietFor = 90 * time.Second

// Status is how an agent is doing, as /status prints it.
type Status struct {
	AgentID string `json:"agent_id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	// Server is the node that it asks now, of those that it was told.
	Server string `json:"server"`
	// Ready: it has greeted the control plane, which answered not long ago.
	Ready bool `json:"ready"`
	// Answered is when the control plane last did.
	Answered time.Time `json:"answered"`
	Began    time.Time `json:"began"`
	Draining bool      `json:"draining"`
	Paused   bool      `json:"paused"`
	Slots    int       `json:"slots"`
	Runs     []string  `json:"runs"`
	// Stream is how events are sent: "websocket", "requests", or "" before the first.
	Stream string `json:"stream"`
	// SpoolBytes are on the disk, and not acknowledged.
	SpoolBytes int64 `json:"spool_bytes"`
	// Trouble is why the control plane has not been greeted yet, where it was tried.
	Trouble string `json:"trouble,omitempty"`
}

// health counts what metrics tell.
type health struct {
	answered atomic.Int64 // unix nanoseconds
	calls    atomic.Int64
	faults   atomic.Int64
	start    atomic.Int64
	id       atomic.Pointer[string] // the agent's, once it has joined
	trouble  atomic.Pointer[string] // why it has not greeted the control plane yet

	mu   sync.Mutex
	runs map[apiv1.RunStatus]int64
}

func newHealth() *health { return &health{runs: map[apiv1.RunStatus]int64{}} }

func (h *health) began() { h.start.Store(time.Now().UnixNano()) }

func (h *health) ended(s apiv1.RunStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.runs[s]++
}

// watched notes when the control plane answers.
func (h *health) watched(next http.RoundTripper) http.RoundTripper { return &watched{h, next} }

type watched struct {
	health *health
	next   http.RoundTripper
}

func (w *watched) RoundTrip(req *http.Request) (*http.Response, error) {
	w.health.calls.Add(1)
	res, err := w.next.RoundTrip(req)
	switch {
	case err != nil && req.Context().Err() == nil, err == nil && res.StatusCode >= http.StatusInternalServerError:
		w.health.faults.Add(1)
	case err == nil:
		w.health.answered.Store(time.Now().UnixNano())
	}
	return res, err
}

func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// Status is how the agent is doing.
func (a *Agent) Status() Status {
	draining, paused := a.manager.Wishes()
	s := Status{
		Name: a.cfg.Name, Version: a.cfg.Version, Server: a.nodes.Address(), Answered: moment(a.health.answered.Load()),
		Began: moment(a.health.start.Load()), Draining: draining, Paused: paused, Slots: a.cfg.Slots, Runs: []string{}, Stream: a.sender.By(),
		SpoolBytes: a.budget.Taken(),
	}
	for _, l := range a.manager.Leases() {
		s.Runs = append(s.Runs, l.GetRunId())
	}
	if id := a.health.id.Load(); id != nil {
		s.AgentID = *id
	}
	if trouble := a.health.trouble.Load(); trouble != nil {
		s.Trouble = *trouble
	}
	slices.Sort(s.Runs)
	s.Ready = !s.Began.IsZero() && time.Since(s.Answered) < quietFor && !draining
	return s
}

// Alive is an error where the agent does not look after its leases any more. It hangs
// where the agent does.
func (a *Agent) Alive() error {
	if a.manager.Stuck() {
		return errors.New("leases are held, and not looked after")
	}
	_ = a.Status() // takes every lock of what an agent does all the time
	return nil
}

// listen answers about health, where that is wanted.
func (a *Agent) listen() (stop func(), err error) {
	if a.cfg.Listen == "" {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", a.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for health: %w", err)
	}
	a.cfg.Logger.Info("health and metrics are answered", "address", l.Addr().String())
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.cfg.Logger.Error("health and metrics are answered no more", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // who still asks is cut
		}
		<-done
	}, nil
}

func (a *Agent) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s := a.Status(); !s.Ready {
			http.Error(w, "not ready: "+s.why(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a.Status()) // who asked may have gone
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = io.WriteString(w, a.metrics())
	})
	return mux
}

// why says in words why it is not ready.
func (s Status) why() string {
	switch {
	case s.Draining:
		return "it is draining"
	case s.Began.IsZero() && s.Trouble != "":
		return "it cannot reach the control plane: " + s.Trouble
	case s.Began.IsZero():
		return "it has not greeted the control plane yet"
	}
	return fmt.Sprintf("the control plane last answered %s ago", time.Since(s.Answered).Round(time.Second))
}

// metrics are in the text format of Prometheus. They are few and have no buckets, so a
// library for them would be most of an idle agent's memory.
func (a *Agent) metrics() string {
	s := a.Status()
	var b strings.Builder
	one := func(name, kind, help string, value any) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n%s %v\n", name, help, name, kind, name, value)
	}
	number := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	one("testmesh_agent_ready", "gauge", "1 where it takes work and the control plane answers.", number(s.Ready))
	one("testmesh_agent_draining", "gauge", "1 where nothing new is taken.", number(s.Draining))
	one("testmesh_agent_paused", "gauge", "1 where the control plane has paused it.", number(s.Paused))
	one("testmesh_agent_slots", "gauge", "Runs that may go side by side.", s.Slots)
	one("testmesh_agent_leases", "gauge", "Runs that it has now.", len(s.Runs))
	one("testmesh_agent_spool_bytes", "gauge", "Bytes of event streams on the disk that are not acknowledged yet.", s.SpoolBytes)
	one("testmesh_agent_stream_websocket", "gauge", "1 where events go over a WebSocket.", number(s.Stream == "websocket"))
	one("testmesh_agent_last_answer_timestamp_seconds", "gauge", "When the control plane last answered.", float64(s.Answered.UnixMilli())/1000)
	one("testmesh_agent_calls_total", "counter", "Calls of the control plane.", a.health.calls.Load())
	one("testmesh_agent_call_faults_total", "counter", "Calls that it did not answer.", a.health.faults.Load())
	const name = "testmesh_agent_runs_total"
	fmt.Fprintf(&b, "# HELP %s Runs that have ended here, by status.\n# TYPE %s counter\n", name, name)
	a.health.mu.Lock()
	defer a.health.mu.Unlock()
	for _, status := range []apiv1.RunStatus{
		apiv1.RunStatus_RUN_STATUS_PASSED, apiv1.RunStatus_RUN_STATUS_FAILED, apiv1.RunStatus_RUN_STATUS_ERRORED,
		apiv1.RunStatus_RUN_STATUS_CANCELLED, apiv1.RunStatus_RUN_STATUS_SKIPPED,
	} {
		fmt.Fprintf(&b, "%s{status=%q} %d\n", name, strings.ToLower(strings.TrimPrefix(status.String(), "RUN_STATUS_")), a.health.runs[status])
	}
	return b.String()
}
