package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginhost"
	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/sdk/plugin"
)

// Launch is what a host of plugins in processes of their own is made of.
type Launch struct {
	Programs []pluginhost.Program
	Host     plugin.Host
	// Log takes what plugins print, with secrets masked; nil: nobody reads it.
	Log func(plugin, line string)
}

// overrideVariable names the file of one more plugin in development: how `plugin
// test` runs the author's flows without touching the project.
const overrideVariable = "TESTMESH_PLUGIN_OVERRIDE"

// builtinEnv is what a built-in plugin in a process of its own sees of the
// environment: proxies and certificates, as it does in this one.
func builtinEnv() []string {
	return []string{
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
	}
}

// pluginSet are the plugins that a project may use. It starts nothing.
type pluginSet struct {
	descriptors []*testmeshv1.Descriptor
	resident    map[string]func() plugin.Plugin
	programs    []pluginhost.Program
	notes       []string
	// absent are the plugins that cannot run here.
	absent map[string]absence
	// used are the plugins that the flows ask for.
	used map[string]bool
	// slim is that answer where this program cannot run plugins apart.
	slim string
	// check verifies the files of installed plugins, as --locked wants it.
	check map[string]*pluginstore.Package
}

// absence is why a plugin cannot run here, and what to do.
type absence struct{ message, hint string }

// installHint is what puts right what is not as the lock file says.
const installHint = "testmesh plugin install brings what " + pluginstore.LockFile + " names"

// plugins reads plugins.lock and what is in development.
func (s *State) plugins(p *project, locked, isolate bool) (*pluginSet, error) {
	set := &pluginSet{resident: map[string]func() plugin.Plugin{}, absent: map[string]absence{}, used: map[string]bool{}, check: map[string]*pluginstore.Package{}}
	for _, b := range s.Plugins {
		set.builtin(b, s.Executable, isolate || b.Apart)
	}
	if s.Launch == nil && s.Whole == nil {
		set.slim = "this build of testmesh runs no plugins but its own: take the whole one"
	}
	store := pluginstore.Open(p.path)
	lock, problems, err := store.Lock()
	if err != nil {
		return nil, usage("", "%w", err)
	}
	if bad := problems.Errors(); len(bad) > 0 {
		return nil, &problemsError{bad}
	}
	if locked && lock == nil {
		return nil, usage("testmesh plugin install writes it, and it is committed; a project without plugins of its own runs without --locked",
			"--locked: there is no %s in %s", pluginstore.LockFile, p.path)
	}
	dev, err := s.inDevelopment(store)
	if err != nil {
		return nil, usage("", "%w", err)
	}
	if locked && len(dev) > 0 {
		return nil, usage(fmt.Sprintf("end testmesh plugin dev, or delete %s and take %s out of the environment", store.OverridePath(dev[0].Name), overrideVariable),
			"--locked: plugin %s is in development in %s, and is not what %s says", dev[0].Name, dev[0].Dir, pluginstore.LockFile)
	}
	for _, o := range dev {
		if err := set.develop(o); err != nil {
			return nil, err
		}
	}
	if lock != nil {
		for i := range lock.Plugins {
			if err := set.add(store, &lock.Plugins[i], locked); err != nil {
				return nil, err
			}
		}
	}
	return set, nil
}

func (s *State) inDevelopment(store *pluginstore.Store) ([]pluginstore.Override, error) {
	list, err := store.Overrides()
	if err != nil {
		return nil, err
	}
	file := s.env(overrideVariable)
	if file == "" {
		return list, nil
	}
	one, err := pluginstore.ReadOverride(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", overrideVariable, err)
	}
	out := []pluginstore.Override{one}
	for _, o := range list {
		if o.Name != one.Name {
			out = append(out, o)
		}
	}
	return out, nil
}

// builtins are the descriptors of the plugins of this program.
func (s *State) builtins() []*testmeshv1.Descriptor {
	out := make([]*testmeshv1.Descriptor, len(s.Plugins))
	for i, b := range s.Plugins {
		out[i] = b.Descriptor
	}
	return out
}

func (set *pluginSet) has(name string) bool {
	for _, d := range set.descriptors {
		if d.GetName() == name {
			return true
		}
	}
	return false
}

func (set *pluginSet) builtin(b Builtin, executable string, apart bool) {
	name := b.Descriptor.GetName()
	set.descriptors = append(set.descriptors, b.Descriptor)
	if !apart {
		set.resident[name] = b.New
		return
	}
	set.programs = append(set.programs, BuiltinProgram(b.Descriptor, executable))
}

// BuiltinProgram is how a built-in plugin runs in a process of its own: as this very
// program, started again.
func BuiltinProgram(d *testmeshv1.Descriptor, executable string) pluginhost.Program {
	return pluginhost.Program{
		Name: d.GetName(), Version: d.GetVersion(), Command: []string{executable, "plugin", "serve", d.GetName()},
		Descriptor: d, Env: builtinEnv(),
	}
}

