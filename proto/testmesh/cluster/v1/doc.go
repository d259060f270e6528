// Package clusterv1 is what the nodes of a control plane tell each other: the commands
// that are replicated, and calls. Nobody outside of the control plane speaks it, and it
// never holds code of its own: the .proto files are the source.
package clusterv1
