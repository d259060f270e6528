package sql

import (
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// orders are two tables of a shop, one pointing to the other.
func (b *bench) orders(connection string) (orders, lines string) {
	b.t.Helper()
	orders = b.table(connection)
	lines = b.table(connection)
	b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + orders + " (id integer PRIMARY KEY, status varchar(20), total decimal(10,2))"})
	b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + lines + " (order_id integer REFERENCES " + orders + " (id), line integer, sku varchar(20), PRIMARY KEY (order_id, line))"})
	b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + orders + " VALUES (1, 'new', 10.00), (2, 'new', 20.00), (3, 'new', 30.00)"})
	b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + lines + " VALUES (1, 1, 'A1')"})
	return orders, lines
}

func TestWhatChangedSinceASnapshot(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		orders, lines := b.orders(connection)
		got := b.must("before=snapshot", fields{"connection": connection, "tables": []any{orders, lines}})
		if compact(got) != `{"row_count":4,"tables":{"`+orders+`":3,"`+lines+`":1}}` && compact(got) != `{"row_count":4,"tables":{"`+lines+`":1,"`+orders+`":3}}` {
			t.Errorf("got %s", compact(got))
		}
		got = b.must("diff", fields{"from": "before"})
		if got["equal"] != true || compact(got["unchanged"]) != "4" || compact(got["added"]) != "[]" {
			t.Errorf("nothing changed: got %s", compact(got))
		}
		for _, query := range []string{
			"UPDATE " + orders + " SET status = 'paid', total = 10.0 WHERE id = 1", "DELETE FROM " + orders + " WHERE id = 2",
			"INSERT INTO " + orders + " VALUES (4, 'new', 40.50)", "INSERT INTO " + lines + " VALUES (4, 1, 'B2')",
		} {
			b.must("exec", fields{"connection": connection, "query": query})
		}
		got = b.must("diff", fields{})
		total := pick(k, "40.50", "40.50", "40.5")
		if compact(got["added"]) != `[{"id":4,"status":"new","total":`+total+`},{"line":1,"order_id":4,"sku":"B2"}]` || len(got["removed"].([]any)) != 1 || got["equal"] != false {
			t.Errorf("got %s", compact(got))
		}
		changed := got["changed"].([]any)
		if len(changed) != 1 || compact(changed[0].(fields)["columns"]) != `["status"]` || compact(changed[0].(fields)["key"]) != `{"id":1}` || compact(changed[0].(fields)["table"]) != `"`+orders+`"` {
			t.Errorf("changed: got %s", compact(changed))
		}
		if of := got["tables"].(fields)[lines].(fields); len(of["added"].([]any)) != 1 || compact(of["unchanged"]) != "1" {
			t.Errorf("by table: got %s", compact(of))
		}
		if got["summary"] != orders+": 1 added, 1 removed, 1 changed; "+lines+": 1 added, 0 removed, 0 changed" {
			t.Errorf("got %v", got["summary"])
		}
		for _, line := range []string{"~ " + orders + ` id=1  status: "new" → "paid"`, "- " + orders + ` {"id":2,`, "+ " + lines + ` {"line":1,`} {
			if !strings.Contains(b.heard.text(), line) {
				t.Errorf("the log lacks %s: %s", line, b.heard.text())
			}
		}
	})
}

func TestSnapshotsOfQueries(t *testing.T) {
	b := newBench(t)
	const connection = "sqlite::memory:"
	b.must("exec", fields{"connection": connection, "query": "CREATE TABLE t (id integer, n integer, at text); INSERT INTO t VALUES (1, 5, 'a'), (2, 5, 'a'), (3, 7, 'a')"})
	b.must("keyed=snapshot", fields{"connection": connection, "query": "SELECT * FROM t WHERE n < :n", "params": fields{"n": 100}, "key": "id", "ignore": []any{"at"}})
	b.must("whole=snapshot", fields{"connection": connection, "query": "SELECT n FROM t"})
	b.must("exec", fields{"connection": connection, "query": "UPDATE t SET at = 'b'; UPDATE t SET n = 6 WHERE id = 2"})
	if got := b.must("diff", fields{"from": "keyed"}); got["summary"] != "query: 0 added, 0 removed, 1 changed" {
		t.Errorf("by key: got %s", compact(got))
	}
	if got := b.must("diff", fields{"from": "whole"}); compact(got["added"]) != `[{"n":6}]` || compact(got["removed"]) != `[{"n":5}]` || compact(got["unchanged"]) != "2" {
		t.Errorf("whole rows, of which two were the same: got %s", compact(got))
	}
	b.must("later=snapshot", fields{"connection": connection, "query": "SELECT n FROM t"})
	b.must("exec", fields{"connection": connection, "query": "DELETE FROM t"})
	if got := b.must("diff", fields{"from": "whole", "to": "later"}); compact(got["added"]) != `[{"n":6}]` {
		t.Errorf("between two: got %s", compact(got))
	}
}

