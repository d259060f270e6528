package process

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// patience bounds every wait of a test for what must come.
const patience = 30 * time.Second

// program is the test's binary as a plugin of one kind.
func programOf(name, kind string) pluginhost.Program {
	return pluginhost.Program{Name: name, Command: []string{"/proc/self/exe", "plugin", kind}}
}

// shortDir is a folder whose path is short enough for sockets below it.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// poolOf is a pool that is closed with the test.
func poolOf(t *testing.T, cfg Config) *Pool {
	t.Helper()
	cfg.Dir = shortDir(t)
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func good(t *testing.T) *Pool {
	t.Helper()
	return poolOf(t, Config{Programs: []pluginhost.Program{programOf("good", "good")}})
}

// run executes one action with a text for its config.
func run(p *Pool, runID, action, text string) (map[string]any, error) {
	ctx, release := context.WithTimeout(context.Background(), patience)
	defer release()
	config, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		return nil, err
	}
	res, err := p.Execute(ctx, &plugin.Request{Action: action, RunID: runID, Attempt: 1, Config: config}, nil)
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(res.Result, &out)
}

// faultOf is the error in words for people.
func faultOf(t *testing.T, err error) *plugin.Error {
	t.Helper()
	var e *plugin.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *plugin.Error", err)
	}
	return e
}

func TestAPluginIsStartedOnceForAll(t *testing.T) {
	p := good(t)
	first, err := run(p, "r1", "good.echo", "hello")
	if err != nil || first["text"] != "hello" {
		t.Fatalf("got %v, %v", first, err)
	}
}
