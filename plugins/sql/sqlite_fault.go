//go:build cgo

package sql

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// explainSQLite makes a *refused of what SQLite said; any other error stays as it
// is.
func explainSQLite(st statement, err error) error {
	var known sqlite3.Error
	if !errors.As(err, &known) {
		return err
	}
	r := &refused{Code: sqliteCode(known), Kind: sqliteKind(known), Message: known.Error(), where: -1, cut: known.Code == sqlite3.ErrInterrupt}
	switch r.Kind {
	case kindUnique, kindNotNull:
		if _, column, ok := strings.Cut(r.Message, "constraint failed: "); ok && !strings.Contains(column, ",") {
			r.Table, r.Column, _ = strings.Cut(column, ".")
		}
	case kindCheck:
		_, r.Constraint, _ = strings.Cut(r.Message, "constraint failed: ")
	case kindSyntax:
		r.where = sqlitePlace(st, r.Message)
	case kindLock:
		r.hint = "another connection writes to the file: is a transaction left open, or the application in the middle of one? busy_timeout in the connection is how long to wait"
	}
	return r
}

// sqlitePlace is where the text stands that a message quotes: near "FORM".
func sqlitePlace(st statement, message string) int {
	if strings.Contains(message, "incomplete input") && len(st.moved) > 0 {
		return st.sourceAt(len(st.sent))
	}
	_, rest, ok := strings.Cut(message, `near "`)
	near, _, closed := strings.Cut(rest, `":`)
	if !ok || !closed || strings.Count(st.sent, near) != 1 || len(st.moved) == 0 {
		return -1
	}
	return st.sourceAt(strings.Index(st.sent, near))
}

// sqliteCode is the name of a code, as SQLite's documentation has it.
func sqliteCode(e sqlite3.Error) string {
	switch e.ExtendedCode {
	case sqlite3.ErrConstraintUnique:
		return "SQLITE_CONSTRAINT_UNIQUE"
	case sqlite3.ErrConstraintPrimaryKey:
		return "SQLITE_CONSTRAINT_PRIMARYKEY"
	case sqlite3.ErrConstraintNotNull:
		return "SQLITE_CONSTRAINT_NOTNULL"
	case sqlite3.ErrConstraintForeignKey:
		return "SQLITE_CONSTRAINT_FOREIGNKEY"
	case sqlite3.ErrConstraintCheck:
		return "SQLITE_CONSTRAINT_CHECK"
	case sqlite3.ErrConstraintTrigger:
		return "SQLITE_CONSTRAINT_TRIGGER"
	case sqlite3.ErrConstraintRowID:
		return "SQLITE_CONSTRAINT_ROWID"
	case sqlite3.ErrBusySnapshot:
		return "SQLITE_BUSY_SNAPSHOT"
	}
	names := map[sqlite3.ErrNo]string{
		sqlite3.ErrError: "ERROR", sqlite3.ErrPerm: "PERM", sqlite3.ErrBusy: "BUSY", sqlite3.ErrLocked: "LOCKED",
		sqlite3.ErrReadonly: "READONLY", sqlite3.ErrInterrupt: "INTERRUPT", sqlite3.ErrIoErr: "IOERR", sqlite3.ErrCorrupt: "CORRUPT",
		sqlite3.ErrFull: "FULL", sqlite3.ErrCantOpen: "CANTOPEN", sqlite3.ErrTooBig: "TOOBIG", sqlite3.ErrConstraint: "CONSTRAINT",
		sqlite3.ErrMismatch: "MISMATCH", sqlite3.ErrAuth: "AUTH", sqlite3.ErrNotADB: "NOTADB",
	}
	if name := names[e.Code]; name != "" {
		return "SQLITE_" + name
	}
	return fmt.Sprintf("SQLITE_%d", int(e.Code))
}

// sqliteKind is what a code means, in the words that all databases share. Most of
// what is wrong with a statement has one code, and is known by its words.
func sqliteKind(e sqlite3.Error) string {
	switch e.ExtendedCode {
	case sqlite3.ErrConstraintUnique, sqlite3.ErrConstraintPrimaryKey, sqlite3.ErrConstraintRowID:
		return kindUnique
	case sqlite3.ErrConstraintNotNull:
		return kindNotNull
	case sqlite3.ErrConstraintForeignKey:
		return kindForeignKey
	case sqlite3.ErrConstraintCheck:
		return kindCheck
	}
	switch e.Code {
	case sqlite3.ErrReadonly:
		return kindReadOnly
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return kindLock
	case sqlite3.ErrPerm, sqlite3.ErrAuth:
		return kindPermission
	case sqlite3.ErrMismatch, sqlite3.ErrConstraint, sqlite3.ErrTooBig:
		return kindValue
	case sqlite3.ErrError:
	default:
		return kindOther
	}
	message := e.Error()
	switch {
	case strings.Contains(message, "no such table"):
		return kindNoTable
	case strings.Contains(message, "no such column"), strings.Contains(message, "has no column named"):
		return kindNoColumn
	case strings.Contains(message, "already exists"), strings.Contains(message, "duplicate column name"):
		return kindExists
	case strings.Contains(message, "syntax error"), strings.Contains(message, "incomplete input"),
		strings.Contains(message, "unrecognized token"), strings.Contains(message, "no such function"):
		return kindSyntax
	}
	return kindOther
}
