// Package apiv1 is the API of the control plane and what agents call: records and
// services. It is a package of its own, so that what only reads descriptors links none
// of it, and never holds code of its own: the .proto files are the source.
package apiv1
