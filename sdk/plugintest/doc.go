// Package plugintest is the conformance kit: it starts a plugin as a host does,
// speaks the real wire with it, and says for each promise of the wire whether
// the plugin keeps it. It never judges what a plugin is for, only how it behaves,
// and it never reports a case that it could not try as passed.
package plugintest
