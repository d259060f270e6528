//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package keyboard

import "golang.org/x/sys/unix"

// keys switches lines and echo off; signals and the line feeds of output stay.
func (k *Keyboard) keys() error {
	mode, err := unix.IoctlGetTermios(k.fd, getMode)
	if err != nil {
		return err
	}
	mode.Lflag &^= unix.ICANON | unix.ECHO
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(k.fd, setMode, mode)
}

// foreground tells whether the terminal takes orders from this process: one in
// the background is stopped when it gives any.
func (k *Keyboard) foreground() bool {
	group, err := unix.IoctlGetInt(k.fd, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
