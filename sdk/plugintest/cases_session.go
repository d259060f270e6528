package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	pluginv1 "github.com/testmesh/testmesh/proto/testmesh/plugin/v1"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/sdk/redact"
)

const (
	// releaseTimeout is within what a cut session is released.
	releaseTimeout = 2 * time.Second
	// fileKeyword marks the keys of a schema that name files.
	fileKeyword = "x-testmesh-file"
	// giveaway is how many characters of a secret in a row give it away.
	giveaway = 8
)

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

// secretsKept uses a process of its own, whose whole output it reads.
func secretsKept(ctx context.Context, k *kit) error {
	c := k.config.Conformance.Secret
	if c == nil {
		return missing("add conformance.secret: {action, config}, a step whose config holds ${secret}")
	}
	core := "kit" + randomHex() + randomHex()
	secret := core + `+/&"é`
	text, err := printJSON(secret)
	if err != nil {
		return err
	}
	st, err := k.step(*c, map[string]json.RawMessage{"secret": text})
	if err != nil {
		return err
	}
	if !strings.Contains(string(st.config), core) {
		return missing("let the config of conformance.secret hold ${secret}")
	}
	st.exchange = true
	s, err := k.start(ctx)
	if err != nil {
		return err
	}
	defer s.kill()
	in, err := s.open(ctx, k.id("run"))
	if err != nil {
		return err
	}
	defer in.cut()
	out, err := in.do(ctx, st)
	if err != nil {
		return err
	}
	if err := reportedSafely(out, core, secret); err != nil {
		return err
	}
	if err := in.close(ctx); err != nil || s.process == nil {
		return err
	}
	if err := s.shutDown(exitTimeout); err != nil {
		return err
	}
	p := s.process
	for name, printed := range map[string]string{
		"standard error": p.stderr.String() + s.synced.String(), "standard output": p.first.String() + p.stdout.String(),
	} {
		if part := shows(printed, core); part != "" {
			return fmt.Errorf("it printed %q of the secret to %s", part, name)
		}
	}
	return nil
}

// reportedSafely masks what a call reported as a host does and looks whether a
// part of the secret is left.
func reportedSafely(out *ended, core, secret string) error {
	masker := redact.New()
	if err := masker.Add("kit", secret); err != nil {
		return err
	}
	check := func(what, text string) error {
		if part := shows(masker.String(text), core); part != "" {
			return fmt.Errorf("%s shows %q of the secret in a form that the host cannot mask", what, part)
		}
		return nil
	}
	for _, m := range out.reports {
		texts := []string{protojson.Format(m)}
		switch e := m.GetEvent().(type) {
		case *pluginv1.ExecuteResponse_Exchange:
			texts = []string{e.Exchange.GetSummary(), e.Exchange.GetCurl(), string(e.Exchange.GetRequestJson()), string(e.Exchange.GetResponseJson())}
		case *pluginv1.ExecuteResponse_Artifact:
			texts = []string{e.Artifact.GetName(), string(e.Artifact.GetData())}
		case *pluginv1.ExecuteResponse_Log:
			texts = []string{e.Log.GetMessage()}
		case *pluginv1.ExecuteResponse_Progress:
			texts = []string{e.Progress.GetMessage()}
		}
		for _, text := range texts {
			if err := check("a "+kindOf(m), text); err != nil {
				return err
			}
		}
	}
	if f := out.fault; f != nil {
		return check("the fault", strings.Join(append(f.GetDetails(), f.GetMessage(), f.GetHint(), f.GetField()), "\n"))
	}
	return check("the result", string(out.result))
}

// shows gives the part of a secret that a text gives away, "" where none.
func shows(text, core string) string {
	text = strings.ToLower(text)
	for i := 0; i+giveaway <= len(core); i++ {
		if strings.Contains(text, core[i:i+giveaway]) {
			return core[i : i+giveaway]
		}
	}
	return ""
}

// project writes a folder with a file, and one beside it that no flow may read.
func (k *kit) project(inside, outside string) (root string, remove func(), err error) {
	base, err := os.MkdirTemp(k.config.Temp, "testmesh-kit-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(base) }
	if base, err = filepath.EvalSymlinks(base); err != nil {
		return "", remove, err
	}
	root = filepath.Join(base, "project")
	for name, text := range map[string]string{
		"project/flows/data.txt": inside, "project/shared/data.txt": inside, "outside/secret.txt": outside,
	} {
		file := filepath.Join(base, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return "", remove, err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", remove, err
		}
	}
	for link, target := range map[string]string{
		"project/flows/link.txt": "../../outside/secret.txt", "project/flows/folder": "../../outside",
		"project/flows/absolute.txt": filepath.Join(base, "outside", "secret.txt"),
	} {
		if err := os.Symlink(target, filepath.Join(base, filepath.FromSlash(link))); err != nil {
			return "", remove, err
		}
	}
	return root, remove, nil
}

// withoutFiles is why files were not tried: nobody said how, or there are none.
func (k *kit) withoutFiles(ctx context.Context) error {
	return k.unless(ctx, "no key of a config names a file", func(d *testmeshv1.Descriptor) bool {
		return slices.ContainsFunc(d.GetActions(), func(a *testmeshv1.Action) bool { return strings.Contains(a.GetConfigSchema(), fileKeyword) })
	}, missing("add conformance.file: {action, config}, a step that reads ${file}"))
}

func filesWithin(ctx context.Context, k *kit) error {
	c := k.config.Conformance.File
	if c == nil {
		return k.withoutFiles(ctx)
	}
	outside := "outside-" + randomHex()
	root, remove, err := k.project("inside", outside)
	if remove != nil {
		defer remove()
	}
	if err != nil {
		return err
	}
	reading := func(name string) (step, error) {
		text, err := printJSON(name)
		if err != nil {
			return step{}, err
		}
		st, err := k.step(*c, map[string]json.RawMessage{"file": text})
		st.root, st.dir, st.exchange = root, "flows", true
		return st, err
	}
	return k.with(ctx, func(_ *subject, in *session) error {
		for _, name := range []string{"data.txt", "../shared/data.txt"} {
			st, err := reading(name)
			if err != nil {
				return err
			}
			if _, err := in.succeed(ctx, st); err != nil {
				return fmt.Errorf("the file %s of the project: %w", name, err)
			}
		}
		for _, name := range []string{
			"../../outside/secret.txt", filepath.Join(filepath.Dir(root), "outside", "secret.txt"), "link.txt", "folder/secret.txt",
			"absolute.txt", "../../../../../../../../../../etc/passwd", "nothing.txt",
		} {
			st, err := reading(name)
			if err != nil {
				return err
			}
			if err := in.refusesFile(ctx, st, outside); err != nil {
				return fmt.Errorf("the file %s: %w", name, err)
			}
		}
		st, err := reading("data.txt")
		if err != nil {
			return err
		}
		st.root, st.dir = "", ""
		if err := in.refusesFile(ctx, st, outside); err != nil {
			return fmt.Errorf("a step that may not read files: %w", err)
		}
		return nil
	})
}

func (in *session) refusesFile(ctx context.Context, st step, outside string) error {
	out, err := in.do(ctx, st)
	if err != nil {
		return err
	}
	for _, m := range out.reports {
		if strings.Contains(protojson.Format(m), outside) {
			return fmt.Errorf("a %s shows what is in it", kindOf(m))
		}
	}
	if out.fault == nil {
		return fmt.Errorf("it was read: %s", cut(string(out.result), 100))
	}
	return ofDefinition(out.fault)
}
