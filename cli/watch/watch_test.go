package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// next gives the names of what changes next, or nothing within the time.
func next(t *testing.T, w *Watcher, within time.Duration) map[string]What {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	out := map[string]What{}
	for _, c := range w.Next(ctx) {
		name := filepath.Base(c.Path)
		if c.Dir {
			name += "/"
		}
		out[name] = c.What
	}
	return out
}

const soon = 20 * time.Second

func TestChangesAreNoticedHoweverAnEditorSaves(t *testing.T) {
	for claim, test := range map[string]struct {
		change func(t *testing.T, dir string)
		want   map[string]What
	}{
		"written in place": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "a"), "two") }, map[string]What{"a": Changed}},
		"with the same size and time": {func(t *testing.T, dir string) {
			info, err := os.Stat(filepath.Join(dir, "a"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "a"), "eno")
			if err := os.Chtimes(filepath.Join(dir, "a"), info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, map[string]What{"a": Changed}},
		"renamed over": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, ".tmp"), "two")
			if err := os.Rename(filepath.Join(dir, ".tmp"), filepath.Join(dir, "a")); err != nil {
				t.Fatal(err)
			}
		}, map[string]What{"a": Changed}},
		"emptied, then written": {func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "a"), "")
			write(t, filepath.Join(dir, "a"), "two")
		}, map[string]What{"a": Changed}},
		"removed":       {func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "a")) }, map[string]What{"a": Removed, "x/": Changed}},
		"there now":     {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "b"), "") }, map[string]What{"b": Added, "x/": Changed}},
		"another entry": {func(t *testing.T, dir string) { write(t, filepath.Join(dir, "c"), "") }, map[string]What{"x/": Changed}},
	} {
		t.Run(claim, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "x")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "a"), "one")
			w := New()
			w.Look(Files{Files: map[string]string{filepath.Join(dir, "a"): sum("one"), filepath.Join(dir, "b"): ""}, Dirs: []string{dir}}, time.Now())
			test.change(t, dir)
			if diff := cmp.Diff(test.want, next(t, w, soon)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoChangeIsNotTold(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a")
	write(t, a, "one")
	w := New()
	w.Look(Files{Files: map[string]string{a: sum("one")}, Dirs: []string{dir}}, time.Now())
	write(t, a, "one") // the same text
	if err := os.Chtimes(a, time.Now(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".a.swp"), "x")
	write(t, filepath.Join(dir, "a~"), "x")
	if got := next(t, w, time.Second); len(got) > 0 {
		t.Errorf("told %v", got)
	}
}

func TestFileThatChangedWhileItWasReadIsTold(t *testing.T) {
	a := filepath.Join(t.TempDir(), "a")
	write(t, a, "two")
	w := New()
	w.Look(Files{Files: map[string]string{a: sum("one")}}, time.Now())
	if diff := cmp.Diff(map[string]What{"a": Changed}, next(t, w, soon)); diff != "" {
		t.Error(diff)
	}
	if got := next(t, w, time.Second); len(got) > 0 {
		t.Errorf("told again: %v", got)
	}
}

func TestWhatMovedWhenNobodyWaitedIsToldLater(t *testing.T) {
	a := filepath.Join(t.TempDir(), "a")
	write(t, a, "one")
	w := New()
	w.Look(Files{Files: map[string]string{a: sum("one")}}, time.Now())
	write(t, a, "two")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := w.Next(ctx); got != nil {
		t.Errorf("told %v although nobody waits", got)
	}
	if diff := cmp.Diff(map[string]What{"a": Changed}, next(t, w, soon)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasReadAgainIsNotTold(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "one")
	write(t, b, "one")
	w := New()
	w.Look(Files{Files: map[string]string{a: sum("one"), b: sum("one")}}, time.Now())
	write(t, a, "two")
	write(t, b, "two")
	w.Look(Files{Files: map[string]string{a: sum("two")}}, time.Now()) // b is not watched any more
	if got := next(t, w, time.Second); len(got) > 0 || w.Len() != 1 {
		t.Errorf("told %v, watches %d files", got, w.Len())
	}
}

func TestReadsKeepsWhatWasAskedFor(t *testing.T) {
	r := NewReads(fstest.MapFS{"dir/a": {Data: []byte("x")}, "b": {Data: []byte("y")}})
	if _, err := fs.ReadFile(r, "b"); err != nil {
		t.Error(err)
	}
	if _, err := fs.Stat(r, "missing"); err == nil {
		t.Error("a file is there that is not")
	}
	if err := fs.WalkDir(r, "dir", func(string, fs.DirEntry, error) error { return nil }); err != nil {
		t.Error(err)
	}
	if f, err := r.Open("dir/a"); err != nil || f.Close() != nil {
		t.Error(err)
	}
	files, dirs := r.Asked()
	if diff := cmp.Diff([][]string{{"b", "dir/a", "missing"}, {"dir"}}, [][]string{files, dirs}); diff != "" {
		t.Error(diff)
	}
}
