package sql

import (
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// connectionMap is a connection as a map; a connection string says the same.
type connectionMap struct {
	Type     string            `json:"type" doc:"Which database." enum:"postgres|postgresql|mysql|mariadb|sqlite" example:"postgres"`
	Host     string            `json:"host,omitempty" doc:"Name or address of the server, or the path of its socket; localhost by default."`
	Port     uint16            `json:"port,omitempty" doc:"Port of the server; 5432 of PostgreSQL and 3306 of MySQL by default."`
	User     string            `json:"user,omitempty" doc:"Who connects."`
	Password plugin.SecretText `json:"password,omitempty" doc:"Password of the user."`
	Database string            `json:"database,omitempty" doc:"Name of the database; of SQLite the file, relative to the flow, or :memory:."`
	TLS      *tlsclient.Config `json:"tls" doc:"TLS, and what is checked. Left out: TLS where the server has it, without a check of its certificate."`
	Params   map[string]string `json:"params,omitempty" doc:"Settings of the session by name, as the connection string takes them behind ?."`
	ReadOnly bool              `json:"read_only" doc:"Whether the database is to refuse every change." default:"false"`
}

// target is where a step runs its statements.
type target struct {
	Connection  plugin.Either[string, connectionMap] `json:"connection,omitempty" doc:"The database: a connection string as postgres://user:password@host:5432/db, mysql://…, sqlite:file.db or sqlite::memory:, or a map. Left out where transaction is given." example:"postgres://app:${secret.DB_PASSWORD}@db:5432/shop"`
	Transaction string                               `json:"transaction,omitempty" doc:"Name of a transaction that sql.begin began; the statement runs in it."`
	ReadOnly    bool                                 `json:"read_only" doc:"Whether the database is to refuse every change." default:"false"`
}

// limits bound what a step takes of an answer.
type limits struct {
	MaxRows  int  `json:"max_rows" doc:"How many rows are read at most. More are an error, unless truncate is true." default:"10000" min:"1" max:"1000000"`
	MaxBytes int  `json:"max_bytes" doc:"How many bytes of values are read at most." default:"10485760" min:"1024" max:"50331648"`
	Truncate bool `json:"truncate" doc:"Whether an answer over a limit is cut there, in place of an error." default:"false"`
}

// expectedError is an error of the database that a step wants to see. What is left
// out is not looked at.
type expectedError struct {
	Code    string `json:"code,omitempty" doc:"SQLSTATE (23505), or the number (1062) or name (SQLITE_CONSTRAINT_UNIQUE) that the database gives it." example:"23505"`
	Kind    string `json:"kind,omitempty" doc:"What went wrong, the same for every database." enum:"unique|not_null|foreign_key|check|exclusion|value|syntax|no_table|no_column|exists|read_only|permission|deadlock|lock|other"`
	Message string `json:"message,omitempty" doc:"A part of its message."`
}

// queryIn is the config of sql.query and sql.exec.
type queryIn struct {
	target
	Query       string                               `json:"query" doc:"The SQL, with parameters as :name, ? or $1." minLength:"1"`
	Params      plugin.Either[[]any, map[string]any] `json:"params,omitempty" doc:"The values of the parameters: a map for :name, a list for ? and $1."`
	ExpectError *expectedError                       `json:"expect_error" doc:"The error that must come: the step fails where the database takes the statement, or has another error."`
	limits
}

// column is a column of a result.
type column struct {
	Name string `json:"name" doc:"The key in rows."`
	Type string `json:"type" doc:"Its type, as the database calls it."`
}

// queryOut is the result of sql.query and sql.exec.
type queryOut struct {
	Rows         []map[string]any `json:"rows" doc:"The rows: maps of values by column."`
	Columns      []column         `json:"columns" doc:"The columns in their order."`
	RowCount     int              `json:"row_count" doc:"How many rows there are in rows."`
	FirstRow     map[string]any   `json:"first_row,omitempty" doc:"The first row; missing where there is none."`
	SingleRow    map[string]any   `json:"single_row,omitempty" doc:"The row, where there is exactly one."`
	RowsAffected *int64           `json:"rows_affected" doc:"How many rows the statement inserted, changed or removed; null where the database does not say."`
	LastInsertID *int64           `json:"last_insert_id" doc:"The number that MySQL or SQLite gave the last inserted row; null elsewhere."`
	Truncated    bool             `json:"truncated" doc:"Whether there were more rows than truncate let through."`
	Results      []oneResult      `json:"results,omitempty" doc:"Where there were several results (of several statements, or of a procedure): all of them, in their order."`
	Error        *refused         `json:"error,omitempty" doc:"The error that expect_error wanted."`
}

// oneResult is one of several results.
type oneResult struct {
	Rows         []map[string]any `json:"rows" doc:"Its rows."`
	Columns      []column         `json:"columns" doc:"Its columns."`
	RowCount     int              `json:"row_count" doc:"How many rows there are."`
	RowsAffected *int64           `json:"rows_affected" doc:"How many rows it inserted, changed or removed."`
}

// connectTime bounds a connection's opening, so that a server that is not there is
// said before the step's own time is over.
const connectTime = 10 * time.Second
