// Package testmeshv1 holds the records and services of TestMesh, generated from
// the .proto files beside it: what the parts say to each other and what they
// keep. It never holds hand-written behaviour, so that every part and every
// language reads the same.
package testmeshv1
