package sql

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugintest"
)

func kitConfig(t *testing.T) plugintest.Config {
	t.Helper()
	call := func(action, config string) plugintest.Call {
		return plugintest.Call{Action: action, Config: json.RawMessage(config)}
	}
	b := newBench(t)
	table := b.table(postgresURL(t))
	b.must("exec", fields{"connection": postgresURL(t), "query": "CREATE TABLE " + table + " (id integer PRIMARY KEY, v text)"})
	// PostgreSQL has no text with a zero in it.
	const text = `{"connection": "sqlite::memory:", "query": "SELECT :v AS v", "params": {"v": "${payload}"}, "max_bytes": 50331648}`
	return plugintest.Config{
		Descriptor: New().Describe(),
		Vars:       map[string]any{"postgres": postgresURL(t), "mariadb": mariadbURL(t), "table": table},
		Conformance: plugintest.Conformance{
			Echo:    &plugintest.Echo{Call: call("sql.query", text), Result: "rows.0.v"},
			JSON:    &plugintest.Echo{Call: call("sql.query", `{"connection": "${postgres}", "query": "SELECT :v::json AS v", "params": {"v": {"in": "${payload}"}}, "max_bytes": 50331648}`), Result: "rows.0.v.in"},
			Binary:  &plugintest.Echo{Call: call("sql.query", `{"connection": "${postgres}", "query": "SELECT :v::bytea AS v", "params": {"v": {"$bytes": "${payload}"}}, "max_bytes": 50331648}`), Result: "rows.0.v"},
			Slow:    new(call("sql.query", `{"connection": "${mariadb}", "query": "SELECT SLEEP(60)"}`)),
			Bad:     &plugintest.Bad{Call: call("sql.query", `{"connection": "${postgres}", "query": "SELECT 1", "max_rows": 0}`), Field: "max_rows"},
			Observe: &plugintest.Repeat{Call: call("sql.query", `{"connection": "${postgres}", "query": "SELECT 1 AS n"}`)},
			Idempotent: &plugintest.Repeat{
				Call:  call("sql.load", `{"connection": "${postgres}", "rows": {"`+table+`": [{"id": 1, "v": "a"}, {"id": 2}]}, "clear": "delete"}`),
				Check: new(call("sql.query", `{"connection": "${postgres}", "query": "SELECT * FROM ${table} ORDER BY id"}`)),
			},
			Secret: new(call("sql.query", `{"connection": {"type": "postgres", "host": "127.0.0.1", "port": 1, "user": "app", "password": "${secret}"}, "query": "SELECT '${secret}'"}`)),
			Session: &plugintest.SessionPair{
				Write: call("sql.exec", `{"connection": "sqlite::memory:", "query": "CREATE TABLE IF NOT EXISTS kept AS SELECT '${payload}' AS v"}`),
				Read:  plugintest.Echo{Call: call("sql.query", `{"connection": "sqlite::memory:", "query": "SELECT v FROM kept"}`), Result: "rows.0.v"},
			},
			File: new(call("sql.load", `{"connection": "${postgres}", "file": "${file}", "format": "csv", "table": "${table}"}`)),
		},
	}
}

func TestItKeepsThePromisesOfTheWireInAProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := kitConfig(t)
	c.Command = []string{exe, asPlugin}
	plugintest.Run(t, c)
}

func TestItKeepsThePromisesOfTheWireInMemory(t *testing.T) {
	c := kitConfig(t)
	c.Plugin = New
	plugintest.Run(t, c)
}
