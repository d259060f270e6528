package sql

import (
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestAStatementComesAndGoes(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		name := b.table(connection)
		b.must("exec", fields{"connection": connection, "query": pick(k,
			"CREATE TABLE "+name+" (id serial PRIMARY KEY, email text UNIQUE, n integer)",
			"CREATE TABLE "+name+" (id integer AUTO_INCREMENT PRIMARY KEY, email varchar(100) UNIQUE, n integer)",
			"CREATE TABLE "+name+" (id integer PRIMARY KEY, email text UNIQUE, n integer)")})
		got := b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + name + " (email, n) VALUES (:a, 1), (:b, 2)", "params": fields{"a": "ada@example.com", "b": "bob@example.com"}})
		if compact(got["rows_affected"]) != "2" {
			t.Errorf("insert: got %v", got)
		}
		wantID := pick(k, "null", "1", "2") // MySQL gives the first of several, SQLite the last
		if compact(got["last_insert_id"]) != wantID {
			t.Errorf("got last_insert_id %v, want %s", got["last_insert_id"], wantID)
		}
		got = b.must("exec", fields{"connection": connection, "query": "UPDATE " + name + " SET n = n + 1 WHERE n > ?", "params": []any{1}})
		if compact(got["rows_affected"]) != "1" || compact(got["rows"]) != "[]" {
			t.Errorf("update: got %v", got)
		}
		got = b.must("query", fields{"connection": connection, "query": "SELECT email, n FROM " + name + " ORDER BY id;"})
		if compact(got["rows"]) != `[{"email":"ada@example.com","n":1},{"email":"bob@example.com","n":3}]` || compact(got["row_count"]) != "2" ||
			compact(got["first_row"]) != `{"email":"ada@example.com","n":1}` || got["single_row"] != nil || got["truncated"] != false || got["rows_affected"] != nil {
			t.Errorf("select: got %s", compact(got))
		}
		got = b.must("query", fields{"connection": connection, "query": "SELECT n FROM " + name + " WHERE email = :e", "params": fields{"e": "bob@example.com"}})
		if compact(got["single_row"]) != `{"n":3}` {
			t.Errorf("one row: got %s", compact(got))
		}
		got = b.must("query", fields{"connection": connection, "query": "SELECT n FROM " + name + " WHERE n > 100"})
		if compact(got["rows"]) != "[]" || compact(got["row_count"]) != "0" || got["first_row"] != nil || !strings.Contains(compact(got["columns"]), `"name":"n"`) {
			t.Errorf("no rows: got %s", compact(got))
		}
		got = b.must("query", fields{"connection": connection, "query": "INSERT INTO " + name + " (email, n) VALUES ('eve@example.com', 9) RETURNING n, email"})
		if compact(got["rows"]) != `[{"email":"eve@example.com","n":9}]` {
			t.Errorf("returning: got %s", compact(got))
		}
		if k != mysql && compact(got["rows_affected"]) != "1" {
			t.Errorf("returning: got rows_affected %v", got["rows_affected"])
		}
		got = b.must("exec", fields{"connection": connection, "query": "DELETE FROM " + name + " WHERE n IN (:ns); -- two\nSELECT count(*) AS left_over FROM " + name, "params": fields{"ns": []any{1, 9}}})
		if compact(got["rows_affected"]) != "2" || compact(got["single_row"]) != `{"left_over":1}` || len(got["results"].([]any)) != 2 {
			t.Errorf("two statements: got %s", compact(got))
		}
	})
}

func TestColumnsOfOneNameAreAllThere(t *testing.T) {
	each(t, func(t *testing.T, b *bench, _ kind, connection string) {
		got := b.must("query", fields{"connection": connection, "query": "SELECT 1 AS id, 2 AS id_2, 3 AS id, 4 AS id"})
		if compact(got["rows"]) != `[{"id":1,"id_2":2,"id_3":3,"id_4":4}]` {
			t.Errorf("got %s", compact(got["rows"]))
		}
		if !strings.Contains(b.heard.text(), `warn: columns have the same name: now "id" is "id_3", "id" is "id_4". Name them with AS`) {
			t.Errorf("got the log %s", b.heard.text())
		}
	})
}

func TestAnAnswerOverItsLimit(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		// A million rows and more, of which the server makes the most after they are
		// not wanted any more.
		numbers := pick(k, "SELECT generate_series(1, 50000000) AS n", "SELECT seq AS n FROM seq_1_to_50000000",
			"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 50000000) SELECT n FROM s")
		fault := b.fault("query", fields{"connection": connection, "query": numbers, "max_rows": 10})
		if fault.Code != plugin.CodeBody || !strings.Contains(fault.Message, "larger than max_rows: 10 lets through: 10 rows were read") || !strings.Contains(fault.Hint, "truncate: true") {
			t.Errorf("got %s", inWords(fault))
		}
		got := b.must("query", fields{"connection": connection, "query": numbers, "max_rows": 3, "truncate": true})
		if compact(got["rows"]) != `[{"n":1},{"n":2},{"n":3}]` || got["truncated"] != true {
			t.Errorf("got %s", compact(got))
		}
		fault = b.fault("query", fields{"connection": connection, "query": numbers, "max_bytes": 2048, "max_rows": 1000000})
		if fault.Code != plugin.CodeBody || !strings.Contains(fault.Message, "max_bytes: 2048") {
			t.Errorf("got %s", inWords(fault))
		}
		if got := b.must("query", fields{"connection": connection, "query": "SELECT 1 AS n"}); compact(got["rows"]) != `[{"n":1}]` {
			t.Errorf("the next step: got %s", compact(got))
		}
	})
}

func TestAServerSeesTheTrace(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for k, connection := range map[kind]string{postgres: postgresURL(t), mysql: mariadbURL(t)} {
		b := newBench(t)
		b.trace = parent
		query := pick(k, "SELECT query AS q FROM pg_stat_activity WHERE pid = pg_backend_pid() -- last",
			"SELECT info AS q FROM information_schema.processlist WHERE id = CONNECTION_ID()", "")
		got := b.must("query", fields{"connection": connection, "query": query})
		if q, _ := got["single_row"].(fields)["q"].(string); !strings.Contains(q, "/*traceparent='"+parent+"'*/") {
			t.Errorf("%s: got %q", k, q)
		}
		fault := b.fault("query", fields{"connection": connection, "query": "SELECT 1,\nFROM x"})
		if all := inWords(fault); strings.Contains(all, "traceparent") || len(fault.Details) != 2 || fault.Details[0] != "2 │ FROM x" || fault.Details[1] != "  │ ^" {
			t.Errorf("%s: got %s", k, all)
		}
	}
}

func TestWhatPostgreSQLSaysBesideItsAnswerIsLogged(t *testing.T) {
	b := newBench(t)
	b.must("exec", fields{"connection": postgresURL(t), "query": "DO $$ BEGIN RAISE NOTICE 'half way'; RAISE WARNING 'mind the gap'; END $$"})
	if got := b.heard.text(); !strings.Contains(got, "info: NOTICE: half way") || !strings.Contains(got, "info: WARNING: mind the gap") {
		t.Errorf("got %s", got)
	}
}
