package pluginstore

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/flow/source"
)

func aDigest(c string) string { return strings.Repeat(c, 64) }

func aDescriptor(name string) *testmeshv1.Descriptor {
	return &testmeshv1.Descriptor{
		Name: name, Version: "1.2.0", Summary: "Says <this> & \"that\": – ünïcödé.",
		Actions: []*testmeshv1.Action{{Name: name + ".do", Description: "Two\nlines\n\n  and an indented one", ConfigSchema: `{"type": "object"}`}},
	}
}

func aLocked(name string) Locked {
	return Locked{
		Name: name, Version: "1.2.0", Source: Source{Index: "https://example.com/"}, Range: "^1.2", Protocol: []int{1},
		Command: []string{"bin/" + name, "a b", `"q"`}, Permissions: Permissions{Network: true, Files: "read", Env: []string{"A"}},
		Platforms: map[string]Checksums{
			"linux/amd64":  {Archive: aDigest("1"), Content: aDigest("2"), URL: "x_linux.tar.gz"},
			"darwin/arm64": {Archive: aDigest("3"), Content: aDigest("4")},
		},
		Descriptor: aDescriptor(name),
	}
}

func printed(t *testing.T, l *Lock) string {
	t.Helper()
	text, err := l.Print()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestALockFileIsReadAsItWasWritten(t *testing.T) {
	lock := &Lock{}
	lock.Put(aLocked("tcp"))
	lock.Put(aLocked("amqp"))
	lock.Plugins[1].Source = Source{Folder: "../a folder: #1"}
	text := printed(t, lock)
	if text != printed(t, lock) {
		t.Error("two texts of one lock differ")
	}
	back, problems := ParseLock(LockFile, []byte(text))
	if len(problems) > 0 {
		t.Fatalf("%v\n%s", problems, text)
	}
	for i := range back.Plugins {
		back.Plugins[i].Pos = source.Pos{}
	}
	if diff := cmp.Diff(lock, back, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if again := printed(t, back); again != text {
		t.Errorf("written again it is another:\n%s", again)
	}
	if !strings.HasPrefix(text, "# The plugins of this project") {
		t.Errorf("it begins with %.60q", text)
	}
}

func TestAnEmptyLockFile(t *testing.T) {
	lock, problems := ParseLock(LockFile, []byte(printed(t, &Lock{})))
	if len(problems) > 0 || len(lock.Plugins) > 0 {
		t.Errorf("got %v, %v", lock, problems)
	}
}

func TestLockFilesThatAreWrong(t *testing.T) {
	lock := &Lock{}
	lock.Put(aLocked("tcp"))
	good := printed(t, lock)
	tests := map[string]struct{ old, new, want string }{
		"half of a merge":               {"plugins:\n", "plugins:\n<<<<<<< HEAD\n", "plugins.lock:5:1: a merge left both sides in the lock file; take the file of one side"},
		"the end of a merge":            {"plugins:\n", "plugins:\n>>>>>>> theirs\n", "a merge left both sides"},
		"a later version of the file":   {"lock: 1", "lock: 2", `does not know version "2" of the lock file; use a testmesh as new`},
		"no version of the file":        {"lock: 1\n", "", `needs the key "lock"`},
		"a key that is none":            {"command:", "comand:", `unknown key "comand" in a plugin of the lock file; did you mean "command"?`},
		"no platforms":                  {"platforms:", "# platforms:", "plugins.lock:"},
		"a checksum cut short":          {aDigest("1"), aDigest("1")[:63], "archive is not a SHA-256"},
		"a checksum in capitals":        {aDigest("2"), aDigest("A"), "content is not a SHA-256"},
		"no checksum":                   {"        content: \"" + aDigest("2") + "\"\n", "", `the platform linux/amd64 needs the key "content"`},
		"a program outside":             {`"bin/tcp"`, `"../../bin/sh"`, "is not below the plugin's folder"},
		"a name that is a path":         {"name: tcp", "name: ../tcp", "cannot be the name of a plugin"},
		"a version that is a path":      {`version: "1.2.0"`, `version: "../1.2.0"`, "is not a version"},
		"a descriptor that is no JSON":  {`"name": "tcp",`, `"name": tcp,`, "the descriptor of tcp cannot be read"},
		"the descriptor of another one": {`"name": "tcp",`, `"name": "udp",`, `the descriptor of tcp is that of "udp"`},
		"no descriptor":                 {"    descriptor: |", "    x: |", `needs the key "descriptor"`},
		"plugins that are no list":      {"plugins:\n  - name: tcp", "plugins:\n    name: tcp", "plugins is a list, not a map"},
		"a secret of the host":          {`["A"]`, `["TESTMESH_SECRET_A"]`, "cannot be passed to a plugin"},
		"nothing":                       {good, "", "the lock file is empty"},
		"binary":                        {good, "\x00\x01", "binary"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, tt.old, tt.new, 1)
			if text == good {
				t.Fatalf("%q is not in the lock file", tt.old)
			}
			got, problems := ParseLock(LockFile, []byte(text))
			if got != nil {
				t.Error("a wrong lock file gave a lock")
			}
			var all []string
			for _, p := range problems {
				all = append(all, p.Error())
			}
			if !strings.Contains(strings.Join(all, "\n"), tt.want) {
				t.Errorf("got %q, want %q", all, tt.want)
			}
		})
	}
}

