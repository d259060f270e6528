package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/tlsclient"
)

// What can go wrong with a statement, the same for every database.
const (
	kindUnique     = "unique"
	kindNotNull    = "not_null"
	kindForeignKey = "foreign_key"
	kindCheck      = "check"
	kindExclusion  = "exclusion"
	kindValue      = "value"     // a value that does not fit its type
	kindSyntax     = "syntax"    // no SQL, or not of this database
	kindNoTable    = "no_table"  // a table that is not there
	kindNoColumn   = "no_column" // a column that is not there
	kindExists     = "exists"    // what is to be made is there
	kindReadOnly   = "read_only"
	kindPermission = "permission"
	kindDeadlock   = "deadlock"
	kindLock       = "lock" // somebody else holds it for too long
	kindOther      = "other"
)

// notConnected gives the fault of a connection that could not be opened its words.
func (s *server) notConnected(ctx context.Context, err error) error {
	var known *plugin.Error
	if errors.As(err, &known) {
		return known
	}
	target := s.target()
	if found := s.refusesUs(err); found != nil {
		return found
	}
	if found := tlsclient.Fault(err, target); found != nil {
		return found
	}
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return plugin.Errorf(plugin.CodeTimeout, "%s at %s did not answer within %s: %w", s.kind, target, connectTime, err).
			WithHint("is it %s that listens there, and may this machine reach it?", s.kind)
	}
	if ctx.Err() != nil {
		return plugin.Errorf(plugin.CodeTimeout, "%s at %s did not answer in the step's time: %w", s.kind, target, err).
			WithHint("is it %s that listens there, and may this machine reach it? else raise the step's timeout", s.kind)
	}
	return plugin.NetError(err, target)
}

// refusesUs is for what a server says before it lets anybody in; nil: it said
// nothing of the kind.
func (s *server) refusesUs(err error) *plugin.Error {
	if s.tls != tlsNever && s.tls != tlsPrefer && withoutTLS(err) {
		e := plugin.Errorf(plugin.CodeTLS, "%s at %s has no TLS, which the connection asks for: %w", s.kind, s.target(), err)
		return e.WithHint("switch it on in the server, or go without: sslmode=%s", tlsNever)
	}
	r := refusal(s.explain(statement{}, err))
	if r == nil {
		return nil
	}
	said := fmt.Sprintf("%s (%s)", r.Message, r.Code)
	switch s.entry(r) {
	case "password":
		return plugin.Errorf(plugin.CodeAuth, "%s at %s refuses the user %q: %s", s.kind, s.target(), s.user, said).
			WithHint("check user and password; may the user connect from this machine?")
	case "database":
		return plugin.Errorf(plugin.CodeReply, "%s at %s has no database %q for the user %q: %s", s.kind, s.target(), s.database, s.user, said).
			WithHint("create it, or correct its name in the connection")
	case "full":
		return plugin.Errorf(plugin.CodeConn, "%s at %s takes no more connections: %s", s.kind, s.target(), said).
			WithHint("close other clients, raise the server's limit, or run fewer flows at once")
	case "starting":
		return plugin.Errorf(plugin.CodeConn, "%s at %s is not ready: %s", s.kind, s.target(), said).
			WithHint("wait for it with an earlier step: sql.query with eventually, or wait_for")
	case "setting":
		return plugin.Errorf(plugin.CodeReply, "%s at %s refuses a setting of the connection: %s", s.kind, s.target(), said).
			WithHint("take it out of the connection string, behind ?")
	}
	return plugin.Errorf(plugin.CodeConn, "%s at %s refuses the connection: %s", s.kind, s.target(), said)
}

// entry is what a refusal at the door is about.
func (s *server) entry(r *refused) string {
	switch r.Code {
	case "28P01", "28000", "1045", "1698", "1251", "1130":
		return "password"
	case "3D000", "1049", "1044", "42501":
		return "database"
	case "53300", "1040", "1203", "1226":
		return "full"
	case "57P03":
		return "starting"
	case "42704", "22023", "1193", "1231", "1232", "08P01":
		return "setting"
	}
	return ""
}

// explain makes a *refused of an error with which the database answered; any other
// stays as it is.
func (s *server) explain(st statement, err error) error {
	switch s.kind {
	case postgres:
		return explainPostgres(st, err)
	case mysql:
		return explainMySQL(st, err)
	}
	return explainSQLite(st, err)
}

// failed is the fault of a statement in a step's seat. Where a table or column is
// not there, the database is asked what there is.
func (s *seat) failed(ctx context.Context, st statement, err error) *plugin.Error {
	if r := refusal(err); r != nil && ctx.Err() == nil && (r.Kind == kindNoTable || r.Kind == kindNoColumn) {
		s.clarify(ctx, st, r)
	}
	return s.pool.server.failed(ctx, st, err)
}

