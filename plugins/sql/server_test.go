package sql

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestConnectionStrings(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"PostgreSQL":                 {"postgres://app:p%40ss@db:6432/shop", "PostgreSQL app p@ss db 6432 shop tls=prefer map[]"},
		"what is left out":           {"postgresql://app@db", "PostgreSQL app  db 5432  tls=prefer map[]"},
		"SQLAlchemy":                 {"postgresql+psycopg2://app@db/shop", "PostgreSQL app  db 5432 shop tls=prefer map[]"},
		"JDBC":                       {"jdbc:postgresql://db/shop?user=app&password=secret", "PostgreSQL app secret db 5432 shop tls=prefer map[]"},
		"Prisma":                     {"postgresql://app@db/shop?schema=public", "PostgreSQL app  db 5432 shop tls=prefer map[search_path:public]"},
		"settings":                   {"postgres://app@db/shop?sslmode=require&lock_timeout=5000", "PostgreSQL app  db 5432 shop tls=require map[lock_timeout:5000]"},
		"an IPv6 address":            {"postgres://app@[::1]:5433/shop", "PostgreSQL app  ::1 5433 shop tls=prefer map[]"},
		"a socket":                   {"postgres://app@/shop?host=/run/postgresql", "PostgreSQL app  /run/postgresql 5432 shop tls=prefer map[]"},
		"libpq":                      {`host=db user=app password='it\'s a \\' dbname=shop sslmode=disable`, `PostgreSQL app it's a \ db 5432 shop tls=disable map[]`},
		"a CA asks for a check":      {"postgres://app@db/shop?sslrootcert=ca.pem", "PostgreSQL app  db 5432 shop tls=verify-full map[]"},
		"MySQL":                      {"mysql://app:x@db/shop", "MySQL app x db 3306 shop tls=prefer map[]"},
		"MariaDB":                    {"mariadb://app:x@db:3307/shop?ssl-mode=VERIFY_IDENTITY", "MySQL app x db 3307 shop tls=verify-full map[]"},
		"Go's form":                  {"app:p@ss/w:ord@tcp(db:3307)/shop?charset=utf8mb4&tls=skip-verify", "MySQL app p@ss/w:ord db 3307 shop tls=require map[charset:utf8mb4]"},
		"Go's form without a port":   {"app@tcp(db)/shop", "MySQL app  db 3306 shop tls=prefer map[]"},
		"Go's form of a socket":      {"app:x@unix(/run/mysqld/mysqld.sock)/shop", "MySQL app x /run/mysqld/mysqld.sock 3306 shop tls=prefer map[]"},
		"SQLite":                     {"sqlite:data/app.db", "SQLite     data/app.db tls= map[]"},
		"SQLite, absolute":           {"sqlite3:/var/app.db?mode=ro", "SQLite     /var/app.db tls= map[mode:ro]"},
		"SQLite in memory":           {"sqlite::memory:", "SQLite     :memory: tls= map[]"},
		"SQLite as SQLite writes it": {"file:app.db?busy_timeout=10", "SQLite     app.db tls= map[busy_timeout:10]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parse(test.text)
			if err == nil {
				err = s.complete()
			}
			if err != nil {
				t.Fatal(inWords(err))
			}
			got := fmt.Sprintf("%s %s %s %s %s %s tls=%s %v", s.kind, s.user, s.password, s.host, s.port, s.database, s.tls, s.params)
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if s.password != "" && strings.Contains(s.name()+s.target()+s.key(""), s.password) && len(s.password) > 1 {
				t.Errorf("the password shows in %s or %s", s.name(), s.target())
			}
		})
	}
}

