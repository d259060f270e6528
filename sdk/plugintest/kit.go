package plugintest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
)

// testCase is one promise and how it is tried.
type testCase struct {
	id, title, why, fix string
	// process marks what only a process can keep or break.
	process bool
	// alone marks what can be tried where the handshake fails.
	alone bool
	run   func(context.Context, *kit) error
}

// kit is one run of the cases: the plugin that they share, and the world that
// configs name.
type kit struct {
	config      Config
	shared      *subject
	unstartable error
	figures     []Figure
	world       world
	ids         atomic.Int64
}

// hostVersion is the version of TestMesh that the kit shows a plugin.
const hostVersion = "1.0.0"

// start starts and configures the plugin afresh, as every host begins. The
// caller kills it.
func (k *kit) start(ctx context.Context) (*subject, error) {
	var s *subject
	var err error
	if k.config.Plugin != nil {
		s, err = k.reside()
	} else {
		s, err = k.launch(launchOptions{})
	}
	if err != nil {
		return nil, err
	}
	if err := s.configure(ctx); err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

func (s *subject) configure(ctx context.Context) error {
	_, err := s.api.Configure(ctx, &pluginv1.ConfigureRequest{HostVersion: hostVersion, AgentName: "conformance-kit", TempDir: s.temp})
	if err != nil {
		return fmt.Errorf("it refused Configure: %w", err)
	}
	return nil
}

// subject is the plugin that the cases share, started where none is running.
func (k *kit) subject(ctx context.Context) (*subject, error) {
	if k.shared == nil {
		s, err := k.start(ctx)
		if err != nil {
			return nil, err
		}
		k.shared = s
	}
	return k.shared, nil
}

// drop ends the shared plugin.
func (k *kit) drop() {
	if k.shared != nil {
		k.shared.kill()
		k.shared = nil
	}
}

func (k *kit) close() {
	k.drop()
	k.world.close()
}

// with runs f with the shared plugin and a session of its own.
func (k *kit) with(ctx context.Context, f func(*subject, *session) error) error {
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	in, err := s.open(ctx, k.id("run"))
	if err != nil {
		return err
	}
	defer in.cut()
	if err := f(s, in); err != nil {
		return err
	}
	return in.close(ctx)
}

// id is a name that the kit has not used yet.
func (k *kit) id(kind string) string {
	return fmt.Sprintf("kit-%s-%d", kind, k.ids.Add(1))
}

// measured keeps a figure of the case that runs.
func (k *kit) measured(name string, value float64, unit string) {
	k.figures = append(k.figures, Figure{Name: name, Value: value, Unit: unit})
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// poll asks until ok gives nil, and gives the last error where it never does.
func poll(ctx context.Context, within time.Duration, ok func() error) error {
	const every = 10 * time.Millisecond
	until := time.Now().Add(within)
	for {
		err := ok()
		if err == nil {
			return nil
		}
		if time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(every):
		}
	}
}
