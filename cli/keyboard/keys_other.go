//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package keyboard

import "errors"

func (k *Keyboard) keys() error { return errors.New("single keys are not read on this system") }

func (k *Keyboard) foreground() bool { return true }
