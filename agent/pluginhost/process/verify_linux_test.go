package process

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// packaged is an installed package with these files, and its digests.
func packaged(t *testing.T, files map[string]string, command ...string) pluginhost.Program {
	t.Helper()
	dir := t.TempDir()
	p := pluginhost.Program{Name: "good", Dir: dir, Command: command, Files: map[string]string{}}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
		sum := sha256.Sum256([]byte(text))
		p.Files[name] = hex.EncodeToString(sum[:])
	}
	return p
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// launcher is a script that becomes the test's own binary.
func launcher(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "#!/bin/sh\nexec " + exe + " plugin good\n"
}

func TestWhatIsStartedIsWhatWasInstalled(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, p *pluginhost.Program)
		want   string // empty: it is started
	}{
		"as installed": {func(*testing.T, *pluginhost.Program) {}, ""},
		"a byte changed": {func(t *testing.T, p *pluginhost.Program) {
			write(t, filepath.Join(p.Dir, "bin/run"), launcher(t)+"#")
		}, "bin/run has SHA-256 "},
		"a byte of a file beside it": {func(t *testing.T, p *pluginhost.Program) {
			write(t, filepath.Join(p.Dir, "lib/data"), "datb")
		}, "lib/data has SHA-256 e7dc3d84286c…, and 3a6eb0790f39… is locked"},
		"a file taken away": {func(t *testing.T, p *pluginhost.Program) {
			if err := os.Remove(filepath.Join(p.Dir, "lib/data")); err != nil {
				t.Fatal(err)
			}
		}, "its file lib/data is missing"},
		"all taken away": {func(t *testing.T, p *pluginhost.Program) {
			if err := os.RemoveAll(p.Dir); err != nil {
				t.Fatal(err)
			}
		}, "is missing"},
		"a link to the same bytes": {func(t *testing.T, p *pluginhost.Program) {
			file := filepath.Join(p.Dir, "lib/data")
			if err := os.Rename(file, file+"2"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("data2", file); err != nil {
				t.Fatal(err)
			}
		}, "lib/data: a symbolic link"},
		"a folder that is a link": {func(t *testing.T, p *pluginhost.Program) {
			if err := os.Rename(filepath.Join(p.Dir, "lib"), filepath.Join(p.Dir, "lib2")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("lib2", filepath.Join(p.Dir, "lib")); err != nil {
				t.Fatal(err)
			}
		}, "lib/data: a symbolic link"},
		"a folder for a file": {func(t *testing.T, p *pluginhost.Program) {
			file := filepath.Join(p.Dir, "lib/data")
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(file, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "lib/data: not a file"},
		"a path that leaves": {func(_ *testing.T, p *pluginhost.Program) {
			p.Files["../data"] = p.Files["lib/data"]
		}, "../data: this is no path inside of a package"},
		"a program that is not listed": {func(_ *testing.T, p *pluginhost.Program) {
			p.Command = []string{"bin/other"}
		}, "its program bin/other is not one of its files"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			program := packaged(t, map[string]string{"bin/run": launcher(t), "lib/data": "data"}, "bin/run")
			test.change(t, &program)
			p := poolOf(t, Config{Programs: []pluginhost.Program{program}})
			_, err := run(p, "r1", "good.echo", "")
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e := faultOf(t, err)
			if e.Blame != plugin.BlameAgent || e.Code != plugin.CodePlugin || !strings.HasPrefix(e.Message, "plugin good is not what plugins.lock says: ") ||
				!strings.Contains(e.Message, test.want) || !strings.Contains(e.Hint, "testmesh plugin install") {
				t.Errorf("got %s of %s: %s (%s), want %s", e.Code, e.Blame, e.Message, e.Hint, test.want)
			}
		})
	}
}

func TestAFileThatIsNotListedDoesNotReachThePlugin(t *testing.T) {
	program := packaged(t, map[string]string{
		"bin/run": "#!/bin/sh\ntest -e lib/stray && echo stray >&2\ntest -x lib/data || echo plain >&2\n" + strings.TrimPrefix(launcher(t), "#!/bin/sh\n"),
	}, "bin/run")
	write(t, filepath.Join(program.Dir, "lib/stray"), "x")
	var printed []string
	p := poolOf(t, Config{Programs: []pluginhost.Program{program}, Log: func(_, line string) { printed = append(printed, line) }})
	if _, err := run(p, "r1", "good.echo", ""); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(printed, "stray") || !slices.Contains(printed, "plain") {
		t.Errorf("it printed %q", printed)
	}
}

// While a plugin is started again and again, its file is swapped for another one
// as fast as can be. The other one must never run.
func TestASwapBetweenCheckAndStartStartsNothingElse(t *testing.T) {
	program := packaged(t, map[string]string{"bin/run": launcher(t)}, "bin/run")
	file := filepath.Join(program.Dir, "bin/run")
	ran := filepath.Join(t.TempDir(), "ran")
	evil := "#!/bin/sh\ntouch " + ran + "\n" + strings.TrimPrefix(launcher(t), "#!/bin/sh\n")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	swaps := 0
	go func() {
		for ; ; swaps++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			text := launcher(t)
			if swaps%2 == 0 {
				text = evil
			}
			next := fmt.Sprintf("%s.%d", file, swaps%2)
			if err := os.WriteFile(next, []byte(text), 0o755); err != nil {
				stopped <- err
				return
			}
			if err := os.Rename(next, file); err != nil {
				stopped <- err
				return
			}
		}
	}()
	started, refused := 0, 0
	for end := time.Now().Add(patience); started < 5 || refused < 5; {
		p, err := New(Config{Programs: []pluginhost.Program{program}, Dir: shortDir(t)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run(p, "r1", "good.echo", ""); err == nil {
			started++
		} else if e := faultOf(t, err); e.Blame == plugin.BlameAgent {
			refused++
		} else {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if time.Now().After(end) {
			t.Errorf("in %v it was started %d times and refused %d times", patience, started, refused)
			break
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("what is not locked was started")
	}
	t.Logf("started %d times and refused %d times in %d swaps", started, refused, swaps)
}

func TestAnAuthorsOwnBuildIsStartedInPlace(t *testing.T) {
	program := packaged(t, map[string]string{"bin/run": launcher(t)}, "bin/run")
	program.Files, program.Unverified = nil, true
	p := poolOf(t, Config{Programs: []pluginhost.Program{program}})
	got, err := run(p, "r1", "good.env", "")
	if err != nil || got["dir"] != program.Dir {
		t.Errorf("it works in %v (%v), want %s", got["dir"], err, program.Dir)
	}
}

func TestTheCopyIsOurs(t *testing.T) {
	program := packaged(t, map[string]string{"bin/run": "x", "lib/data": "y"}, "bin/run")
	if err := os.Chmod(filepath.Join(program.Dir, "lib/data"), 0o666); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	if e := private(program, to); e != nil {
		t.Fatal(e)
	}
	for name, want := range map[string]fs.FileMode{"bin/run": 0o500, "lib/data": 0o400, "lib": 0o700} {
		info, err := os.Stat(filepath.Join(to, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has %v (%v), want %v", name, info.Mode().Perm(), err, want)
		}
	}
	if e := private(program, to); e == nil {
		t.Error("it copied over what was there")
	}
}
