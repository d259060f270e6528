//go:build race

package process

// patiently is how many times as slow the race detector makes the arithmetic of
// certificates.
const patiently = 10
