package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent/install"
	"github.com/testmesh/testmesh/sdk/setting"
)

// settingsHead begins the file of settings of a service.
const settingsHead = `# Settings of the TestMesh agent that runs as a service (testmesh-agent.service).
# Lines that begin with # and no blank are settings with their defaults: take the # away
# to change one, then: systemctl reload testmesh-agent
# Variables in /etc/testmesh/agent.env win over this file. Secrets belong there, or into
# /etc/testmesh/join-token.
`

// serviceDefaults are what a service is told beside what anybody says.
const serviceDefaults = "data: /var/lib/testmesh-agent\ndrain: 15m\n"

// SettingsFile writes the file of settings that a package brings.
func SettingsFile(w io.Writer) error {
	s := Settings{}
	table := Table(&s)
	if err := table.Load(setting.Sources{File: "defaults", Text: []byte(serviceDefaults)}); err != nil {
		return err
	}
	return settingsFile(w, table)
}

func settingsFile(w io.Writer, table *setting.Table) error {
	if _, err := io.WriteString(w, settingsHead); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return table.Example(w)
}

func (c *Config) install() *cobra.Command {
	s := Settings{}
	table := Table(&s)
	dry := false
	cmd := &cobra.Command{
		Use: "install", Short: "Make a service of an agent on this machine", Args: cobra.NoArgs,
		Long: "Make a service of an agent on this machine: copy the program to /usr/local/bin, write its unit for systemd, its settings to\n" +
			"/etc/testmesh/agent.yaml and its join token, and start it. A package has brought program and unit; then the rest is done.\n" +
			"Each step is said. The flags are the settings of the service; what is there already is not written over.",
		Example: "  sudo " + c.Name + " install --server https://mesh.example.com --token tmj_…\n" +
			"  " + c.Name + " install --server https://mesh.example.com --token tmj_… --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := c.service(dry)
			if err != nil {
				return err
			}
			if err := c.fill(service, table, &s); err != nil {
				return err
			}
			if err := service.Install(cmd.Context()); err != nil {
				return c.explained(cmd.Context(), service, err)
			}
			if !dry {
				text, err := service.System(cmd.Context(), "show", "--property=StatusText", "--value", install.Name)
				if err != nil {
					return fmt.Errorf("ask how the service is doing: %w", err)
				}
				fmt.Fprintf(c.Stdout, "the service runs: %s\n", strings.TrimSpace(text))
			}
			return nil
		},
	}
	table.Flags(cmd.Flags())
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

func (c *Config) uninstall() *cobra.Command {
	dry, purge := false, false
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Undo what install has done", Args: cobra.NoArgs,
		Long: "Undo what install has done: stop the service, which finishes what it has first, and remove its unit and program. Settings, key\n" +
			"and what was not sent yet stay, but with --purge. The control plane knows the agent until testmesh agents revoke.",
		Example: "  sudo " + c.Name + " uninstall\n  sudo " + c.Name + " uninstall --purge --dry-run",
		RunE: func(cmd *cobra.Command, _ []string) error {
			service, err := c.service(dry)
			if err != nil {
				return err
			}
			return service.Uninstall(cmd.Context(), purge)
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&purge, "purge", false, "remove its settings, its key and what it has not sent too")
	return cmd
}

// service is what both work with; a machine or a user that cannot have one is refused.
func (c *Config) service(dry bool) (*install.Service, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("services are made for Linux with systemd; elsewhere start the agent as this system starts its services")
	}
	if !dry && c.User() != 0 {
		return nil, fmt.Errorf("only root may make a service or remove one\n  hint: sudo %s …, or --dry-run to see what would be done", c.Name)
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil && !dry {
		return nil, errors.New("systemd does not run here, and the service is one of systemd's")
	}
	s := &install.Service{Root: "/", Called: "testmesh-agent", Out: c.Stdout, DryRun: dry, System: func(ctx context.Context, args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
		return string(out), err
	}}
	if c.Name != s.Called {
		s.Called, s.Verb = "testmesh", "agent"
	}
	var err error
	if s.Program, err = filepath.EvalSymlinks(c.Executable); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return s, nil
}

// fill makes the settings of the service of those that were given.
func (c *Config) fill(service *install.Service, table *setting.Table, s *Settings) error {
	// No variable of this shell is one of the service, but the token.
	var token Settings
	if err := c.load(Table(&token), ""); err != nil {
		return err
	}
	if err := table.Load(setting.Sources{File: "defaults", Text: []byte(serviceDefaults)}); err != nil {
		return err
	}
	if service.Token = s.Token; service.Token == "" {
		service.Token = token.Token
	}
	var text, pristine bytes.Buffer
	if err := errors.Join(settingsFile(&text, table), SettingsFile(&pristine)); err != nil {
		return err
	}
	if service.Pristine = pristine.Bytes(); s.Server != "" {
		service.Settings = text.Bytes()
	}
	service.Same = func(file []byte) error { return holds(table, file) }
	return nil
}

// holds is an error where flags say something else than a file.
func holds(flags *setting.Table, file []byte) error {
	var there, both Settings
	src := setting.Sources{File: install.Settings, Text: file}
	above := Table(&both)
	if err := errors.Join(Table(&there).Load(src), above.Flagged(flags), above.Load(src)); err != nil {
		return err
	}
	both.Token = there.Token // is no matter of the file
	if !reflect.DeepEqual(there, both) {
		return errors.New("the flags say something else than the file does")
	}
	return nil
}

// explained adds what the service itself said to an error.
func (c *Config) explained(ctx context.Context, service *install.Service, err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	said, _ := exec.CommandContext(ctx, "journalctl", "--unit", install.Name, "--lines", "5", "--output", "cat", "--no-pager").Output() // more than nothing is a gift
	if state, asked := service.System(ctx, "is-active", install.Name); asked == nil && strings.TrimSpace(state) == "active" {
		return err
	}
	return fmt.Errorf("%w\nthe service said:\n%s", err, strings.TrimSpace(string(said)))
}
