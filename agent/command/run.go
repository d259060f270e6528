package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/agent"
	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/agent/pluginhost/process"
	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/agent/probe"
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/systemd"
)

// run runs an agent until it has been drained, or was stopped.
func (c *Config) run(ctx context.Context, s Settings, again func() (Settings, error)) error {
	l := &life{config: c, log: slog.New(slog.NewTextHandler(c.Stderr, nil)), manager: systemd.New(c.LookupEnv, os.Getpid()), again: again}
	if l.manager != nil && c.Hangups != nil {
		l.reloads = c.Hangups()
	}
	err := c.wrap(l.run(ctx, s))
	if agent.Refused(err) || errors.Is(err, agent.ErrNoToken) {
		return lasting{err}
	}
	return err
}

// agent is what settings make of one.
func (c *Config) agent(s Settings, log *slog.Logger) (cfg agent.Config, err error) {
	rules, err := plugin.NewEgress(s.Egress)
	if err != nil {
		return cfg, err
	}
	allowed := map[string]bool{}
	for _, name := range s.AllowEnv {
		allowed[name] = true
	}
	cfg = agent.Config{
		Server: s.Server, Dir: s.Dir, Name: s.Name, Token: s.Token, Slots: s.Slots, CAFile: s.CAFile, Facts: facts(c.Version, s.Labels),
		Prober: probe.Within(rules), Version: c.Version, Logger: log, Listen: s.Listen, PostOnly: s.Stream == streamPost, AtRest: giveBack,
		Env: func(name string) (string, bool) {
			if !allowed[name] && !strings.HasPrefix(name, "TESTMESH_SECRET_") {
				return "", false
			}
			return c.LookupEnv(name)
		},
	}
	if c.Faults != nil {
		if cfg.Fault, err = c.Faults(); err != nil {
			return cfg, err
		}
	}
	set, err := c.plugins(s.Plugins)
	if err != nil {
		return cfg, err
	}
	cfg.Descriptors = set.descriptors
	cfg.Host, err = c.host(set, plugin.Host{Version: c.Version, AgentName: s.Name, Egress: rules})
	return cfg, err
}

func facts(version string, labels map[string]string) map[string]string {
	facts := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH, "version": version}
	maps.Copy(facts, labels)
	return facts
}

// set are the plugins that an agent offers.
type set struct {
	descriptors []*testmeshv1.Descriptor
	resident    map[string]func() plugin.Plugin
	programs    []pluginhost.Program
}

// Env are the variables that built-in plugins get: where proxies and certificate
// authorities are.
var env = [...]string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// plugins are the built-in ones, and those that the lock file of a folder names. Each
// file of these is checked against it, now and whenever one is started.
func (c *Config) plugins(folder string) (*set, error) {
	out := &set{resident: map[string]func() plugin.Plugin{}}
	for _, b := range c.Builtins {
		name := b.Descriptor.GetName()
		out.descriptors = append(out.descriptors, b.Descriptor)
		if !b.Apart {
			out.resident[name] = b.New
			continue
		}
		out.programs = append(out.programs, pluginhost.Program{
			Name: name, Version: b.Descriptor.GetVersion(), Command: []string{c.Executable, "plugin", "serve", name}, Descriptor: b.Descriptor, Env: env[:],
		})
	}
	if folder == "" {
		return out, nil
	}
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("find the plugins: %w", err)
	}
	store := pluginstore.Open(root)
	lock, problems, err := store.Lock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the plugins of this agent: %w", err)
	case len(problems.Errors()) > 0:
		return nil, problems.Err()
	case lock == nil:
		return nil, fmt.Errorf("there is no %s in %s\n  hint: testmesh plugin install NAME, in that folder, writes it", pluginstore.LockFile, root)
	}
	for i := range lock.Plugins {
		if err := out.add(store, &lock.Plugins[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (out *set) add(store *pluginstore.Store, p *pluginstore.Locked) error {
	for _, d := range out.descriptors {
		if d.GetName() == p.Name {
			return fmt.Errorf("plugin %s of %s has the name of a built-in one", p.Name, store.LockPath())
		}
	}
	if !slices.Contains(p.Protocol, pluginstore.Protocol) {
		return fmt.Errorf("plugin %s %s speaks protocol %v, and this agent speaks %d", p.Name, p.Version, p.Protocol, pluginstore.Protocol)
	}
	installed, err := store.Installed(p)
	if err == nil {
		err = installed.Verify()
	}
	if err != nil {
		return fmt.Errorf("%w\n  hint: testmesh plugin install, in %s, brings what the lock file names", err, store.Root())
	}
	command := slices.Clone(p.Command)
	if !strings.Contains(command[0], "/") { // an interpreter, which is no file of the package
		found, err := exec.LookPath(command[0])
		if err == nil {
			found, err = filepath.Abs(found)
		}
		if err != nil {
			return fmt.Errorf("plugin %s is run by %s, which is not in PATH: %w", p.Name, command[0], err)
		}
		command[0] = found
	}
	out.descriptors = append(out.descriptors, p.Descriptor)
	out.programs = append(out.programs, pluginhost.Program{
		Name: p.Name, Version: p.Version, Command: command, Dir: installed.Dir, Files: installed.Files, Descriptor: p.Descriptor, Env: p.Permissions.Env,
	})
	return nil
}

// host runs them.
func (c *Config) host(s *set, about plugin.Host) (*pluginhost.Host, error) {
	remote, err := process.New(process.Config{Programs: s.programs, Host: about, Environ: c.Environ})
	if err != nil {
		return nil, err
	}
	return pluginhost.New(pluginhost.Config{Resident: s.resident, Remote: remote, Host: about}), nil
}
