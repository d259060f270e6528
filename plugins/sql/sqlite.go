package sql

import (
	"errors"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func newSQLite(*plugin.Call, *server) (database, error) { return nil, errors.New("todo") }

func explainSQLite(_ statement, err error) error { return err }
