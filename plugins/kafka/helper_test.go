package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/sdk/plugin"
)

type keys = map[string]any

// broker starts brokers inside the test, of one topic "orders" with three
// partitions, and gives their addresses.
func broker(t testing.TB, options ...kfake.Opt) (address string, fake *kfake.Cluster) {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"), kfake.SeedTopics(1, "one")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return strings.Join(fake.ListenAddrs(), ","), fake
}

// world is a plugin in use by one run.
type world struct {
	testing.TB
	plugin plugin.Plugin
	stream *stream
	peeked *subscription
	root   string // of the project; empty: no files may be read
	trace  string
}

type peekIn struct {
	From string `json:"from"`
}

func (w *world) peek(_ context.Context, call *plugin.Call, in peekIn) (struct{}, error) {
	var err error
	w.peeked, err = subscriptionOf(call, in.From)
	return struct{}{}, err
}

// subscription is what the run keeps for a step.
func (w *world) subscription(step string) *subscription {
	w.Helper()
	do[struct{}](w, "peek", "peek", keys{"from": step})
	return w.peeked
}

// until waits for what happens in the background.
func until(t testing.TB, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-timer.C:
			t.Fatal("it did not happen within 30s")
		}
	}
}

// newWorld makes the plugin. What it has started is gone at the test's end.
func newWorld(t testing.TB) *world {
	t.Helper()
	before := goleak.IgnoreCurrent()
	w := &world{TB: t, stream: new(stream)}
	w.plugin = plugin.New(info(), append(parts(), plugin.Action("peek", "See what is kept.", w.peek))...)
	t.Cleanup(func() {
		if err := w.plugin.Close(); err != nil {
			t.Error(err)
		}
		const theirs = "github.com/twmb/franz-go/pkg/kfake.(*clientConn)."
		if err := goleak.Find(before, goleak.IgnoreAnyFunction(theirs+"read"), goleak.IgnoreAnyFunction(theirs+"read.func1"), goleak.IgnoreAnyFunction(theirs+"write")); err != nil {
			t.Error(err)
		}
	})
	return w
}

// stream keeps what calls report, which may be under way at once.
type stream struct {
	mu        sync.Mutex
	exchanges []plugin.Exchange
}

func (*stream) Log(string, string)              {}
func (*stream) Artifact(string, string, []byte) {}

func (s *stream) Exchange(x plugin.Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exchanges = append(s.exchanges, x)
}

// try executes one step of the run "run".
func (w *world) try(ctx context.Context, step, action string, config keys) (json.RawMessage, error) {
	w.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		w.Fatal(err)
	}
	res, err := w.plugin.Execute(ctx, &plugin.Request{Action: "kafka." + action, RunID: "run", StepID: step, Try: 1, Config: text, WantExchange: true, Root: w.root, TraceParent: w.trace}, w.stream)
	if err != nil {
		return nil, err
	}
	return res.Result, nil
}

// do executes a step that must pass, and reads its result.
func do[Out any](w *world, step, action string, config keys) Out {
	w.Helper()
	var out Out
	res, err := w.try(w.Context(), step, action, config)
	if err != nil {
		w.Fatalf("%s: %s", action, words(err))
	}
	if err := json.Unmarshal(res, &out); err != nil {
		w.Fatal(err)
	}
	return out
}

// fails executes a step that must not pass.
func (w *world) fails(step, action string, config keys) *plugin.Error {
	w.Helper()
	began := time.Now()
	res, err := w.try(w.Context(), step, action, config)
	if err == nil {
		w.Fatalf("%s: got %s, want a fault", action, res)
	}
	var known *plugin.Error
	if !errors.As(err, &known) {
		w.Fatalf("%s: got %v, which is no *plugin.Error", action, err)
	}
	if took := time.Since(began); took > 20*time.Second {
		w.Errorf("%s: the fault came after %s", action, took)
	}
	return known
}

// words are all that a person reads of a fault.
func words(err error) string {
	var known *plugin.Error
	if !errors.As(err, &known) {
		return err.Error()
	}
	out := known.Code + " "
	if known.Failed {
		out = "failed " + out
	}
	if known.Field != "" {
		out += known.Field + " "
	}
	out += known.Message
	if known.Hint != "" {
		out += " | " + known.Hint
	}
	return strings.Join(append([]string{out}, known.Details...), " | ")
}

// with adds to a config.
func with(config keys, more ...any) keys {
	out := make(keys, len(config)+len(more)/2)
	for k, v := range config {
		out[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		out[more[i].(string)] = more[i+1]
	}
	return out
}
