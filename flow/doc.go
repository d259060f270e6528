// Package flow is the language: it parses, checks and compiles flow files into
// programs that an engine runs any number of times. It is pure: files come
// through fs.FS, time and randomness as arguments; it opens, prints and starts
// nothing.
package flow
