package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// errOutside is a path that leaves the project.
var errOutside = errors.New("the path leads out of the project")

// within is the path of name below the project's root, where name is relative
// to dir.
func within(dir, name string) (string, error) {
	if name == "" {
		return "", errors.New("the path is empty")
	}
	if path.IsAbs(name) || len(name) > 1 && name[1] == ':' || strings.HasPrefix(name, `\`) {
		return "", errOutside
	}
	joined := path.Join(dir, name)
	if !fs.ValidPath(joined) {
		return "", errOutside
	}
	return joined, nil
}

// Files lists what a bundle holds, in alphabetical order.
func Files(b Bundle) []string { return slices.Sorted(maps.Keys(b)) }

// version is the identity of a bundle: of every path and content, and of which
// flow of the file is meant.
func (b Bundle) version(file string, index int) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s#%d\n", file, index)
	for _, name := range Files(b) {
		fmt.Fprintf(h, "%s %s\n", b[name], name)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// files reads the project, each file once.
type files struct {
	fsys   fs.FS
	hashes map[string]string
	texts  map[string][]byte
	blamed int // files whose neighbours were looked at
}

func newFiles(fsys fs.FS) *files {
	return &files{fsys: fsys, hashes: map[string]string{}, texts: map[string][]byte{}}
}

// read is the content of a file of the project, whole.
func (f *files) read(name string) ([]byte, error) { return f.readUpTo(name, MaxFileBytes) }

// readUpTo is read with a limit of its own.
func (f *files) readUpTo(name string, limit int64) ([]byte, error) {
	if data, ok := f.texts[name]; ok {
		return data, nil
	}
	in, err := f.open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the file is over %d MiB", limit>>20)
	}
	sum := sha256.Sum256(data)
	f.texts[name], f.hashes[name] = data, hex.EncodeToString(sum[:])
	return data, nil
}

// hash is the sha256 of a file, which may be larger than what read takes.
func (f *files) hash(name string) (string, error) {
	if h, ok := f.hashes[name]; ok {
		return h, nil
	}
	in, err := f.open(name)
	if err != nil {
		return "", err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, in); err != nil {
		return "", err
	}
	f.hashes[name] = hex.EncodeToString(h.Sum(nil))
	return f.hashes[name], nil
}

func (f *files) open(name string) (fs.File, error) {
	if f.fsys == nil {
		return nil, errors.New("no files can be read here")
	}
	in, err := f.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotFile
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

var errNotFile = errors.New("it is not a regular file")

// blame words a file that cannot be read, with the nearest name that exists.
func (f *files) blame(at *source.Node, name string, err error) source.Problem {
	return f.blameAt(at.Pos, at.Text, name, err)
}

func (f *files) blameAt(pos source.Pos, text, name string, err error) source.Problem {
	switch {
	case errors.Is(err, errOutside):
		return hinted(problem(source.CodeFile, pos, text, fmt.Sprintf("%q is outside the project", text)),
			"a flow reads only files below the project's root")
	case errors.Is(err, fs.ErrNotExist):
		p := problem(source.CodeFile, pos, text, fmt.Sprintf("there is no file %q", name))
		// The hint names the file as the author writes it: from its own folder; a
		// path of the command line has no place in a file.
		if near := f.nearest(name); near != "" && pos.Line == 0 {
			p.Hint = fmt.Sprintf("did you mean %q?", near)
		} else if rest := f.fromRoot(path.Dir(pos.File), text); rest != "" && pos.Line > 0 {
			p.Hint = fmt.Sprintf("did you mean %q? Paths are relative to the file that they stand in", rest)
		} else if near != "" {
			p.Hint = fmt.Sprintf("did you mean %q?", relative(path.Dir(pos.File), near))
		}
		return p
	case errors.Is(err, errNotFile):
		return problem(source.CodeFile, pos, text, fmt.Sprintf("%q is not a file", name))
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return problem(source.CodeFile, pos, text, fmt.Sprintf("%q cannot be read: %v", name, err))
}

// fromRoot is what is left of a path that begins with folders of the project
// although it is relative to dir, or "".
func (f *files) fromRoot(dir, text string) string {
	if f.fsys == nil || f.blamed > maxBlamed {
		return ""
	}
	for {
		_, rest, ok := strings.Cut(text, "/")
		if !ok || rest == "" {
			return ""
		}
		if info, err := fs.Stat(f.fsys, path.Join(dir, rest)); err == nil && !info.IsDir() {
			return rest
		}
		text = rest
	}
}

// nearest is the existing neighbour with the most similar name, or "".
func (f *files) nearest(name string) string {
	if f.blamed++; f.fsys == nil || f.blamed > maxBlamed {
		return ""
	}
	dir := path.Dir(name)
	entries, err := fs.ReadDir(f.fsys, dir)
	if err != nil {
		return ""
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	base := path.Base(name)
	near := value.Closest(base, names)
	if near == "" {
		stem := strings.TrimSuffix(base, path.Ext(base))
		for _, n := range names {
			if strings.TrimSuffix(n, path.Ext(n)) == stem {
				near = n // another extension
			}
		}
	}
	if near == "" {
		return ""
	}
	return path.Join(dir, near)
}

// put gives the cache a file whose content is known already.
func (f *files) put(name string, data []byte) {
	sum := sha256.Sum256(data)
	f.texts[name], f.hashes[name] = data, hex.EncodeToString(sum[:])
}
