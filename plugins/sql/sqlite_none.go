//go:build !cgo

package sql

import (
	"github.com/testmesh/testmesh/sdk/plugin"
)

// newSQLite is for a program that was built without cgo, which SQLite comes by.
func newSQLite(*plugin.Call, *server) (database, error) {
	return nil, plugin.Agentf("this testmesh was built without SQLite").WithHint("build it with CGO_ENABLED=1 and a C compiler, or use one of the releases")
}

func explainSQLite(_ statement, err error) error { return err }
