package setting

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// uncommented is an example with all its settings in force.
func uncommented(text string) string {
	return regexp.MustCompile(`(?m)^(\s*)#(\S|  )`).ReplaceAllString(text, "$1$2")
}

func example(t *testing.T, table *Table) string {
	t.Helper()
	var b strings.Builder
	if err := table.Example(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnExampleSaysTheDefaults(t *testing.T) {
	text := example(t, new(server).table())
	var got server
	table, err := load(t, &got, nil, nil, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range table.list {
		if e.from != "" {
			t.Errorf("%s is in force, from %s", e.Key, e.from)
		}
	}
	got = server{}
	if table, err = load(t, &got, nil, nil, uncommented(text)); err != nil {
		t.Fatalf("%v in\n%s", err, uncommented(text))
	}
	for _, e := range table.list {
		if e.from == "" {
			t.Errorf("%s is not in\n%s", e.Key, text)
		}
	}
	want := server{Addr: "127.0.0.1:7070", Slots: 4, Hold: 30 * time.Second, Egress: []string{"allow *"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it says others than the defaults (- want, + got):\n%s", diff)
	}
	for line := range strings.Lines(text) {
		if len(line) > width+1 {
			t.Errorf("%d letters are long: %s", len(line)-1, line)
		}
	}
}

func TestAnExampleKeepsWhatWasSaid(t *testing.T) {
	var said server
	args := []string{"--addr", "h:1", "--tls-cert", "c.pem", "--egress", "deny a", "--egress", "allow b: c", "--labels", "zone=eu", "--labels", "rack=7", "--node-token", "tmn_secret"}
	table, err := load(t, &said, args, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	text := example(t, table)
	if strings.Contains(text, "tmn_secret") {
		t.Errorf("a secret is in\n%s", text)
	}
	var got server
	if _, err := load(t, &got, nil, nil, text); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	said.Token = ""
	if diff := cmp.Diff(said, got); diff != "" {
		t.Errorf("read again it is another (- want, + got):\n%s\n%s", diff, text)
	}
}

func TestFlagsOutliveAFileThatIsReadAgain(t *testing.T) {
	var before, after server
	given, err := load(t, &before, []string{"--addr", "h:1", "--egress", "deny a, b", "--labels", "zone=eu,us", "--open", "--poll-hold", "5s"}, nil, "slots: 7\n")
	if err != nil {
		t.Fatal(err)
	}
	again := after.table()
	if err := again.Flagged(given); err != nil {
		t.Fatal(err)
	}
	if err := again.Load(Sources{File: "x.yaml", Text: []byte("slots: 8\naddr: file:1\negress: allow c\n")}); err != nil {
		t.Fatal(err)
	}
	before.Slots = 8
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("got others than wanted (-, +):\n%s", diff)
	}
	if got := again.From("addr"); got != "--addr" {
		t.Errorf("addr is from %q", got)
	}
}

func TestASecretMayBeInAFile(t *testing.T) {
	files := map[string]string{"token": "of the file\n", "empty": "", "blank": " \n", "large": strings.Repeat("x", maxSecret+1)}
	for name, test := range map[string]struct {
		env        map[string]string
		want, fail string
	}{
		"in a file":                      {env: map[string]string{"TESTMESH_TOKEN_FILE": "token"}, want: "of the file"},
		"the variable wins over it":      {env: map[string]string{"TESTMESH_TOKEN_FILE": "token", "TESTMESH_TOKEN": "t"}, want: "t"},
		"an empty file is none":          {env: map[string]string{"TESTMESH_TOKEN_FILE": "empty"}},
		"a blank one too":                {env: map[string]string{"TESTMESH_TOKEN_FILE": "blank"}},
		"no file is a mistake":           {env: map[string]string{"TESTMESH_TOKEN_FILE": "nowhere"}, fail: "TESTMESH_TOKEN_FILE: file does not exist"},
		"a large one is a mistake":       {env: map[string]string{"TESTMESH_TOKEN_FILE": "large"}, fail: "65536 are possible"},
		"what is no secret has no files": {env: map[string]string{"TESTMESH_X_ADDR_FILE": "nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			var s server
			err := s.table().Load(Sources{
				LookupEnv: func(name string) (string, bool) { v, ok := test.env[name]; return v, ok },
				ReadFile: func(name string) ([]byte, error) {
					text, ok := files[name]
					if !ok {
						return nil, fs.ErrNotExist
					}
					return []byte(text), nil
				},
			})
			switch {
			case test.fail == "" && err != nil, test.fail != "" && (err == nil || !strings.Contains(err.Error(), test.fail)):
				t.Errorf("got %v, want %q", err, test.fail)
			case test.fail != "" && name == "no file is a mistake" && !errors.Is(err, fs.ErrNotExist):
				t.Errorf("%v does not say why", err)
			case s.Token != test.want:
				t.Errorf("got %q, want %q", s.Token, test.want)
			}
		})
	}
}
