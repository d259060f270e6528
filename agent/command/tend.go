package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/sdk/systemd"
)

const (
	// readyAfter is when the service manager is told that the agent has started although
	// no answer came: it waits for its network, and must not hold the start of a machine.
	readyAfter = 10 * time.Second
	// lookSoon and lookLater are how often it is looked what to say, before and after.
	lookSoon  = 100 * time.Millisecond
	lookLater = 2 * time.Second
)

// ExitLasting is the exit code where starting again would change nothing: a setting is
// wrong, or the control plane refuses the token or the key. Service managers are told not
// to (EX_CONFIG of sysexits.h).
const ExitLasting = 78

// lasting ends the program with that code.
type lasting struct{ error }

// ExitCode is the program's.
func (lasting) ExitCode() int { return ExitLasting }

func (e lasting) Unwrap() error { return e.error }

// Lasting makes an error end the program with that code.
func Lasting(err error) error { return lasting{err} }

// life is a process that runs an agent, and after a reload another one.
type life struct {
	config  *Config
	log     *slog.Logger
	manager *systemd.Notifier
	// reloads are signals; nil: there is no service manager, and none are heeded.
	reloads <-chan os.Signal
	// again reads the settings anew.
	again func() (Settings, error)
}

// run runs agents until one has been drained or was stopped.
func (l *life) run(ctx context.Context, s Settings) error {
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	drain, hurry, stop := l.config.signalled(cut)
	defer stop()
	for {
		next, err := l.one(ctx, cut, s, drain, hurry)
		if err != nil || next == nil {
			return err
		}
		s = *next
	}
}

// one runs one agent. The settings are those of the next, where there is to be one.
func (l *life) one(ctx context.Context, cut context.CancelFunc, s Settings, drain, hurry <-chan struct{}) (next *Settings, err error) {
	cfg, err := l.config.agent(s, l.log)
	if err != nil {
		return nil, lasting{err}
	}
	a, err := agent.New(cfg)
	if err != nil {
		return nil, errors.Join(err, cfg.Host.Close())
	}
	tending, stop := context.WithCancel(context.WithoutCancel(ctx))
	tended := make(chan struct{})
	go func() {
		defer close(tended)
		l.tend(tending, a)
	}()
	defer func() { stop(); <-tended }()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var over <-chan time.Time
	for {
		select {
		case err := <-done:
			return next, err
		case <-drain:
			drain, next = nil, nil
			l.tell(l.manager.Stopping("draining: what runs is finished"))
			a.Drain()
			if s.Drain > 0 {
				over = time.After(s.Drain)
			}
		case <-over:
			l.log.Warn("what runs has not ended in time: it is torn down, and given to others", "drain", s.Drain)
			cut()
		case <-hurry:
			hurry = nil
			a.Hurry()
		case <-l.reloads:
			if drain == nil {
				continue // it ends
			}
			fresh, err := l.again()
			if err != nil {
				l.log.Error("the settings are wrong: the agent goes on with those that it has", "error", err)
				continue
			}
			l.log.Info("the settings were read again: the agent begins anew with them, when what runs has ended")
			l.tell(l.manager.Reloading("begins anew when what runs has ended"))
			next = &fresh
			a.Drain()
		}
	}
}

// tend tells the service manager how an agent is doing until ctx ends.
func (l *life) tend(ctx context.Context, a *agent.Agent) {
	if l.manager == nil {
		return
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := l.manager.Watch(ctx, a.Alive); err != nil {
			l.log.Warn("the service manager was not told that the agent is alive", "error", err)
		}
	}()
	defer func() { <-watched }()
	began, look := time.Now(), time.NewTicker(lookSoon)
	defer look.Stop()
	ready := false
	for {
		st := a.Status()
		if greeted := !st.Began.IsZero(); !ready && (greeted || st.Trouble != "" || time.Since(began) > readyAfter) && !st.Draining {
			ready = true
			l.tell(l.manager.Ready(doing(st)))
		}
		if ready || st.Draining {
			l.tell(l.manager.Status(doing(st)))
		}
		if !st.Began.IsZero() {
			look.Reset(lookLater)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell notes that the service manager does not listen; the agent works all the same.
func (l *life) tell(err error) {
	if err != nil {
		l.log.Debug("the service manager does not listen", "error", err)
	}
}

// doing is how an agent is doing, in a line.
func doing(st agent.Status) string {
	runs := fmt.Sprintf("%d of %d runs", len(st.Runs), st.Slots)
	switch {
	case st.Draining:
		return "draining: " + runs
	case st.Began.IsZero() && st.Trouble != "":
		return fmt.Sprintf("waiting for the control plane at %s: %s", st.Server, st.Trouble)
	case st.Began.IsZero():
		return "looking for the control plane at " + st.Server
	case !st.Ready:
		return fmt.Sprintf("no answer of the control plane for %s: %s", time.Since(st.Answered).Round(time.Minute), runs)
	case st.Paused:
		return "paused by the control plane: " + runs
	}
	return "ready: " + runs
}
