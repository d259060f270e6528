package plugin

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/flow/value"
)

// listed is a plugin as -o json prints it.
type listed struct {
	Name        string                   `json:"name"`
	Version     string                   `json:"version"`
	Summary     string                   `json:"summary"`
	State       string                   `json:"state"` // built-in, installed, missing, changed, development
	Source      *pluginstore.Source      `json:"source,omitempty"`
	Range       string                   `json:"range,omitempty"`
	Dir         string                   `json:"dir,omitempty"`
	Protocol    []int                    `json:"protocol,omitempty"`
	Permissions *pluginstore.Permissions `json:"permissions,omitempty"`
	Platforms   []string                 `json:"platforms,omitempty"`
	Actions     []string                 `json:"actions,omitempty"`
	Functions   []string                 `json:"functions,omitempty"`

	descriptor *testmeshv1.Descriptor
}

func describeListed(name, version, state string, d *testmeshv1.Descriptor) listed {
	return listed{
		Name: name, Version: version, Summary: d.GetSummary(), State: state,
		Actions: actionNames(d), Functions: functionNames(d), descriptor: d,
	}
}

// known are all plugins that the project can name, by name.
func (t *tool) known(cmd *cobra.Command, s *pluginstore.Store) ([]listed, error) {
	out := map[string]listed{}
	for _, b := range t.Builtins {
		d := b.Descriptor
		out[d.GetName()] = describeListed(d.GetName(), d.GetVersion(), "built-in", d)
	}
	lock, err := t.lock(cmd, s)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		for i := range lock.Plugins {
			entry := &lock.Plugins[i]
			l := describeListed(entry.Name, entry.Version, "installed", entry.Descriptor)
			l.Source, l.Range, l.Protocol, l.Permissions = &entry.Source, entry.Range, entry.Protocol, &entry.Permissions
			l.Platforms = slices.Sorted(maps.Keys(entry.Platforms))
			installed, err := s.Installed(entry)
			if err == nil {
				l.Dir = installed.Dir
				err = installed.Verify()
			}
			switch {
			case errors.Is(err, pluginstore.ErrNotInstalled):
				l.State = "missing"
			case err != nil:
				l.State = "changed"
			}
			out[entry.Name] = l
		}
	}
	dev, err := s.Overrides()
	if err != nil {
		return nil, usage("", "%w", err)
	}
	for _, o := range dev {
		l := describeListed(o.Name, o.Version, "development", o.Descriptor)
		l.Dir, l.Permissions = o.Dir, &o.Permissions
		out[o.Name] = l
	}
	var all []listed
	for _, name := range slices.Sorted(maps.Keys(out)) {
		all = append(all, out[name])
	}
	return all, nil
}

func (t *tool) newList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the plugins of the project", Args: cobra.NoArgs,
		Long: "List the plugins of the project: built-in, of plugins.lock, and in development.",
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := output()
		if err != nil {
			return err
		}
		all, err := t.known(cmd, t.store())
		if err != nil {
			return err
		}
		if asJSON {
			return t.printJSON(map[string]any{"plugins": all})
		}
		w := tabwriter.NewWriter(t.Stdout, 0, 4, 2, ' ', 0)
		for _, l := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Name, l.Version, l.State, l.Summary)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(l listed) bool { return l.State == "missing" || l.State == "changed" }) {
			_, err := fmt.Fprintln(t.Stderr, "testmesh plugin install brings what is missing or has changed")
			return err
		}
		return nil
	}
	return cmd
}

func (t *tool) newInfo() *cobra.Command {
	cmd := &cobra.Command{
		Use: "info NAME", Short: "Say what a plugin is and can do", Args: cobra.ExactArgs(1),
		Long: "Say what a plugin is, where it came from, what it may do, and its actions and functions.",
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON, err := output()
		if err != nil {
			return err
		}
		all, err := t.known(cmd, t.store())
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(l listed) bool { return l.Name == args[0] })
		if at < 0 {
			return unknownPlugin(args[0], all)
		}
		if asJSON {
			return t.printJSON(all[at])
		}
		return printInfo(t.Stdout, all[at])
	}
	return cmd
}

func unknownPlugin(name string, all []listed) error {
	var names []string
	for _, l := range all {
		names = append(names, l.Name)
	}
	hint := "there are: " + strings.Join(names, ", ")
	if near := value.Closest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return usage(hint, "the project has no plugin %q", name)
}

func printInfo(out io.Writer, l listed) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s  %s\n%s\n\n", l.Name, l.Version, l.State, l.Summary)
	w := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "  %s\t%s\n", name, text)
		}
	}
	if l.Source != nil {
		row("from", l.Source.String())
	}
	row("range", l.Range)
	row("in", l.Dir)
	if l.Permissions != nil {
		row("may", permissions(*l.Permissions))
	}
	row("platforms", strings.Join(l.Platforms, ", "))
	for _, a := range l.descriptor.GetActions() {
		row(a.GetName(), a.GetSummary())
	}
	for _, f := range l.descriptor.GetFunctions() {
		row(functionName(l.descriptor, f)+"("+strings.Join(f.GetParameters(), ", ")+")", f.GetSummary())
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func actionNames(d *testmeshv1.Descriptor) []string {
	var out []string
	for _, a := range d.GetActions() {
		out = append(out, a.GetName())
	}
	return out
}

func functionName(d *testmeshv1.Descriptor, f *testmeshv1.Function) string {
	return d.GetName() + "." + strings.TrimPrefix(f.GetName(), d.GetName()+".")
}

func functionNames(d *testmeshv1.Descriptor) []string {
	var out []string
	for _, f := range d.GetFunctions() {
		out = append(out, functionName(d, f))
	}
	return out
}

func (t *tool) newRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "Take a plugin out of the project", Args: cobra.ExactArgs(1),
		Long: "Take a plugin out of plugins.lock and remove its files.",
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON, err := output()
		if err != nil {
			return err
		}
		s, name := t.store(), args[0]
		lock, err := t.lock(cmd, s)
		if err != nil {
			return err
		}
		entry := lock.Find(name)
		if entry == nil {
			all, err := t.known(cmd, s)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(all, func(l listed) bool { return l.Name == name }) {
				return usage("", "plugin %s is not in %s, so there is nothing to remove", name, pluginstore.LockFile)
			}
			return unknownPlugin(name, all)
		}
		version := entry.Version
		problems, err := s.Update(func(l *pluginstore.Lock) error { l.Remove(name); return nil })
		if err == nil {
			err = s.Uninstall(name, "")
		}
		if err != nil {
			return errored("", "%w", err)
		}
		if err := t.refuse(cmd, problems, s.Root()); err != nil {
			return err
		}
		if asJSON {
			return t.printJSON(map[string]string{"removed": name, "version": version})
		}
		_, err = fmt.Fprintf(t.Stdout, "%s %s  removed\n", name, version)
		return err
	}
	return cmd
}
