package watch

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// Reads is a file system that keeps what was asked of it, files that are not
// there included. It is used by many goroutines at once where FS may be.
type Reads struct {
	fsys  fs.FS
	mu    sync.Mutex
	asked map[string]bool // name to whether its entries were asked for
}

// NewReads makes a Reads of fsys.
func NewReads(fsys fs.FS) *Reads {
	return &Reads{fsys: fsys, asked: map[string]bool{}}
}

func (r *Reads) keep(name string, entries bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[name] = r.asked[name] || entries
}

// Asked are the names that were asked for, files and directories.
func (r *Reads) Asked() (files, dirs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.asked)) {
		if r.asked[name] {
			dirs = append(dirs, name)
		} else {
			files = append(files, name)
		}
	}
	return files, dirs
}

// Open implements fs.FS.
func (r *Reads) Open(name string) (fs.File, error) {
	r.keep(name, false)
	return r.fsys.Open(name)
}

// Stat implements fs.StatFS.
func (r *Reads) Stat(name string) (fs.FileInfo, error) {
	r.keep(name, false)
	return fs.Stat(r.fsys, name)
}

// ReadFile implements fs.ReadFileFS.
func (r *Reads) ReadFile(name string) ([]byte, error) {
	r.keep(name, false)
	return fs.ReadFile(r.fsys, name)
}

// ReadDir implements fs.ReadDirFS.
func (r *Reads) ReadDir(name string) ([]fs.DirEntry, error) {
	r.keep(name, true)
	return fs.ReadDir(r.fsys, name)
}
