package plugintest

import (
	"context"
	"encoding/json"
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
	// printing is how long what a plugin printed may be on its way.
	printing = 200 * time.Millisecond
	// giveaway is how many characters of a secret in a row give it away.
	giveaway = 8
	// fileKeyword marks the keys of a schema that name files.
	fileKeyword = "x-testmesh-file"
)

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
	masker := redact.New()
	if err := masker.Add("kit", secret); err != nil {
		return err
	}
	if err := reportedSafely(out, core, masker); err != nil {
		return err
	}
	if err := in.close(ctx); err != nil || s.process == nil {
		return err
	}
	select { // what is printed in a process goes its own way to the host
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(printing):
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
		if masker.String(printed) != printed {
			return fmt.Errorf("it printed the secret in another form to %s", name)
		}
	}
	return nil
}

// reportedSafely masks what a call reported as a host does and looks whether a
// part of the secret is left.
func reportedSafely(out *ended, core string, masker *redact.Masker) error {
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
