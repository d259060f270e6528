package redis

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.uber.org/goleak"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
	pluginserve "github.com/testmesh/testmesh/sdk/plugin/serve"
)

// asPlugin makes this test's binary the plugin in a process of its own.
const asPlugin = "-serve-redis"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asPlugin {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		pluginserve.Main(New())
	}
	goleak.VerifyTestMain(m)
}

type m = map[string]any

// user calls the plugin as a run does.
type user struct {
	t      testing.TB
	plugin plugin.Plugin
	run    string
	root   string
	out    *heard
	last   *plugin.Response
}

// newUser has a run of its own, which ends with the test. Nothing of it is left.
func newUser(t testing.TB) *user {
	t.Helper()
	p := New()
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &user{t: t, plugin: p, run: t.Name(), out: &heard{}}
}

// with is a config with the connection to the real server.
func with(t testing.TB, config m) m {
	t.Helper()
	out := m{"connection": servertest.Value(t, "REDIS_URL")}
	for key, v := range config {
		out[key] = v
	}
	return out
}

// try executes a step, whose id is its action unless step is given in the config.
func (u *user) try(ctx context.Context, action string, config m) (m, error) {
	u.t.Helper()
	step := action
	if id, ok := config["step"].(string); ok {
		step = id
		delete(config, "step")
	}
	raw, err := json.Marshal(config)
	if err != nil {
		u.t.Fatal(err)
	}
	u.last, err = u.plugin.Execute(ctx, &plugin.Request{
		Action: "redis." + action, Config: raw, RunID: u.run, StepID: step, Root: u.root, WantExchange: true,
	}, u.out)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(u.last.Result)))
	dec.UseNumber()
	var result m
	if err := dec.Decode(&result); err != nil {
		u.t.Fatal(err)
	}
	return result, nil
}

// do executes a step against the real server that must pass.
func (u *user) do(action string, config m) m {
	u.t.Helper()
	result, err := u.try(u.t.Context(), action, with(u.t, config))
	if err != nil {
		u.t.Fatalf("%s: %v", action, err)
	}
	return result
}

// fails executes a step that must give a fault.
func (u *user) fails(action string, config m) *plugin.Error {
	u.t.Helper()
	result, err := u.try(u.t.Context(), action, config)
	var known *plugin.Error
	if !errors.As(err, &known) {
		u.t.Fatalf("%s: got %v, %v, want a *plugin.Error", action, result, err)
	}
	return known
}

// is compares a result's JSON with a text.
func is(t testing.TB, got any, want string) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// key is a name that no other test uses.
func key(t testing.TB, name string) string { return "test:" + t.Name() + ":" + name }

// heard keeps what steps report.
type heard struct {
	mu        sync.Mutex
	exchanges []plugin.Exchange
}

func (*heard) Log(string, string)              {}
func (*heard) Artifact(string, string, []byte) {}
func (h *heard) Exchange(x plugin.Exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exchanges = append(h.exchanges, x)
}

// bare is go-redis on the real server: the oracle, and what a test does beside
// the plugin. It begins with no keys of the test.
func bare(t testing.TB) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(servertest.Value(t, "REDIS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := goredis.NewClient(o)
	clean := func() {
		ctx := context.Background()
		names, err := c.Keys(ctx, strings.NewReplacer("[", `\[`, "*", `\*`).Replace(key(t, ""))+"*").Result()
		if err != nil {
			t.Fatal(err)
		}
		if len(names) > 0 {
			if err := c.Del(ctx, names...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	clean()
	t.Cleanup(func() { clean(); c.Close() })
	return c
}

// parsed is a config that is written as JSON, numbers as they are.
func parsed(t testing.TB, text string) m {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var out m
	if err := dec.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func asError(t testing.TB, err error) *plugin.Error {
	t.Helper()
	var known *plugin.Error
	if !errors.As(err, &known) {
		t.Fatalf("got %v, want a *plugin.Error", err)
	}
	return known
}

// waitFor polls until something holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	const patience = 20 * time.Second
	for began := time.Now(); !holds(); <-time.After(5 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Errorf("%s did not come within %s", what, patience)
			return
		}
	}
}
