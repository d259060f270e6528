package sql

import (
	"context"
	"errors"
	"time"
)

// session is one connection to a database, for one call at a time.
type session interface {
	// run executes one statement and hands what it gives to out. Where ctx ends, the
	// statement is stopped at the server, and run returns within two seconds; so it
	// is where out wants no more rows, unless that would undo a change. An error is a
	// *refused where the database answered with it, and the session can go on;
	// any other error is of the connection.
	run(ctx context.Context, s statement, out *gathered) error
	// state says how the session stands after the last statement, without asking the
	// server.
	state() state
	// ping asks the server whether it is still there.
	ping(ctx context.Context) error
	// close ends the connection, without waiting for the server.
	close()
}

// state is how a session stands.
type state int

const (
	gone          state = iota // the connection is lost
	ready                      // every statement is a transaction of its own
	inTransaction              // one that a statement began is open, or waits for its ROLLBACK
)

// refused is an error that the database answered with, in place of a result.
type refused struct {
	Code       string `json:"code" doc:"The database's own code: SQLSTATE 23505 of PostgreSQL, the number 1062 of MySQL, SQLITE_CONSTRAINT_UNIQUE of SQLite."`
	State      string `json:"state,omitempty" doc:"SQLSTATE, where the database has one."`
	Kind       string `json:"kind" doc:"What went wrong, the same for every database, as unique."`
	Message    string `json:"message" doc:"Its words."`
	Detail     string `json:"detail,omitempty" doc:"More of them."`
	Table      string `json:"table,omitempty" doc:"The table that it is about, where the database says."`
	Column     string `json:"column,omitempty" doc:"The column."`
	Constraint string `json:"constraint,omitempty" doc:"The constraint."`

	hint  string // the database's own advice
	where int    // offset in the step's SQL; -1: unknown
	cut   bool   // it says that the statement was stopped, as we asked
}

func (r *refused) Error() string { return r.Message }

// waitTime bounds how long another connection may take to say what a statement
// waits for, before it is stopped.
const waitTime = 300 * time.Millisecond

// watch calls stop once ctx has ended, on a goroutine of its own. Settled ends the
// watch: it says whether stop was called, and what that gave.
func watch(ctx context.Context, stop func() (why string)) (settled func() (stopped bool, why string)) {
	type end struct {
		stopped bool
		why     string
	}
	done, ended := make(chan struct{}), make(chan end, 1)
	go func() {
		select {
		case <-done:
			ended <- end{}
		case <-ctx.Done():
			ended <- end{true, stop()}
		}
	}()
	return func() (bool, string) {
		close(done)
		e := <-ended
		return e.stopped, e.why
	}
}

// clockSkew is how long before its deadline a call may be told that it is over: the
// host has a clock of its own.
const clockSkew = 100 * time.Millisecond

// overdue tells whether ctx ended because its time was over, and no person or limit
// ended it.
func overdue(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil && ok && time.Until(deadline) < clockSkew
}

// waited adds to an error that the statement waited for a lock, and who held it.
func waited(err error, why string) error {
	if r := refusal(err); r != nil && why != "" {
		r.Kind, r.hint = kindLock, why
	}
	return err
}

// refusal finds the database's own error in err; nil: it is of the connection.
func refusal(err error) *refused {
	var r *refused
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// exec runs a statement of our own whose rows nobody reads.
func exec(ctx context.Context, s session, k kind, text string, args ...any) error {
	_, err := ask(ctx, s, k, text, args...)
	return err
}

// maxAsked bounds the rows that we ask a catalogue for.
const maxAsked = 5000

// ask runs a statement of our own and gives its rows. Its placeholders are those
// of the database.
func ask(ctx context.Context, s session, k kind, text string, args ...any) ([]map[string]any, error) {
	g := &gathered{limits: limits{MaxRows: maxAsked, MaxBytes: 1 << 20}}
	if err := s.run(ctx, command(k, text, args...), g); err != nil {
		return nil, err
	}
	return g.sets[0].rows, nil
}
