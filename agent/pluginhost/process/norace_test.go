//go:build !race

package process

const patiently = 1
