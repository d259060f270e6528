package pluginstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

const toyManifest = "apiVersion: testmesh.dev/v1\nname: toy\nversion: 1.2.0\nprotocol: [1]\ncommand: [bin/toy]\nfiles: [bin, README.md]\n"

func toyDescriptor() *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{Name: "toy", Version: "1.2.0", Actions: []*testmeshv1.Action{{Name: "toy.do"}}}
}

// toy is a plugin's folder.
func toy(t *testing.T) (dir string, m *Manifest) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		ManifestFile: toyManifest, "README.md": "read me", "bin/toy": "#!/bin/sh\n", "bin/data/x": "x", "secret": "not packed",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	if err := os.Chmod(filepath.Join(dir, "bin/toy"), 0o700); err != nil {
		t.Fatal(err)
	}
	m, problems, err := ReadManifest(dir)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	return dir, m
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func packToy(t *testing.T) ([]byte, Checksums) {
	t.Helper()
	dir, m := toy(t)
	var b bytes.Buffer
	sums, err := Pack(dir, m, toyDescriptor(), &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), sums
}

func from(archive []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(archive); return err }
}

func TestTheSameFilesGiveTheSameBytes(t *testing.T) {
	one, sums := packToy(t)
	two, again := packToy(t)
	if !bytes.Equal(one, two) || sums != again {
		t.Error("packed in two folders, at two times, the archives differ")
	}
}

func TestAPackageHoldsWhatTheManifestNames(t *testing.T) {
	archive, sums := packToy(t)
	s := Open(t.TempDir())
	c, err := s.Unpack(sums, from(archive))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Install(); err != nil {
		t.Fatal(err)
	}
	entry := Locked{Name: "toy", Version: "1.2.0", Platforms: map[string]Checksums{Platform(): sums}}
	p, err := s.Installed(&entry)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range p.Files {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"README.md", "bin/data/x", "bin/toy", DescriptorFile, ManifestFile}, names); diff != "" {
		t.Error(diff)
	}
	if err := p.Verify(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(toyDescriptor(), c.Descriptor, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(filepath.Join(p.Dir, "bin/toy")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program is not executable: %v %v", info, err)
	}
	if info, err := os.Stat(filepath.Join(p.Dir, "README.md")); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("a text is executable: %v %v", info, err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir(), ".[na]*-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestWhatIsInstalledIsCompared(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, dir string)
		listed error // of Installed
		files  string
	}{
		"a byte of the program": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "bin/toy"), "#!/bin/SH\n") }, nil, "bin/toy has changed"},
		"a byte of a text":      {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "README.md"), "read Me") }, nil, "README.md has changed"},
		"a file that is gone": {func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "bin/data/x")); err != nil {
				t.Fatal(err)
			}
		}, nil, "bin/data/x"},
		"the list with the file": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "bin/toy"), "evil")
			list, err := os.ReadFile(filepath.Join(dir, SumsFile))
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(list), "\n")
			for i, line := range lines {
				if strings.HasSuffix(line, "  bin/toy") {
					lines[i] = digestOf([]byte("evil")) + "  bin/toy"
				}
			}
			write(t, filepath.Join(dir, SumsFile), strings.Join(lines, "\n"))
		}, ErrChanged, ""},
		"the whole folder": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, ErrNotInstalled, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			archive, sums := packToy(t)
			s := Open(t.TempDir())
			c, err := s.Unpack(sums, from(archive))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Install(); err != nil {
				t.Fatal(err)
			}
			tt.change(t, s.PackageDir("toy", "1.2.0"))
			entry := Locked{Name: "toy", Version: "1.2.0", Platforms: map[string]Checksums{Platform(): sums}}
			p, err := s.Installed(&entry)
			if !errors.Is(err, tt.listed) {
				t.Fatalf("got %v, want %v", err, tt.listed)
			}
			if tt.listed == nil {
				if err := p.Verify(); err == nil || !strings.Contains(err.Error(), tt.files) {
					t.Errorf("got %v, want %q", err, tt.files)
				}
			}
		})
	}
}

func TestAPackageForAnotherMachineIsNotInstalledHere(t *testing.T) {
	entry := Locked{Name: "toy", Version: "1.2.0", Platforms: map[string]Checksums{"plan9/mips": {}}}
	_, err := Open(t.TempDir()).Installed(&entry)
	if !errors.Is(err, ErrNotInstalled) || !strings.Contains(err.Error(), "no package for "+Platform()) {
		t.Errorf("got %v", err)
	}
}

