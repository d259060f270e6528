package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// indexVariable names the index that install reads without --index.
const indexVariable = "TESTMESH_PLUGIN_INDEX"

// installation is one run of `plugin install`.
type installation struct {
	*tool
	cmd    *cobra.Command
	store  *pluginstore.Store
	fetch  *pluginstore.Fetcher
	index  string
	locked bool
}

func (t *tool) newInstall() *cobra.Command {
	in := &installation{tool: t}
	cmd := &cobra.Command{
		Use:   "install [NAME[@RANGE] | DIR | ARCHIVE ...]",
		Short: "Install plugins into the project",
		Long: "Install plugins into the project and write them into plugins.lock, with their checksums. Without an argument\n" +
			"install what plugins.lock names. A package is not started to be installed.\n\n" +
			"NAME comes from an index: a folder with index.yaml, or a URL. A range is 1.4.0, ^1.2, ~1.2, >=1.2 or latest.\n" +
			"DIR is a plugin's own folder, which is built and asked what it can do; ARCHIVE is what testmesh plugin package made.",
		Example: `  testmesh plugin install
  testmesh plugin install tcp@^1.2 --index https://plugins.example.com/
  testmesh plugin install ../my-plugin`,
		RunE: func(cmd *cobra.Command, args []string) error {
			in.cmd, in.store, in.fetch = cmd, t.store(), pluginstore.NewFetcher()
			return in.run(cmd.Context(), args)
		},
	}
	cmd.Flags().StringVar(&in.index, "index", "", "folder or URL of the index that names come from; "+indexVariable+" where not given")
	cmd.Flags().BoolVar(&in.locked, "locked", false, "for CI: refuse to change plugins.lock")
	return cmd
}

func (in *installation) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return in.restore(ctx)
	}
	for _, arg := range args {
		if err := in.one(ctx, arg); err != nil {
			return err
		}
	}
	return nil
}