// develop takes an author's own build, which nothing is known of.
func (set *pluginSet) develop(o pluginstore.Override) error {
	if set.has(o.Name) {
		return usage("give the plugin another name", "plugin %s in %s has the name of a built-in plugin", o.Name, o.Dir)
	}
	set.descriptors = append(set.descriptors, o.Descriptor)
	set.notes = append(set.notes, fmt.Sprintf("plugin %s is the unlocked build in %s", o.Name, o.Dir))
	command, hint := program(o.Command, set.slim)
	if hint != "" {
		set.absent[o.Name] = absence{fmt.Sprintf("plugin %s cannot be started", o.Name), hint}
		return nil
	}
	set.programs = append(set.programs, pluginhost.Program{
		Name: o.Name, Version: o.Version, Command: command, Dir: o.Dir, Env: o.Permissions.Env, Unverified: true,
	})
	return nil
}

// add takes a plugin of the lock file, installed or not.
func (set *pluginSet) add(store *pluginstore.Store, l *pluginstore.Locked, locked bool) error {
	if _, resident := set.resident[l.Name]; resident {
		return usage("testmesh plugin remove "+l.Name, "plugin %s of %s has the name of a built-in plugin", l.Name, pluginstore.LockFile)
	}
	if set.has(l.Name) {
		return nil // in development
	}
	set.descriptors = append(set.descriptors, l.Descriptor)
	if !slices.Contains(l.Protocol, pluginstore.Protocol) {
		set.absent[l.Name] = absence{
			fmt.Sprintf("plugin %s %s speaks protocol %d, and this testmesh speaks %d", l.Name, l.Version, l.Protocol, pluginstore.Protocol),
			"take a version of the plugin for it, or another testmesh",
		}
		return nil
	}
	installed, err := store.Installed(l)
	switch {
	case errors.Is(err, pluginstore.ErrNotInstalled):
		set.absent[l.Name] = absence{fmt.Sprintf("plugin %s %s is not installed", l.Name, l.Version), installHint}
		return nil
	case errors.Is(err, pluginstore.ErrChanged):
		set.absent[l.Name] = absence{fmt.Sprintf("plugin %s is not what %s says", l.Name, pluginstore.LockFile), installHint}
		return nil
	case err != nil:
		return usage("testmesh plugin install", "%w", err)
	}
	command, hint := program(l.Command, set.slim)
	if hint != "" {
		set.absent[l.Name] = absence{fmt.Sprintf("plugin %s cannot be started", l.Name), hint}
		return nil
	}
	if locked {
		set.check[l.Name] = installed
	}
	set.programs = append(set.programs, pluginhost.Program{
		Name: l.Name, Version: l.Version, Command: command, Dir: installed.Dir, Files: installed.Files,
		Descriptor: l.Descriptor, Env: l.Permissions.Env,
	})
	return nil
}

// program finds the first word of a command that is no file of the package.
func program(command []string, slim string) (found []string, hint string) {
	if slim != "" {
		return nil, slim
	}
	if strings.Contains(command[0], "/") {
		return command, ""
	}
	full, err := exec.LookPath(command[0])
	if err == nil {
		full, err = filepath.Abs(full)
	}
	if err != nil {
		return nil, fmt.Sprintf("it is run by %s, which is not in PATH", command[0])
	}
	return append([]string{full}, command[1:]...), ""
}

// uninstalled is flow.Options.Uninstalled: asked for each plugin that is used.
func (set *pluginSet) uninstalled(name string) (message, hint string) {
	set.used[name] = true
	if installed := set.check[name]; installed != nil {
		delete(set.check, name)
		if err := installed.Verify(); err != nil {
			set.absent[name] = absence{fmt.Sprintf("plugin %s is not what %s says: %v", name, pluginstore.LockFile, err), installHint}
		}
	}
	why := set.absent[name]
	return why.message, why.hint
}

func (set *pluginSet) catalog() (*catalog.Catalog, error) { return catalog.New(set.descriptors...) }

// become makes this program the one that can host the plugins that the flows use,
// where it cannot and they use any. It is asked before anything is opened.
func (s *State) become(set *pluginSet) error {
	if s.Whole == nil {
		return nil
	}
	for _, p := range set.programs {
		if set.used[p.Name] {
			return usage("", "%w", s.Whole())
		}
	}
	return nil
}

// host makes the host of the run's plugins; it starts none of them.
func (s *State) host(set *pluginSet, verbose bool) (*pluginhost.Host, error) {
	cfg := pluginhost.Config{Resident: set.resident}
	if len(set.programs) > 0 && s.Launch != nil { // else none of them is used
		var err error
		l := Launch{Programs: set.programs, Host: plugin.Host{Version: s.Version, AgentName: "local"}}
		if verbose {
			l.Log = func(plugin, line string) { fmt.Fprintf(s.Stderr, "plugin %s: %s\n", plugin, line) }
		}
		cfg.Remote, err = s.Launch(l)
		if err != nil {
			return nil, err
		}
	}
	return pluginhost.New(cfg), nil
}
