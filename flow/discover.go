package flow

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/syntax"
)

// maxDiscovered bounds the files that one command stands for.
const maxDiscovered = 100_000

// Discover finds the flow files that paths stand for: a file is itself, a
// directory every flow below it, a glob (with ** for any number of folders)
// what it matches. Paths are slash-separated and below the root of fsys; the
// result has each file once, in alphabetical order. passedOver are the YAML
// files of directories that are no flows.
func Discover(fsys fs.FS, paths []string) (files, passedOver []string, problems source.Problems) {
	d := discovery{fsys: fsys, files: map[string]bool{}, over: map[string]bool{}}
	for _, p := range paths {
		d.path(p)
	}
	for f := range d.files {
		delete(d.over, f)
	}
	return sorted(d.files), sorted(d.over), d.problems
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for f := range set {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

type discovery struct {
	fsys     fs.FS
	files    map[string]bool
	over     map[string]bool
	problems source.Problems
}

func (d *discovery) path(name string) {
	clean := path.Clean(name)
	if !fs.ValidPath(clean) {
		d.problems = append(d.problems, newFiles(d.fsys).blameAt(source.Pos{File: name}, name, name, errOutside))
		return
	}
	info, err := fs.Stat(d.fsys, clean)
	switch {
	case err == nil && info.IsDir():
		d.dir(clean)
	case err == nil:
		d.files[clean] = true
	case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(clean, "*?["):
		d.glob(name, clean)
	default:
		d.problems = append(d.problems, newFiles(d.fsys).blameAt(source.Pos{File: name}, name, clean, err))
	}
}

func (d *discovery) glob(name, pattern string) {
	found, err := glob(d.fsys, pattern)
	if err == nil && len(found) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		message := fmt.Sprintf("nothing matches %q", name)
		if !errors.Is(err, fs.ErrNotExist) {
			message = fmt.Sprintf("%q: %v", name, err)
		}
		d.problems = append(d.problems, problem(source.CodeFile, source.Pos{File: name}, name, message))
		return
	}
	for _, f := range found {
		if info, err := fs.Stat(d.fsys, f); err == nil && info.IsDir() {
			d.dir(f)
		} else {
			d.yaml(f)
		}
	}
}

// dir takes the flows below a directory. Directories that begin with a dot
// (.git, .testmesh) and node_modules hold none.
func (d *discovery) dir(root string) {
	seen := 0
	err := fs.WalkDir(d.fsys, root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			d.problems = append(d.problems, newFiles(d.fsys).blameAt(source.Pos{File: name}, name, name, err))
			return nil
		}
		if e.IsDir() {
			base := path.Base(name)
			if name != root && (strings.HasPrefix(base, ".") || base == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !yamlFile(name) {
			return nil
		}
		if seen++; seen > maxDiscovered {
			return fmt.Errorf("more than %d YAML files", maxDiscovered)
		}
		d.yaml(name)
		return nil
	})
	if err != nil {
		d.problems = append(d.problems, problem(source.CodeLimit, source.Pos{File: root}, root, err.Error()))
	}
}

// yaml takes a file that a directory or glob stands for, if it is a flow.
func (d *discovery) yaml(name string) {
	switch base := path.Base(name); {
	case !yamlFile(name):
	case base == "folder.yaml" || base == "folder.yml":
	case d.looksLikeFlow(name):
		d.files[name] = true
	default:
		d.over[name] = true
	}
}

// looksLikeFlow asks the language; a file that cannot be read is taken, so that
// whoever reads it says why.
func (d *discovery) looksLikeFlow(name string) bool {
	info, err := fs.Stat(d.fsys, name)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > source.MaxSize) {
		return syntax.IsFlowFile(name, nil)
	}
	data, err := fs.ReadFile(d.fsys, name)
	if err != nil {
		return true
	}
	return syntax.IsFlowFile(name, data)
}
