// Package watch notices that files changed, by looking at them again and again.
// It asks no notifier of the operating system, so that it works the same in
// containers, on network mounts and on every system, and has no limit of handles
// to run into. It never tells what a change means.
package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// usual is the time between two looks; where a look takes long, the time is
	// shareOfTime times as long, so that waiting stays cheap in large projects.
	usual       = 200 * time.Millisecond
	shareOfTime = 30
	// settle is how long nothing may change before a change is told: an editor
	// that saves writes, renames and removes within it.
	settle = 100 * time.Millisecond
	// gone is the same for a file that is missing or empty: some programs remove
	// or truncate first, and write later.
	gone = 500 * time.Millisecond
	// racy is how old a file must be for its time and size to be trusted: clocks
	// of file systems are coarse, up to two seconds.
	racy = 2 * time.Second
	// maxHashed bounds a file that is compared by its content; a larger one
	// counts as changed with its time.
	maxHashed = 64 << 20
)

// What is what happened to a file.
type What string

// What happens to files.
const (
	Changed What = "changed"
	Added   What = "added"
	Removed What = "removed"
)

// Change is a file that is not what it was, or a directory whose entries are not.
type Change struct {
	Path string
	What What
	Dir  bool
}

// Files is what to look at.
type Files struct {
	// Files has the sha256 (hex) that each file had when it was read; empty where
	// nobody read it, and Absent where it was not there.
	Files map[string]string
	// Dirs are directories whose entries matter.
	Dirs []string
}

// Absent is the hash of a file that is not there.
const Absent = "absent"

// Watcher looks at files. It is used by one goroutine at a time.
type Watcher struct {
	files map[string]*state
	dirs  map[string]string // the names in each
	every time.Duration
	// What moved and has not come to rest, with the hashes of files before.
	before map[string]string
	moved  map[string]bool // directories
	rest   time.Time       // when it has, if nothing else moves; zero: nothing moved
}

// state is a file as it was when it was last looked at.
type state struct {
	info fs.FileInfo // nil: it is not there
	hash string
	at   time.Time // when the hash was made
}

// New makes a Watcher of nothing.
func New() *Watcher {
	return &Watcher{
		files: map[string]*state{}, dirs: map[string]string{}, every: usual,
		before: map[string]string{}, moved: map[string]bool{},
	}
}

// Look replaces what is looked at, by what was read since began. What is not as
// it was read is a change that Next tells.
func (w *Watcher) Look(f Files, began time.Time) {
	files := make(map[string]*state, len(f.Files))
	for path, hash := range f.Files {
		s := w.files[path]
		first := s == nil
		if first || hash != "" && hash != s.hash {
			s = &state{}
			s.look(path)
		}
		files[path] = s
		switch {
		case hash == s.hash:
			delete(w.before, path)
		case hash != "" && !s.large():
			w.before[path], w.rest = hash, time.Now()
		case first && s.info != nil && !s.info.ModTime().Before(began):
			w.before[path], w.rest = "", time.Now() // perhaps written after it was read
		}
	}
	for path := range w.before {
		if files[path] == nil {
			delete(w.before, path)
		}
	}
	dirs := make(map[string]string, len(f.Dirs))
	for _, dir := range f.Dirs {
		names, known := w.dirs[dir]
		if !known {
			names = list(dir)
		}
		dirs[dir] = names
	}
	w.files, w.dirs = files, dirs
}

// Len is how many files are looked at.
func (w *Watcher) Len() int { return len(w.files) }

// Next waits until something changed and has come to rest, and gives what did.
// It gives nothing where ctx is done first; what moved by then is told by the
// next call.
func (w *Watcher) Next(ctx context.Context) []Change {
	for {
		wait := w.every
		if !w.rest.IsZero() {
			wait = settle / 2
		}
		if !sleep(ctx, wait) {
			return nil
		}
		began := time.Now()
		rest := w.compare()
		w.every = max(usual, time.Since(began)*shareOfTime)
		switch {
		case rest > 0:
			w.rest = began.Add(rest)
		case !w.rest.IsZero() && !began.Before(w.rest):
			if changes := w.changes(); len(changes) > 0 {
				return changes
			}
		}
	}
}

// compare looks at everything once, and gives how long to wait for rest; 0 where
// nothing moved.
func (w *Watcher) compare() (rest time.Duration) {
	for path, s := range w.files {
		had := s.hash
		if !s.moved(path) {
			continue
		}
		if _, known := w.before[path]; !known {
			w.before[path] = had
		}
		rest = max(rest, settle)
		if s.info == nil || s.info.Size() == 0 {
			rest = gone
		}
	}
	for dir, had := range w.dirs {
		if names := list(dir); names != had {
			w.dirs[dir], w.moved[dir] = names, true
			rest = max(rest, settle)
		}
	}
	return rest
}

// changes takes what moved: all that is not what it was before.
func (w *Watcher) changes() []Change {
	var out []Change
	for path, had := range w.before {
		if now := w.files[path].hash; now != had {
			out = append(out, Change{Path: path, What: what(had, now)})
		}
	}
	for dir := range w.moved {
		out = append(out, Change{Path: dir, What: Changed, Dir: true})
	}
	clear(w.before)
	clear(w.moved)
	w.rest = time.Time{}
	slices.SortFunc(out, byPath)
	return out
}

func byPath(a, b Change) int { return strings.Compare(a.Path, b.Path) }

func what(had, now string) What {
	switch {
	case now == Absent:
		return Removed
	case had == Absent:
		return Added
	}
	return Changed
}

// moved looks at a file again where it may have changed, and tells whether it is
// another one now.
func (s *state) moved(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil || !info.Mode().IsRegular():
		info = nil
		if s.info == nil {
			return false
		}
	case s.info != nil && os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime()) &&
		s.at.Sub(info.ModTime()) > racy:
		return false
	}
	had := s.hash
	s.look(path)
	return s.hash != had
}

// look reads a file.
func (s *state) look(path string) {
	s.at = time.Now()
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		s.info, s.hash = nil, Absent
		return
	}
	hash, err := hashOf(path, info)
	if errors.Is(err, fs.ErrNotExist) {
		s.info, s.hash = nil, Absent
		return
	}
	if err != nil {
		hash = "unreadable: " + err.Error()
	}
	s.info, s.hash = info, hash
}

// large tells a file that is not compared by its content.
func (s *state) large() bool { return s.info != nil && s.info.Size() > maxHashed }

func hashOf(path string, info fs.FileInfo) (string, error) {
	if info.Size() > maxHashed {
		return info.ModTime().String(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxHashed)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// list is the names in a directory. Those that begin with a dot or end with a
// tilde are no part of a project.
func list(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "unreadable"
	}
	var b strings.Builder
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "~") {
			b.WriteString(name + "\n")
		}
	}
	return b.String()
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
