package sql

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// counted is a table with rows, and how many there are.
func (b *bench) counted(connection string) (table string, count func(fields) string) {
	b.t.Helper()
	table = b.table(connection)
	b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + table + " (id integer PRIMARY KEY, n integer)"})
	return table, func(where fields) string {
		b.t.Helper()
		config := fields{"query": "SELECT count(*) AS n FROM " + table}
		for k, v := range where {
			config[k] = v
		}
		return compact(b.must("query", config)["single_row"].(fields)["n"])
	}
}

func TestATransactionAcrossSteps(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		table, count := b.counted(connection)
		outside, inside := fields{"connection": connection}, fields{"transaction": "order"}
		insert := func(id string) fields {
			return fields{"transaction": "order", "query": "INSERT INTO " + table + " VALUES (" + id + ", 1)"}
		}

		b.must("one=begin", fields{"connection": connection, "transaction": "order", "isolation": "read_committed"})
		b.must("exec", insert("1"))
		if got := count(inside) + count(outside); got != "10" {
			t.Errorf("within and outside: got %s, want 1 and 0", got)
		}
		b.must("commit", fields{"transaction": "order"})
		if got := count(outside); got != "1" {
			t.Errorf("after the commit: got %s", got)
		}
		b.must("two=begin", fields{"connection": connection, "transaction": "order", "isolation": "serializable"})
		b.must("exec", insert("2"))
		if got := b.must("rollback", fields{"transaction": "order"}); got["rolled_back"] != true {
			t.Errorf("rollback: got %s", compact(got))
		}
		if got := count(outside); got != "1" {
			t.Errorf("after the rollback: got %s", got)
		}
		if got := b.must("rollback", fields{"transaction": "order"}); got["rolled_back"] != false {
			t.Errorf("a second rollback: got %s", compact(got))
		}
		for what, step := range map[string]func() *plugin.Error{
			"a statement in none": func() *plugin.Error { return b.fault("exec", insert("3")) },
			"a commit of none":    func() *plugin.Error { return b.fault("commit", fields{"transaction": "order"}) },
			"a rollback of none":  func() *plugin.Error { return b.fault("rollback", fields{"transaction": "ordre"}) },
		} {
			if fault := step(); fault.Field != "transaction" || !strings.Contains(fault.Hint, "open are: none") {
				t.Errorf("%s: got %s", what, inWords(fault))
			}
		}
	})
}

func TestWhatIsWrongWithTransactions(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		table, count := b.counted(connection)
		b.must("first=begin", fields{"connection": connection})
		fault := b.fault("second=begin", fields{"connection": connection})
		if fault.Field != "transaction" || !strings.Contains(fault.Message, `is "default", and first has begun one of that name, which is open`) {
			t.Errorf("twice: got %s", inWords(fault))
		}
		fault = b.fault("exec", fields{"connection": "sqlite:other.db", "transaction": "default", "query": "SELECT 1"})
		if fault.Field != "connection" || !strings.Contains(fault.Message, "is another than that of the transaction default") {
			t.Errorf("another connection: got %s", inWords(fault))
		}
		fault = b.fault("exec", fields{"transaction": "default", "read_only": true, "query": "SELECT 1"})
		if fault.Field != "read_only" {
			t.Errorf("read only in the middle: got %s", inWords(fault))
		}
		for _, query := range []string{"COMMIT", "ROLLBACK", "BEGIN"} {
			if fault := b.fault("exec", fields{"transaction": "default", "query": query}); fault.Field != "query" || !strings.Contains(fault.Message, "would end the transaction default") {
				t.Errorf("%s: got %s", query, inWords(fault))
			}
		}
		if fault := b.fault("exec", fields{"connection": connection, "query": "INSERT INTO " + table + " VALUES (1, 1)", "transaction": "defualt"}); !strings.Contains(fault.Hint, "open are: default") {
			t.Errorf("a slip: got %s", inWords(fault))
		}
		b.must("exec", fields{"transaction": "default", "query": "INSERT INTO " + table + " VALUES (1, 1)"})
		// An expected error does not end the transaction; in PostgreSQL another one does.
		b.must("exec", fields{"transaction": "default", "query": "INSERT INTO " + table + " VALUES (1, 1)", "expect_error": fields{"kind": "unique"}})
		if got := count(fields{"transaction": "default"}); got != "1" {
			t.Errorf("after an expected error: got %s", got)
		}
		if fault := b.fault("exec", fields{"transaction": "default", "query": "INSERT INTO " + table + " VALUES (1, 1)"}); fault.Code != plugin.CodeReply {
			t.Errorf("an error that is not expected: got %s", inWords(fault))
		}
		if k == postgres {
			fault := b.fault("query", fields{"transaction": "default", "query": "SELECT 1"})
			if !strings.Contains(fault.Message, "25P02") || !strings.Contains(fault.Hint, "end it with sql.rollback") {
				t.Errorf("after an error: got %s", inWords(fault))
			}
			fault = b.fault("commit", fields{})
			if fault.Code != plugin.CodeReply || !strings.Contains(fault.Message, "the transaction was rolled back: a statement in it had failed") {
				t.Errorf("its commit: got %s", inWords(fault))
			}
		}
		b.must("rollback", fields{})
		if got := count(fields{"connection": connection}); got != "0" {
			t.Errorf("in the end: got %s", got)
		}
	})
}

