//go:build race

package http

// patiently is how many times as slow the race detector makes certificates and
// the wire.
const patiently = 20
