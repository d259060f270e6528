// Package echov1 is what a client of gRPC has to cope with, as the demonstration
// application serves it. It never holds code of its own: echo.proto is the
// source.
package echov1
