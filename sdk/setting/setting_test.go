package setting

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// server is what the table of these tests sets.
type server struct {
	Addr, Cert, Token string
	Open              bool
	Slots             int
	Hold              time.Duration
	Egress            []string
	Labels            map[string]string
}

func (s *server) table() *Table {
	t := New("TESTMESH_X")
	t.String(&s.Addr, Spec{Key: "addr", Default: "127.0.0.1:7070", What: "address to listen at", Check: func(v string) error {
		if !strings.Contains(v, ":") {
			return errNoPort
		}
		return nil
	}})
	t.String(&s.Cert, Spec{Key: "tls.cert", What: "certificate"})
	t.String(&s.Token, Spec{Key: "node_token", What: "token", Env: "TESTMESH_TOKEN", Secret: true})
	t.Bool(&s.Open, Spec{Key: "open", What: "lets everybody in"})
	t.Int(&s.Slots, 1, 100, Spec{Key: "slots", Default: "4", What: "runs at once"})
	t.Duration(&s.Hold, time.Second, Spec{Key: "poll.hold", Default: "30s", What: "how long | polls wait"})
	t.List(&s.Egress, Spec{Key: "egress", Default: "allow *", What: "who may be reached"})
	t.Map(&s.Labels, Spec{Key: "labels", What: "labels"})
	return t
}

type plainError string

func (e plainError) Error() string { return string(e) }

const errNoPort plainError = "it has no port"

