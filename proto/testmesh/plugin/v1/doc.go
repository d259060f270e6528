// Package pluginv1 is the wire between a host and a plugin: one gRPC service. It
// is a package of its own, so that what only reads descriptors does not link
// gRPC, and never holds code of its own: plugin.proto is the source.
package pluginv1
