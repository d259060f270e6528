package sql

// kind is which database it is: what its SQL looks like, and who speaks to it.
type kind string

// The databases, by the names that people read.
const (
	postgres kind = "PostgreSQL"
	mysql    kind = "MySQL" // and MariaDB, which is one to a client
	sqlite   kind = "SQLite"
)

// kindOf is the database that a scheme or a type names; empty: none.
func kindOf(name string) kind {
	switch name {
	case "postgres", "postgresql", "pgx":
		return postgres
	case "mysql", "mariadb":
		return mysql
	case "sqlite", "sqlite3":
		return sqlite
	}
	return ""
}
