// Package packaging holds what makes packages, images and services of the programs. It
// holds no code: its tests say that every setting, port, path and file that it names is
// one that the programs have.
package packaging
