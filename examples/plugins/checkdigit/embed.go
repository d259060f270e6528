// Package checkdigit is the example plugin in TypeScript. Its Go is this: the
// files that know nothing of this one plugin, which a new plugin begins with.
package checkdigit

import "embed"

// Wire is the protocol in TypeScript and the tools that build it.
//
//go:embed package.json package-lock.json tsconfig.json src/testmesh.ts src/testmesh
var Wire embed.FS
