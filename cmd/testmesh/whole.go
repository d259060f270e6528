//go:build !slim

package main

// begin has nothing to do: this program has every command.
func begin() {}
