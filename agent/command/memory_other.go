//go:build !linux

package command

import "runtime/debug"

// giveBack returns freed heap to the system once an agent has come to rest. Pages of the
// program's file are the system's own affair here.
func giveBack(first bool) {
	if first {
		debug.FreeOSMemory()
	}
}
