package sql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// transaction is one that sql.begin began, with the session that it holds until it
// ends. Steps that run at the same time have it one after the other.
type transaction struct {
	session
	name    string
	step    string // that began it
	pool    *pool
	guarded bool
	turn    chan struct{} // holds one: whoever takes it has the session
	ended   string        // why it is over; empty: it is not. Of whoever has the turn.
}

// transactions are the keys under which a run keeps them, and its history.
const (
	transactions = "transaction:"
	begunKey     = "transactions that were begun"
)

// begun are the names of the transactions that a run has begun.
type begun struct {
	mu    sync.Mutex
	names []string
}

// transactionOf finds the transaction that a step names.
func transactionOf(call *plugin.Call, in target) (*transaction, error) {
	t, ok := plugin.Kept[*transaction](call, transactions+in.Transaction)
	if !ok {
		return nil, plugin.Definitionf("transaction", "is %q, and no transaction of that name is open", in.Transaction).WithHint("%s", openOnes(call))
	}
	if in.ReadOnly && !t.pool.server.readOnly && !t.guarded {
		return nil, plugin.Definitionf("read_only", "is for a whole transaction: set it on %s, which began it", t.step)
	}
	if in.Connection.One != nil || in.Connection.Other != nil {
		server, err := serverOf(call, in)
		if err != nil {
			return nil, err
		}
		if server.name() != t.pool.server.name() {
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
		t.ended = "the database rolled it back, or its connection was lost"
	}
	t.turn <- struct{}{}
}

// over is for a statement after which the transaction was no longer open.
func (t *transaction) over(st statement) error {
	t.ended = "it ended with " + brief(st.text())
	return plugin.Errorf(plugin.CodeReply, "the transaction %s is over: %s", t.name, t.ended).
		WithHint("the database commits or rolls back with such a statement: run it outside of the transaction")
}

// close gives the session back. Where the transaction is open still, it is rolled
// back by that, and the error says so: nobody ended it.
func (t *transaction) close() error {
	t.pool.release(t.name)
	if t.pool.giveBack(t.session, t.guarded) {
		return fmt.Errorf("the transaction %s, begun by %s, was left open: it was rolled back", t.name, t.step)
	}
	return nil
}

type beginIn struct {
	Connection  plugin.Either[string, connectionMap] `json:"connection" doc:"The database, as in sql.query." example:"postgres://app:${secret.DB_PASSWORD}@db:5432/shop"`
	Transaction string                               `json:"transaction" doc:"A name for it, which later steps give as transaction." default:"default" minLength:"1" maxLength:"64"`
	Isolation   string                               `json:"isolation,omitempty" doc:"How far it is isolated from others; the database's own default where it is left out." enum:"read_uncommitted|read_committed|repeatable_read|serializable"`
	ReadOnly    bool                                 `json:"read_only" doc:"Whether the database is to refuse every change in it." default:"false"`
}

type beginOut struct {
	Transaction string `json:"transaction" doc:"Its name."`
}

// begin begins a transaction and keeps its session for the run.
func begin(ctx context.Context, call *plugin.Call, in beginIn) (beginOut, error) {
	server, err := serverOf(call, target{Connection: in.Connection, ReadOnly: in.ReadOnly})
	if err != nil {
		return beginOut{}, err
	}
	mine := false
	t, err := plugin.Keep(ctx, call, transactions+in.Transaction, func() (*transaction, func() error, error) {
		mine = true
		t, err := server.begin(ctx, call, in)
		if err != nil {
			return nil, nil, err
		}
		return t, t.close, nil
	})
	if err != nil {
		return beginOut{}, err
	}
	if !mine {
		return beginOut{}, plugin.Definitionf("transaction", "is %q, and %s has begun one of that name, which is open", in.Transaction, t.step).
			WithHint("end it with sql.commit or sql.rollback, or give this one another name")
	}
	history, err := plugin.Keep(ctx, call, begunKey, func() (*begun, func() error, error) { return &begun{}, nil, nil })
	if err != nil {
		return beginOut{}, err
	}
	history.mu.Lock()
	defer history.mu.Unlock()
	history.names = append(history.names, in.Transaction)
	return beginOut{in.Transaction}, nil
}

func (s *server) begin(ctx context.Context, call *plugin.Call, in beginIn) (*transaction, error) {
	seat, err := s.sit(ctx, call)
	if err != nil {
		return nil, err
	}
	for _, text := range beginning(s.kind, strings.ToUpper(strings.ReplaceAll(in.Isolation, "_", " ")), s.readOnly) {
		st := command(s.kind, text)
		if err := seat.session.run(ctx, st, &gathered{}); err != nil {
			seat.leave(call)
			return nil, seat.failed(ctx, st, err)
		}
	}
	t := &transaction{session: seat.session, name: in.Transaction, step: call.StepID(), pool: seat.pool, guarded: seat.guarded, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	seat.pool.hold(t.name, t.step)
	return t, nil
}

// beginning are the statements that begin a transaction. SQLite isolates all of
// them from each other as far as can be.
func beginning(k kind, isolation string, readOnly bool) []string {
	access := " READ WRITE"
	if readOnly {
		access = " READ ONLY"
	}
	switch {
	case k == sqlite:
		return []string{"BEGIN"}
	case k == mysql && isolation != "":
		return []string{"SET TRANSACTION ISOLATION LEVEL " + isolation, "START TRANSACTION" + access}
	case k == mysql:
		return []string{"START TRANSACTION" + access}
	case isolation != "":
		return []string{"BEGIN ISOLATION LEVEL " + isolation + access}
	}
	return []string{"BEGIN" + access}
}

type endIn struct {
	Transaction string `json:"transaction" doc:"The name that sql.begin gave it." default:"default" minLength:"1"`
}

type commitOut struct {
	Transaction string `json:"transaction" doc:"Its name."`
}

// commit commits a transaction. Where the database refuses that, the transaction
// is over as well, unless it may be tried again.
func commit(ctx context.Context, call *plugin.Call, in endIn) (commitOut, error) {
	t, err := transactionOf(call, target{Transaction: in.Transaction})
	if err != nil {
		return commitOut{}, err
	}
	seat, err := t.sit(ctx)
	if err != nil {
		return commitOut{}, err
	}
	st := command(seat.kind(), "COMMIT")
	err = seat.session.run(ctx, st, &gathered{})
	open := t.state() == inTransaction
	if err != nil && open {
		t.leave()
		return commitOut{}, seat.failed(ctx, st, err)
	}
	t.ended = "it was committed"
	dropErr := plugin.Drop(call, transactions+t.name)
	t.leave()
	if err != nil {
		return commitOut{}, seat.failed(ctx, st, err)
	}
	return commitOut{t.name}, dropErr
}

type rollbackOut struct {
	Transaction string `json:"transaction" doc:"Its name."`
	RolledBack  bool   `json:"rolled_back" doc:"Whether it was open still; false where it was over already."`
}

// rollback ends a transaction without its changes. One that is over is over: a
// teardown may always say it.
func rollback(ctx context.Context, call *plugin.Call, in endIn) (rollbackOut, error) {
	out := rollbackOut{Transaction: in.Transaction}
	t, ok := plugin.Kept[*transaction](call, transactions+in.Transaction)
	if !ok {
		history, _ := plugin.Kept[*begun](call, begunKey)
		if history == nil || !history.has(in.Transaction) {
			return out, plugin.Definitionf("transaction", "is %q, and the run has begun none of that name", in.Transaction).WithHint("%s", openOnes(call))
		}
		return out, nil
	}
	select {
	case <-t.turn:
	case <-ctx.Done():
		return out, plugin.Errorf(plugin.CodeTimeout, "the transaction %s was in use by other steps until the step's time was over", t.name)
	}
	if t.ended == "" && t.state() == inTransaction {
		st := command(t.pool.server.kind, "ROLLBACK")
		if err := t.run(ctx, st, &gathered{}); err != nil {
			t.leave()
			return out, t.pool.server.failed(ctx, st, err)
		}
		out.RolledBack = true
	} else {
		call.Warn("the transaction %s was over already: %s", t.name, t.why())
	}
	t.ended = "it was rolled back"
	err := plugin.Drop(call, transactions+t.name)
	t.leave()
	return out, err
}

// why is the reason for which a transaction is over.
func (t *transaction) why() string {
	if t.ended != "" {
		return t.ended
	}
	return "the database rolled it back, or its connection was lost"
}

func (b *begun) has(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.names, name)
}
