package redis

import (
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestATransactionIsExecutedWhole(t *testing.T) {
	bare(t)
	u := newUser(t)
	stock, sold := key(t, "stock"), key(t, "sold")
	got := u.do("transaction", m{"commands": []any{
		[]any{"SET", stock, 5}, "DECRBY " + stock + " 2", []any{"HSET", sold, "a", 1}, "HGETALL " + sold, "GET " + key(t, "none"),
	}})
	is(t, got, `{"aborted":false,"results":["OK",3,1,{"a":"1"},null]}`)
	is(t, u.do("get", m{"key": stock})["value"], `"3"`)
	x := u.out.exchanges[0]
	if !strings.HasSuffix(x.Summary, "MULTI … EXEC → list of 5") || !strings.Contains(string(x.Request), "DECRBY") {
		t.Errorf("got %s %s", x.Summary, x.Request)
	}
}

func TestAWatchedKeyThatChangesAbortsATransaction(t *testing.T) {
	bare(t)
	u := newUser(t)
	stock := key(t, "stock")
	u.do("set", m{"key": stock, "value": 5})
	for _, changes := range []bool{true, false} {
		is(t, u.do("watch", m{"step": "w", "keys": []any{stock, key(t, "other")}}), `{"watching":2}`)
		if changes {
			u.do("command", m{"command": "INCR " + stock})
		}
		got, err := u.try(t.Context(), "transaction", m{"from": "w", "commands": []any{[]any{"SET", stock, 0}}})
		if err != nil {
			t.Fatal(err)
		}
		want, left := `{"aborted":true,"results":[]}`, `"6"`
		if !changes {
			want, left = `{"aborted":false,"results":["OK"]}`, `"0"`
		}
		is(t, got, want)
		is(t, u.do("get", m{"key": stock})["value"], left)
	}
	// The watch is over with its transaction.
	if e := u.fails("transaction", m{"from": "w", "commands": []any{"PING"}}); e.Field != "from" || e.Message != `no step "w" with redis.watch has run` {
		t.Errorf("got %s at %s", e.Message, e.Field)
	}
}

func TestAWatchIsBegunAnewByItsStep(t *testing.T) {
	bare(t)
	u := newUser(t)
	k := key(t, "k")
	u.do("watch", m{"step": "w", "keys": []any{k}})
	u.do("set", m{"key": k, "value": 1})
	u.do("watch", m{"step": "w", "keys": []any{k}}) // of a second try
	got, err := u.try(t.Context(), "transaction", m{"from": "w", "commands": []any{"PING"}})
	if err != nil || got["aborted"] != false {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestATransactionMayWatchByItself(t *testing.T) {
	bare(t)
	u := newUser(t)
	got := u.do("transaction", m{"watch": []any{key(t, "k")}, "commands": []any{"PING"}})
	is(t, got, `{"aborted":false,"results":["PONG"]}`)
	if u.out.exchanges[0].Summary == "" || !strings.Contains(u.out.exchanges[0].Summary, "WATCH") {
		t.Errorf("got %+v", u.out.exchanges[0])
	}
}

func TestErrorsInATransaction(t *testing.T) {
	c := bare(t)
	u := newUser(t)
	k, n := key(t, "k"), key(t, "n")
	u.do("set", m{"key": k, "value": "x"})
	commands := []any{"INCR " + n, "INCR " + k, "INCR " + n}
	e := u.fails("transaction", with(t, m{"commands": commands}))
	if e.Code != plugin.CodeReply || !strings.Contains(e.Message, "answered INCR in a transaction with an error: ERR value is not an integer") || !strings.Contains(strings.Join(e.Details, " "), "the other commands were executed") {
		t.Errorf("got %s: %s %v", e.Code, e.Message, e.Details)
	}
	is(t, c.Get(t.Context(), n).Val(), `"2"`)
	got := u.do("transaction", m{"commands": commands, "allow_error": true})
	is(t, got["results"], `[3,{"error":"ERR value is not an integer or out of range"},4]`)
	e = u.fails("transaction", with(t, m{"commands": []any{"INCR " + n, "INCR"}}))
	if !strings.Contains(e.Message, "answered INCR with an error: ERR wrong number of arguments") {
		t.Errorf("got %s", e.Message)
	}
	is(t, c.Get(t.Context(), n).Val(), `"4"`) // nothing of it was executed
}

// Without MULTI the commands would be executed one by one.
func TestATransactionThatCannotBeginExecutesNothing(t *testing.T) {
	var executed []string
	address := fake(t, func(command []string) string {
		if command[0] == "multi" {
			return "-NOPERM no MULTI for you\r\n"
		}
		executed = append(executed, command[0])
		return "+OK\r\n"
	})
	u := newUser(t)
	e := u.fails("transaction", m{"connection": "redis://" + address, "commands": []any{"FLUSHALL"}})
	if e.Code != plugin.CodeAuth || !strings.Contains(e.Message, "answered MULTI with an error: NOPERM") || len(executed) > 0 {
		t.Errorf("got %s: %s, and %v was executed", e.Code, e.Message, executed)
	}
}

func TestAnswersToATransactionThatAreNone(t *testing.T) {
	for said, want := range map[string]string{
		"*2\r\n:1\r\n:2\r\n": "did not answer EXEC with a list of 1",
		"+OK\r\n":            "did not answer EXEC with a list of 1",
		"hello\r\n":          "did not answer the transaction in Redis' protocol",
		hangUp:               "closed the connection before it had answered the transaction",
		"-EXECABORT no\r\n":  "answered EXEC with an error: EXECABORT no",
	} {
		address := fake(t, func(command []string) string {
			switch command[0] {
			case "multi":
				return "+OK\r\n"
			case "exec":
				return said
			}
			return "+QUEUED\r\n"
		})
		if e := newUser(t).fails("transaction", m{"connection": "redis://" + address, "commands": []any{"PING"}}); !strings.Contains(e.Message, want) {
			t.Errorf("%q: got %s, want %s", said, e.Message, want)
		}
	}
}

func TestTransactionsThatSayTooLittleOrTooMuch(t *testing.T) {
	u := newUser(t)
	for name, test := range map[string]struct {
		config         m
		field, message string
	}{
		"no connection":             {m{"commands": []any{"PING"}}, "connection", "is missing"},
		"a connection and from":     {with(t, m{"from": "w", "commands": []any{"PING"}}), "from", "given beside connection"},
		"a watch and from":          {m{"from": "w", "watch": []any{"k"}, "commands": []any{"PING"}}, "from", "given beside"},
		"no commands":               {with(t, m{"commands": []any{}}), "commands", "needs at least 1"},
		"a command that is nothing": {with(t, m{"commands": []any{"PING", ""}}), "commands[1]", "is empty"},
		"a word that is none":       {with(t, m{"commands": []any{[]any{"SET", "k", nil}}}), "commands[0][2]", "is null"},
	} {
		if e := u.fails("transaction", test.config); e.Blame != plugin.BlameDefinition || e.Field != test.field || !strings.Contains(e.Message, test.message) {
			t.Errorf("%s: got %s at %s", name, e.Message, e.Field)
		}
	}
}