func TestMySQLDoesNotCommitBehindOnesBack(t *testing.T) {
	b := newBench(t)
	connection := mariadbURL(t)
	table, _ := b.counted(connection)
	b.must("begin", fields{"connection": connection})
	fault := b.fault("exec", fields{"transaction": "default", "query": "ALTER TABLE " + table + " ADD COLUMN m integer"})
	if fault.Field != "query" || !strings.Contains(fault.Message, "would commit the transaction default") {
		t.Errorf("got %s", inWords(fault))
	}
	b.must("exec", fields{"transaction": "default", "query": "CREATE TEMPORARY TABLE of_mine (id integer)"})
	b.must("rollback", fields{})
}

// A deadlock ends the whole transaction in MySQL: what follows must not run outside
// of it.
func TestATransactionThatADeadlockEnded(t *testing.T) {
	for k, connection := range map[kind]string{postgres: postgresURL(t), mysql: mariadbURL(t)} {
		t.Run(string(k), func(t *testing.T) {
			b := newBench(t)
			table, count := b.counted(connection)
			b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + table + " VALUES (1, 1), (2, 2)"})
			update := func(transaction, id string) error {
				_, err := b.do("exec", fields{"transaction": transaction, "query": "UPDATE " + table + " SET n = n + 1 WHERE id = " + id})
				return err
			}
			for _, name := range []string{"a", "b"} {
				b.must(name+"=begin", fields{"connection": connection, "transaction": name})
			}
			if update("a", "1") != nil || update("b", "2") != nil {
				t.Fatal("the first updates failed")
			}
			errs := map[string]error{}
			var mu sync.Mutex
			var all sync.WaitGroup
			for name, id := range map[string]string{"a": "2", "b": "1"} {
				all.Go(func() {
					err := update(name, id)
					mu.Lock()
					errs[name] = err
					mu.Unlock()
				})
			}
			all.Wait()
			loser, winner := "a", "b"
			if errs["a"] == nil {
				loser, winner = "b", "a"
			}
			if fault := faultOf(t, nil, errs[loser]); errs[winner] != nil || !strings.Contains(fault.Message, ", deadlock)") || !strings.Contains(fault.Hint, "repeat the step by retry") {
				t.Fatalf("got %v and %s", errs[winner], inWords(fault))
			}
			_, err := b.do("exec", fields{"transaction": loser, "query": "INSERT INTO " + table + " VALUES (3, 3)"})
			if err == nil {
				t.Error("a statement ran in a transaction that is over")
			}
			if _, err := b.do("commit", fields{"transaction": loser}); err == nil {
				t.Error("a transaction that is over was committed")
			}
			b.must("commit", fields{"transaction": winner})
			if got := count(fields{"connection": connection}); got != "2" {
				t.Errorf("got %s rows", got)
			}
		})
	}
}

func TestWhatIsLeftOpenIsRolledBack(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		table, count := b.counted(connection)
		b.run = "another"
		b.must("leave=begin", fields{"connection": connection, "transaction": "open"})
		b.must("exec", fields{"transaction": "open", "query": "INSERT INTO " + table + " VALUES (1, 1)"})
		b.plugin.EndRun("another")
		b.run = "run"
		if got := count(fields{"connection": connection}); got != "0" {
			t.Errorf("got %s rows", got)
		}
		if err := b.plugin.Close(); err == nil || !strings.Contains(err.Error(), "the transaction open, begun by leave, was left open: it was rolled back") {
			t.Errorf("got %v", err)
		}
	})
}

// A statement that begins a transaction by itself leaves none to whoever has the
// connection next.
func TestATransactionThatAStatementLeavesOpen(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		table, count := b.counted(connection)
		b.must("exec", fields{"connection": connection, "query": "BEGIN; INSERT INTO " + table + " VALUES (1, 1)"})
		if !strings.Contains(b.heard.text(), "warn: a statement left a transaction open, which was rolled back") {
			t.Errorf("got the log %s", b.heard.text())
		}
		if got := count(fields{"connection": connection}); got != "0" {
			t.Errorf("got %s rows", got)
		}
		b.must("exec", fields{"connection": connection, "query": "BEGIN; INSERT INTO " + table + " VALUES (2, 1); COMMIT"})
		if got := count(fields{"connection": connection}); got != "1" {
			t.Errorf("got %s rows", got)
		}
	})
}

