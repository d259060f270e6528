// Package bundle is a project as it travels: a list of files by the sha256 of what
// they hold. Both ends read it as a file system, and make the same runs of it. It
// never fetches: whoever uses it gives the contents.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	apiv1 "github.com/testmesh/testmesh/proto/testmesh/api/v1"
)

const (
	// MaxFiles bounds the files of a bundle.
	MaxFiles = 20_000
	// MaxBytes bounds the files of a bundle together.
	MaxBytes = 2 << 30
)

// Digest identifies a bundle: of every path and content, in alphabetical order.
func Digest(files []*apiv1.BundleFile) string {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b *apiv1.BundleFile) int { return strings.Compare(a.GetPath(), b.GetPath()) })
	h := sha256.New()
	for _, f := range sorted {
		fmt.Fprintf(h, "%s %s\n", f.GetSha256(), f.GetPath())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Check refuses a list that is no bundle: a path that leads out of it, one that comes
// twice, one that is a folder of another.
func Check(files []*apiv1.BundleFile) error {
	if len(files) > MaxFiles {
		return fmt.Errorf("a bundle has at most %d files, and this has %d", MaxFiles, len(files))
	}
	kinds := map[string]bool{} // true: a file
	total := int64(0)
	for _, f := range files {
		name := f.GetPath()
		if !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00") {
			return fmt.Errorf("the path %q leads out of the bundle", name)
		}
		if _, taken := kinds[name]; taken {
			return fmt.Errorf("the path %q comes twice", name)
		}
		kinds[name] = true
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if kinds[dir] {
				return fmt.Errorf("the path %q is a file and a folder", dir)
			}
			kinds[dir] = false
		}
		if total += f.GetSize(); f.GetSize() < 0 || total > MaxBytes {
			return fmt.Errorf("the files of a bundle have at most %d MiB together", MaxBytes>>20)
		}
	}
	return nil
}

// Open gives the content with a sha256 (hex).
type Open func(sha256 string) ([]byte, error)

// New is a bundle as a file system.
func New(files []*apiv1.BundleFile, open Open) fs.FS {
	f := &fsys{open: open, files: map[string]*apiv1.BundleFile{}, dirs: map[string][]fs.DirEntry{".": nil}}
	for _, one := range files {
		name := one.GetPath()
		f.files[name] = one
		var entry fs.DirEntry = fs.FileInfoToDirEntry(info{path.Base(name), one.GetSize(), 0o444})
		for dir := path.Dir(name); ; dir = path.Dir(dir) {
			_, known := f.dirs[dir]
			f.dirs[dir] = append(f.dirs[dir], entry)
			if known || dir == "." {
				break
			}
			entry = fs.FileInfoToDirEntry(info{path.Base(dir), 0, fs.ModeDir | 0o555})
		}
	}
	for _, list := range f.dirs {
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return f
}

type fsys struct {
	open  Open
	files map[string]*apiv1.BundleFile
	dirs  map[string][]fs.DirEntry
}

// Open implements fs.FS.
func (f *fsys) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if list, ok := f.dirs[name]; ok {
		return &folder{info{path.Base(name), 0, fs.ModeDir | 0o555}, list}, nil
	}
	one := f.files[name]
	if one == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	data, err := f.open(one.GetSha256())
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &file{info{path.Base(name), int64(len(data)), 0o444}, bytes.NewReader(data)}, nil
}

// Stat needs no content.
func (f *fsys) Stat(name string) (fs.FileInfo, error) {
	if _, ok := f.dirs[name]; ok {
		return info{path.Base(name), 0, fs.ModeDir | 0o555}, nil
	}
	if one := f.files[name]; one != nil {
		return info{path.Base(name), one.GetSize(), 0o444}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements fs.ReadDirFS.
func (f *fsys) ReadDir(name string) ([]fs.DirEntry, error) {
	list, ok := f.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(list), nil
}

type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

type file struct {
	info
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }
func (f *file) Size() int64                { return f.info.size }

type folder struct {
	info
	list []fs.DirEntry
}

func (d *folder) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *folder) Close() error               { return nil }

func (d *folder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: fs.ErrInvalid}
}

func (d *folder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		list := d.list
		d.list = nil
		return list, nil
	}
	if len(d.list) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.list))
	list := d.list[:n]
	d.list = d.list[n:]
	return list, nil
}