func TestAPluginIsLockedOnce(t *testing.T) {
	lock := &Lock{Plugins: []Locked{aLocked("tcp"), aLocked("tcp")}}
	if _, problems := ParseLock(LockFile, []byte(printed(t, lock))); !strings.Contains(problems.Error(), "the plugin tcp is locked twice") {
		t.Errorf("got %v", problems)
	}
}

// Updates at the same time are all kept, and a reader sees whole files only.
func TestUpdatesAtTheSameTime(t *testing.T) {
	s := Open(t.TempDir())
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			if problems, err := s.Update(func(l *Lock) error { l.Put(aLocked(name)); return nil }); err != nil || len(problems) > 0 {
				t.Errorf("%s: %v %v", name, problems, err)
			}
		})
		wg.Go(func() {
			if _, problems, err := s.Lock(); err != nil || len(problems) > 0 {
				t.Errorf("read: %v %v", problems, err)
			}
		})
	}
	wg.Wait()
	lock, _, err := s.Lock()
	if err != nil || len(lock.Plugins) != len(names) {
		t.Errorf("%d of %d updates were kept (%v)", len(lock.Plugins), len(names), err)
	}
}

func TestALockFileWithProblemsIsLeftAsItIs(t *testing.T) {
	s := Open(t.TempDir())
	broken := []byte("lock: 1\nplugins: {}\n")
	if err := writeWhole(s.LockPath(), broken); err != nil {
		t.Fatal(err)
	}
	problems, err := s.Update(func(l *Lock) error { l.Put(aLocked("tcp")); return nil })
	if err != nil || len(problems) == 0 {
		t.Errorf("got %v, %v; want a problem", problems, err)
	}
	if now, err := readFile(s.LockPath(), 1<<20); err != nil || !bytes.Equal(now, broken) {
		t.Errorf("it was written: %s, %v", now, err)
	}
}

func TestNoLockFile(t *testing.T) {
	if lock, problems, err := Open(t.TempDir()).Lock(); lock != nil || problems != nil || err != nil {
		t.Errorf("got %v, %v, %v", lock, problems, err)
	}
	var none *Lock
	if none.Find("tcp") != nil {
		t.Error("no lock has a plugin")
	}
}

func FuzzParseLock(f *testing.F) {
	lock := &Lock{}
	lock.Put(aLocked("tcp"))
	text, err := lock.Print()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("lock: 1\nplugins: [{name: a}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, problems := ParseLock(LockFile, data)
		if (lock == nil) == (len(problems.Errors()) == 0) {
			t.Errorf("a lock %v with problems %v", lock, problems)
		}
		if lock == nil {
			return
		}
		again, err := lock.Print()
		if err != nil {
			t.Fatal(err)
		}
		if _, problems := ParseLock(LockFile, again); len(problems.Errors()) > 0 {
			t.Errorf("what was read cannot be written: %v\n%s", problems, again)
		}
	})
}
