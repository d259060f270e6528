//go:build race

package grpc

// Under the race detector everything takes some ten times as long.
const (
	many      = 100_000 // messages of a long stream
	patiently = 10      // times longer may a call take
)
