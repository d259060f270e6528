package sql

import (
	"errors"
	"strings"

	client "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// explainPostgres makes a *refused of what PostgreSQL answered; any other error
// stays as it is.
func explainPostgres(st statement, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	// An error of these classes ends the connection: the server goes down.
	if strings.HasPrefix(pg.Code, "57P") && pg.Code != "57P03" {
		return err
	}
	r := &refused{
		Code: pg.Code, State: pg.Code, Kind: postgresKind(pg.Code), Message: pg.Message, Detail: pg.Detail, hint: pg.Hint,
		Table: pg.TableName, Column: pg.ColumnName, Constraint: pg.ConstraintName, where: -1,
		cut: pg.Code == "57014",
	}
	if pg.Position > 0 && st.sent != "" {
		r.where = st.source(int(pg.Position))
	}
	if r.Kind == kindDeadlock {
		r.hint = "" // it points to the server's log
	}
	if pg.Code == "25P02" {
		r.hint = "an earlier statement of the transaction failed: end it with sql.rollback"
	}
	return r
}

// postgresKind is what a SQLSTATE means, in the words that all databases share.
func postgresKind(state string) string {
	switch state {
	case "23505":
		return kindUnique
	case "23502":
		return kindNotNull
	case "23503":
		return kindForeignKey
	case "23514":
		return kindCheck
	case "23P01":
		return kindExclusion
	case "42P01":
		return kindNoTable
	case "42703":
		return kindNoColumn
	case "42P07", "42710", "42701", "42P04", "42P06", "42723":
		return kindExists
	case "42501":
		return kindPermission
	case "25006":
		return kindReadOnly
	case "40P01":
		return kindDeadlock
	case "55P03":
		return kindLock
	}
	switch state[:2] {
	case "22":
		return kindValue
	case "42":
		return kindSyntax
	}
	return kindOther
}

// withoutTLS tells whether a server was asked for TLS and has none.
func withoutTLS(err error) bool {
	return errors.Is(err, client.ErrNoTLS) || strings.Contains(err.Error(), "server refused TLS connection")
}