// one installs what an argument names.
func (in *installation) one(ctx context.Context, arg string) error {
	switch {
	case strings.HasSuffix(arg, ".tar.gz") || strings.HasSuffix(arg, ".tgz"):
		return in.archive(ctx, arg)
	case arg == "." || strings.ContainsAny(arg, `/\`):
		return in.folder(ctx, in.path(arg))
	}
	wanted, err := pluginstore.ParseWanted(arg)
	if err != nil {
		return usage("", "%w", err)
	}
	return in.named(ctx, wanted)
}

// named installs a plugin of an index.
func (in *installation) named(ctx context.Context, wanted pluginstore.Wanted) error {
	place := in.index
	if place == "" {
		place, _ = in.LookupEnv(indexVariable)
	}
	if place == "" {
		hint := fmt.Sprintf("give it: --index DIR or --index URL, or set %s", indexVariable)
		if _, err := os.Stat(filepath.Join(in.path(wanted.Name), pluginstore.ManifestFile)); err == nil {
			hint = "the folder of that name is installed by: testmesh plugin install ./" + wanted.Name
		}
		return usage(hint, "no index says where plugin %s is", wanted.Name)
	}
	from := pluginstore.Source{Index: place}
	if !pluginstore.IsURL(place) {
		place = in.path(place)
		from.Index = in.relative(place)
	}
	index, problems, err := in.fetch.Index(ctx, place)
	if err != nil {
		return errored("", "%w", err)
	}
	if err := in.refuse(in.cmd, problems, in.Dir); err != nil {
		return err
	}
	version, release, err := index.Select(wanted)
	if err != nil {
		return usage("", "%w", err)
	}
	entry := pluginstore.Locked{Name: wanted.Name, Version: version, Source: from, Range: wanted.Range, Platforms: release.Platforms}
	want, _ := entry.Here()
	if strings.HasPrefix(place, "http://") {
		fmt.Fprintf(in.Stderr, "note: %s is not encrypted, so whoever stands between can change what is installed\n", place)
	}
	c, err := in.store.Unpack(want, func(w io.Writer) error { return in.fetch.Archive(ctx, place, want.URL, w) })
	if err != nil {
		return in.refused(wanted.Name+" "+version, err)
	}
	return in.finish(c, entry)
}

// refused says why a package was not installed.
func (in *installation) refused(what string, err error) error {
	hint := ""
	if errors.Is(err, pluginstore.ErrChecksum) {
		hint = "nothing was installed. It was damaged on the way, or somebody changed it: ask who publishes it before you go on"
	}
	return errored(hint, "%s: %w", what, err)
}

// archive installs a package from a file or URL.
func (in *installation) archive(ctx context.Context, arg string) error {
	from := pluginstore.Source{Archive: arg}
	fetch := func(w io.Writer) error { return in.fetch.Archive(ctx, "", arg, w) }
	if !pluginstore.IsURL(arg) {
		full := in.path(arg)
		from.Archive = in.relative(full)
		fetch = func(w io.Writer) error { return in.fetch.Archive(ctx, filepath.Dir(full), filepath.Base(full), w) }
	}
	if platform, ok := pluginstore.ArchivePlatform(arg); ok && platform != pluginstore.AnyPlatform && platform != pluginstore.Platform() {
		return usage("", "%s is a package for %s, and this is %s", arg, platform, pluginstore.Platform())
	}
	c, err := in.store.Unpack(pluginstore.Checksums{}, fetch)
	if err != nil {
		return in.refused(arg, err)
	}
	return in.finish(c, in.local(c, from))
}

// folder builds the plugin in a folder and installs it.
func (in *installation) folder(ctx context.Context, dir string) error {
	m, err := in.manifest(in.cmd, dir)
	if err != nil {
		return err
	}
	c, err := in.fromFolder(ctx, dir, m, pluginstore.Checksums{})
	if err != nil {
		return err
	}
	return in.finish(c, in.local(c, pluginstore.Source{Folder: in.relative(dir)}))
}

func (in *installation) fromFolder(ctx context.Context, dir string, m *pluginstore.Manifest, want pluginstore.Checksums) (*pluginstore.Candidate, error) {
	if err := in.build(ctx, dir, m); err != nil {
		return nil, err
	}
	d, err := in.describe(ctx, dir, m)
	if err != nil {
		return nil, err
	}
	c, err := in.store.Unpack(want, func(w io.Writer) error {
		_, err := pluginstore.Pack(dir, m, d, w)
		return err
	})
	if err != nil {
		return nil, in.refused(in.shown(dir), err)
	}
	return c, nil
}

// local is the entry of a package that no index describes. The packages of other
// machines stay where they are of the same version.
func (in *installation) local(c *pluginstore.Candidate, from pluginstore.Source) pluginstore.Locked {
	return pluginstore.Locked{
		Name: c.Manifest.Name, Version: c.Manifest.Version, Source: from,
		Platforms: map[string]pluginstore.Checksums{c.Manifest.Platform(): c.Checksums},
	}
}

// relative is a path as the lock file holds it.
func (in *installation) relative(full string) string {
	if rel, err := filepath.Rel(in.store.Root(), full); err == nil {
		return filepath.ToSlash(rel)
	}
	return full
}

// finish checks a package against what it was taken for, installs it, writes the
// lock file and says what the plugin may do.
func (in *installation) finish(c *pluginstore.Candidate, entry pluginstore.Locked) (err error) {
	defer func() {
		if discard := c.Discard(); discard != nil && err == nil {
			err = errored("", "%w", discard)
		}
	}()
	m := c.Manifest
	if m.Name != entry.Name || m.Version != entry.Version {
		return errored("tell who keeps the index", "the package of %s %s holds %s %s", entry.Name, entry.Version, m.Name, m.Version)
	}
	if slices.ContainsFunc(in.Builtins, func(b Builtin) bool { return b.Descriptor.GetName() == m.Name }) {
		return usage("", "%s is the name of a plugin that is part of testmesh", m.Name)
	}
	entry.Protocol, entry.Command, entry.Permissions, entry.Descriptor = m.Protocol, m.Command, m.Permissions, c.Descriptor
	if in.locked {
		if err := in.unchanged(entry); err != nil {
			return err
		}
	}
	if err := c.Install(); err != nil {
		return errored("", "%w", err)
	}
	var before *pluginstore.Locked
	problems, err := in.store.Update(func(l *pluginstore.Lock) error {
		if old := l.Find(entry.Name); old != nil {
			was := *old
			before = &was
			in.keepPlatforms(&entry, was)
		}
		l.Put(entry)
		return nil
	})
	if err != nil {
		return errored("", "%w", err)
	}
	if err := in.refuse(in.cmd, problems, in.store.Root()); err != nil {
		return err
	}
	if err := in.store.Uninstall(entry.Name, entry.Version); err != nil {
		return errored("", "%w", err)
	}
	in.report(before, entry)
	return nil
}

// keepPlatforms carries the packages of other machines over, where the same
// version was locked from the same folder or archive.
func (in *installation) keepPlatforms(entry *pluginstore.Locked, was pluginstore.Locked) {
	if was.Version != entry.Version || entry.Source.Index != "" {
		return
	}
	for platform, sums := range was.Platforms {
		if _, ok := entry.Platforms[platform]; !ok {
			entry.Platforms[platform] = sums
		}
	}
}

// unchanged refuses an installation that would change the lock file.
func (in *installation) unchanged(entry pluginstore.Locked) error {
	lock, err := in.lock(in.cmd, in.store)
	if err != nil {
		return err
	}
	old := lock.Find(entry.Name)
	if old != nil {
		was, _ := old.Here()
		now, _ := entry.Here()
		if old.Version == entry.Version && was.Content == now.Content {
			return nil
		}
	}
	return usage("install it without --locked and commit "+pluginstore.LockFile,
		"--locked: %s %s is not what %s says", entry.Name, entry.Version, pluginstore.LockFile)
}

// report says what was installed and what it may do.
func (in *installation) report(before *pluginstore.Locked, entry pluginstore.Locked) {
	how := "installed"
	switch {
	case before == nil:
	case before.Version != entry.Version:
		how = "installed in place of " + before.Version
	default:
		how = "installed again"
	}
	fmt.Fprintf(in.Stdout, "%s %s  %s\n", entry.Name, entry.Version, how)
	may := permissions(entry.Permissions)
	if before != nil && permissions(before.Permissions) != may {
		may += "   (before: " + permissions(before.Permissions) + ")"
	}
	fmt.Fprintf(in.Stdout, "  may        %s\n", may)
	if names := actionNames(entry.Descriptor); len(names) > 0 {
		fmt.Fprintf(in.Stdout, "  actions    %s\n", strings.Join(names, ", "))
	}
	if names := functionNames(entry.Descriptor); len(names) > 0 {
		fmt.Fprintf(in.Stdout, "  functions  %s\n", strings.Join(names, ", "))
	}
	fmt.Fprintf(in.Stdout, "  locked in  %s: commit it\n", in.shown(in.store.LockPath()))
}