func TestReadOnly(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		table, count := b.counted(connection)
		guarded := func(query string) fields { return fields{"connection": connection, "read_only": true, "query": query} }
		if got := count(fields{"connection": connection, "read_only": true}); got != "0" {
			t.Errorf("reading: got %s", got)
		}
		for _, query := range []string{"INSERT INTO " + table + " VALUES (1, 1)", "WITH x AS (SELECT 1) DELETE FROM " + table, "DROP TABLE " + table} {
			if k == mysql && strings.HasPrefix(query, "WITH") {
				continue // MariaDB has no such statement
			}
			fault := b.fault("exec", guarded(query))
			if fault.Code != plugin.CodeReply || !strings.Contains(fault.Message, ", read_only)") || !strings.Contains(fault.Hint, "read_only: true") {
				t.Errorf("%s: got %s", query, inWords(fault))
			}
		}
		b.must("begin", fields{"connection": connection, "transaction": "looking", "read_only": true})
		if fault := b.fault("exec", fields{"transaction": "looking", "query": "INSERT INTO " + table + " VALUES (1, 1)"}); !strings.Contains(fault.Message, ", read_only)") {
			t.Errorf("in a transaction: got %s", inWords(fault))
		}
		b.must("rollback", fields{"transaction": "looking"})
		b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + table + " VALUES (1, 1)"})
		if got := count(fields{"connection": connection}); got != "1" {
			t.Errorf("and without: got %s", got)
		}
	})
}

func TestADatabaseInMemoryIsThatOfItsRun(t *testing.T) {
	b := newBench(t)
	const connection = "sqlite::memory:"
	b.must("exec", fields{"connection": connection, "query": "CREATE TABLE t (n integer)"})
	b.must("exec", fields{"connection": connection, "query": "INSERT INTO t VALUES (1)"})
	if fault := b.fault("exec", fields{"connection": connection, "read_only": true, "query": "INSERT INTO t VALUES (2)"}); !strings.Contains(fault.Message, "SQLITE_READONLY") {
		t.Errorf("read only: got %s", inWords(fault))
	}
	b.must("exec", fields{"connection": connection, "query": "INSERT INTO t VALUES (2)"})
	b.must("hold=begin", fields{"connection": connection, "transaction": "mine"})
	if fault := b.fault("exec", fields{"connection": connection, "query": "INSERT INTO t VALUES (3)"}); fault.Field != "transaction" || !strings.Contains(fault.Message, "has one connection, which the transaction mine (begun by hold) holds") {
		t.Errorf("beside a transaction: got %s", inWords(fault))
	}
	b.must("exec", fields{"transaction": "mine", "query": "INSERT INTO t VALUES (3)"})
	b.must("commit", fields{"transaction": "mine"})
	if got := b.must("query", fields{"connection": connection, "query": "SELECT count(*) AS n FROM t"}); compact(got["rows"]) != `[{"n":3}]` {
		t.Errorf("got %s", compact(got))
	}
	b.run = "another"
	if fault := b.fault("query", fields{"connection": connection, "query": "SELECT * FROM t"}); !strings.Contains(fault.Hint, "the database has no tables") {
		t.Errorf("another run: got %s", inWords(fault))
	}
}

func TestARunHasSoManyConnections(t *testing.T) {
	b := newBench(t)
	connection := postgresURL(t)
	for i := range maxSessions {
		b.must("begin", fields{"connection": connection, "transaction": "t" + itoa(i)})
	}
	fault := b.fault("query", fields{"connection": connection, "query": "SELECT 1"})
	if fault.Field != "transaction" || !strings.Contains(fault.Message, "the 64 connections of the run are held by") {
		t.Errorf("all held: got %s", inWords(fault))
	}
	b.must("rollback", fields{"transaction": "t0"})
	ctx, release := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer release()
	var all sync.WaitGroup
	all.Go(func() { _, _ = b.do("query", fields{"connection": connection, "query": "SELECT pg_sleep(1)"}) })
	until(t, "the slow statement", func() bool {
		return b.running(postgres, withURL(t, connection, param("application_name", "watcher")), "pg_sleep(1)")
	})
	result, err := b.doWithin(ctx, "query", fields{"connection": connection, "query": "SELECT 1"})
	if fault := faultOf(t, result, err); fault.Code != plugin.CodeTimeout || !strings.Contains(fault.Message, "became free in time: the run uses all 64") {
		t.Errorf("all in use: got %s", inWords(fault))
	}
	all.Wait()
}
