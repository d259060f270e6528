// Package descriptor holds what the built-in plugins of processes of their own
// say of themselves, as Go values: whoever checks a flow reads them without
// linking a plugin. All but this file is generated, and never edited.
package descriptor
