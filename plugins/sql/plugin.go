// Package sql speaks to databases: PostgreSQL, MySQL and MariaDB, SQLite. It runs
// the SQL that a flow writes and gives back what the database says, with every
// value in its own type. It never puts a value into the text of a statement where
// the database would take it apart, and never takes an error of the database for
// an answer.
package sql

import (
	"github.com/testmesh/testmesh/sdk/plugin"
)

// New makes the plugin. It opens nothing: connections belong to runs.
func New() plugin.Plugin {
	return plugin.New(plugin.Info{Name: "sql", Version: "1.0.0", Summary: "PostgreSQL, MySQL, MariaDB and SQLite."},
		queryAction(), execAction(), beginAction(), commitAction(), rollbackAction(),
		snapshotAction(), diffAction(), loadAction(),
	)
}

// observing is the rule over a config by which a statement only reads: a SELECT and
// its like, with no word of a change in it.
const observing = `query matches "(?is)^\\s*(select|values|table|show|describe|desc|with)\\b" and ` +
	`not (query matches "(?i)\\b(insert|update|delete|merge|replace|into|call)\\b")`

// connected are the names of a connection in older dialects.
func connected() []plugin.Option {
	return []plugin.Option{
		plugin.KeyAlias("connection_string", "connection"), plugin.KeyAlias("dsn", "connection"),
		plugin.KeyAlias("connection.username", "connection.user"), plugin.KeyAlias("connection.dbname", "connection.database"),
	}
}

// older are the names of connections, statements and results in older dialects.
func older() []plugin.Option {
	return append(connected(),
		plugin.KeyAlias("named_params", "params"), plugin.KeyAlias("sql", "query"), plugin.KeyAlias("statement", "query"),
		plugin.ResultAlias("result.count", "row_count"), plugin.ResultAlias("count", "row_count"))
}

func queryAction() plugin.Part {
	return plugin.Action("query", "Run one statement and read its rows.", query, append(older(),
		plugin.Description("Values go into the statement as parameters: `:name` with a map of params, `?` or `$1` with a list. "+
			"A list for a parameter in `IN (…)` is all of its elements."),
		plugin.When(`read_only`, plugin.Observes()), plugin.When(observing, plugin.Observes()), plugin.Once(),
		plugin.BodyKey("single_row"),
		plugin.Alias("database_query", "db_query", "db_poll", "sql_query", "postgresql.query", "postgres.query", "mysql.query", "mariadb.query", "sqlite.query"),
		plugin.Example(`
- action: sql.query
  config:
    connection: ${POSTGRES_URL}
    query: SELECT id, email, balance FROM users WHERE email = :email
    params: {email: ada@example.com}
  assert:
    - row_count == 1
    - first_row.balance == 12.50
`))...)
}

func execAction() plugin.Part {
	return plugin.Action("exec", "Run statements that change something.", execute, append(older(),
		plugin.Description("Several statements are separated by `;` and run one after the other, each a transaction of its own "+
			"unless the step is in one."),
		plugin.When(`read_only`, plugin.Observes()), plugin.Once(),
		plugin.BodyKey("single_row"),
		plugin.Alias("postgresql.execute", "postgresql.exec", "postgres.execute", "postgres.exec", "mysql.execute", "mysql.exec", "sqlite.exec"),
		plugin.Example(`
- action: sql.exec
  config:
    connection: ${POSTGRES_URL}
    query: UPDATE users SET balance = balance + :amount WHERE email = :email
    params: {amount: 2.50, email: ada@example.com}
  assert:
    - rows_affected == 1
`))...)
}

func beginAction() plugin.Part {
	return plugin.Action("begin", "Begin a transaction that later steps run in.", begin, append(connected(),
		plugin.Description("The steps name it with `transaction`. What is left open at the end of the run is rolled back."),
		plugin.Idempotent(), plugin.Example(`
- action: sql.begin
  config: {connection: "${POSTGRES_URL}", transaction: order, isolation: serializable}
`))...)
}

func commitAction() plugin.Part {
	return plugin.Action("commit", "Commit a transaction.", commit, plugin.Description("It passes once the database has committed. One in which a statement had failed is rolled back by PostgreSQL: the step is errored."),
		plugin.Once(), plugin.Example(`
- action: sql.commit
  config: {transaction: order}
`))
}

func rollbackAction() plugin.Part {
	return plugin.Action("rollback", "End a transaction without its changes.", rollback, plugin.Description("It passes also where the transaction is over already, so that a teardown may always say it."),
		plugin.Idempotent(), plugin.Example(`
- action: sql.rollback
  config: {transaction: order}
`))
}

func snapshotAction() plugin.Part {
	return plugin.Action("snapshot", "Remember rows, to see later what changed.", takeSnapshot, append(connected(),
		plugin.Description("Of whole tables, which are read in one transaction, or of what a statement gives. `sql.diff` reads them again and compares."),
		plugin.Observes(), plugin.Example(`
- id: before
  action: sql.snapshot
  config:
    connection: ${POSTGRES_URL}
    tables: [users]
  assert: [tables.users > 0]
`))...)
}

func diffAction() plugin.Part {
	return plugin.Action("diff", "Compare rows with a snapshot.", diff,
		plugin.Description("Rows are the same one by the snapshot's key. `added`, `removed` and `changed` are of all tables, `tables.<name>` has those of one. Each change is a line of the step's log."),
		plugin.Observes(), plugin.Example(`
- action: sql.diff
  config: {from: before}
  assert:
    - added.length == 1
    - added[0].email == "eve@example.com"
    - changed.length == 0
`))
}

func loadAction() plugin.Part {
	return plugin.Action("load", "Load fixtures: rows from YAML, JSON and CSV files, statements from SQL files.", load, append(connected(),
		plugin.Description("All of it in one transaction. Tables that others point to are loaded first, and emptied last. A text is converted by the type of its column; bytes are base64. In CSV the first line are the columns, `\\N` is NULL, and so is an empty value in a column that holds no text."),
		plugin.When(`clear != "none"`, plugin.Idempotent()), plugin.Once(),
		plugin.Example(`
- action: sql.load
  config:
    connection: ${POSTGRES_URL}
    rows:
      users:
        - {email: grace@example.com, balance: 100.00}
        - {email: linus@example.com}
    clear: delete
  assert: [row_count == 2]
`))...)
}
