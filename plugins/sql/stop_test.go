package sql

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// slow is a statement that takes a minute, with a mark by which the server's list
// of statements is searched.
func slow(k kind, mark string) string {
	return pick(k, "SELECT pg_sleep(60) /* "+mark+" */", "SELECT SLEEP(60) /* "+mark+" */",
		"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 5000000000) SELECT count(*) FROM s")
}

// running asks a server whether it executes what has the mark.
func (b *bench) running(k kind, connection, mark string) bool {
	b.t.Helper()
	query := pick(k, "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE :m AND pid <> pg_backend_pid()",
		"SELECT count(*) AS n FROM information_schema.processlist WHERE info LIKE :m AND id <> CONNECTION_ID()", "")
	if query == "" {
		return false
	}
	got := b.must("query", fields{"connection": connection, "query": query, "params": fields{"m": "%" + mark + "%"}})
	return compact(got["single_row"]) != `{"n":0}`
}

// until waits for what must become true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true", what)
		}
	}
}

func TestAStatementThatTakesTooLongIsStopped(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		mark := "mark_of_" + strings.ToLower(string(k))
		session := pick(k, "SELECT pg_backend_pid() AS v", "SELECT CONNECTION_ID() AS v", "SELECT 1 AS v")
		before := b.must("query", fields{"connection": connection, "query": session})
		ctx, release := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer release()
		began := time.Now()
		result, err := b.doWithin(ctx, "query", fields{"connection": connection, "query": slow(k, mark)})
		took := time.Since(began)
		fault := faultOf(t, result, err)
		if fault.Code != plugin.CodeTimeout || !strings.Contains(fault.Message, string(k)+" did not finish in the step's time, and was told to stop: ") || !strings.Contains(fault.Hint, "raise the step's timeout") {
			t.Errorf("got %s", inWords(fault))
		}
		if took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		if b.running(k, connection, mark) {
			t.Error("the server goes on")
		}
		if after := b.must("query", fields{"connection": connection, "query": session}); compact(after["rows"]) != compact(before["rows"]) {
			t.Errorf("the connection %s was not kept: now %s", compact(before["rows"]), compact(after["rows"]))
		}
	})
}

// A host cancels a call at the end of its time, a moment before the call's own clock
// says so: that is no person who cancelled.
func TestAHostMayBeTheFirstToSayThatTheTimeIsOver(t *testing.T) {
	b := newBench(t)
	ctx, release := context.WithTimeout(t.Context(), 400*time.Millisecond)
	defer release()
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(350*time.Millisecond, cancel)
	result, err := b.doWithin(ctx, "query", fields{"connection": postgresURL(t), "query": slow(postgres, "early")})
	if fault := faultOf(t, result, err); !strings.Contains(fault.Message, "did not finish in the step's time") {
		t.Errorf("got %s", inWords(fault))
	}
}

func TestAStepThatIsCancelledStopsItsStatement(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		ctx, cancel := context.WithCancel(t.Context())
		mark := "cancelled_of_" + strings.ToLower(string(k))
		var all sync.WaitGroup
		all.Go(func() {
			if k != sqlite {
				until(t, "the statement at the server", func() bool { return b.running(k, connection, mark) })
			}
			cancel()
		})
		result, err := b.doWithin(ctx, "exec", fields{"connection": connection, "query": slow(k, mark)})
		all.Wait()
		if fault := faultOf(t, result, err); !strings.Contains(fault.Message, "was told to stop, because the step was cancelled") && !strings.Contains(fault.Message, "ended early") {
			t.Errorf("got %s", inWords(fault))
		}
		if b.running(k, connection, mark) {
			t.Error("the server goes on")
		}
	})
}

// A kill that comes too late must not meet the next statement.
func TestStatementsAtTheEdgeOfTheirTimeHarmNoOther(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		short := pick(k, "SELECT pg_sleep(0.02) AS v", "SELECT SLEEP(0.02) AS v",
			"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT count(*) AS v FROM s")
		for i := range 40 {
			ctx, release := context.WithTimeout(t.Context(), 18*time.Millisecond+time.Duration(i)*100*time.Microsecond)
			_, _ = b.doWithin(ctx, "query", fields{"connection": connection, "query": short}) // either way
			release()
			if got := b.must("query", fields{"connection": connection, "query": "SELECT 7 AS v"}); compact(got["rows"]) != `[{"v":7}]` {
				t.Fatalf("after %d: got %s", i, compact(got))
			}
		}
	})
}

func TestWaitingForALock(t *testing.T) {
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		name := b.table(connection)
		b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + name + " (id integer PRIMARY KEY, n integer); INSERT INTO " + name + " VALUES (1, 1)"})
		b.must("hold=begin", fields{"connection": connection, "transaction": "holder"})
		b.must("exec", fields{"transaction": "holder", "query": "UPDATE " + name + " SET n = 2"})
		ctx, release := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer release()
		began := time.Now()
		result, err := b.doWithin(ctx, "exec", fields{"connection": connection, "query": "UPDATE " + name + " SET n = 3"})
		fault := faultOf(t, result, err)
		if fault.Code != plugin.CodeTimeout || !strings.Contains(fault.Message, string(k)+" waited for a lock until the step's time was over: UPDATE "+name) || fault.Hint == "" || time.Since(began) > 2500*time.Millisecond {
			t.Errorf("after %s: got %s", time.Since(began), inWords(fault))
		}
		// The database's own limit is an answer.
		own := map[kind]string{
			postgres: withURL(t, connection, param("lock_timeout", "100")), mysql: withURL(t, connection, param("innodb_lock_wait_timeout", "1")), sqlite: connection + "?busy_timeout=100",
		}[k]
		fault = b.fault("exec", fields{"connection": own, "query": "UPDATE " + name + " SET n = 3"})
		if fault.Code != plugin.CodeReply || !strings.Contains(fault.Message, ", lock)") || !strings.Contains(fault.Hint, "is a transaction left open") {
			t.Errorf("got %s", inWords(fault))
		}
		b.must("commit", fields{"transaction": "holder"})
		if got := b.must("query", fields{"connection": connection, "query": "SELECT n FROM " + name}); compact(got["rows"]) != `[{"n":2}]` {
			t.Errorf("got %s", compact(got))
		}
	})
}
