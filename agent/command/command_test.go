package command

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run runs a command line with some variables, and gives what it prints.
func run(t *testing.T, env map[string]string, args ...string) (text string, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd := New(Config{
		Name: "testmesh-agent", Stdout: &out, Stderr: &out, Version: "1.2.3", Executable: "/bin/true",
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = cmd.ExecuteContext(ctx)
	return out.String(), err
}

func code(err error) int {
	if known, ok := err.(interface{ ExitCode() int }); ok { //nolint:errorlint // as main does
		return known.ExitCode()
	}
	return -1
}

func TestSettingsComeFromFileVariablesAndFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.yaml")
	if err := os.WriteFile(file, []byte("server: https://file\nslots: 2\nname: of-the-file\negress: [deny metadata, \"allow *:443\"]\nlabel: {site: harbour}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := run(t, map[string]string{"TESTMESH_AGENT_CONFIG": file, "TESTMESH_AGENT_SLOTS": "3", "TESTMESH_SERVER": "https://variable"}, "--print-config", "--name", "of-the-flag")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"https://variable", "of-the-flag", "deny metadata", "harbour"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "of-the-file") || strings.Contains(text, "https://file") {
		t.Errorf("the file won:\n%s", text)
	}
}

func TestSettingsThatAreNone(t *testing.T) {
	for want, args := range map[string][]string{
		"which control plane":       {},
		"egress rule":               {"--egress", "permit all"},
		"HOST:PORT is wanted":       {"--listen", "9101"},
		"auto or post":              {"--stream", "pigeon"},
		"no such file or directory": {"--config", "/nowhere/agent.yaml"},
	} {
		if text, err := run(t, nil, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v and %s, want %q", args, err, text, want)
		}
	}
}

func TestAFolderOfPluginsHoldsALockFile(t *testing.T) {
	c := Config{}
	if _, err := c.plugins(t.TempDir()); err == nil || !strings.Contains(err.Error(), "there is no plugins.lock") {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plugins.lock"), []byte("version: 99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.plugins(dir); err == nil {
		t.Error("a lock file of another version was taken")
	}
}

func TestProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := l.Addr().String()
	for name, test := range map[string]struct {
		args []string
		want string
		code int
	}{
		"it answers":              {[]string{"probe", at}, "answered", 0},
		"the rules refuse it":     {[]string{"probe", at, "--egress", "deny 127.0.0.0/8"}, "refused  the agent does not let anything to " + at, 1},
		"nobody is there":         {[]string{"probe", "127.0.0.1:1"}, "no answer", 1},
		"it is no address at all": {[]string{"probe", "nothing"}, "", -1},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := run(t, nil, test.args...)
			if !strings.Contains(text, test.want) || (err == nil) != (test.code == 0) || err != nil && code(err) != test.code {
				t.Errorf("got %q and %v", text, err)
			}
		})
	}
}

func TestStatusOfAFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := run(t, nil, "status", "--data", filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "there is no agent in") {
		t.Errorf("got %v", err)
	}
	text, err := run(t, nil, "status", "--data", dir)
	if code(err) != 1 || !strings.Contains(text, "not running") || !strings.Contains(text, "has not joined yet") {
		t.Errorf("got %q and %v", text, err)
	}
	if text, err = run(t, nil, "status", "--data", dir, "-o", "json"); code(err) != 1 || !strings.Contains(text, `"running":false`) {
		t.Errorf("got %q and %v", text, err)
	}
	if _, err := run(t, nil, "status", "--data", dir, "-o", "xml"); err == nil || code(err) == 1 {
		t.Errorf("got %v", err)
	}
}

func TestStatusAsksWhereTheAgentAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"agent_id":"a","name":"one","ready":true,"runs":["r1"],"stream":"websocket","answered":"2026-01-01T00:00:00Z","trouble":"no route"}`))
	}))
	defer server.Close()
	text, err := run(t, nil, "status", "--data", t.TempDir(), "--listen", server.Listener.Addr().String())
	if err != nil || !strings.Contains(text, "ready") || !strings.Contains(text, "r1") || !strings.Contains(text, "no route") {
		t.Errorf("got %q and %v", text, err)
	}
}

func TestTheDoctorSaysWhatToDo(t *testing.T) {
	skewed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	}))
	defer skewed.Close()
	secret := httptest.NewTLSServer(http.NotFoundHandler())
	defer secret.Close()
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"a clock that is off":       {[]string{"--server", skewed.URL}, []string{"✓  connection", "✗  clock: it is 1h0m", "hint: set the clock", "✗  key: this agent has not joined"}},
		"nobody is there":           {[]string{"--server", "http://127.0.0.1:1"}, []string{"✗  connection", "a firewall", "-  clock: not looked at"}},
		"an authority nobody knows": {[]string{"--server", secret.URL}, []string{"✗  TLS", "ca_file"}},
		"the second of two nodes": {
			[]string{"--server", skewed.URL + ",http://127.0.0.1:1"}, []string{skewed.URL + "\n✓  folder", "http://127.0.0.1:1\n✓  settings", "✗  connection: dial tcp 127.0.0.1:1"},
		},
		"a token that waits":          {[]string{"--server", skewed.URL, "--token", "tmj_x"}, []string{"✓  key: it has not joined yet"}},
		"plugins that are not there":  {[]string{"--server", skewed.URL, "--plugins", "/nowhere"}, []string{"✗  plugins"}},
		"a folder that is not to be":  {[]string{"--server", skewed.URL, "--data", "/proc/agent"}, []string{"✗  folder"}},
		"labels are what flows match": {[]string{"--server", skewed.URL, "--label", "site=harbour"}, []string{"✓  labels", "site=harbour", "version=1.2.3"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"doctor", "--data", t.TempDir()}, test.args...)
			text, err := run(t, nil, args...)
			if code(err) != 1 {
				t.Errorf("got %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is missing in\n%s", want, text)
				}
			}
		})
	}
}