func TestWhatIsWrongWithSnapshots(t *testing.T) {
	b := newBench(t)
	const connection = "sqlite::memory:"
	if fault := b.fault("diff", fields{}); fault.Field != "from" || !strings.Contains(fault.Hint, "the run has taken none") {
		t.Errorf("no snapshot: got %s", inWords(fault))
	}
	b.must("exec", fields{"connection": connection, "query": "CREATE TABLE orders (id integer, n integer); INSERT INTO orders VALUES (1, 5), (1, 6)"})
	tests := map[string]struct {
		config               fields
		field, message, hint string
	}{
		"neither":             {fields{}, "tables", "give one of them", ""},
		"both":                {fields{"tables": []any{"orders"}, "query": "SELECT 1"}, "tables", "give one of them", ""},
		"no such table":       {fields{"tables": []any{"oders"}}, "tables[0]", "names oders, and the database has no such table", `did you mean "orders"?`},
		"no such column":      {fields{"tables": []any{"orders"}, "key": "no"}, "key", "names the column no, which orders has not", ""},
		"a key of several":    {fields{"tables": []any{"orders"}, "key": "id"}, "key", "does not tell the rows of orders apart: several have id=1", ""},
		"no rows":             {fields{"query": "DELETE FROM orders WHERE id = 7"}, "query", "gives no rows", ""},
		"two statements":      {fields{"query": "SELECT 1; SELECT 2"}, "query", "has 2 statements", ""},
		"more than the limit": {fields{"tables": []any{"orders"}, "max_rows": 1}, "", "orders has more than max_rows: 1 lets through", "narrow it by where"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.config["connection"] = connection
			fault := b.fault("snapshot", test.config)
			if fault.Field != test.field || !strings.Contains(fault.Message, test.message) || !strings.Contains(fault.Hint, test.hint) || test.field == "" && fault.Code != plugin.CodeBody {
				t.Errorf("got %s", inWords(fault))
			}
		})
	}
	b.must("one=snapshot", fields{"connection": connection, "tables": []any{fields{"table": "orders", "where": "n = 5"}}})
	b.must("two=snapshot", fields{"connection": connection, "tables": []any{"orders"}})
	if fault := b.fault("diff", fields{}); fault.Field != "from" || !strings.Contains(fault.Hint, "one, two") {
		t.Errorf("two of them: got %s", inWords(fault))
	}
	if fault := b.fault("diff", fields{"from": "three"}); !strings.Contains(fault.Message, `is "three", and no step of that id`) {
		t.Errorf("a slip: got %s", inWords(fault))
	}
}

func TestASnapshotInATransaction(t *testing.T) {
	b := newBench(t)
	connection := postgresURL(t)
	orders, _ := b.orders(connection)
	b.must("begin", fields{"connection": connection})
	b.must("before=snapshot", fields{"transaction": "default", "tables": []any{orders}})
	b.must("exec", fields{"transaction": "default", "query": "UPDATE " + orders + " SET status = 'paid' WHERE id = 3"})
	if got := b.must("diff", fields{}); len(got["changed"].([]any)) != 1 {
		t.Errorf("within: got %s", compact(got))
	}
	b.must("rollback", fields{})
	if got := b.must("diff", fields{}); got["equal"] != true {
		t.Errorf("after its end: got %s", compact(got))
	}
}
