package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

const (
	// lookEvery is how often the plugin's folder is looked at.
	lookEvery = 400 * time.Millisecond
	// maxWatched bounds the files that are looked at.
	maxWatched = 20_000
)

// quickCases are those of the kit that take milliseconds and find what breaks
// most often while somebody writes.
func quickCases() []string {
	return []string{"handshake", "descriptor", "result", "text", "bad-config", "unknown-key"}
}

func (t *tool) newDev() *cobra.Command {
	return &cobra.Command{
		Use:   "dev [DIR]",
		Short: "Build a plugin on every save and use that build in the project",
		Long: "Build a plugin whenever a file of its folder changes, try the quick cases of the conformance kit and the plugin's own\n" +
			"flows. Until it is interrupted, testmesh run in the project of the working directory uses this build in place of the\n" +
			"locked one, and says so.",
		Example: `  testmesh plugin dev
  cd my-project && testmesh plugin dev ../my-plugin`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d := &development{tool: t, cmd: cmd, dir: t.folder(args), store: t.store()}
			return d.run(cmd.Context())
		},
	}
}

// development is one run of `plugin dev`.
type development struct {
	*tool
	cmd   *cobra.Command
	dir   string
	store *pluginstore.Store
	name  string // of the override that stands; "": none
}

func (d *development) run(ctx context.Context) (err error) {
	if _, err := d.manifest(d.cmd, d.dir); err != nil {
		return err
	}
	defer func() {
		if remove := d.stand(""); err == nil && remove != nil {
			err = errored("", "%w", remove)
		}
	}()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	last := ""
	for {
		now, err := fingerprint(d.dir)
		if err != nil {
			return errored("", "look at %s: %w", d.dir, err)
		}
		if now != last {
			if err := d.round(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintf(d.Stderr, "%s\n", err)
			}
			if last, err = fingerprint(d.dir); err != nil { // what the build wrote is no change
				return errored("", "look at %s: %w", d.dir, err)
			}
			if ctx.Err() == nil {
				fmt.Fprintf(d.Stdout, "\nwaiting for a change in %s; Ctrl-C ends it\n", d.shown(d.dir))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// round builds and tries what is there now. What does not build leaves the build
// before in use.
func (d *development) round(ctx context.Context) error {
	m, err := d.manifest(d.cmd, d.dir)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := d.build(ctx, d.dir, m); err != nil {
		return err
	}
	descriptor, err := d.describe(ctx, d.dir, m)
	if err != nil {
		return err
	}
	x := &trial{tool: d.tool, cmd: d.cmd, dir: d.dir, manifest: m}
	if err := d.stand(m.Name); err != nil {
		return err
	}
	if err := d.store.Override(x.override(descriptor)); err != nil {
		return errored("", "%w", err)
	}
	fmt.Fprintf(d.Stdout, "built %s %s in %s; testmesh run in %s uses this build\n", m.Name, m.Version, time.Since(began).Round(10*time.Millisecond), d.store.Root())
	config, err := x.kit(descriptor)
	if err != nil {
		return err
	}
	config.Only = quickCases()
	w := &textChecks{out: d.Stdout}
	var all []check
	report := func(c check) {
		all = append(all, c)
		if c.status != "passed" && c.status != "skipped" {
			w.add(c)
		}
	}
	if _, err = plugintest.Check(ctx, config, func(o plugintest.Outcome) { report(ofOutcome(o)) }); err == nil {
		err = x.flows(ctx, descriptor, report)
	}
	return errors.Join(err, w.end(all))
}

// stand removes the override of another name than the one that comes.
func (d *development) stand(name string) error {
	before := d.name
	d.name = name
	if before == "" || before == name {
		return nil
	}
	return d.store.RemoveOverride(before)
}

// fingerprint changes whenever a file of the folder does. What builds and runs
// leave behind does not count.
func fingerprint(dir string) (string, error) {
	var b strings.Builder
	n := 0
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was removed while we looked
			return nil
		case err != nil:
			return err
		case e.IsDir():
			switch base := e.Name(); {
			case name == dir:
			case strings.HasPrefix(base, "."), base == "bin", base == "dist", base == "node_modules":
				return fs.SkipDir
			}
			return nil
		}
		if n++; n > maxWatched {
			return fmt.Errorf("it holds more than %d files", maxWatched)
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // it was removed while we looked
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	return b.String(), err
}