func load(t *testing.T, s *server, args []string, env map[string]string, text string) (*Table, error) {
	t.Helper()
	table := s.table()
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	table.Flags(fs)
	if err := fs.Parse(args); err != nil {
		return table, err
	}
	src := Sources{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	if text != "" {
		src.File, src.Text = "x.yaml", []byte(text)
	}
	return table, table.Load(src)
}

func TestWhoWins(t *testing.T) {
	file := "addr: 10.0.0.1:1\ntls: {cert: file.pem}\nopen: yes\nslots: 7\npoll:\n  hold: 5s\negress: [deny a, allow b]\nlabels: {zone: eu, rack: \"7\"}\n"
	defaults := server{Addr: "127.0.0.1:7070", Slots: 4, Hold: 30 * time.Second, Egress: []string{"allow *"}}
	inFile := server{Addr: "10.0.0.1:1", Cert: "file.pem", Open: true, Slots: 7, Hold: 5 * time.Second, Egress: []string{"deny a", "allow b"}, Labels: map[string]string{"zone": "eu", "rack": "7"}}
	tests := map[string]struct {
		args []string
		env  map[string]string
		file string
		want func() server
	}{
		"nobody: the defaults":      {want: func() server { return defaults }},
		"the file":                  {file: file, want: func() server { return inFile }},
		"one value is a list":       {file: "egress: deny a\n", want: func() server { s := defaults; s.Egress = []string{"deny a"}; return s }},
		"an empty file":             {file: "# nothing\n", want: func() server { return defaults }},
		"an empty variable is none": {env: map[string]string{"TESTMESH_X_SLOTS": ""}, want: func() server { return defaults }},
		"a variable over the file": {
			env:  map[string]string{"TESTMESH_X_ADDR": "h:2", "TESTMESH_X_EGRESS": "deny c, deny d", "TESTMESH_X_LABELS": "zone=us", "TESTMESH_X_OPEN": "false", "TESTMESH_TOKEN": "t"},
			file: file,
			want: func() server {
				s := inFile
				s.Addr, s.Egress, s.Labels, s.Open, s.Token = "h:2", []string{"deny c", "deny d"}, map[string]string{"zone": "us"}, false, "t"
				return s
			},
		},
		"a flag over both": {
			args: []string{"--addr", "h:3", "--egress", "x", "--egress", "y", "--labels", "a=1", "--labels", "b=2", "--open=false", "--poll-hold", "2s"},
			env:  map[string]string{"TESTMESH_X_ADDR": "h:2", "TESTMESH_X_OPEN": "true"}, file: file,
			want: func() server {
				s := inFile
				s.Addr, s.Egress, s.Labels, s.Open, s.Hold = "h:3", []string{"x", "y"}, map[string]string{"a": "1", "b": "2"}, false, 2*time.Second
				return s
			},
		},
		"a flag without a value": {args: []string{"--open"}, want: func() server { s := defaults; s.Open = true; return s }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := server{}
			if _, err := load(t, &got, test.args, test.env, test.file); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want(), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMistakesHaveTheirPlace(t *testing.T) {
	tests := map[string]struct {
		args []string
		env  map[string]string
		file string
		want string
	}{
		"a key that nobody knows":    {file: "slots: 2\nadr: h:1\n", want: "x.yaml:2:1: there is no setting \"adr\"\n  hint: did you mean \"addr\"?"},
		"one below another":          {file: "tls:\n  crt: a\n", want: "x.yaml:2:3: there is no setting \"tls.crt\"\n  hint: did you mean \"cert\"?"},
		"one like none":              {file: "zzzzzzzz: 1\n", want: "hint: there are addr, tls, node_token, open, slots, poll, egress, labels"},
		"a key twice":                {file: "slots: 1\nslots: 2\n", want: "x.yaml:2:1: \"slots\" is there twice"},
		"a list for one value":       {file: "addr: [a]\n", want: "x.yaml:1:7: addr: one value (string) is wanted here"},
		"no value":                   {file: "addr:\n", want: "addr: one value (string) is wanted here"},
		"a mapping for a list":       {file: "egress: {a: b}\n", want: "x.yaml:1:9: egress: a list is wanted here"},
		"a list of lists":            {file: "egress: [[a]]\n", want: "x.yaml:1:10: egress: a text is wanted here"},
		"a text for a mapping":       {file: "labels: zone\n", want: "x.yaml:1:9: labels: a mapping of names to texts is wanted here"},
		"a list as a label":          {file: "labels: {zone: [a]}\n", want: "x.yaml:1:16: labels: a text is wanted here"},
		"an alias":                   {file: "addr: &a h:1\ntls: {cert: *a}\n", want: "x.yaml:2:13: tls.cert: one value (string) is wanted here"},
		"a text as a file":           {file: "hello\n", want: "x.yaml:1:1: settings are wanted here"},
		"no section":                 {file: "tls: x\n", want: "x.yaml:1:6: settings are wanted here"},
		"no YAML":                    {file: "a: [\n", want: "x.yaml: "},
		"a number that is none":      {file: "slots: many\n", want: "x.yaml:1:8: slots: \"many\" is no whole number"},
		"a number that is too large": {env: map[string]string{"TESTMESH_X_SLOTS": "101"}, want: "TESTMESH_X_SLOTS: 101 is not between 1 and 100"},
		"a time that is none":        {args: []string{"--poll-hold", "5"}, want: `"5" is no time`},
		"a time that is too short":   {args: []string{"--poll-hold", "5ms"}, want: "5ms is less than 1s"},
		"a switch that is none":      {env: map[string]string{"TESTMESH_X_OPEN": "maybe"}, want: `TESTMESH_X_OPEN: "maybe" is neither true nor false`},
		"a label without a value":    {args: []string{"--labels", "zone"}, want: `"zone" is no NAME=VALUE`},
		"what its check refuses":     {args: []string{"--addr", "h"}, want: "it has no port"},
		"checked in a file too":      {file: "addr: h\n", want: "x.yaml:1:7: addr: it has no port"},
		"all of them at once":        {file: "adr: x\nslots: 0\n", want: "x.yaml:2:8: slots: 0 is not between 1 and 100"},
		"a file that is too large":   {file: strings.Repeat("#", maxFile+1), want: "x.yaml: it has"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, &server{}, test.args, test.env, test.file)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestEverySettingIsOnThePage(t *testing.T) {
	table := (&server{}).table()
	var page strings.Builder
	if err := table.Reference(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `addr` | `--addr` | `TESTMESH_X_ADDR` | `127.0.0.1:7070` | address to listen at |\n",
		"| `tls.cert` | `--tls-cert` | `TESTMESH_X_TLS_CERT` | – | certificate |\n",
		"| `node_token` | `--node-token` | `TESTMESH_TOKEN` | – | token |\n",
		`| how long \| polls wait |`,
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
}

func TestWhatIsPrintedCanBeReadAgain(t *testing.T) {
	first, second := server{}, server{}
	table, err := load(t, &first, []string{"--slots", "9"}, map[string]string{"TESTMESH_TOKEN": "hush", "TESTMESH_X_LABELS": "a=1"}, "tls: {cert: c.pem}\n")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := table.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hush") {
		t.Error("a secret is printed")
	}
	for _, want := range []string{"slots: 9 # --slots", "# x.yaml:1:13", "# TESTMESH_X_LABELS", "# a secret, from TESTMESH_TOKEN", "addr: 127.0.0.1:7070 # default"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, out.String())
		}
	}
	if _, err := load(t, &second, nil, nil, out.String()); err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	first.Token = ""
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	if got := table.From("slots") + " " + table.From("addr") + " " + table.From("none"); got != "--slots  " {
		t.Errorf("got %q", got)
	}
}

func TestATableThatIsWrongIsFound(t *testing.T) {
	var s string
	var n int
	for name, make := range map[string]func(*Table){
		"a key in another case":     func(t *Table) { t.String(&s, Spec{Key: "tlsCert", What: "x"}) },
		"nothing said of it":        func(t *Table) { t.String(&s, Spec{Key: "a"}) },
		"one key twice":             func(t *Table) { t.String(&s, Spec{Key: "a", What: "x"}); t.String(&s, Spec{Key: "a", What: "x"}) },
		"a key that is a section":   func(t *Table) { t.String(&s, Spec{Key: "a", What: "x"}); t.String(&s, Spec{Key: "a.b", What: "x"}) },
		"a default that is refused": func(t *Table) { t.Int(&n, 1, 2, Spec{Key: "a", Default: "3", What: "x"}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was taken")
				}
			}()
			make(New("X"))
		})
	}
}
