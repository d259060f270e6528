package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/testmesh/testmesh/agent/pluginstore"
	"github.com/testmesh/testmesh/cli/watch"
	"github.com/testmesh/testmesh/flow"
)

// replan plans anew and looks at all that was read for it.
func (w *watching) replan(began time.Time) {
	reads := watch.NewReads(w.project.fs)
	p := *w.project
	p.fs = reads
	pl, err := w.s.plan(&p, w.f, w.args)
	w.planned, w.trouble = pl, err
	if err != nil {
		w.planned = nil
	}
	w.look(reads, began)
	if err != nil {
		return
	}
	inputs := w.hashInputs()
	for _, fl := range pl.flows {
		if k := w.flows[flowKey(fl.Program)]; k != nil && inputs != w.inputs {
			k.version = "" // what every flow reads has changed
		}
	}
	w.inputs = inputs
	if w.own.postpone && !w.started {
		for _, fl := range pl.flows {
			w.flows[flowKey(fl.Program)] = &known{version: fl.Program.Version}
		}
	}
}

// look watches what a plan read. A plan that was refused early has not read
// all: what was watched before still is.
func (w *watching) look(reads *watch.Reads, began time.Time) {
	hashes := map[string]string{}
	if w.planned != nil {
		for _, fl := range w.planned.flows {
			for name, sum := range fl.Program.Bundle {
				hashes[name] = sum
			}
		}
	}
	next := watch.Files{Files: map[string]string{}}
	if w.planned == nil {
		for name := range w.files.Files {
			next.Files[name] = ""
		}
		next.Dirs = w.files.Dirs
	}
	names, dirs := reads.Asked()
	for _, name := range names {
		next.Files[w.absolute(name)] = hashes[name]
	}
	for _, name := range dirs {
		next.Dirs = append(next.Dirs, w.absolute(name))
	}
	for _, name := range w.inputFiles() {
		next.Files[name] = ""
	}
	slices.Sort(next.Dirs)
	next.Dirs = slices.Compact(next.Dirs)
	w.files = next
	w.looker.Look(next, began)
}

func (w *watching) absolute(name string) string {
	return filepath.Join(w.project.path, filepath.FromSlash(name))
}

// inputFiles are the files that the command line names, and plugins.lock.
func (w *watching) inputFiles() []string {
	names := []string{w.f.envFile, w.f.secretFile, w.f.data}
	if file, _, ok := strings.Cut(w.f.from, ":"); ok {
		names = append(names, file)
	}
	out := []string{filepath.Join(w.project.path, pluginstore.LockFile)}
	for _, name := range names {
		switch {
		case name == "":
		case filepath.IsAbs(name):
			out = append(out, name)
		default:
			out = append(out, filepath.Join(w.s.Dir, name))
		}
	}
	return out
}

// hashInputs is the identity of what every flow reads.
func (w *watching) hashInputs() string {
	h := sha256.New()
	files := w.inputFiles()
	if w.f.env != "" {
		for dir := w.project.dir; ; dir = path.Dir(dir) {
			files = append(files, w.absolute(path.Join(dir, flow.EnvironmentPath(w.f.env))))
			if dir == "." || dir == "/" {
				break
			}
		}
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			data = []byte("none")
		}
		sum := sha256.Sum256(data)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// stale are the flows that changed since they ran to their end.
func (w *watching) stale() map[string]bool {
	out := map[string]bool{}
	if w.planned == nil {
		return out
	}
	for _, fl := range w.planned.flows {
		key := flowKey(fl.Program)
		if k := w.flows[key]; k == nil || k.version != fl.Program.Version {
			out[key] = true
		}
	}
	return out
}

// bad are the flows of the plan that did not pass.
func (w *watching) bad() map[string]bool {
	out := map[string]bool{}
	if w.planned == nil {
		return out
	}
	for _, fl := range w.planned.flows {
		if k := w.flows[flowKey(fl.Program)]; k != nil && k.status != "" && k.status != passedWord {
			out[flowKey(fl.Program)] = true
		}
	}
	return out
}

func (w *watching) all() map[string]bool {
	out := map[string]bool{}
	if w.planned != nil {
		for _, fl := range w.planned.flows {
			out[flowKey(fl.Program)] = true
		}
	}
	return out
}

// subset is the plan of some flows, with those that they come after: else they
// would be skipped.
func (w *watching) subset(want map[string]bool) *plan {
	names := map[string]bool{}
	chosen := map[string]bool{}
	for again := true; again; {
		again = false
		for _, fl := range w.planned.flows {
			key := flowKey(fl.Program)
			if chosen[key] || !want[key] && !names[fl.Program.Name] {
				continue
			}
			chosen[key], again = true, true
			for _, name := range fl.Program.After {
				names[name] = true
			}
		}
	}
	pl := *w.planned
	pl.flows = nil
	for _, fl := range w.planned.flows {
		if chosen[flowKey(fl.Program)] {
			pl.flows = append(pl.flows, fl)
		}
	}
	return &pl
}
