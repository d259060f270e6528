package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// packed is one archive that `plugin package` made.
type packed struct {
	Platform  string
	Name      string
	Checksums pluginstore.Checksums
	bytes     []byte
}

func (t *tool) newPackage() *cobra.Command {
	var out, index string
	var platforms []string
	cmd := &cobra.Command{
		Use:   "package [DIR]",
		Short: "Pack a plugin for others to install",
		Long: "Build a plugin and pack it: dist/testmesh-plugin-NAME_VERSION_OS_ARCH.tar.gz with its checksums in SHA256SUMS and its\n" +
			"entry in index.yaml. The same files give the same bytes.\n\n" +
			"--platform OS/ARCH builds with GOOS and GOARCH set; it may be repeated. --index DIR adds the archives to the index\n" +
			"in a folder, from which testmesh plugin install --index takes them, also over HTTP.",
		Example: `  testmesh plugin package
  testmesh plugin package --platform linux/amd64 --platform darwin/arm64 --index ../plugins`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := t.folder(args)
			m, err := t.manifest(cmd, dir)
			if err != nil {
				return err
			}
			list, err := t.packAll(cmd.Context(), dir, m, platforms)
			if err != nil {
				return err
			}
			if !filepath.IsAbs(out) {
				out = filepath.Join(dir, out)
			}
			if err := t.writePackages(cmd, out, m, list, true); err != nil {
				return err
			}
			if index == "" {
				return nil
			}
			return t.writePackages(cmd, t.path(index), m, list, false)
		},
	}
	cmd.Flags().StringVar(&out, "out", "dist", "folder to write into, below the plugin's")
	cmd.Flags().StringArrayVar(&platforms, "platform", nil, "OS/ARCH to build for instead of this machine's; may be repeated")
	cmd.Flags().StringVar(&index, "index", "", "folder of an index to add the archives to")
	return cmd
}

// packAll builds and packs the plugin for each platform. The descriptor comes
// from a build for this machine, which is the only one that can be asked.
func (t *tool) packAll(ctx context.Context, dir string, m *pluginstore.Manifest, platforms []string) ([]packed, error) {
	if err := t.build(ctx, dir, m); err != nil {
		return nil, err
	}
	d, err := t.describe(ctx, dir, m)
	if err != nil {
		return nil, err
	}
	if len(platforms) == 0 || m.AnyPlatform() {
		one, err := t.packOne(dir, m, d, m.Platform())
		return []packed{one}, err
	}
	var list []packed
	foreign := false
	for _, platform := range slices.Compact(slices.Sorted(slices.Values(platforms))) {
		goos, goarch, ok := strings.Cut(platform, "/")
		if !ok || strings.Trim(goos+goarch, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return nil, usage("for example --platform linux/amd64", "--platform %q is not OS/ARCH", platform)
		}
		if err := t.build(ctx, dir, m, "GOOS="+goos, "GOARCH="+goarch); err != nil {
			return nil, err
		}
		foreign = foreign || platform != pluginstore.Platform()
		one, err := t.packOne(dir, m, d, platform)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	if foreign { // leave what runs here
		if err := t.build(ctx, dir, m); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (t *tool) packOne(dir string, m *pluginstore.Manifest, d *testmeshv1.Descriptor, platform string) (packed, error) {
	var b bytes.Buffer
	sums, err := pluginstore.Pack(dir, m, d, &b)
	if err != nil {
		return packed{}, usage("", "%w", err)
	}
	name := m.ArchiveName(platform)
	sums.URL = name
	return packed{Platform: platform, Name: name, Checksums: sums, bytes: b.Bytes()}, nil
}

// writePackages writes archives and index into a folder; its own is begun anew,
// another's is added to.
func (t *tool) writePackages(cmd *cobra.Command, dir string, m *pluginstore.Manifest, list []packed, own bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return errored("", "make the folder: %w", err)
	}
	index, err := t.openIndex(cmd, dir, own)
	if err != nil {
		return err
	}
	var sums strings.Builder
	for _, p := range list {
		if e := index.Plugins[m.Name]; e != nil && e.Versions[m.Version] != nil {
			if old, ok := e.Versions[m.Version].Platforms[p.Platform]; ok && old.Content != p.Checksums.Content {
				return usage("raise the version in "+pluginstore.ManifestFile+": what was published stays as it is",
					"the index in %s has another %s %s for %s already", t.shown(dir), m.Name, m.Version, p.Platform)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, p.Name), p.bytes, 0o644); err != nil {
			return errored("", "write the archive: %w", err)
		}
		index.Add(m, p.Platform, p.Checksums)
		fmt.Fprintf(&sums, "%s  %s\n", p.Checksums.Archive, p.Name)
		fmt.Fprintf(t.Stdout, "%s  %s\n", t.shown(filepath.Join(dir, p.Name)), bytesText(len(p.bytes)))
	}
	if own {
		if err := os.WriteFile(filepath.Join(dir, pluginstore.SumsFile), []byte(sums.String()), 0o644); err != nil {
			return errored("", "write the checksums: %w", err)
		}
		fmt.Fprintln(t.Stdout, t.shown(filepath.Join(dir, pluginstore.SumsFile)))
	}
	if err := os.WriteFile(filepath.Join(dir, pluginstore.IndexFile), index.Print(), 0o644); err != nil {
		return errored("", "write the index: %w", err)
	}
	fmt.Fprintf(t.Stdout, "%s  %s %s\n", t.shown(filepath.Join(dir, pluginstore.IndexFile)), m.Name, m.Version)
	return nil
}

func (t *tool) openIndex(cmd *cobra.Command, dir string, own bool) (*pluginstore.Index, error) {
	fresh := &pluginstore.Index{Plugins: map[string]*pluginstore.Entry{}}
	if own {
		return fresh, nil
	}
	index, problems, err := pluginstore.NewFetcher().Index(cmd.Context(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, errored("", "%w", err)
	}
	return index, t.refuse(cmd, problems, dir)
}

func bytesText(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
