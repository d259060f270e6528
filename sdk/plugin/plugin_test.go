package plugin

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// project is a folder with files, a folder beside it, and links of both kinds.
func project(t *testing.T) (root string) {
	t.Helper()
	base := t.TempDir()
	root = filepath.Join(base, "project")
	for name, text := range map[string]string{
		"project/flows/data.txt":   "data",
		"project/shared/ca.pem":    "ca",
		"project/flows/deep/a.txt": "a",
		"outside/secret.txt":       "secret",
	} {
		file := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"project/flows/inside.txt":  "../shared/ca.pem",
		"project/flows/escape.txt":  "../../outside/secret.txt",
		"project/flows/abs.txt":     filepath.Join(base, "outside", "secret.txt"),
		"project/flows/outside":     "../../outside",
		"project/flows/circle.txt":  "circle.txt",
		"project/flows/missing.txt": "nothing.txt",
	} {
		if err := os.Symlink(target, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFilesAreThoseOfTheProject(t *testing.T) {
	root := project(t)
	tests := map[string]struct {
		name, want string // want is empty where it is refused
	}{
		"beside the flow":             {"data.txt", "data"},
		"below it":                    {"deep/a.txt", "a"},
		"above it, in the project":    {"../shared/ca.pem", "ca"},
		"by a way round":              {"deep/../../flows/data.txt", "data"},
		"a link within the project":   {"inside.txt", "ca"},
		"a link out of it":            {"escape.txt", ""},
		"a link to an absolute path":  {"abs.txt", ""},
		"a folder that is a link out": {"outside/secret.txt", ""},
		"a path out of it":            {"../../outside/secret.txt", ""},
		"a path far out of it":        {"../../../../../../../etc/passwd", ""},
		"an absolute path":            {"/etc/passwd", ""},
		"an absolute path within":     {filepath.Join(root, "flows", "data.txt"), ""},
		"a link to itself":            {"circle.txt", ""},
		"a link to nothing":           {"missing.txt", ""},
		"nothing":                     {"nothing.txt", ""},
		"no name":                     {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &Request{Root: root, Dir: "flows"}
			data, err := r.ReadFile(test.name, 100)
			if test.want == "" {
				if err == nil {
					t.Fatalf("got %q, want an error", data)
				}
				if strings.Contains(err.Error(), "secret") && len(data) > 0 {
					t.Errorf("the file's text came along: %q", data)
				}
				return
			}
			if err != nil || string(data) != test.want {
				t.Errorf("got %q, %v, want %q", data, err, test.want)
			}
		})
	}
}

func TestThePathOfAFileThatNeedNotBeThere(t *testing.T) {
	root := project(t)
	tests := map[string]struct {
		name, want string // want is empty where it is refused
	}{
		"one that is there":           {"data.txt", "flows/data.txt"},
		"one that is not":             {"new.db", "flows/new.db"},
		"above the flow":              {"../new.db", "new.db"},
		"a link within the project":   {"inside.txt", "flows/inside.txt"},
		"in no folder":                {"nowhere/new.db", ""},
		"a folder":                    {"deep", ""},
		"a link out of it":            {"escape.txt", ""},
		"a folder that is a link out": {"outside/new.db", ""},
		"a path out of it":            {"../../new.db", ""},
		"an absolute path":            {"/tmp/new.db", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := (&Request{Root: root, Dir: "flows"}).Path(test.name)
			if test.want == "" && err == nil {
				t.Errorf("got %s, want an error", got)
			}
			if test.want != "" && (err != nil || got != filepath.Join(root, test.want)) {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
	if _, err := (&Request{}).Path("data.txt"); err == nil {
		t.Error("a step that may not use files got a path")
	}
}

func TestOpenGivesTheFileItself(t *testing.T) {
	r := &Request{Root: project(t), Dir: "flows"}
	f, err := r.Open("data.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if data, err := io.ReadAll(f); err != nil || string(data) != "data" {
		t.Errorf("got %q, %v, want data", data, err)
	}
	if _, err := r.Open("nothing.txt"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want os.ErrNotExist", err)
	}
}

func TestAFlowAtTheRootHasNoDir(t *testing.T) {
	r := &Request{Root: project(t)}
	if data, err := r.ReadFile("shared/ca.pem", 2); err != nil || string(data) != "ca" {
		t.Errorf("got %q, %v, want ca", data, err)
	}
}

func TestAFileOverItsLimitIsRefused(t *testing.T) {
	r := &Request{Root: project(t), Dir: "flows"}
	if _, err := r.ReadFile("data.txt", 4); err != nil {
		t.Errorf("at its limit: %v", err)
	}
	_, err := r.ReadFile("data.txt", 3)
	var known *Error
	if !errors.As(err, &known) || known.Code != CodeConfig || known.Blame != BlameDefinition {
		t.Errorf("got %v, want E-CONFIG of the definition", err)
	}
}

func TestAStepWithoutAProjectReadsNoFiles(t *testing.T) {
	_, err := (&Request{}).ReadFile("data.txt", 100)
	var known *Error
	if !errors.As(err, &known) || known.Code != CodeConfig || known.Blame != BlameDefinition {
		t.Errorf("got %v, want E-CONFIG of the definition", err)
	}
	if _, err := (&Request{Root: filepath.Join(t.TempDir(), "gone")}).Open("x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want os.ErrNotExist for a project that is gone", err)
	}
}

func TestAnErrorIsItsMessageAndKeepsItsCause(t *testing.T) {
	err := &Error{Code: CodeConn, Message: "connection refused", Cause: io.EOF}
	if err.Error() != "connection refused" || !errors.Is(err, io.EOF) {
		t.Errorf("got %q with cause %v", err.Error(), errors.Unwrap(err))
	}
}

// members are a result whose members are there.
type members map[string]any

func (m members) Names() []string { return slices.Sorted(maps.Keys(m)) }

func (m members) Member(name string) (any, bool) { v, ok := m[name]; return v, ok }

func (m members) Size() int { return 100 }

func TestAResultOfMembersIsPrintedAsItsJSON(t *testing.T) {
	tests := map[string]struct {
		response Response
		want     string
	}{
		"JSON as it is":    {Response{Result: []byte(`{"a": 1.50}`)}, `{"a": 1.50}`},
		"members":          {Response{Members: members{"b": []any{nil, true, "<&>"}, "a": int64(1)}}, `{"a":1,"b":[null,true,"<&>"]}`},
		"JSON in a member": {Response{Members: members{"a": json.RawMessage(`{"n": 1.50}`)}}, `{"a":{"n":1.50}}`},
		"nothing at all":   {Response{}, ""},
		"no members":       {Response{Members: members{}}, "{}"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := test.response.JSON(); err != nil || string(got) != test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
	if _, err := (&Response{Members: members{"a": make(chan int)}}).JSON(); err == nil {
		t.Error("a channel was printed")
	}
}
