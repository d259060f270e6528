package sql

import (
	"context"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestWhatADatabaseRefuses(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		parent, name := b.table(connection), b.table(connection)
		b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + parent + " (id integer PRIMARY KEY)"})
		b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + name + ` (
			id integer PRIMARY KEY, email varchar(100) NOT NULL UNIQUE, age integer CHECK (age > 0), parent integer,
			FOREIGN KEY (parent) REFERENCES ` + parent + ` (id))`})
		b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + name + " VALUES (1, 'ada@example.com', 30, NULL)"})
		tests := map[string]struct {
			query, code, message, hint, at string
		}{
			"unique": {
				"INSERT INTO $t VALUES (2, 'ada@example.com', 30, NULL)",
				pick(k, "23505, unique", "1062, SQLSTATE 23000, unique", "SQLITE_CONSTRAINT_UNIQUE, unique"),
				pick(k, "duplicate key value violates unique constraint", "Duplicate entry 'ada@example.com'", "UNIQUE constraint failed"), "expect_error: {kind: unique}", "",
			},
			"not null": {
				"INSERT INTO $t VALUES (2, NULL, 30, NULL)",
				pick(k, "23502, not_null", "1048, SQLSTATE 23000, not_null", "SQLITE_CONSTRAINT_NOTNULL, not_null"), "", "expect_error: {kind: not_null}", "",
			},
			"foreign key": {
				"INSERT INTO $t VALUES (2, 'b', 30, 77)",
				pick(k, "23503, foreign_key", "1452, SQLSTATE 23000, foreign_key", "SQLITE_CONSTRAINT_FOREIGNKEY, foreign_key"), "", "expect_error", "",
			},
			"check": {
				"INSERT INTO $t VALUES (2, 'b', -1, NULL)",
				pick(k, "23514, check", "4025, SQLSTATE 23000, check", "SQLITE_CONSTRAINT_CHECK, check"), "", "expect_error", "",
			},
			"syntax": {
				"SELECT 1,\nFROM $t", pick(k, "42601, syntax", "1064, SQLSTATE 42000, syntax", "SQLITE_ERROR, syntax"),
				"", "", "FROM",
			},
			"no table":  {"SELECT * FROM $tt", pick(k, "42P01, no_table", "1146, SQLSTATE 42S02, no_table", "SQLITE_ERROR, no_table"), "$tt", `did you mean "$t"?`, "$tt"},
			"no column": {"SELECT emial FROM $t", pick(k, "42703, no_column", "1054, SQLSTATE 42S22, no_column", "SQLITE_ERROR, no_column"), "emial", "email", "emial"},
			"exists":    {"CREATE TABLE $t (id integer)", "exists", "", "", ""},
		}
		for what, test := range tests {
			t.Run(what, func(t *testing.T) {
				fill := func(text string) string { return strings.ReplaceAll(text, "$t", name) }
				fault := b.fault("exec", fields{"connection": connection, "query": fill(test.query)})
				if fault.Code != plugin.CodeReply || fault.Failed || !strings.Contains(fault.Message, string(k)+": ") || !strings.Contains(fault.Message, test.code+")") ||
					!strings.Contains(fault.Message, fill(test.message)) || !strings.Contains(fault.Hint, fill(test.hint)) {
					t.Errorf("got %s", inWords(fault))
				}
				if test.at == "" {
					return
				}
				n := len(fault.Details)
				if n < 2 {
					t.Fatalf("got %s, want the place", inWords(fault))
				}
				line, caret := []rune(fault.Details[n-2]), strings.TrimRight(fault.Details[n-1], "^")
				if at := len([]rune(caret)); at >= len(line) || !strings.HasPrefix(string(line[at:]), fill(test.at)) {
					t.Errorf("got\n%s\n%s\nwant the caret at %s", fault.Details[n-2], fault.Details[n-1], fill(test.at))
				}
			})
		}
		if got := b.must("query", fields{"connection": connection, "query": "SELECT count(*) AS n FROM " + name}); compact(got["rows"]) != `[{"n":1}]` {
			t.Errorf("the next step: got %s", compact(got))
		}
	})
}

