package blob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestWhatAProcessLeftUnfinishedIsRemoved(t *testing.T) {
	root := t.TempDir()
	if _, err := OpenDir(root); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(root, unfinished, "half")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestNothingIsLeftOfAPutThatFailed(t *testing.T) {
	root := t.TempDir()
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), "files/x", &cut{100}); !errors.Is(err, errCut) {
		t.Fatalf("got %v", err)
	}
	left, err := os.ReadDir(filepath.Join(root, unfinished))
	if len(left) != 0 || err != nil {
		t.Errorf("left are %v, %v", left, err)
	}
}

func TestOneFolderMadeByManyPuts(t *testing.T) {
	d, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if err := d.Put(t.Context(), "streams/a/b/c/"+string(rune('a'+i)), strings.NewReader("x")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if keys, err := d.List(t.Context(), "streams/"); len(keys) != 16 || err != nil {
		t.Errorf("got %v, %v", keys, err)
	}
}

func TestTheUnfinishedAreNoBlobs(t *testing.T) {
	d, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), unfinished+"/x"); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestAFolderThatCannotBeOne(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(file); err == nil || !strings.Contains(err.Error(), "open blobs") {
		t.Errorf("got %v", err)
	}
}

// full devices say ENOSPC; a reader stands for one here, the disk itself is tried in
// the tests of the node.
func TestAFullDiskIsSaidAsOne(t *testing.T) {
	root := t.TempDir()
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Put(t.Context(), "files/x", noRoom{})
	var full *FullError
	if !errors.As(err, &full) || full.Where != root || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(err.Error(), "there is no room left in "+root) {
		t.Errorf("it says %q", err)
	}
}

type noRoom struct{}

func (noRoom) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
}