func (s *seat) clarify(ctx context.Context, st statement, r *refused) {
	ctx, release := context.WithTimeout(ctx, settleTime)
	defer release()
	asked := s.session
	if s.transaction != nil && s.kind() == postgres { // which answers nothing any more
		other, err := s.pool.take(ctx)
		if err != nil {
			return
		}
		defer s.pool.give(other)
		asked = other
	}
	catalogue{asked, s.kind()}.nearest(ctx, st, r)
}

// failed gives the fault of a statement its words: what the database said, where
// in the statement, and what to do.
func (s *server) failed(ctx context.Context, st statement, err error) *plugin.Error {
	var known *plugin.Error
	if errors.As(err, &known) {
		return known
	}
	r := refusal(err)
	switch {
	case ctx.Err() != nil:
		return s.stopped(ctx, st, r)
	case r == nil:
		return s.lost(err)
	}
	e := plugin.Errorf(plugin.CodeReply, "%s: %s (%s)", s.kind, r.Message, r.codes())
	e.Cause = r
	if r.Kind == kindSyntax {
		e.Blame = plugin.BlameDefinition
	}
	if r.Detail != "" {
		e.Details = append(e.Details, r.Detail)
	}
	e.Details = append(e.Details, excerpt(st.whole, r.where)...)
	e.Hint = r.advice()
	return e
}

// stopped is for a statement that was under way when the step's time was over.
func (s *server) stopped(ctx context.Context, st statement, r *refused) *plugin.Error {
	e := plugin.Errorf(plugin.CodeTimeout, "%s did not finish in the step's time, and was told to stop: %s", s.kind, brief(st.text()))
	if !overdue(ctx) {
		e.Message = fmt.Sprintf("%s was told to stop, because the step was cancelled: %s", s.kind, brief(st.text()))
		return e
	}
	e.Hint = "raise the step's timeout, or look at the statement's plan"
	if r != nil && r.Kind == kindLock {
		e.Message = fmt.Sprintf("%s waited for a lock until the step's time was over: %s", s.kind, brief(st.text()))
		e.Hint = r.hint
	}
	return e
}

// lost is a connection that ended under a statement.
func (s *server) lost(err error) *plugin.Error {
	e := plugin.Errorf(plugin.CodeConn, "the connection to %s was lost: %w", s.name(), err)
	return e.WithHint("look into the server's log: it may have ended, or closed the connection. Whether the statement had its effect nobody knows")
}

// codes are those of an error: "23505, unique".
func (r *refused) codes() string {
	out := []string{r.Code}
	if r.State != "" && r.State != r.Code {
		out = append(out, "SQLSTATE "+r.State)
	}
	if r.Kind != kindOther {
		out = append(out, r.Kind)
	}
	return strings.Join(out, ", ")
}

// advice is what to do about an error: the database's own, or ours.
func (r *refused) advice() string {
	if r.hint != "" {
		return r.hint
	}
	switch r.Kind {
	case kindUnique, kindNotNull, kindForeignKey, kindCheck, kindExclusion:
		return "is that what the step is to show? then write expect_error: {kind: " + r.Kind + "}"
	case kindReadOnly:
		return "the step, its transaction or its connection has read_only: true"
	case kindDeadlock:
		return "another session wants the same rows in another order: repeat the step by retry, or lock them in one order"
	case kindLock:
		return "another session holds what the statement needs: is a transaction left open?"
	case kindPermission:
		return "grant it to the user of the connection, or connect as another"
	}
	return ""
}

const (
	// maxBrief bounds a statement inside a sentence.
	maxBrief = 60
	// maxExcerpt bounds a line of a statement in a message.
	maxExcerpt = 120
)

// brief is a statement in one line, cut.
func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > maxBrief {
		text = string([]rune(text)[:maxBrief]) + "…"
	}
	return text
}

// excerpt is the line of a text in which an offset is, with a caret below.
func excerpt(text string, offset int) []string {
	if offset < 0 || offset > len(text) {
		return nil
	}
	from := strings.LastIndex(text[:offset], "\n") + 1
	to := len(text)
	if i := strings.Index(text[offset:], "\n"); i >= 0 {
		to = offset + i
	}
	before, behind := []rune(text[from:offset]), []rune(text[offset:to])
	number := strings.Count(text[:from], "\n") + 1
	if len(before) > maxExcerpt/2 {
		before = append([]rune("…"), before[len(before)-maxExcerpt/2:]...)
	}
	if len(before)+len(behind) > maxExcerpt {
		behind = append(behind[:maxExcerpt-len(before)], '…')
	}
	head := fmt.Sprintf("%d │ ", number)
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(before))
	return []string{head + string(before) + string(behind), strings.Repeat(" ", utf8.RuneCountInString(head)-2) + "│ " + blank + "^"}
}

// unreadable is a value that the database sent and that cannot be given on.
func unreadable(c column, g *gathered, err error) error {
	return plugin.Errorf(plugin.CodeBody, "the column %s (%s) of row %d: %w", c.Name, c.Type, g.rows+1, err).
		WithHint("have the database convert it: CAST(%s AS …)", c.Name)
}
