// Package install makes a service of an agent on a machine with systemd, and undoes it:
// the program, its unit, its settings and its join token. It says each step, and never
// touches what a package of the system has brought.
package install

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// unit is the service, as packages bring it too.
//
//go:embed testmesh-agent.service
var unit string

// Where things are. Packages have their units in the first folders.
const (
	Name     = "testmesh-agent.service"
	Settings = "/etc/testmesh/agent.yaml"
	token    = "/etc/testmesh/join-token"
	variable = "/etc/testmesh/agent.env"
	unitFile = "/etc/systemd/system/" + Name
	programs = "/usr/local/bin"
	// The state of a service whose user is made with it lies in the second, and the first
	// leads there.
	state        = "/var/lib/testmesh-agent"
	statePrivate = "/var/lib/private/testmesh-agent"
)

var packaged = [...]string{"/usr/lib/systemd/system/" + Name, "/lib/systemd/system/" + Name}

// mark begins a unit that Install has written, and is what Uninstall goes by.
const mark = "# Written by testmesh agent install; testmesh agent uninstall removes it.\n"

// Service is an agent that is to be one, or is no longer.
type Service struct {
	// Root is "/"; a test has another one.
	Root string
	// Program is this program's own file, called Called there, with what comes before the
	// settings: "agent", or nothing.
	Program, Called, Verb string
	// Settings are the text of the file of settings, nil: what is there is meant. Pristine
	// is that of one nobody has changed. Same is an error where a file that is there does
	// not mean what was asked for.
	Settings, Pristine []byte
	Same               func(file []byte) error
	// Token lets the agent join; empty: it has joined.
	Token string
	// System runs systemctl, and gives what it prints.
	System func(ctx context.Context, args ...string) (string, error)
	// Out is where each step is said; DryRun does nothing else.
	Out    io.Writer
	DryRun bool
}

// step is one thing to do, and how it is said.
type step struct {
	say string
	do  func() error
}

// Install makes the service and starts it.
func (s *Service) Install(ctx context.Context) error {
	steps, err := s.plan(ctx)
	if err != nil {
		return err
	}
	return s.take(steps)
}

func (s *Service) plan(ctx context.Context) (steps []step, err error) {
	if !s.packaged() {
		own, err := s.own()
		if err != nil {
			return nil, err
		}
		steps = append(steps, own...)
	}
	settings, err := s.settings()
	if err != nil {
		return nil, err
	}
	steps = append(steps, settings...)
	switch {
	case s.Token != "":
		steps = append(steps, s.write(token, []byte(s.Token+"\n"), 0o600, "write the join token to "+token+", which only root can read"))
	case !s.exists(statePrivate+"/key.json") && !s.exists(state+"/key.json") && !s.exists(token):
		return nil, errors.New("this agent has not joined yet: it needs a join token\n  hint: testmesh agents token makes one; give it as --token tmj_…, or in TESTMESH_JOIN_TOKEN")
	}
	return append(steps,
		s.systemctl(ctx, "have systemd read its units again", "daemon-reload"),
		s.systemctl(ctx, "start it with the machine", "enable", Name),
		s.systemctl(ctx, "start it now, or again: an agent that runs finishes what it has first", "restart", Name)), nil
}

// own are the steps for what no package has brought.
func (s *Service) own() ([]step, error) {
	if text, err := os.ReadFile(s.at(unitFile)); err == nil && !strings.HasPrefix(string(text), mark) {
		return nil, fmt.Errorf("there is a unit %s that install has not written\n  hint: remove it first", unitFile)
	}
	program := programs + "/" + s.Called
	command := program
	if s.Verb != "" {
		command += " " + s.Verb
	}
	text := mark + strings.Replace(unit, "ExecStart=/usr/bin/testmesh-agent ", "ExecStart="+command+" ", 1)
	steps := []step{}
	if s.Program != s.at(program) {
		steps = append(steps, step{"copy the program to " + program, func() error { return copyFile(s.Program, s.at(program)) }})
	}
	return append(steps, s.write(unitFile, []byte(text), 0o644, "write the unit "+unitFile)), nil
}

// settings are the steps for the file of settings: one that somebody has written is
// never written over.
func (s *Service) settings() ([]step, error) {
	there, err := os.ReadFile(s.at(Settings))
	switch {
	case s.Settings == nil && (err != nil || bytes.Equal(there, s.Pristine)):
		return nil, errors.New("which control plane?\n  hint: --server https://mesh.example.com")
	case errors.Is(err, fs.ErrNotExist), err == nil && bytes.Equal(there, s.Pristine):
		return []step{s.write(Settings, s.Settings, 0o644, "write the settings to "+Settings)}, nil
	case err != nil:
		return nil, fmt.Errorf("read the settings: %w", err)
	case bytes.Equal(there, s.Settings):
		return nil, nil
	}
	if err := s.Same(there); err != nil {
		return nil, fmt.Errorf("%s is there, and says otherwise: %w\n  hint: change that file, and leave the flags out; or move it away", Settings, err)
	}
	return []step{{"keep the settings of " + Settings, func() error { return nil }}}, nil
}

func (s *Service) packaged() bool {
	for _, file := range packaged {
		if s.exists(file) {
			return true
		}
	}
	return false
}

// Uninstall undoes what Install did. Settings, key, and what was not sent yet stay, but
// where purge is wanted.
func (s *Service) Uninstall(ctx context.Context, purge bool) error {
	if s.packaged() {
		return errors.New("a package has brought this service\n  hint: apt remove testmesh-agent ends and removes it, apt purge testmesh-agent also what it has")
	}
	text, err := os.ReadFile(s.at(unitFile))
	if errors.Is(err, fs.ErrNotExist) && purge {
		return s.take(s.purge())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no service here that install has made")
	}
	if err != nil {
		return fmt.Errorf("read the unit: %w", err)
	}
	if !strings.HasPrefix(string(text), mark) {
		return fmt.Errorf("%s was not written by install, and is left alone", unitFile)
	}
	steps := []step{
		s.systemctl(ctx, "stop it: it finishes what it has first", "stop", Name),
		s.systemctl(ctx, "start it with the machine no more", "disable", Name),
		s.remove(unitFile),
		s.systemctl(ctx, "have systemd read its units again", "daemon-reload"),
	}
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(line, "ExecStart=")
		if program, _, _ := strings.Cut(command, " "); ok && filepath.Dir(program) == programs {
			steps = append(steps, s.remove(program))
		}
	}
	if purge {
		steps = append(steps, s.purge()...)
	}
	return s.take(steps)
}

func (s *Service) purge() []step {
	var steps []step
	for _, file := range []string{Settings, token, variable} {
		steps = append(steps, s.remove(file))
	}
	return append(steps,
		step{"remove its key, and what it has not sent, in " + state, func() error {
			return errors.Join(os.RemoveAll(s.at(statePrivate)), os.RemoveAll(s.at(state)))
		}},
		step{"remove " + filepath.Dir(Settings) + " where nothing else is in it", func() error {
			if left, err := os.ReadDir(s.at(filepath.Dir(Settings))); err != nil || len(left) > 0 {
				return nil //nolint:nilerr // it is not there, or is somebody else's too
			}
			return os.Remove(s.at(filepath.Dir(Settings)))
		}})
}

// take does the steps, or says them.
func (s *Service) take(steps []step) error {
	for _, one := range steps {
		if s.DryRun {
			fmt.Fprintln(s.Out, "would", one.say)
			continue
		}
		fmt.Fprintln(s.Out, one.say)
		if err := one.do(); err != nil {
			return fmt.Errorf("%s: %w", one.say, err)
		}
	}
	return nil
}
