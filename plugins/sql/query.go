package sql

import (
	"context"
	"strings"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// query runs the one statement of sql.query.
func query(ctx context.Context, call *plugin.Call, in queryIn) (queryOut, error) {
	return runStep(ctx, call, in, 1)
}

// execute runs the statements of sql.exec.
func execute(ctx context.Context, call *plugin.Call, in queryIn) (queryOut, error) {
	return runStep(ctx, call, in, maxStatements)
}

// maxStatements bounds those of one step or file.
const maxStatements = 10_000

func runStep(ctx context.Context, call *plugin.Call, in queryIn, most int) (queryOut, error) {
	seat, err := sit(ctx, call, in.target)
	if err != nil {
		return queryOut{}, err
	}
	defer seat.leave(call)
	statements, err := bound(seat.kind(), in, most)
	if err != nil {
		return queryOut{}, err
	}
	for i := range statements {
		statements[i].trace(seat.kind(), call.TraceParent())
	}
	if in.ExpectError != nil {
		return in.ExpectError.run(ctx, call, seat, in, statements)
	}
	began := time.Now()
	out := &gathered{limits: in.limits}
	stopped, err := seat.runAll(ctx, statements, out)
	for _, notice := range out.notices {
		call.Log("%s", notice)
	}
	if err != nil {
		fault := seat.failed(ctx, stopped, err)
		record(call, seat, in, began, nil, fault)
		return queryOut{}, fault
	}
	return in.result(call, seat, began, out)
}

// bound are the statements of a step with its values.
func bound(k kind, in queryIn, most int) ([]statement, error) {
	pieces := split(k, in.Query)
	switch n := len(pieces); {
	case n == 0:
		return nil, plugin.Definitionf("query", "has no statement in it")
	case n > most && most == 1:
		return nil, plugin.Definitionf("query", "has %d statements, and sql.query runs one", n).WithHint("use sql.exec, which runs one after the other")
	case n > most:
		return nil, plugin.Definitionf("query", "has %d statements, at most %d are possible", n, most)
	}
	return newValues(in.Params).bind(k, pieces)
}

// result is what the statements of a step gave.
func (in queryIn) result(call *plugin.Call, seat *seat, began time.Time, g *gathered) (queryOut, error) {
	if len(g.renamed) > 0 {
		call.Warn("columns have the same name: now %s. Name them with AS", strings.Join(g.renamed, ", "))
	}
	out := queryOut{Truncated: g.over != ""}
	var chosen *rowSet
	for _, set := range g.sets {
		if chosen == nil || set.columns != nil {
			chosen = set
		}
		out.RowsAffected = sum(out.RowsAffected, set.affected)
		if set.lastID != nil {
			out.LastInsertID = set.lastID
		}
		if len(g.sets) > 1 {
			out.Results = append(out.Results, oneResult{set.rows, set.columns, len(set.rows), set.affected})
		}
	}
	if chosen != nil {
		out.Rows, out.Columns, out.RowCount = chosen.rows, chosen.columns, len(chosen.rows)
	}
	if out.RowCount > 0 {
		out.FirstRow = out.Rows[0]
	}
	if out.RowCount == 1 {
		out.SingleRow = out.FirstRow
	}
	record(call, seat, in, began, &out, nil)
	if g.over != "" && !in.Truncate {
		return queryOut{}, plugin.Errorf(plugin.CodeBody, "the answer is larger than %s lets through: %s were read, and there are more", g.over, count(g.rows, "row")).
			WithHint("add LIMIT to the statement, raise %s, or set truncate: true to go on with the first of them", strings.SplitN(g.over, ":", 2)[0])
	}
	return out, nil
}

// sum adds numbers that may be unknown.
func sum(a, b *int64) *int64 {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	total := *a + *b
	return &total
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
