// Package catalog holds the descriptors of plugins as the language needs them:
// actions by name and alias, schemas, effects, expectations. It starts no
// process and never reads a file.
package catalog

import (
	testmeshv1 "github.com/testmesh/testmesh/proto/testmesh/v1"
)

// Catalog is the set of known plugins, immutable and safe for concurrent use.
type Catalog struct{}

// Action is one action, ready for the compiler and the engine.
type Action struct {
	Name    string
	Plugin  string
	Spec    *testmeshv1.Action
	BodyKey string
}

// New makes a catalog; it errors for two plugins with one name or alias, and
// for schemas, effects or expectations that do not compile.
func New(descriptors ...*testmeshv1.Descriptor) (*Catalog, error) { panic("skeleton") }