func TestAnArchiveIsComparedBeforeItIsOpened(t *testing.T) {
	archive, sums := packToy(t)
	changed := bytes.Clone(archive)
	changed[len(changed)/2] ^= 1
	for name, tt := range map[string]struct {
		archive []byte
		want    Checksums
	}{
		"a byte of the archive":    {changed, Checksums{Archive: sums.Archive}},
		"another archive":          {archive, Checksums{Archive: aDigest("0")}},
		"other files than locked":  {archive, Checksums{Content: aDigest("0")}},
		"other files, same digest": {archive, Checksums{Archive: sums.Archive, Content: aDigest("0")}},
	} {
		t.Run(name, func(t *testing.T) {
			s := Open(t.TempDir())
			if _, err := s.Unpack(tt.want, from(tt.archive)); !errors.Is(err, ErrChecksum) {
				t.Errorf("got %v, want %v", err, ErrChecksum)
			}
			left, err := os.ReadDir(s.dir())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range left {
				if e.Name() != ".gitignore" && e.Name() != ".lock" {
					t.Errorf("%s was left behind", e.Name())
				}
			}
		})
	}
}

func TestPackagesThatCannotBeMade(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"a file that is not there":      {"README.md", "READ.md", `nothing fits "READ.md"`},
		"a program that is not packed":  {"files: [bin, README.md]", "files: [README.md]", "the program bin/toy is not among them"},
		"another version than it says":  {"version: 1.2.0", "version: 1.3.0", `says version "1.3.0" and the plugin itself "1.2.0"`},
		"another name than it says":     {"name: toy", "name: boy", `says name "boy"`},
		"a link that leads out":         {"README.md", "out", "nothing fits"},
		"a folder with such a link":     {"README.md", "links", "pack links/out"},
		"a program that is not built":   {"bin, README.md", "nowhere/*", "build the plugin first"},
		"a name that only the list has": {"README.md", SumsFile + ".x", "nothing fits"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := toy(t)
			write(t, filepath.Join(dir, "links", "in"), "x")
			for _, link := range []string{"out", "links/out"} {
				if err := os.Symlink("/etc/passwd", filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			m, problems := ParseManifest(ManifestFile, []byte(strings.Replace(toyManifest, tt.old, tt.new, 1)))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if _, err := Pack(dir, m, toyDescriptor(), io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestUninstallKeepsOtherPlugins(t *testing.T) {
	s := Open(t.TempDir())
	for _, dir := range []string{"tcp-1.0.0", "tcp-1.1.0", "tcp-1.2.0-rc.1", "tcp_x-1.0.0", "tcp-notes"} {
		write(t, filepath.Join(s.dir(), dir, "f"), "")
	}
	if err := s.Uninstall("tcp", "1.1.0"); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir(), "tcp*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if diff := cmp.Diff([]string{"tcp-1.1.0", "tcp-notes", "tcp_x-1.0.0"}, left); diff != "" {
		t.Error(diff)
	}
}

func TestArchivesSayTheirPlatform(t *testing.T) {
	m := &Manifest{Name: "my_tcp", Version: "1.2.0-rc.1"}
	for _, platform := range []string{"linux/amd64", "darwin/arm64", AnyPlatform} {
		got, ok := ArchivePlatform("/x/" + m.ArchiveName(platform))
		if !ok || got != platform {
			t.Errorf("got %s, %v; want %s", got, ok, platform)
		}
	}
	for _, name := range []string{"x.tar.gz", "testmesh-plugin-tcp.tar.gz", "testmesh-plugin-tcp_1.0.0.tar.gz"} {
		if got, ok := ArchivePlatform(name); ok {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestOverrides(t *testing.T) {
	s := Open(t.TempDir())
	if list, err := s.Overrides(); err != nil || len(list) > 0 {
		t.Errorf("none: got %v, %v", list, err)
	}
	want := Override{Name: "toy", Version: "1.2.0", Dir: t.TempDir(), Command: []string{"bin/toy"}, Permissions: Permissions{Files: "none"}, Descriptor: toyDescriptor()}
	if err := s.Override(want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Overrides()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Override{want}, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	for range 2 { // the second time it is gone already
		if err := s.RemoveOverride("toy"); err != nil {
			t.Error(err)
		}
	}
	if list, err := s.Overrides(); err != nil || len(list) > 0 {
		t.Errorf("removed: got %v, %v", list, err)
	}
	for name, text := range map[string]string{
		"no JSON": "{", "no name": `{"dir": "/x", "command": ["a"], "descriptor": {}}`, "no command": `{"name": "a", "dir": "/x", "descriptor": {}}`,
		"a relative folder": `{"name": "a", "dir": "x", "command": ["a"], "descriptor": {}}`, "no descriptor": `{"name": "a", "dir": "/x", "command": ["a"]}`,
	} {
		write(t, s.OverridePath("toy"), text)
		if _, err := s.Overrides(); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}
