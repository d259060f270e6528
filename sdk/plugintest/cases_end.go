package plugintest

import (
	"context"
	"fmt"
	"strings"
	"time"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
)

// ignoring is for how long a signal that should be ignored is waited out.
const ignoring = 500 * time.Millisecond

func endCases() []testCase {
	return []testCase{{
		id: "leak", process: true,
		title: "thousands of calls leave no memory and no open files behind",
		why:   "one process serves runs for weeks",
		fix:   "close bodies, connections and files; keep nothing by call, and drop what is kept by session when it ends",
		run:   leaks,
	}, {
		id: "stdout", process: true,
		title: "nothing is on standard output after the handshake",
		why:   "standard output belongs to the handshake; what comes later is lost, or fills a pipe that nobody reads",
		fix:   "send prints to standard error (serve.Main does; in Node.js, replace console.log)",
		run:   silentStdout,
	}, {
		id: "sigint", process: true,
		title: "Ctrl-C does not end it",
		why:   "a terminal sends Ctrl-C to the plugin too; the host needs it for teardown and ends it afterwards",
		fix:   "ignore SIGINT",
		run:   ignoresInterrupt,
	}, {
		id: "sigterm", process: true,
		title: "SIGTERM ends it within three seconds, also during calls",
		why:   "what does not end is killed, and cannot release what it holds in the system under test",
		fix:   "on SIGTERM release what is held and exit",
		run:   endsOnTerm,
	}, {
		id: "host-death", process: true,
		title: "it ends within three seconds of its host, however that ended",
		why:   "a host that is killed says no word; a plugin that stays holds ports, connections and credentials",
		fix:   "exit when the parent process changes, looked at twice a second (serve.Main does)",
		run:   diesWithHost,
	}, {
		id: "exit", process: true,
		title: "asked to end it exits with 0 within three seconds, and nothing of it is left",
		why:   "an exit code that is not 0 is reported as a crash; a child that stays is a leak of processes",
		fix:   "return from main when the server stops, after ending every process that you started",
		run:   exitsInOrder,
	}}
}

func silentStdout(ctx context.Context, k *kit) error {
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	// Whatever the cases before have made it do is on its output by now, and one
	// good call more.
	if st, err := k.anyCall(); err == nil {
		err := k.with(ctx, func(_ *subject, in *session) error { _, err := in.succeed(ctx, st); return err })
		if err != nil {
			return err
		}
	}
	if err := s.shutDown(exitTimeout); err != nil {
		return err
	}
	printed := s.process.stdout.String()
	k.drop()
	if printed != "" {
		return fmt.Errorf("behind the handshake, standard output has %q", cut(printed, 200))
	}
	return nil
}

func ignoresInterrupt(ctx context.Context, k *kit) error {
	if !canSignal {
		return missing("run the kit on a system that has signals")
	}
	s, err := k.start(ctx)
	if err != nil {
		return err
	}
	defer s.kill()
	for range 2 {
		if err := s.process.interrupt(); err != nil {
			return err
		}
		if s.process.ends(ignoring) {
			return fmt.Errorf("it ended on SIGINT: %s", s.process.lastWords())
		}
	}
	if _, err = s.health(ctx); err != nil && s.process.ends(settling) {
		return fmt.Errorf("it ended on SIGINT: %s", s.process.lastWords())
	}
	return err
}

// busy is a plugin with a session and, where there is one, a slow call under
// way.
func (k *kit) busy(ctx context.Context, s *subject) error {
	in, err := s.open(ctx, k.id("run"))
	if err != nil {
		return err
	}
	st, err := k.slow()
	if err != nil {
		return nil //nolint:nilerr // then it is not that busy
	}
	_, err = in.underWay(ctx, st)
	return err
}

func endsOnTerm(ctx context.Context, k *kit) error {
	if !canSignal {
		return missing("run the kit on a system that has signals")
	}
	s, err := k.start(ctx)
	if err != nil {
		return err
	}
	defer s.kill()
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	if err := k.busy(ctx, s); err != nil {
		return err
	}
	began := time.Now()
	if err := s.process.terminate(); err != nil {
		return err
	}
	if !s.process.ends(exitTimeout) {
		return fmt.Errorf("it was still running %v after SIGTERM", exitTimeout)
	}
	k.measured("SIGTERM", milliseconds(time.Since(began)), "ms")
	return s.nothingLeft(ctx)
}

// diesWithHost puts a shell between itself and the plugin, kills the shell, and
// closes whatever the plugin shared with its host.
func diesWithHost(ctx context.Context, k *kit) error {
	if !canSignal {
		return missing("run the kit on a system that has signals")
	}
	s, err := k.launch(launchOptions{shell: true})
	if err != nil {
		return err
	}
	defer s.kill()
	if err := s.configure(ctx); err != nil {
		return err
	}
	// What is cut here are our own ends, as the kernel cuts those of a dead host.
	call, cut := context.WithCancel(ctx)
	defer cut()
	if err := k.busy(call, s); err != nil {
		return err
	}
	began := time.Now()
	if err := s.process.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill the host: %w", err)
	}
	cut()
	_ = s.conn.Close()
	s.process.hangUp()
	err = poll(ctx, exitTimeout, func() error {
		if exists(s.process.pid) {
			return fmt.Errorf("the process %d was still there %v after its host was killed", s.process.pid, exitTimeout)
		}
		return nil
	})
	if err != nil {
		return err
	}
	k.measured("end after the host's", milliseconds(time.Since(began)), "ms")
	return s.nothingLeft(ctx)
}

func exitsInOrder(ctx context.Context, k *kit) error {
	s, err := k.start(ctx)
	if err != nil {
		return err
	}
	defer s.kill()
	if st, err := k.anyCall(); err == nil {
		in, err := s.open(ctx, k.id("run"))
		if err != nil {
			return err
		}
		defer in.cut()
		if _, err := in.succeed(ctx, st); err != nil {
			return err
		}
		if _, err := s.api.CloseSession(ctx, &pluginv1.CloseSessionRequest{SessionId: in.id}); err != nil {
			return fmt.Errorf("it did not close a session: %w", err)
		}
	}
	began := time.Now()
	if err := s.shutDown(exitTimeout); err != nil {
		return err
	}
	k.measured("exit", milliseconds(time.Since(began)), "ms")
	if code := s.process.exitCode(); code != 0 {
		return fmt.Errorf("it ended with %s", s.process.lastWords())
	}
	return s.nothingLeft(ctx)
}

// nothingLeft waits until no process is left of an ended plugin.
func (s *subject) nothingLeft(ctx context.Context) error {
	return poll(ctx, exitTimeout, func() error {
		if left := s.process.left(); len(left) > 0 {
			return fmt.Errorf("it left processes behind: %s", strings.Trim(fmt.Sprint(left), "[]"))
		}
		return nil
	})
}
