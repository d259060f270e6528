package mesh

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

// A file is here, stored, and was as it is in base: 1 and 2 are contents, "" is none.
func TestWhatBecomesOfAFile(t *testing.T) {
	const written, removed, kept, conflict, nothing = "written", "removed", "kept", "conflict", ""
	tests := map[string]struct {
		here, there, base string
		state, by         string
		pull, force       string
	}{
		"the same":                {"1", "1", "1", "", "", nothing, nothing},
		"the same change":         {"2", "2", "1", "", "", nothing, nothing},
		"changed here":            {"2", "1", "1", "changed", "here", kept, written},
		"changed there":           {"1", "2", "1", "changed", "there", written, written},
		"changed on both sides":   {"2", "3", "1", "changed", "both", conflict, written},
		"made here":               {"1", "", "", "new", "here", kept, removed},
		"made there":              {"", "1", "", "gone", "there", written, written},
		"deleted here":            {"", "1", "1", "gone", "here", kept, written},
		"deleted there":           {"1", "", "1", "new", "there", removed, removed},
		"deleted there, changed":  {"2", "", "1", "new", "both", conflict, removed},
		"deleted here, changed":   {"", "2", "1", "gone", "both", conflict, written},
		"made on both sides":      {"1", "2", "", "changed", "both", conflict, written},
		"never seen, and another": {"1", "2", "", "changed", "both", conflict, written},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			side := func(sum string) map[string]string {
				if sum == "" {
					return map[string]string{}
				}
				return map[string]string{"f": sum}
			}
			s := &sides{here: side(test.here), there: side(test.there), base: side(test.base)}
			var want []difference
			if test.state != "" {
				want = []difference{{"f", test.state, test.by}}
			}
			if got := s.differences(); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			for force, want := range map[bool]string{false: test.pull, true: test.force} {
				p, got := s.decide(force), nothing
				for what, list := range map[string][]string{written: p.Written, removed: p.Removed, kept: p.Kept, conflict: p.conflicts} {
					if len(list) > 0 {
						got += what
					}
				}
				if got != want {
					t.Errorf("pull with force %v: got %q, want %q", force, got, want)
				}
			}
		})
	}
}

func TestFilesThatOtherProgramsObeyAreNotPulled(t *testing.T) {
	for name, may := range map[string]bool{
		"flows/a.yaml": true, ".github/x.yaml": true, "git/config": true, ".git/config": false, "a/.GIT/hooks/pre-commit": false, ".testmesh/remote.json": false,
	} {
		if err := mayWrite(name); (err == nil) != may {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A stored path never leads out of the project, by a link in it either.
func TestWritingStaysInTheProject(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for name, may := range map[string]bool{"a/b/c.yaml": true, "top.yaml": true, "link/evil.yaml": false, "../evil.yaml": false} {
		if err := put(root, name, []byte("x")); (err == nil) != may {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if list, err := os.ReadDir(outside); err != nil || len(list) != 0 {
		t.Errorf("outside there is %v (%v)", list, err)
	}
}

func TestTargetsAreResolved(t *testing.T) {
	home := t.TempDir()
	lookup := func(env map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) {
			if name == "HOME" {
				return home, true
			}
			v, ok := env[name]
			return v, ok
		}
	}
	known := &logins{Current: "https://a", Servers: map[string]login{"https://a": {Key: "ka", CAFile: "/a.pem"}, "https://b": {Key: "kb"}}}
	if err := known.write(lookup(nil)); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "admin.key")
	if err := os.WriteFile(key, []byte("kf\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		given, want Target
		env         map[string]string
	}{
		"a file with the key":              {Target{}, Target{"https://b", "kf", ""}, map[string]string{"TESTMESH_SERVER": "https://b", "TESTMESH_KEY_FILE": key}},
		"the key over its file":            {Target{}, Target{"https://b", "ke", ""}, map[string]string{"TESTMESH_SERVER": "https://b", "TESTMESH_KEY": "ke", "TESTMESH_KEY_FILE": "/nowhere"}},
		"the login":                        {Target{}, Target{"https://a", "ka", "/a.pem"}, nil},
		"another login by its address":     {Target{Address: "https://b/"}, Target{"https://b", "kb", ""}, nil},
		"a stored key stays with its host": {Target{Address: "https://c"}, Target{"https://c", "", ""}, nil},
		"the environment over the login":   {Target{}, Target{"https://b", "ke", ""}, map[string]string{"TESTMESH_SERVER": "https://b", "TESTMESH_KEY": "ke"}},
		"the command line over all":        {Target{"https://d", "kd", "/d.pem"}, Target{"https://d", "kd", "/d.pem"}, map[string]string{"TESTMESH_SERVER": "https://b", "TESTMESH_KEY": "ke"}},
	}
	for name, test := range tests {
		got, err := Resolve(test.given, lookup(test.env))
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	if _, err := Resolve(Target{}, lookup(map[string]string{"TESTMESH_KEY_FILE": "/nowhere"})); err == nil || !strings.Contains(err.Error(), "TESTMESH_KEY_FILE") {
		t.Errorf("a file of the key that is not there: got %v", err)
	}
	file, err := loginPath(lookup(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Resolve(Target{}, lookup(nil)); err == nil || !strings.Contains(err.Error(), "log in again") {
		t.Errorf("a file that is none: got %v", err)
	}
	if _, err := loginPath(func(string) (string, bool) { return "", false }); err == nil {
		t.Error("without a home there is a place for logins")
	}
}

func TestArguments(t *testing.T) {
	for text, want := range map[string]string{"a.yaml": "a.yaml 0", "a.yaml#2": "a.yaml 1", "a#b.yaml": "a#b.yaml 0", "a.yaml#0": "a.yaml#0 0"} {
		file, index := flowOf(text)
		if got := fmt.Sprint(file, " ", index); got != want {
			t.Errorf("%s: got %s", text, got)
		}
		if text == "a.yaml#2" && flowName(&apiv1.Flow{File: file, Index: index}) != text {
			t.Errorf("%s is not written as it is read", text)
		}
	}
	if at, err := sinceOf("2026-11-30T12:00:00Z"); err != nil || at.AsTime() != time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) {
		t.Errorf("got %v and %v", at, err)
	}
	if at, err := sinceOf("2h"); err != nil || time.Since(at.AsTime()).Round(time.Hour) != 2*time.Hour {
		t.Errorf("got %v and %v", at, err)
	}
	if list, err := statusesOf([]string{"failed", " Errored"}); err != nil || !slices.Equal(list, []apiv1.RunStatus{apiv1.RunStatus_RUN_STATUS_FAILED, apiv1.RunStatus_RUN_STATUS_ERRORED}) {
		t.Errorf("got %v and %v", list, err)
	}
	if _, err := statusesOf([]string{"unspecified"}); err == nil {
		t.Error("no status is a status")
	}
}
