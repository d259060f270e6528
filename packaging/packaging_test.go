package packaging

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/testmesh/testmesh/agent/command"
	"github.com/testmesh/testmesh/cli/mesh"
	"github.com/testmesh/testmesh/sdk/setting"
)

// settings are those of one program, and what they come out as.
type settings struct {
	table  *setting.Table
	agent  command.Settings
	server mesh.Server
}

// programs are what a container or a unit runs, by a word of its name.
func program(name string) *settings {
	s := &settings{}
	if strings.Contains(name, "agent") {
		s.table = command.Table(&s.agent)
	} else {
		s.table = mesh.ServerSettings(&s.server)
	}
	return s
}

// commands are the variables of the command line, which is in the server's image too.
var commands = []string{"TESTMESH_SERVER", "TESTMESH_KEY_FILE"}

// load reads variables as the program would, and refuses those that it has not.
func (s *settings) load(t *testing.T, env map[string]string) {
	t.Helper()
	var page bytes.Buffer
	if err := s.table.Reference(&page); err != nil {
		t.Fatal(err)
	}
	known := regexp.MustCompile("`(TESTMESH_[A-Z0-9_]+)`").FindAllStringSubmatch(page.String(), -1)
	for name := range env {
		if !strings.HasPrefix(name, "TESTMESH_") || slices.Contains(commands, name) {
			continue
		}
		if !slices.ContainsFunc(known, func(k []string) bool { return k[1] == name || k[1] == strings.TrimSuffix(name, "_FILE") }) {
			t.Errorf("there is no variable %s", name)
		}
	}
	err := s.table.Load(setting.Sources{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile:  func(string) ([]byte, error) { return []byte("secret"), nil },
	})
	if err != nil {
		t.Error(err)
	}
	// What names the file of something that is no secret is heeded by nobody.
	for name := range env {
		if key, is := strings.CutSuffix(name, "_FILE"); is && !slices.Contains(commands, name) && !strings.Contains(page.String(), "`"+name+"`") {
			if !slices.Contains([]string{"TESTMESH_JOIN_TOKEN", "TESTMESH_NODE_TOKEN", "TESTMESH_ADMIN_KEY"}, key) {
				t.Errorf("%s is no secret", key)
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents decodes a file of YAML into as many T as it has; a key that T has not is an
// error.
func documents[T any](t *testing.T, name string) (all []T) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, name)))
	d.KnownFields(true)
	for {
		var one T
		err := d.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, one)
	}
}

// compose is what compose.yaml may say.
type compose struct {
	Name     string
	Services map[string]struct {
		Image       string
		Command     []string
		Restart     string
		ReadOnly    bool                                  `yaml:"read_only"`
		CapDrop     []string                              `yaml:"cap_drop"`
		SecurityOpt []string                              `yaml:"security_opt"`
		StopGrace   string                                `yaml:"stop_grace_period"`
		NetworkMode string                                `yaml:"network_mode"`
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Healthcheck struct {
			Test     []string
			Interval string
		}
		Tmpfs, Ports, Volumes, Secrets []string
		Environment                    map[string]string
	}
	Secrets map[string]struct{ File string }
	Volumes map[string]any
}

func TestCompose(t *testing.T) {
	all := documents[compose](t, "compose.yaml")
	if len(all) != 1 || len(all[0].Services) != 3 {
		t.Fatalf("got %d documents, %v", len(all), all)
	}
	c := all[0]
	for name, s := range c.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.Tmpfs, "/tmp") {
			t.Errorf("%s may do more than it must", name)
		}
		if !strings.HasPrefix(s.Image, "testmesh-agent:") && !strings.HasPrefix(s.Image, "testmesh-server:") {
			t.Errorf("%s has the image %s, which nothing here makes", name, s.Image)
		}
		p := program(s.Image)
		p.load(t, s.Environment)
		for _, one := range s.Secrets {
			if c.Secrets[one].File == "" {
				t.Errorf("%s wants a secret %s that there is not", name, one)
			}
		}
		for _, one := range s.Volumes {
			volume, _, _ := strings.Cut(one, ":")
			if _, ok := c.Volumes[volume]; !ok {
				t.Errorf("%s wants a volume %s that there is not", name, volume)
			}
		}
		if p.agent.Drain > 0 {
			if grace, err := time.ParseDuration(s.StopGrace); err != nil || grace <= p.agent.Drain {
				t.Errorf("%s may drain for %s, and has %s (%v)", name, p.agent.Drain, s.StopGrace, err)
			}
		}
	}
	if got := c.Services["agent"].Environment["TESTMESH_SERVER"]; got != "http://server:7070" || c.Services["server"].Ports[0] != "127.0.0.1:7070:7070" {
		t.Errorf("the agent asks %s", got)
	}
	if c.Services["agent"].NetworkMode != "service:api" {
		t.Error("the agent does not share the network of the service")
	}
}

