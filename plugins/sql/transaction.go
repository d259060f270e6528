package sql

import (
	"context"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// transaction is one that sql.begin began, with the session that it holds until it
// ends. Steps that run at the same time have it one after the other.
type transaction struct {
	name  string
	step  string // that began it
	pool  *pool
	turn  chan struct{} // holds one: whoever takes it has the session
	ended string        // why it is over; empty: it is not. Of whoever has the turn.
	session
}

const transactions = "transaction:"

// transactionOf finds the transaction that a step names.
func transactionOf(call *plugin.Call, in target) (*transaction, error) {
	t, ok := plugin.Kept[*transaction](call, transactions+in.Transaction)
	if !ok {
		e := plugin.Definitionf("transaction", "is %q, and no transaction of that name is open", in.Transaction)
		return nil, e.WithHint("%s", openOnes(call))
	}
	if in.ReadOnly && !t.pool.server.readOnly {
		return nil, plugin.Definitionf("read_only", "is for a whole transaction: set it on %s, which began it", t.step)
	}
	if in.Connection.One != nil || in.Connection.Other != nil {
		server, err := serverOf(call, in)
		if err != nil {
			return nil, err
		}
		if server.target() != t.pool.server.target() || server.database != t.pool.server.database {
			return nil, plugin.Definitionf("connection", "is another than that of the transaction %s, which is of %s", t.name, t.pool.server.name()).
				WithHint("leave connection out where there is a transaction")
		}
	}
	return t, nil
}

func openOnes(call *plugin.Call) string {
	var names []string
	for _, key := range plugin.KeptKeys(call, transactions) {
		names = append(names, strings.TrimPrefix(key, transactions))
	}
	return "open are: " + list(names, "none") + ". sql.begin begins one, sql.commit and sql.rollback end it"
}

// sit waits for the transaction's turn.
func (t *transaction) sit(ctx context.Context) (*seat, error) {
	select {
	case <-t.turn:
	case <-ctx.Done():
		return nil, plugin.Errorf(plugin.CodeTimeout, "the transaction %s was in use by other steps until the step's time was over", t.name).
			WithHint("steps that run at the same time have a transaction one after the other")
	}
	if t.ended != "" {
		reason := t.ended
		t.leave()
		return nil, plugin.Errorf(plugin.CodeReply, "the transaction %s is over: %s", t.name, reason).WithHint("end it with sql.rollback, and begin another")
	}
	return &seat{session: t.session, pool: t.pool, transaction: t}, nil
}

func (t *transaction) leave() {
	if t.ended == "" && t.state() != inTransaction {
		t.ended = "the database has rolled it back, or its connection was lost"
	}
	t.turn <- struct{}{}
}

// over is for a statement after which the transaction was no longer open.
func (t *transaction) over(st statement) error {
	t.ended = "it ended with " + brief(st.text())
	return plugin.Errorf(plugin.CodeReply, "the transaction %s is over: %s", t.name, t.ended).
		WithHint("the database commits or rolls back with such a statement: run it outside of the transaction")
}
