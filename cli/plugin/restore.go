package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/testmesh/testmesh/agent/pluginstore"
)

// restore installs what the lock file names and is not there. It never changes
// the lock file.
func (in *installation) restore(ctx context.Context) error {
	lock, err := in.lock(in.cmd, in.store)
	if err != nil {
		return err
	}
	if lock == nil {
		return usage("testmesh plugin install NAME, DIR or ARCHIVE installs one and writes it",
			"there is no %s in %s", pluginstore.LockFile, in.store.Root())
	}
	for i := range lock.Plugins {
		entry := &lock.Plugins[i]
		installed, err := in.store.Installed(entry)
		if err == nil {
			err = installed.Verify()
		}
		if err == nil {
			fmt.Fprintf(in.Stdout, "%s %s  is installed\n", entry.Name, entry.Version)
			continue
		}
		_, here := entry.Here()
		if !here {
			return usage("install it here with testmesh plugin install, and commit the lock file", "%w", err)
		}
		if err := in.again(ctx, entry); err != nil {
			return err
		}
		how := "installed"
		if errors.Is(err, pluginstore.ErrChanged) {
			how = "installed again: its files had changed"
		}
		fmt.Fprintf(in.Stdout, "%s %s  %s\n", entry.Name, entry.Version, how)
		fmt.Fprintf(in.Stdout, "  may        %s\n", permissions(entry.Permissions))
	}
	if len(lock.Plugins) == 0 {
		fmt.Fprintf(in.Stdout, "%s names no plugin\n", pluginstore.LockFile)
	}
	return nil
}

// again brings the very package that is locked.
func (in *installation) again(ctx context.Context, entry *pluginstore.Locked) (err error) {
	want, _ := entry.Here()
	var c *pluginstore.Candidate
	switch from := entry.Source; {
	case from.Folder != "":
		c, err = in.againFromFolder(ctx, in.locate(from.Folder), pluginstore.Checksums{Content: want.Content})
	case from.Archive != "":
		c, err = in.store.Unpack(want, func(w io.Writer) error {
			if pluginstore.IsURL(from.Archive) {
				return in.fetch.Archive(ctx, "", from.Archive, w)
			}
			full := in.locate(from.Archive)
			return in.fetch.Archive(ctx, filepath.Dir(full), filepath.Base(full), w)
		})
	default:
		place := from.Index
		if in.index != "" {
			place = in.index // a mirror: the checksums say whether it is the same
		}
		if !pluginstore.IsURL(place) {
			place = in.locate(place)
			if in.index != "" {
				place = in.path(in.index)
			}
		}
		c, err = in.store.Unpack(want, func(w io.Writer) error { return in.fetch.Archive(ctx, place, want.URL, w) })
	}
	var done *exit
	if errors.As(err, &done) {
		return err
	}
	if errors.Is(err, pluginstore.ErrChecksum) {
		return errored("nothing was installed. Somebody changed the package or the lock file: ask who publishes it before you go on",
			"%s %s: the package in %s is not the one that %s names", entry.Name, entry.Version, entry.Source, pluginstore.LockFile)
	}
	if err != nil {
		return in.refused(entry.Name+" "+entry.Version, err)
	}
	defer func() {
		if discard := c.Discard(); discard != nil && err == nil {
			err = errored("", "%w", discard)
		}
	}()
	if c.Manifest.Name != entry.Name || c.Manifest.Version != entry.Version {
		return errored("", "the package of %s %s holds %s %s", entry.Name, entry.Version, c.Manifest.Name, c.Manifest.Version)
	}
	if err := c.Install(); err != nil {
		return errored("", "%w", err)
	}
	return nil
}

func (in *installation) againFromFolder(ctx context.Context, dir string, want pluginstore.Checksums) (*pluginstore.Candidate, error) {
	m, err := in.manifest(in.cmd, dir)
	if err != nil {
		return nil, err
	}
	c, err := in.fromFolder(ctx, dir, m, want)
	if errors.Is(err, pluginstore.ErrChecksum) {
		return nil, errored("testmesh plugin install "+in.shown(dir)+" locks what is there now",
			"what is built in %s is not the %s %s that %s says", in.shown(dir), m.Name, m.Version, pluginstore.LockFile)
	}
	return c, err
}

// locate is a path of the lock file.
func (in *installation) locate(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(in.store.Root(), filepath.FromSlash(name))
}
