package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// releaseTimeout is within what a cut session is released.
const releaseTimeout = 2 * time.Second

func sessionCases() []testCase {
	return []testCase{{
		id:    "sessions-apart",
		title: "runs do not see what the plugin keeps for other runs",
		why:   "a cookie or a transaction of another run makes tests pass alone and fail together",
		fix:   "keep cookies, tokens, pools and subscriptions by session",
		run:   sessionsApart,
	}, {
		id:    "session-close",
		title: "CloseSession releases what was kept, before it answers",
		why:   "what stays is a leak in a process that serves runs for weeks, and a run that is tried again finds it",
		fix:   "drop everything of the session in CloseSession (in Go: EndRun), then answer",
		run:   sessionClose,
	}, {
		id:    "session-cut",
		title: "a session whose stream is cut is released within two seconds",
		why:   "a host that dies says no word; its connections and locks must not stay in the system under test",
		fix:   "end the session when the context of its stream ends",
		run:   sessionCut,
	}, {
		id:    "secrets",
		title: "a secret of the config is never printed, and never reported in a form that the host cannot mask",
		why: "the host masks the secrets that it knows in logs, exchanges, artifacts and faults: whole, and as URL, JSON, base64 and hex have them; " +
			"it cannot mask half of one, or one packed in another way, and a line on standard error belongs to no run",
		fix: "print no config, log no credentials, and report requests as they were sent rather than parts of a secret",
		run: secretsKept,
	}, {
		id:    "files",
		title: "it reads files of the project and no others",
		why:   "a flow of a stranger must not read the keys of the machine that runs it",
		fix:   "open files by Request.Open in Go, else below root only, with symbolic links resolved first; refuse the rest with a fault of blame definition",
		run:   filesWithin,
	}}
}

// pair is the two steps of the session section.
func (k *kit) pair(payload string) (write, read step, err error) {
	pair := k.config.Conformance.Session
	if pair == nil {
		return step{}, step{}, missing("add conformance.session: {write: {action, config}, read: {action, config, result}}, a step that keeps ${payload} for its run and one that brings it back")
	}
	text, err := printJSON(payload)
	if err != nil {
		return step{}, step{}, err
	}
	own := map[string]json.RawMessage{"payload": text}
	if write, err = k.step(pair.Write, own); err != nil {
		return step{}, step{}, err
	}
	read, err = k.step(pair.Read.Call, nil)
	return write, read, err
}

// recall reads what a run keeps, "" where that is nothing.
func (k *kit) recall(ctx context.Context, in *session, read step) (string, error) {
	out, err := in.do(ctx, read)
	if err != nil {
		return "", err
	}
	if out.fault != nil {
		return "", nil // nothing to bring back
	}
	got, err := lookup(out.result, k.config.Conformance.Session.Read.Result)
	var text string
	if err != nil || json.Unmarshal(got, &text) != nil {
		return "", nil //nolint:nilerr // a result without it holds nothing
	}
	return text, nil
}

// keeps writes in a run and reads it back there.
func (k *kit) keeps(ctx context.Context, in *session, write, read step, want string) error {
	if _, err := in.succeed(ctx, write); err != nil {
		return err
	}
	got, err := k.recall(ctx, in, read)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("conformance.session.read brought %q back in the run that wrote %q", cut(got, 60), want)
	}
	return nil
}

func sessionsApart(ctx context.Context, k *kit) error {
	payloads := make([]string, sessionsAtOnce)
	writes, reads := make([]step, sessionsAtOnce), make([]step, sessionsAtOnce)
	for i := range payloads {
		payloads[i] = "kept-" + randomHex()
		var err error
		if writes[i], reads[i], err = k.pair(payloads[i]); err != nil {
			return err
		}
	}
	return k.with(ctx, func(s *subject, fresh *session) error {
		runs, leave, err := k.sessions(ctx, s, sessionsAtOnce)
		if err != nil {
			return err
		}
		defer leave()
		err = atOnce(sessionsAtOnce, func(i int) error {
			_, err := runs[i].succeed(ctx, writes[i])
			return err
		})
		if err != nil {
			return err
		}
		for i, in := range runs {
			got, err := k.recall(ctx, in, reads[i])
			if err != nil {
				return err
			}
			if got != payloads[i] {
				return fmt.Errorf("the run that wrote %q read %q", payloads[i], cut(got, 60))
			}
		}
		got, err := k.recall(ctx, fresh, reads[0])
		if err != nil {
			return err
		}
		if strings.HasPrefix(got, "kept-") {
			return fmt.Errorf("a run that wrote nothing read %q of another", got)
		}
		return nil
	})
}

func sessionClose(ctx context.Context, k *kit) error {
	return k.released(ctx, func(in *session) error { return in.close(ctx) }, 0)
}

func sessionCut(ctx context.Context, k *kit) error {
	return k.released(ctx, func(in *session) error { in.cut(); return nil }, releaseTimeout)
}

// released ends a session in a way and looks what is left of it: first by what
// Health counts, then by what a new session of the same run reads.
func (k *kit) released(ctx context.Context, end func(*session) error, within time.Duration) error {
	payload := "kept-" + randomHex()
	write, read, pairErr := k.pair(payload)
	s, err := k.subject(ctx)
	if err != nil {
		return err
	}
	before, err := s.settled(ctx)
	if err != nil {
		return err
	}
	in, err := s.open(ctx, k.id("run"))
	if err != nil {
		return err
	}
	defer in.cut()
	if open, err := s.health(ctx); err != nil || open.GetSessions() != before+1 {
		return errors.Join(fmt.Errorf("Health counts %d sessions where %d are open", open.GetSessions(), before+1), err)
	}
	if pairErr == nil {
		if err := k.keeps(ctx, in, write, read, payload); err != nil {
			return err
		}
	}
	if err := end(in); err != nil {
		return err
	}
	err = poll(ctx, within, func() error {
		h, err := s.health(ctx)
		if err != nil {
			return err
		}
		if h.GetSessions() != before {
			return fmt.Errorf("Health counts %d sessions after the end of one, and %d before it began", h.GetSessions(), before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if pairErr != nil {
		return pairErr // what it kept was not looked at
	}
	again, err := s.open(ctx, in.run)
	if err != nil {
		return err
	}
	defer again.cut()
	got, err := k.recall(ctx, again, read)
	if err != nil {
		return err
	}
	if got == payload {
		return fmt.Errorf("the run still reads %q after its session ended", got)
	}
	return again.close(ctx)
}

// settled waits until the sessions of earlier cases are gone and gives how many
// are left.
func (s *subject) settled(ctx context.Context) (int32, error) {
	last := int32(-1)
	err := poll(ctx, releaseTimeout, func() error {
		h, err := s.health(ctx)
		if err != nil {
			return err
		}
		last = h.GetSessions()
		if last != 0 {
			return fmt.Errorf("Health counts %d sessions where none is open", last)
		}
		return nil
	})
	return last, err
}