func TestConnectionsThatAreNone(t *testing.T) {
	b := newBench(t)
	tests := map[string]struct {
		connection           any
		field, message, hint string
	}{
		"nothing":                    {nil, "connection", "is missing", "postgres://user:password@host:5432/db"},
		"no connection string":       {"db.example.com", "connection", "is no connection string", "it begins with postgres://"},
		"another database":           {"oracle://u@h/x", "connection", "is no connection string", "postgres://"},
		"a password without escapes": {"postgres://app:p#ss w%rd@db/shop", "connection", "is no valid URL", "%-escapes"},
		"a port that is none":        {"app:x@tcp(db:99999)/shop", "connection", `has the port "99999"`, ""},
		"no user":                    {"postgres://db/shop", "connection", "names no user", "postgresql://user:password@db:5432/database"},
		"several hosts":              {"postgres://app@a,b/shop", "connection", "names several hosts", ""},
		"an sslmode of nothing":      {"postgres://app@db/shop?sslmode=maybe", "connection", `has the sslmode "maybe"`, "verify-full"},
		"slashes of SQLite":          {"sqlite:///app.db", "connection", "has slashes that may mean one thing or another", "sqlite:data/app.db"},
		"no file":                    {"sqlite:", "connection", "names no file", ""},
		"a parameter of SQLite":      {"sqlite:app.db?cache=shared", "connection", `has the parameter "cache"`, "mode, foreign_keys"},
		"a file outside":             {"sqlite:/nowhere/app.db", "connection", "names /nowhere/app.db, which is not there", "must exist"},
		"a folder outside":           {"sqlite:/tmp", "connection", "which is no file", ""},
		"a file out of the project":  {"sqlite:../../app.db", "", "path escapes", ""},
		"a type of nothing":          {fields{"type": "oracle"}, "connection.type", "must be postgres,", ""},
		"a slip in a map":            {fields{"type": "postgres", "hots": "db"}, "connection.hots", "no such key", ""},
		"no file in a map":           {fields{"type": "sqlite"}, "connection", "names no file", ""},
		"a number":                   {5, "connection", "must be a text or a map, not 5", ""},
		"a broken list of keywords":  {"host=db user='app", "connection", "is no connection string of the form", "single quotes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := fields{"query": "SELECT 1"}
			if test.connection != nil {
				config["connection"] = test.connection
			}
			fault := b.fault("query", config)
			if fault.Field != test.field || !strings.Contains(fault.Message, test.message) || !strings.Contains(fault.Hint, test.hint) || fault.Blame != plugin.BlameDefinition {
				t.Errorf("got %s", inWords(fault))
			}
			if strings.Contains(inWords(fault), "p#ss") {
				t.Errorf("the password shows: %s", inWords(fault))
			}
		})
	}
}

func TestFilesOfSQLite(t *testing.T) {
	b := newBench(t)
	b.must("exec", fields{"connection": "sqlite:new.db", "query": "CREATE TABLE t (n integer)"})
	if _, err := os.Stat(filepath.Join(b.root, "new.db")); err != nil {
		t.Error(err)
	}
	outside := filepath.Join(t.TempDir(), "app.db")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.must("exec", fields{"connection": "sqlite:" + outside, "query": "CREATE TABLE t (n integer)"})
	b.write("text.db", strings.Repeat("this is no database\n", 100))
	if fault := b.fault("query", fields{"connection": "sqlite:text.db", "query": "SELECT * FROM t"}); !strings.Contains(fault.Message, "file is not a database") {
		t.Errorf("got %s", inWords(fault))
	}
	if fault := b.fault("exec", fields{"connection": "sqlite:missing.db", "read_only": true, "query": "SELECT 1"}); !strings.Contains(fault.Message, "unable to open database file") {
		t.Errorf("got %s", inWords(fault))
	}
	// No statement reaches files of its own choice.
	other := filepath.Join(t.TempDir(), "other.db")
	for _, query := range []string{"ATTACH DATABASE '" + other + "' AS o", "VACUUM INTO '" + other + "'", "SELECT load_extension('x')"} {
		fault := b.fault("exec", fields{"connection": "sqlite:new.db", "query": query})
		if _, err := os.Stat(other); err == nil || fault.Code != plugin.CodeReply {
			t.Errorf("%s: got %v, %s", query, err, inWords(fault))
		}
	}
}