func TestThePlaceOfAnErrorIsThatOfTheFlow(t *testing.T) {
	b := newBench(t)
	fault := b.fault("exec", fields{
		"connection": postgresURL(t), "params": fields{"ids": []any{1, 2, 3}, "ä": "ö"},
		"query": "SELECT 1;\n-- ä\nSELECT :ä::text, 'ü' WHERE 1 IN (:ids)\n\tAND nonsense = 1",
	})
	if got := strings.Join(fault.Details, "\n"); got != "4 │ \tAND nonsense = 1\n  │ \t    ^" {
		t.Errorf("got\n%s", got)
	}
}

func TestAnErrorThatIsExpected(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		name := b.table(connection)
		b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + name + " (id integer PRIMARY KEY); INSERT INTO " + name + " VALUES (1)"})
		again := func(expect fields) fields {
			return fields{"connection": connection, "query": "INSERT INTO " + name + " VALUES (1)", "expect_error": expect}
		}
		for what, expect := range map[string]fields{
			"its code":    {"code": pick(k, "23505", "1062", "sqlite_constraint_primarykey")},
			"its kind":    {"kind": "unique"},
			"its words":   {"message": pick(k, "duplicate key", "Duplicate entry", "UNIQUE")},
			"any of them": {},
		} {
			got := b.must("exec", again(expect))
			if e, ok := got["error"].(fields); !ok || e["kind"] != "unique" || got["rows_affected"] != nil {
				t.Errorf("%s: got %s", what, compact(got))
			}
		}
		fault := b.fault("exec", again(fields{"kind": "check"}))
		if !fault.Failed || !strings.Contains(fault.Message, "refused the statement with another error than the error check: ") || !strings.Contains(fault.Message, "unique)") {
			t.Errorf("another error: got failed %v: %s", fault.Failed, inWords(fault))
		}
		fault = b.fault("exec", fields{"connection": connection, "query": "INSERT INTO " + name + " VALUES (2)", "expect_error": fields{"kind": "unique"}})
		if !fault.Failed || !strings.Contains(fault.Message, string(k)+" took the statement, and the error unique was expected") {
			t.Errorf("no error: got failed %v: %s", fault.Failed, inWords(fault))
		}
		fault = b.fault("exec", fields{"connection": "postgres://u:p@127.0.0.1:1/x", "query": "SELECT 1", "expect_error": fields{}})
		if fault.Failed || fault.Code != plugin.CodeConn {
			t.Errorf("no database: got failed %v: %s", fault.Failed, inWords(fault))
		}
	})
}

// withURL changes a part of a connection string.
func withURL(t *testing.T, connection string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(connection)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

func param(name, value string) func(*url.URL) {
	return func(u *url.URL) {
		q := u.Query()
		q.Set(name, value)
		u.RawQuery = q.Encode()
	}
}

// nobody is an address that nothing listens at.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestConnectionsThatAreNotMade(t *testing.T) {
	servers := map[kind]string{postgres: postgresURL(t), mysql: mariadbURL(t)}
	for k, connection := range servers {
		tests := map[string]struct {
			change              func(*url.URL)
			code, message, hint string
		}{
			"nobody listens":       {func(u *url.URL) { u.Host = nobody(t) }, plugin.CodeConn, "connection refused: 127.0.0.1:", "is the service started"},
			"no such name":         {func(u *url.URL) { u.Host = "nowhere.invalid:5432" }, plugin.CodeDNS, `the name "nowhere.invalid" does not resolve`, ""},
			"the wrong password":   {func(u *url.URL) { u.User = url.UserPassword("testmesh", "wr0ng-pa55word") }, plugin.CodeAuth, `refuses the user "testmesh": `, "check user and password"},
			"no such user":         {func(u *url.URL) { u.User = url.UserPassword("nobody", "wr0ng-pa55word") }, plugin.CodeAuth, `refuses the user "nobody": `, "check user and password"},
			"no such database":     {func(u *url.URL) { u.Path = "/nothing" }, plugin.CodeReply, `has no database "nothing"`, "create it"},
			"a setting of nothing": {param("no_such_setting", "1"), plugin.CodeReply, "refuses a setting of the connection", "take it out"},
			"an untrusted CA":      {param("sslmode", "verify-full"), plugin.CodeTLS, "signed by an authority that is not trusted", "tls.ca_file"},
		}
		for name, test := range tests {
			t.Run(string(k)+": "+name, func(t *testing.T) {
				b := newBench(t)
				fault := b.fault("query", fields{"connection": withURL(t, connection, test.change), "query": "SELECT 1"})
				if fault.Code != test.code || fault.Failed || !strings.Contains(fault.Message, test.message) || !strings.Contains(fault.Hint, test.hint) {
					t.Errorf("got %s", inWords(fault))
				}
				all := inWords(fault)
				if fault.Cause != nil {
					all += " " + fault.Cause.Error()
				}
				if strings.Contains(all, "wr0ng-pa55word") || strings.Contains(all, "testmesh-secret") {
					t.Errorf("the password shows: %s", all)
				}
			})
		}
	}
}

