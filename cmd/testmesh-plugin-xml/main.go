//go:build libxml2 && cgo

// Command testmesh-plugin-xml judges XML documents by XML Schemas, with libxml2.
// It is a program of its own because libxml2 comes by cgo. It never reads a file
// outside the project, never opens a connection, and never expands an entity.
package main

import (
	"github.com/testmesh/testmesh/sdk/plugin/serve"
)

// pluginVersion is that of the plugin, which goes its own way.
const pluginVersion = "0.1.0"

func main() { serve.Main(newPlugin(pluginVersion)) }
