package flow

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// maxMatches bounds the files that one glob stands for.
const maxMatches = 10_000

// glob finds the files of the project that a pattern relative to dir matches.
func (c *compiler) glob(pattern, dir string) ([]string, error) {
	if c.l.o.FS == nil {
		return nil, errors.New("no files can be read here")
	}
	return Glob(c.l.o.FS, dir, pattern)
}

// Glob finds the files of a project that a pattern relative to dir matches, as
// paths below the project's root, in alphabetical order.
func Glob(fsys fs.FS, dir, pattern string) ([]string, error) {
	full, err := within(dir, pattern)
	if err != nil {
		return nil, err
	}
	found, err := glob(fsys, full)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(name string) bool {
		info, err := fs.Stat(fsys, name)
		return err == nil && info.IsDir()
	}), nil
}

// Relative writes a path below the project's root as one relative to dir.
func Relative(dir, name string) string {
	from, to := strings.Split(dir, "/"), strings.Split(name, "/")
	if dir == "." || dir == "" {
		return name
	}
	for len(from) > 0 && len(to) > 1 && from[0] == to[0] {
		from, to = from[1:], to[1:]
	}
	return strings.Repeat("../", len(from)) + strings.Join(to, "/")
}

// glob is fs.Glob with ** for any number of folders, in alphabetical order.
func glob(fsys fs.FS, pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, errors.New("the pattern is not a glob")
	}
	if !strings.Contains(pattern, "**") {
		found, err := fs.Glob(fsys, pattern)
		if len(found) > maxMatches {
			return nil, errTooMany
		}
		return found, err
	}
	parts := strings.Split(pattern, "/")
	root := "."
	for len(parts) > 1 && !strings.ContainsAny(parts[0], `*?[\`) {
		root, parts = path.Join(root, parts[0]), parts[1:]
	}
	var out []string
	err := fs.WalkDir(fsys, root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if e.IsDir() {
			if name != root && strings.HasPrefix(path.Base(name), ".") {
				return fs.SkipDir
			}
			return nil
		}
		below := name
		if root != "." {
			below = strings.TrimPrefix(name, root+"/")
		}
		if matchParts(parts, strings.Split(below, "/")) {
			if out = append(out, name); len(out) > maxMatches {
				return errTooMany
			}
		}
		return nil
	})
	return out, err
}

var errTooMany = errors.New("the pattern matches more than 10,000 files")

// matchParts matches the folders of a path; it is linear in the number of
// folders for each **, of which a path has few.
func matchParts(pattern, name []string) bool {
	// reach[i] tells that the pattern up to i matches the name so far.
	reach := make([]bool, len(pattern)+1)
	reach[0] = true
	skip := func() {
		for i, p := range pattern {
			if p == "**" && reach[i] {
				reach[i+1] = true
			}
		}
	}
	skip()
	for _, part := range name {
		next := make([]bool, len(pattern)+1)
		for i, p := range pattern {
			if !reach[i] {
				continue
			}
			if p == "**" {
				next[i] = true
			} else if ok, err := path.Match(p, part); ok && err == nil {
				next[i+1] = true
			}
		}
		reach = next
		skip()
	}
	return reach[len(pattern)]
}