func TestTLS(t *testing.T) {
	for k, server := range map[kind][2]string{
		postgres: {postgresURL(t), servertest.Value(t, "POSTGRES_TLS_CA")},
		mysql:    {mariadbURL(t), servertest.Value(t, "MARIADB_TLS_CA")},
	} {
		secured := pick(k, "SELECT ssl::int AS v FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "SELECT variable_value <> '' AS v FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'", "")
		b := newBench(t)
		ca, err := os.ReadFile(server[1])
		if err != nil {
			t.Fatal(err)
		}
		b.write("ca.pem", string(ca))
		u, err := url.Parse(server[0])
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		inMap := func(tls any) fields {
			return fields{"type": map[kind]string{postgres: "postgres", mysql: "mariadb"}[k], "host": u.Hostname(), "port": u.Port(), "user": u.User.Username(), "password": password, "database": "testmesh", "tls": tls}
		}
		for name, test := range map[string]struct {
			connection any
			want       string
		}{
			"nothing said":        {server[0], "1"},
			"never":               {withURL(t, server[0], param("sslmode", "disable")), "0"},
			"always":              {withURL(t, server[0], param("sslmode", "require")), "1"},
			"signed":              {withURL(t, withURL(t, server[0], param("sslmode", "verify-ca")), param("sslrootcert", "ca.pem")), "1"},
			"in full":             {withURL(t, withURL(t, server[0], param("sslmode", "verify-full")), param("sslrootcert", "ca.pem")), "1"},
			"in full, in a map":   {inMap(fields{"ca_file": "ca.pem"}), "1"},
			"unchecked, in a map": {inMap(fields{"verify": false}), "1"},
		} {
			t.Run(string(k)+": "+name, func(t *testing.T) {
				if m, ok := test.connection.(fields); ok {
					m["port"] = portOf(t, u)
				}
				got := b.must("query", fields{"connection": test.connection, "query": secured})
				if v := compact(got["single_row"]); v != `{"v":`+test.want+`}` {
					t.Errorf("got %s", v)
				}
			})
		}
	}
}

func portOf(t *testing.T, u *url.URL) int {
	t.Helper()
	n, err := net.LookupPort("tcp", u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// silent is a server that takes connections and never says anything.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestAServerThatNeverAnswers(t *testing.T) {
	for scheme, k := range map[string]kind{"postgres": postgres, "mysql": mysql} {
		t.Run(string(k), func(t *testing.T) {
			b := newBench(t)
			ctx, release := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer release()
			began := time.Now()
			result, err := b.doWithin(ctx, "query", fields{"connection": scheme + "://u:p@" + silent(t) + "/x", "query": "SELECT 1"})
			fault := faultOf(t, result, err)
			if fault.Code != plugin.CodeTimeout || !strings.Contains(fault.Message, string(k)+" at 127.0.0.1:") || !strings.Contains(fault.Message, "did not answer in the step's time") {
				t.Errorf("got %s", inWords(fault))
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// A server without TLS, as both protocols say it.
func TestAServerWithoutTLS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 8)); err == nil { // the request for TLS
			_, _ = c.Write([]byte("N"))
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	fault := newBench(t).fault("query", fields{"connection": "postgres://u:p@" + l.Addr().String() + "/x?sslmode=require", "query": "SELECT 1"})
	if fault.Code != plugin.CodeTLS || !strings.Contains(fault.Message, "has no TLS, which the connection asks for") {
		t.Errorf("got %s", inWords(fault))
	}
}
