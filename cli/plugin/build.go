package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

const (
	// buildTime bounds a build: a first one fetches and compiles every dependency.
	buildTime = 10 * time.Minute
	// describeTime bounds a plugin that says what it can do.
	describeTime = 20 * time.Second
	// maxOutput bounds what is kept of what a build prints.
	maxOutput = 1 << 20
)

// build runs the manifest's build command in the plugin's folder, with more
// variables of the environment.
func (t *tool) build(ctx context.Context, dir string, m *pluginstore.Manifest, env ...string) error {
	if m.Build == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", m.Build)
	cmd.Dir, cmd.Env = dir, append(append([]string{}, t.Environ...), env...)
	cmd.WaitDelay = time.Second
	var out bounded
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return errored("", "the build does not end well: %w\n  $ %s\n%s", err, m.Build, indented(out.String()))
	}
	return nil
}

// bounded keeps the first part of what is written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// command is the plugin's argv with its first word absolute.
func command(dir string, m *pluginstore.Manifest) ([]string, error) {
	first := m.Command[0]
	if strings.Contains(first, "/") {
		return append([]string{filepath.Join(dir, filepath.FromSlash(first))}, m.Command[1:]...), nil
	}
	full, err := exec.LookPath(first)
	if err == nil {
		full, err = filepath.Abs(full)
	}
	if err != nil {
		return nil, errored("install "+first, "the plugin is run by %s, which is not in PATH", first)
	}
	return append([]string{full}, m.Command[1:]...), nil
}

// describe asks the built plugin what it can do.
func (t *tool) describe(ctx context.Context, dir string, m *pluginstore.Manifest) (*testmeshv1.Descriptor, error) {
	argv, err := command(dir, m)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, describeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:], "describe")...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.Env = t.pluginEnv(m)
	var out, words bounded
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = errors.New("it did not end")
		}
		return nil, errored("with the argument describe a plugin prints its descriptor as JSON and ends; serve.Main of the Go SDK does that",
			"%s describe: %w\n%s", strings.Join(m.Command, " "), err, indented(words.String()))
	}
	d, err := pluginstore.ParseDescriptor(out.Bytes())
	if err != nil {
		return nil, errored("", "%s describe: %w", strings.Join(m.Command, " "), err)
	}
	if err := pluginstore.Agree(m, d); err != nil {
		return nil, usage("", "%w", err)
	}
	return d, nil
}

// pluginEnv is what a plugin sees of the environment when the tools start it:
// what every program needs, and what its manifest asks for.
func (t *tool) pluginEnv(m *pluginstore.Manifest) []string {
	var out []string
	for _, name := range append([]string{"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ"}, m.Permissions.Env...) {
		if v, ok := t.LookupEnv(name); ok {
			out = append(out, fmt.Sprintf("%s=%s", name, v))
		}
	}
	return out
}