var dockerEnv = regexp.MustCompile(`(TESTMESH_[A-Z_]+|PATH)=(\S+)`)

func TestImages(t *testing.T) {
	for name, file := range map[string]string{"agent": "agent.Dockerfile", "server": "server.Dockerfile"} {
		text := read(t, file)
		env := map[string]string{}
		for _, m := range dockerEnv.FindAllStringSubmatch(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(text, ""), -1) {
			env[m[1]] = m[2]
		}
		p := program(name)
		p.load(t, env)
		for _, want := range []string{"\nFROM scratch\n", "\nUSER 65532:65532\n", "\nSTOPSIGNAL SIGTERM\n", "\nHEALTHCHECK ", "\nENTRYPOINT ["} {
			if !strings.Contains("\n"+text, want) {
				t.Errorf("%s has no %q", file, strings.TrimSpace(want))
			}
		}
		state := p.agent.Dir + p.server.Dir
		if !strings.Contains(text, "COPY --chown=65532:65532 state "+state+"\n") || !strings.Contains(text, "\nVOLUME "+state+"\n") {
			t.Errorf("%s does not keep %s", file, state)
		}
		if name == "server" && (p.server.Address != "0.0.0.0:7070" || !strings.Contains(text, "\nEXPOSE 7070 7072\n")) {
			t.Errorf("the server listens at %s", p.server.Address)
		}
	}
}

var (
	execStart = regexp.MustCompile(`(?m)^ExecStart=(\S+) (.*)$`)
	stopAfter = regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`)
)

func TestUnits(t *testing.T) {
	for file, config := range map[string]string{"../agent/install/testmesh-agent.service": "agent.yaml", "testmesh-server.service": "server.yaml"} {
		text := read(t, file)
		start := execStart.FindStringSubmatch(text)
		if start == nil || !strings.HasSuffix(start[2], "--config /etc/testmesh/"+config) {
			t.Fatalf("%s starts %q", file, start)
		}
		p := program(filepath.Base(file))
		if err := p.table.Load(setting.Sources{File: config, Text: []byte(read(t, config))}); err != nil {
			t.Fatal(err)
		}
		dir := p.agent.Dir + p.server.Dir
		if !strings.Contains(text, "\nStateDirectory="+filepath.Base(dir)+"\n") || filepath.Dir(dir) != "/var/lib" {
			t.Errorf("%s may not write to %s", file, dir)
		}
		stop, err := time.ParseDuration(strings.NewReplacer("min", "m", "sec", "s").Replace(stopAfter.FindStringSubmatch(text)[1]))
		if err != nil || stop <= p.agent.Drain {
			t.Errorf("%s is ended after %s, and may drain for %s (%v)", file, stop, p.agent.Drain, err)
		}
		for _, want := range []string{"Type=notify", "WatchdogSec=60s", "RestartPreventExitStatus=78", "StartLimitIntervalSec=0", "NoNewPrivileges=yes", "CapabilityBoundingSet="} {
			if !strings.Contains(text, "\n"+want+"\n") {
				t.Errorf("%s has no %s", file, want)
			}
		}
		if command.ExitLasting != 78 {
			t.Errorf("the program ends with %d where another try changes nothing", command.ExitLasting)
		}
	}
}

func TestMaintainerScripts(t *testing.T) {
	scripts, err := filepath.Glob("deb/*.p*")
	if err != nil || len(scripts) != 6 {
		t.Fatalf("got %q, %v", scripts, err)
	}
	for _, file := range scripts {
		text := read(t, file)
		if !strings.HasPrefix(text, "#!/bin/sh\n") || !strings.Contains(text, "\nset -e\n") {
			t.Errorf("%s goes on after an error", file)
		}
	}
	fields := map[string]bool{}
	controls, err := filepath.Glob("deb/*.control")
	if err != nil || len(controls) != 3 {
		t.Fatalf("got %q, %v", controls, err)
	}
	for _, file := range controls {
		for line := range strings.Lines(read(t, file)) {
			if name, _, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") {
				fields[name] = true
			}
		}
	}
	for _, want := range []string{"Package", "Version", "Architecture", "Maintainer", "Description"} {
		if !fields[want] {
			t.Errorf("no %s in %v", want, slices.Sorted(maps.Keys(fields)))
		}
	}
}
