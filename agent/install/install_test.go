package install

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machine is one with systemd, as far as a service sees it.
type machine struct {
	t      *testing.T
	root   string
	calls  []string
	fails  string
	output bytes.Buffer
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir()}
	m.put("/home/ann/testmesh-agent", "the program")
	return m
}

func (m *machine) put(file, text string) {
	m.t.Helper()
	name := filepath.Join(m.root, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o755)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) text(file string) string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.root, file))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(text)
}

// files are all that there are, with their modes.
func (m *machine) files() (list []string) {
	m.t.Helper()
	err := filepath.WalkDir(m.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		list = append(list, info.Mode().String()+" "+strings.TrimPrefix(path, m.root))
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return list
}

func (m *machine) service() *Service {
	return &Service{
		Root: m.root, Program: filepath.Join(m.root, "home/ann/testmesh-agent"), Called: "testmesh-agent",
		Settings: []byte("server: https://mesh\n"), Pristine: []byte("# nothing\n"), Token: "tmj_x", Out: &m.output,
		Same: func(file []byte) error {
			if !strings.Contains(string(file), "https://mesh") {
				return errors.New("another control plane")
			}
			return nil
		},
		System: func(_ context.Context, args ...string) (string, error) {
			m.calls = append(m.calls, strings.Join(args, " "))
			if args[0] == m.fails {
				return "it is broken", errors.New("exit status 1")
			}
			return "", nil
		},
	}
}

func TestInstallAndUninstall(t *testing.T) {
	m := newMachine(t)
	if err := m.service().Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"-rw------- /etc/testmesh/join-token", "-rw-r--r-- /etc/systemd/system/testmesh-agent.service", "-rw-r--r-- /etc/testmesh/agent.yaml",
		"-rwxr-xr-x /home/ann/testmesh-agent", "-rwxr-xr-x /usr/local/bin/testmesh-agent",
	}
	got := m.files()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other files than wanted (-, +):\n%s", diff)
	}
	if unit := m.text(unitFile); !strings.Contains(unit, "\nExecStart=/usr/local/bin/testmesh-agent --config /etc/testmesh/agent.yaml\n") || strings.Contains(unit, "/usr/bin/testmesh-agent") {
		t.Errorf("the unit starts another program:\n%s", unit)
	}
	if got := m.text(token); got != "tmj_x\n" {
		t.Errorf("the token is %q", got)
	}
	if diff := cmp.Diff([]string{"daemon-reload", "enable " + Name, "restart " + Name}, m.calls); diff != "" {
		t.Errorf("systemd was told others (-, +):\n%s", diff)
	}

	// Again, with a newer program, no token and no flags.
	m.put("/home/ann/testmesh-agent", "the newer program")
	again := m.service()
	again.Settings, again.Token = nil, ""
	m.put(state+"/key.json", "{}")
	if err := again.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := m.text(programs + "/testmesh-agent"); got != "the newer program" {
		t.Errorf("the program is %q", got)
	}

	m.calls = nil
	if err := m.service().Uninstall(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"stop " + Name, "disable " + Name, "daemon-reload"}, m.calls); diff != "" {
		t.Errorf("systemd was told others (-, +):\n%s", diff)
	}
	got = m.files()
	slices.Sort(got)
	want = []string{"-rw------- " + token, "-rw-r--r-- " + Settings, "-rwxr-xr-x " + state + "/key.json", "-rwxr-xr-x /home/ann/testmesh-agent"}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("left are others than wanted (-, +):\n%s", diff)
	}
	if err := m.service().Uninstall(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"-rwxr-xr-x /home/ann/testmesh-agent"}, m.files()); diff != "" {
		t.Errorf("left are others than wanted (-, +):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(m.root, "etc/testmesh")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of settings is left: %v", err)
	}
	if err := m.service().Uninstall(t.Context(), false); err == nil || !strings.Contains(err.Error(), "there is no service here") {
		t.Errorf("got %v", err)
	}
}

func TestADryRunDoesNothing(t *testing.T) {
	m := newMachine(t)
	before := m.files()
	s := m.service()
	s.DryRun = true
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, m.files()); diff != "" || len(m.calls) > 0 {
		t.Errorf("it did %q and\n%s", m.calls, diff)
	}
	for _, want := range []string{"would copy the program", "would write the unit", "would write the settings", "would write the join token", "would start it now"} {
		if !strings.Contains(m.output.String(), want) {
			t.Errorf("%q is not said in\n%s", want, &m.output)
		}
	}
}

func TestAPackageHasBroughtTheUnit(t *testing.T) {
	m := newMachine(t)
	m.put(packaged[0], unit)
	m.put(Settings, "# nothing\n")
	if err := m.service().Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, file := range m.files() {
		if strings.Contains(file, unitFile) || strings.Contains(file, programs) {
			t.Errorf("%s was written beside the package's", file)
		}
	}
	if got := m.text(Settings); got != "server: https://mesh\n" {
		t.Errorf("the settings are %q", got)
	}
	if err := m.service().Uninstall(t.Context(), true); err == nil || !strings.Contains(err.Error(), "apt remove") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotWrittenOver(t *testing.T) {
	for want, prepare := range map[string]func(m *machine, s *Service){
		"says otherwise: another control plane": func(m *machine, _ *Service) { m.put(Settings, "server: https://other\n") },
		"that install has not written":          func(m *machine, _ *Service) { m.put(unitFile, "[Unit]\n") },
		"it needs a join token":                 func(_ *machine, s *Service) { s.Token = "" },
		"which control plane":                   func(_ *machine, s *Service) { s.Settings = nil },
		"start it now, or again: an agent that runs finishes what it has first: exit status 1: it is broken": func(m *machine, _ *Service) { m.fails = "restart" },
	} {
		t.Run(want, func(t *testing.T) {
			m := newMachine(t)
			s := m.service()
			prepare(m, s)
			if err := s.Install(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			if m.fails == "" && len(m.calls) > 0 {
				t.Errorf("systemd was told %q", m.calls)
			}
		})
	}
	m := newMachine(t)
	m.put(unitFile, "[Unit]\n")
	if err := m.service().Uninstall(t.Context(), true); err == nil || m.text(unitFile) == "" {
		t.Errorf("a unit of somebody else was removed: %v", err)
	}
	kept := newMachine(t)
	kept.put(Settings, "server: https://mesh\nslots: 9\n")
	if err := kept.service().Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := kept.text(Settings); !strings.Contains(got, "slots: 9") {
		t.Errorf("the settings are %q", got)
	}
}

func TestTheUnitOfTheWholeProgram(t *testing.T) {
	m := newMachine(t)
	s := m.service()
	s.Called, s.Verb = "testmesh", "agent"
	if err := s.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := m.text(unitFile); !strings.Contains(text, "\nExecStart=/usr/local/bin/testmesh agent --config /etc/testmesh/agent.yaml\n") {
		t.Errorf("got\n%s", text)
	}
	if err := m.service().Uninstall(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(m.root, programs, "testmesh")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the program is left: %v", err)
	}
}
