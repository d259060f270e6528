package command

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/agent/install"
	"github.com/testmesh/testmesh/sdk/setting"
)

// user runs an install or uninstall as somebody, and gives what it prints.
func user(t *testing.T, id int, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := New(Config{
		Name: "testmesh-agent", Stdout: &out, Stderr: &out, Executable: "/proc/self/exe", User: func() int { return id },
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestOnlyRootMakesAService(t *testing.T) {
	for _, verb := range []string{"install", "uninstall"} {
		if _, err := user(t, 1000, verb); err == nil || !strings.Contains(err.Error(), "only root may") || !strings.Contains(err.Error(), "sudo testmesh-agent") {
			t.Errorf("%s: got %v", verb, err)
		}
	}
	text, err := user(t, 1000, "install", "--dry-run", "--server", "https://mesh", "--token", "tmj_secret")
	if err != nil || !strings.Contains(text, "would write the settings") || strings.Contains(text, "tmj_secret") {
		t.Errorf("got %q and %v", text, err)
	}
}

func TestTheSettingsOfAServiceAreWhatWasSaid(t *testing.T) {
	var s Settings
	given := Table(&s)
	c := Config{LookupEnv: func(string) (string, bool) { return "", false }}
	cmd := c.install()
	given.Flags(cmd.PersistentFlags())
	if err := cmd.PersistentFlags().Parse([]string{"--server", "https://mesh", "--label", "site=harbour", "--egress", "deny metadata", "--token", "tmj_secret"}); err != nil {
		t.Fatal(err)
	}
	var service install.Service
	if err := c.fill(&service, given, &s); err != nil {
		t.Fatal(err)
	}
	if service.Token != "tmj_secret" || strings.Contains(string(service.Settings), "tmj_secret") {
		t.Errorf("the token is %q, the settings are\n%s", service.Token, service.Settings)
	}
	var read Settings
	if err := Table(&read).Load(setting.Sources{File: "agent.yaml", Text: service.Settings}); err != nil {
		t.Fatal(err)
	}
	if read.Server != "https://mesh" || read.Labels["site"] != "harbour" || read.Dir != "/var/lib/testmesh-agent" || read.Drain.Minutes() != 15 || len(read.Egress) != 1 {
		t.Errorf("read again they are %+v", read)
	}
	for file, same := range map[string]bool{
		"server: https://mesh\nlabel: {site: harbour}\negress: [deny metadata]\nslots: 9\n": true,
		"server: https://other\nlabel: {site: harbour}\negress: [deny metadata]\n":          false,
		"server: https://mesh\n": false,
		"sever: https://mesh\n":  false,
	} {
		if err := service.Same([]byte(file)); (err == nil) != same {
			t.Errorf("%q: got %v", file, err)
		}
	}
}

func TestTheUnitEndsAfterTheDrain(t *testing.T) {
	var s Settings
	if err := Table(&s).Load(setting.Sources{File: "defaults", Text: []byte(serviceDefaults)}); err != nil {
		t.Fatal(err)
	}
	if s.Drain.Minutes() >= 20 || s.Dir != filepath.Join("/var/lib", "testmesh-agent") {
		t.Errorf("a drain may take %s, in %s: the unit says 20 minutes and /var/lib/testmesh-agent", s.Drain, s.Dir)
	}
}
