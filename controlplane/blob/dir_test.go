package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestWhatAProcessLeftUnfinishedIsRemoved(t *testing.T) {
	root := t.TempDir()
	if _, err := OpenDir(root); err != nil {
		t.Fatal(err)
	}
	left, others := filepath.Join(root, unfinished, "half"), filepath.Join(root, unfinished, "at work")
	for _, name := range []string{left, others} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * abandoned)
	if err := os.Chtimes(left, long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("what another node is writing is gone: %v", err)
	}
}

// A node that starts looks at what another one finishes at that moment.
func TestWhatOthersFinishIsNoTrouble(t *testing.T) {
	root := t.TempDir()
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var puts sync.WaitGroup
	for i := range 4 {
		puts.Go(func() {
			for n := range 15 {
				if err := d.Put(t.Context(), fmt.Sprintf("files/%d-%d", i, n), strings.NewReader("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 30 {
		if _, err := OpenDir(root); err != nil {
			t.Error(err)
		}
	}
	puts.Wait()
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
