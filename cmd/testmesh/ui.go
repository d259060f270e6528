//go:build !slim

package main

import (
	"fmt"
	"io/fs"
	"os/exec"
	"runtime"

	"github.com/testmesh/testmesh/cli"
	"github.com/testmesh/testmesh/ui"
)

// page are the files of the page that a control plane serves to browsers.
func page() (fs.FS, error) { return ui.Files() }

// browser opens an address for the person at this machine; nil: nobody sits before a
// screen of it, and a browser of the terminal would take that away.
func browser(s *cli.State, url string) func() error {
	program, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "windows":
		program, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	default:
		_, x11 := s.LookupEnv("DISPLAY")
		_, wayland := s.LookupEnv("WAYLAND_DISPLAY")
		if !x11 && !wayland {
			return nil
		}
	}
	return func() error {
		cmd := exec.Command(program, args...) //nolint:noctx // it lives on when this process ends
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start %s: %w", program, err)
		}
		go func() { _ = cmd.Wait() }() // what becomes of the browser is the person's
		return nil
	}
}
