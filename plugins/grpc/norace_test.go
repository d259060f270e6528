//go:build !race

package grpc

const (
	many      = 1_000_000 // messages of a long stream
	patiently = 1         // times longer may a call take
)
