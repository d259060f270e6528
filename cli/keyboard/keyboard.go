// Package keyboard lets a command read a terminal key by key. It changes the
// terminal only until it is given back, and never reads it itself.
package keyboard

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"
)

// Keyboard is a terminal that keys come from.
type Keyboard struct{ fd int }

// Open gives the keyboard of a file; ok is false where the file is no terminal.
func Open(f *os.File) (k *Keyboard, ok bool) {
	fd := int(f.Fd())
	return &Keyboard{fd: fd}, term.IsTerminal(fd)
}

var errBackground = errors.New("the command does not run in the foreground of its terminal")

// Keys lets each key through at once and does not show it; the keys of signals
// stay signals. restore gives the terminal back.
func (k *Keyboard) Keys() (restore func(), err error) {
	if !k.foreground() {
		return nil, errBackground // changing it would stop the process
	}
	return k.changed(k.keys)
}

// Raw lets every key through, those of signals too. restore gives the terminal
// back.
func (k *Keyboard) Raw() (restore func(), err error) {
	if !k.foreground() {
		return nil, errBackground
	}
	return k.changed(func() error {
		_, err := term.MakeRaw(k.fd)
		return err
	})
}

func (k *Keyboard) changed(change func() error) (restore func(), err error) {
	before, err := term.GetState(k.fd)
	if err != nil {
		return nil, fmt.Errorf("read the terminal's mode: %w", err)
	}
	if err := change(); err != nil {
		return nil, fmt.Errorf("change the terminal's mode: %w", err)
	}
	return func() { _ = term.Restore(k.fd, before) }, nil // a terminal that went away needs nothing
}

// Size is how many columns and lines the terminal has; ok is false where it does
// not say.
func (k *Keyboard) Size() (columns, lines int, ok bool) {
	columns, lines, err := term.GetSize(k.fd)
	return columns, lines, err == nil
}
