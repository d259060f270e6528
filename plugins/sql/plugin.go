// Package sql speaks to databases: PostgreSQL, MySQL and MariaDB, SQLite. It runs
// the SQL that a flow writes and gives back what the database says, with every
// value in its own type. It never puts a value into the text of a statement where
// the database takes it apart, and never takes an error of the database for an
// answer.
package sql

import (
	"github.com/testmesh/testmesh/sdk/plugin"
)

// New makes the plugin. It opens nothing: connections belong to runs.
func New() plugin.Plugin {
	return plugin.New(plugin.Info{Name: "sql", Version: "1.0.0", Summary: "PostgreSQL, MySQL, MariaDB and SQLite."},
		plugin.Action("query", "Run one statement and read its rows.", query,
			plugin.When(`read_only`, plugin.Observes()),
			plugin.When(`query matches "(?is)^\\s*(select|values|table|show|describe|desc|with)\\b" and not (query matches "(?i)\\b(insert|update|delete|merge|replace|into|for\\s+update)\\b")`, plugin.Observes()),
			plugin.Once(),
			plugin.Example(`
- action: sql.query
  config:
    connection: ${POSTGRES_URL}
    query: SELECT id, email FROM users WHERE email = :email
    params: {email: ada@example.com}
  assert:
    - row_count == 1
    - first_row.id > 0
`),
			plugin.BodyKey("single_row"),
			plugin.Alias("database_query", "db_query", "db_poll", "sql_query", "postgresql.query", "postgres.query", "mysql.query", "mariadb.query", "sqlite.query"),
			plugin.KeyAlias("connection_string", "connection"), plugin.KeyAlias("dsn", "connection"),
			plugin.KeyAlias("named_params", "params"), plugin.KeyAlias("sql", "query"), plugin.KeyAlias("statement", "query"),
			plugin.ResultAlias("result.count", "row_count"), plugin.ResultAlias("count", "row_count"),
		),
	)
}
