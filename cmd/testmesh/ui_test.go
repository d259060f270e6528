//go:build !slim

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/cli"
)

// screen is a machine with these variables.
func screen(env map[string]string) *cli.State {
	return &cli.State{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func TestNoBrowserWhereThereIsNoScreen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Fatalf("this test knows the screens of linux, and runs on %s", runtime.GOOS)
	}
	if browser(screen(nil), "http://127.0.0.1:7070") != nil {
		t.Error("a browser would be opened where nobody sees it")
	}
}

func TestTheBrowserOpensTheAddress(t *testing.T) {
	dir := t.TempDir()
	said := filepath.Join(dir, "said")
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\necho \"$1\" >"+said+"\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	open := browser(screen(map[string]string{"DISPLAY": ":0"}), "http://127.0.0.1:7070")
	if err := open(); err != nil {
		t.Fatal(err)
	}
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(said)
		if strings.TrimSpace(string(text)) == "http://127.0.0.1:7070" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it opened %q, error %v", text, err)
		}
	}
}

func TestABrowserThatIsNotThereIsSaid(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	open := browser(screen(map[string]string{"WAYLAND_DISPLAY": "wayland-0"}), "http://127.0.0.1:7070")
	if err := open(); err == nil || !strings.Contains(err.Error(), "xdg-open") {
		t.Errorf("got %v", err)
	}
}
