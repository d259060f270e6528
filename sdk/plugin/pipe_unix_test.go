//go:build unix

package plugin

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

func TestANamedPipeIsRefusedInsteadOfWaitedFor(t *testing.T) {
	root := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := (&Request{Root: root, Dir: "."}).Open("pipe")
	var known *Error
	if !errors.As(err, &known) || known.Code != CodeConfig {
		t.Errorf("got %v, want a config error", err)
	}
	if _, err := (&Request{Root: root, Dir: "."}).Open("."); !errors.As(err, &known) {
		t.Errorf("a folder: got %v, want a config error", err)
	}
}
