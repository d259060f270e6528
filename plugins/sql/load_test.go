package sql

import (
	"fmt"
	"strings"
	"testing"
)

func TestFixtures(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		orders, lines := b.orders(connection)
		b.write("fixtures/all.yaml", lines+":\n  - &line {order_id: 7, line: 1, sku: \"007\"}\n  - {order_id: 7, line: 2}\n"+orders+":\n  - {id: 7, status: new, total: 12.50}\n  - {id: 8, status: null}\n")
		got := b.must("load", fields{"connection": connection, "file": "fixtures/all.yaml", "clear": "delete"})
		if compact(got["row_count"]) != "4" || compact(got["tables"].(fields)[lines]) != "2" || compact(got["cleared"]) != `["`+lines+`","`+orders+`"]` {
			t.Errorf("got %s", compact(got))
		}
		got = b.must("query", fields{"connection": connection, "query": "SELECT o.id, o.status, o.total, l.sku FROM " + orders + " o LEFT JOIN " + lines + " l ON l.order_id = o.id ORDER BY o.id, l.line"})
		total := pick(k, "12.50", "12.50", "12.5")
		if compact(got["rows"]) != `[{"id":7,"sku":"007","status":"new","total":`+total+`},{"id":7,"sku":null,"status":"new","total":`+total+`},{"id":8,"sku":null,"status":null,"total":null}]` {
			t.Errorf("got %s", compact(got["rows"]))
		}
		b.write(orders+".csv", "id,status,total\r\n20,\"a, \"\"b\"\"\",\r\n21,,1.25\r\n22,\\N,007\r\n")
		b.write("more.sql", "-- more\nBEGIN;\nINSERT INTO "+lines+" VALUES (21, 1, 'it''s; fine');\nCOMMIT;\n")
		got = b.must("load", fields{"connection": connection, "file": []any{orders + ".csv", "more.sql"}, "rows": fields{lines: []any{fields{"order_id": 22, "line": 1}}}})
		if compact(got["row_count"]) != "4" || compact(got["statements"]) != "1" || compact(got["cleared"]) != "[]" {
			t.Errorf("got %s", compact(got))
		}
		got = b.must("query", fields{"connection": connection, "query": "SELECT id, status, total FROM " + orders + " WHERE id >= 20 ORDER BY id"})
		seven := pick(k, "7.00", "7.00", "7")
		if compact(got["rows"]) != `[{"id":20,"status":"a, \"b\"","total":null},{"id":21,"status":"","total":1.25},{"id":22,"status":null,"total":`+seven+`}]` {
			t.Errorf("got %s", compact(got["rows"]))
		}
	})
}

func TestFixturesAreConvertedByTheirColumns(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		table := b.table(connection)
		b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + table + " (id integer PRIMARY KEY, ok boolean, data " + pick(k, "bytea", "blob", "blob") +
			", at " + pick(k, "timestamptz", "datetime(3)", "text") + ", doc " + pick(k, "jsonb", "json", "text") + ")"})
		b.write("rows.yaml", "- {id: 1, ok: true, data: AP8=, at: \"2026-01-02T03:04:05.5+02:00\", doc: {a: [1.50, null]}}\n- id: 2\n  ok: false\n  data: !!binary AP8=\n")
		b.write("rows.csv", "id,ok,data,at,doc\n3,true,AP8=,2026-01-02T03:04:05Z,\"{\"\"a\"\": 1}\"\n4,,,,\\N\n")
		b.must("load", fields{"connection": connection, "table": table, "file": []any{"rows.yaml", "rows.csv"}})
		got := b.must("query", fields{"connection": connection, "query": "SELECT id, ok, data FROM " + table + " ORDER BY id"})
		yes, no := pick(k, "true", "1", "1"), pick(k, "false", "0", "0")
		if compact(got["rows"]) != `[{"data":"AP8=","id":1,"ok":`+yes+`},{"data":"AP8=","id":2,"ok":`+no+`},{"data":"AP8=","id":3,"ok":`+yes+`},{"data":null,"id":4,"ok":null}]` {
			t.Errorf("got %s", compact(got["rows"]))
		}
		got = b.must("query", fields{"connection": connection, "query": "SELECT at, doc FROM " + table + " WHERE id IN (1, 3) ORDER BY id"})
		want := pick(k, `[{"at":"2026-01-02T01:04:05.5Z","doc":{"a":[1.50,null]}},{"at":"2026-01-02T03:04:05Z","doc":{"a":1}}]`,
			`[{"at":"2026-01-02T01:04:05.500","doc":"{\"a\":[1.50,null]}"},{"at":"2026-01-02T03:04:05.000","doc":"{\"a\": 1}"}]`,
			`[{"at":"2026-01-02T03:04:05.5+02:00","doc":"{\"a\":[1.50,null]}"},{"at":"2026-01-02T03:04:05Z","doc":"{\"a\": 1}"}]`)
		if compact(got["rows"]) != want {
			t.Errorf("got %s, want %s", compact(got["rows"]), want)
		}
	})
}

func TestALoadIsAllOrNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		orders, _ := b.orders(connection)
		var text strings.Builder
		fmt.Fprintf(&text, "%s:\n", orders)
		for i := range 250 {
			id := i + 100
			if i == 230 {
				id = 100 // is there already
			}
			fmt.Fprintf(&text, "  - {id: %d, status: new}\n", id)
		}
		b.write("many.yaml", text.String())
		fault := b.fault("load", fields{"connection": connection, "file": "many.yaml"})
		if !strings.HasPrefix(fault.Message, "many.yaml:232: a row of "+orders+": "+string(k)+": ") || !strings.Contains(fault.Message, ", unique)") {
			t.Errorf("got %s", inWords(fault))
		}
		b.write("broken.sql", "INSERT INTO "+orders+" VALUES (50, 'x', 1);\n\nINSERT INTO nowhere VALUES (1);\n")
		fault = b.fault("load", fields{"connection": connection, "file": "broken.sql"})
		if !strings.HasPrefix(fault.Message, "broken.sql:3: ") || !strings.Contains(fault.Message, "no_table)") {
			t.Errorf("got %s", inWords(fault))
		}
		if got := b.must("query", fields{"connection": connection, "query": "SELECT count(*) AS n FROM " + orders}); compact(got["rows"]) != `[{"n":3}]` {
			t.Errorf("something stayed: got %s", compact(got["rows"]))
		}
	})
}

func TestNumbersGoOnAfterFixtures(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		table := b.table(connection)
		b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + table + " (id " + pick(k, "integer GENERATED ALWAYS AS IDENTITY", "integer AUTO_INCREMENT", "integer") + " PRIMARY KEY, n integer)"})
		b.must("load", fields{"connection": connection, "rows": fields{table: []any{fields{"id": 40, "n": 1}, fields{"id": 41, "n": 2}, fields{"n": 3}}}})
		b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + table + " (n) VALUES (4)"})
		got := b.must("query", fields{"connection": connection, "query": "SELECT max(id) AS most, count(*) AS n FROM " + table})
		if row := got["single_row"].(fields); compact(row["n"]) != "4" || compact(row["most"]) != pick(k, "42", "43", "43") {
			t.Errorf("got %s", compact(got["rows"]))
		}
	})
}

func TestWhatIsWrongWithFixtures(t *testing.T) {
	b := newBench(t)
	const connection = "sqlite::memory:"
	b.must("exec", fields{"connection": connection, "query": "CREATE TABLE users (id integer, email text, photo blob)"})
	tests := map[string]struct{ name, text, message, hint string }{
		"no such file":     {"", "", "there is no file nothing.yaml", "relative to the flow"},
		"another ending":   {"users.txt", "x", "none of .yaml, .yml, .json, .csv and .sql", "with format"},
		"no such table":    {"a.yaml", "usres: [{id: 1}]", "names usres, and the database has no such table", `did you mean "users"?`},
		"no such column":   {"users.yaml", "\n- {id: 1}\n- {emial: x}", `users.yaml:3: users has no column "emial"`, `did you mean "email"?`},
		"no rows":          {"b.yaml", "users:\n  id: 1", "b.yaml:2: the rows of users are no list", "a map of tables"},
		"no row":           {"c.yaml", "users:\n- 5", "c.yaml:2: a row of users is no map", ""},
		"not YAML":         {"d.yaml", "users: [", "d.yaml cannot be read", ""},
		"a bomb":           {"e.yaml", "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [{id: *f},{id: *f},{id: *f},{id: *f},{id: *f},{id: *f}]", "e.yaml", ""},
		"an empty CSV":     {"users.csv", "", "users.csv is empty", "the first line"},
		"a ragged CSV":     {"f.csv", "id,email\n1\n", "f.csv is no CSV: record on line 2: wrong number of fields", ""},
		"no bytes":         {"g.yaml", "users: [{photo: \"###\"}]", "g.yaml:1: users.photo: bytes are base64", ""},
		"not UTF-8":        {"h.csv", "id\n\xff\xfe", "h.csv is no text in UTF-8", ""},
		"undoing itself":   {"i.sql", "INSERT INTO users VALUES (1, 'x', NULL); ROLLBACK;", "rolls back what it has loaded", ""},
		"copied from pipe": {"j.sql", "COPY users FROM STDIN;", "copies from STDIN", "pg_dump --inserts"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := "nothing.yaml"
			if test.name != "" {
				file = test.name
				b.write(file, test.text)
			}
			fault := b.fault("load", fields{"connection": connection, "file": file})
			if !strings.Contains(fault.Message, test.message) || !strings.Contains(fault.Hint, test.hint) {
				t.Errorf("got %s", inWords(fault))
			}
		})
	}
	if got := b.must("query", fields{"connection": connection, "query": "SELECT count(*) AS n FROM users"}); compact(got["rows"]) != `[{"n":0}]` {
		t.Errorf("something stayed: %s", compact(got["rows"]))
	}
	if fault := b.fault("load", fields{"connection": connection}); fault.Field != "file" {
		t.Errorf("nothing to load: got %s", inWords(fault))
	}
	if fault := newBench(t).fault("load", fields{"connection": mariadbURL(t), "rows": fields{"x": []any{}}, "clear": "truncate"}); fault.Field != "clear" {
		t.Errorf("truncate in MySQL: got %s", inWords(fault))
	}
}

func TestMySQLSaysWhenALoadIsCommittedEarly(t *testing.T) {
	b := newBench(t)
	connection := mariadbURL(t)
	table := b.table(connection)
	b.write("schema.sql", "CREATE TABLE "+table+" (id integer);\nDELIMITER //\nCREATE TRIGGER g_"+table+" BEFORE INSERT ON "+table+" FOR EACH ROW BEGIN SET NEW.id = NEW.id + 1; END//\nDELIMITER ;\nINSERT INTO "+table+" VALUES (1);\n")
	b.must("load", fields{"connection": connection, "file": "schema.sql"})
	if strings.Count(b.heard.text(), "warn: the database commits with CREATE TABLE") != 1 {
		t.Errorf("got the log %s", b.heard.text())
	}
	if got := b.must("query", fields{"connection": connection, "query": "SELECT id FROM " + table}); compact(got["rows"]) != `[{"id":2}]` {
		t.Errorf("got %s", compact(got["rows"]))
	}
}
