//go:build !race

package http

const patiently = 1
