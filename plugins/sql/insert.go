package sql

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxBatch bounds the rows of one INSERT, and maxBatchValues their values: more
	// gain little, and no database takes many thousands.
	maxBatch       = 100
	maxBatchValues = 1000
)

func itoa(n int) string { return strconv.Itoa(n) }

// inFile says in which file a statement stands that failed.
func inFile(file plugin.File, st statement, err error) error {
	var known *plugin.Error
	if errors.As(err, &known) && len(st.tokens) > 0 {
		line := 1 + strings.Count(st.whole[:st.tokens[0].at], "\n")
		known.Message = fmt.Sprintf("%s:%d: %s", file, line, known.Message)
	}
	return err
}

// loadedTable is a table of fixtures with what the database knows about it.
type loadedTable struct {
	name    string
	columns map[string]tableColumn
	names   []string
	parts   []fixture
}

// rows loads rows: tables that others point to first, and emptied last.
func (l *loader) rows(ctx context.Context, fixtures []fixture) error {
	tables, err := l.tables(ctx, fixtures)
	if err != nil {
		return err
	}
	if err := l.clear(ctx, tables); err != nil {
		return err
	}
	for _, t := range tables {
		for _, part := range t.parts {
			if err := l.insert(ctx, t, part); err != nil {
				return err
			}
		}
		if err := l.restart(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// tables are those of fixtures, parents before their children.
func (l *loader) tables(ctx context.Context, fixtures []fixture) ([]*loadedTable, error) {
	about := catalogue{l.seat.session, l.seat.kind()}
	var order []string
	byName := map[string]*loadedTable{}
	for _, f := range fixtures {
		t := byName[f.table]
		if t == nil {
			columns, err := about.columns(ctx, f.table)
			if err != nil {
				return nil, l.seat.failed(ctx, statement{}, err)
			}
			if len(columns) == 0 {
				return nil, l.seat.noTable(ctx, "table", f.table)
			}
			t = &loadedTable{name: f.table, columns: map[string]tableColumn{}}
			for _, c := range columns {
				t.columns[c.name] = c
				t.names = append(t.names, c.name)
			}
			byName[f.table] = t
			order = append(order, f.table)
		}
		t.parts = append(t.parts, f)
	}
	parents, err := about.parents(ctx, order)
	if err != nil {
		return nil, l.seat.failed(ctx, statement{}, err)
	}
	out := make([]*loadedTable, 0, len(order))
	for _, name := range parentsFirst(order, parents) {
		out = append(out, byName[name])
	}
	return out, nil
}

// parentsFirst orders tables so that each comes behind those that it points to; in
// a circle the given order stays.
func parentsFirst(tables []string, parents map[string][]string) []string {
	var out []string
	seen := map[string]bool{}
	var visit func(table string)
	visit = func(table string) {
		if seen[table] {
			return
		}
		seen[table] = true
		for _, parent := range parents[table] {
			for _, other := range tables {
				if other == parent || other[strings.LastIndex(other, ".")+1:] == strings.Trim(parent[strings.LastIndex(parent, ".")+1:], `"`) {
					visit(other)
				}
			}
		}
		out = append(out, table)
	}
	for _, table := range tables {
		visit(table)
	}
	return out
}

// clear empties the tables, children first.
func (l *loader) clear(ctx context.Context, tables []*loadedTable) error {
	if l.in.Clear == "none" {
		return nil
	}
	var quoted []string
	for _, t := range slices.Backward(tables) {
		l.out.Cleared = append(l.out.Cleared, t.name)
		quoted = append(quoted, quoteTable(l.seat.kind(), t.name))
	}
	if l.in.Clear == "truncate" && l.seat.kind() == postgres {
		return l.command(ctx, "TRUNCATE "+strings.Join(quoted, ", ")+" RESTART IDENTITY")
	}
	for _, table := range quoted {
		if err := l.command(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}
	return nil
}

// insert inserts the rows of a fixture, those with the same columns together.
func (l *loader) insert(ctx context.Context, t *loadedTable, f fixture) error {
	for from := 0; from < len(f.rows); {
		to := from + 1
		columns := f.rows[from].columns
		most := 1 // of defaults alone, which no database has a statement for many of
		if len(columns) > 0 {
			most = max(1, min(maxBatch, maxBatchValues/len(columns)))
		}
		for to < len(f.rows) && to-from < most && slices.Equal(f.rows[to].columns, columns) {
			to++
		}
		if err := l.batch(ctx, t, f.csv, f.rows[from:to]); err != nil {
			return err
		}
		from = to
	}
	l.out.Tables[t.name] += len(f.rows)
	l.out.RowCount += len(f.rows)
	return nil
}

// batch inserts rows by one statement; where the database refuses that, one by one,
// so that the row is known which it does not want.
func (l *loader) batch(ctx context.Context, t *loadedTable, csv bool, rows []fixtureRow) error {
	st, err := l.insertion(t, csv, rows)
	if err != nil {
		return err
	}
	if len(rows) == 1 {
		if err := l.seat.session.run(ctx, st, &gathered{}); err != nil {
			return l.refusedRow(ctx, t, rows[0], st, err)
		}
		return nil
	}
	if err := l.command(ctx, "SAVEPOINT testmesh_load"); err != nil {
		return err
	}
	err = l.seat.session.run(ctx, st, &gathered{})
	if refusal(err) == nil || ctx.Err() != nil {
		if err != nil {
			return l.seat.failed(ctx, st, err)
		}
		return l.command(ctx, "RELEASE SAVEPOINT testmesh_load")
	}
	if err := l.command(ctx, "ROLLBACK TO SAVEPOINT testmesh_load"); err != nil {
		return err
	}
	for i := range rows {
		if err := l.batch(ctx, t, csv, rows[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) refusedRow(ctx context.Context, t *loadedTable, row fixtureRow, st statement, err error) error {
	fault := l.seat.failed(ctx, st, err)
	fault.Message = fmt.Sprintf("%s: a row of %s: %s", row.at, t.name, fault.Message)
	fault.Details = slices.DeleteFunc(fault.Details, func(line string) bool { return strings.Contains(line, "│") }) // our own SQL
	fault.Hint = strings.TrimPrefix(fault.Hint, refusedHint(err))
	return fault
}

// refusedHint is the advice that is of no use for fixtures: to expect the error.
func refusedHint(err error) string {
	if r := refusal(err); r != nil && r.hint == "" && r.Kind != kindLock {
		return r.advice()
	}
	return ""
}

// insertion is the statement that inserts rows of the same columns.
func (l *loader) insertion(t *loadedTable, csv bool, rows []fixtureRow) (statement, error) {
	k := l.seat.kind()
	var sql strings.Builder
	sql.WriteString("INSERT INTO " + quoteTable(k, t.name))
	columns := rows[0].columns
	names := make([]string, len(columns))
	for i, c := range columns {
		if _, known := t.columns[c]; !known {
			e := plugin.Definitionf("file", "%s: %s has no column %q", rows[0].at, t.name, c)
			return statement{}, e.WithHint("%s", suggestion(c, t.names, "it has ", ""))
		}
		names[i] = quoteName(k, c)
	}
	switch {
	case len(columns) > 0:
		sql.WriteString(" (" + strings.Join(names, ", ") + ")")
	case k == mysql:
		sql.WriteString(" ()")
	}
	if k == postgres {
		sql.WriteString(" OVERRIDING SYSTEM VALUE") // numbers that the fixtures give
	}
	if len(columns) == 0 && k != mysql {
		sql.WriteString(" DEFAULT VALUES")
	} else {
		sql.WriteString(" VALUES ")
	}
	var args []any
	for i, row := range rows {
		if i > 0 {
			sql.WriteString(", ")
		}
		if len(columns) == 0 && k != mysql {
			break
		}
		sql.WriteByte('(')
		for j, v := range row.values {
			if j > 0 {
				sql.WriteString(", ")
			}
			v, err := fitting(k, t.columns[columns[j]], v, csv)
			if err != nil {
				return statement{}, plugin.Definitionf("file", "%s: %s.%s: %w", row.at, t.name, columns[j], err)
			}
			args = append(args, v)
			if k == postgres {
				sql.WriteString("$" + itoa(len(args)))
			} else {
				sql.WriteByte('?')
			}
		}
		sql.WriteByte(')')
	}
	return command(k, sql.String(), args...), nil
}

// fitting makes of a value in a file what its column takes. Of a CSV file an empty
// text is NULL where the column is not of texts.
func fitting(k kind, c tableColumn, v any, csv bool) (any, error) {
	text, isText := v.(string)
	if !isText {
		return v, nil
	}
	is := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(c.declared, w) })
	}
	textual := is("char", "text", "clob", "json", "enum", "set(", "xml") || c.declared == "" || c.declared == "name"
	switch {
	case csv && text == "" && !textual:
		return nil, nil
	case is("bytea", "blob", "binary"):
		if k == postgres && strings.HasPrefix(text, `\x`) {
			return text, nil
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("bytes are base64: %w", err)
		}
		return data, nil
	case k == mysql && is("datetime", "timestamp"):
		return mysqlMoment(text), nil
	case k != postgres && is("bool", "tinyint(1)", "bit"):
		switch strings.ToLower(text) {
		case "true", "t", "yes":
			return json.Number("1"), nil
		case "false", "f", "no":
			return json.Number("0"), nil
		}
	case csv && k == sqlite && !textual && !is("date", "time"):
		// SQLite keeps a text in a column that does not ask for numbers.
		if _, err := value.ParseNumber(text); err == nil {
			return json.Number(text), nil
		}
	}
	return text, nil
}

// mysqlMoment writes a time of RFC 3339 as MySQL takes it, in UTC.
func mysqlMoment(text string) string {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC().Format("2006-01-02 15:04:05.999999")
	}
	if at, err := time.Parse("2006-01-02T15:04:05.999999999", text); err == nil {
		return at.Format("2006-01-02 15:04:05.999999")
	}
	return text
}

// restart lets PostgreSQL number on after the rows that brought their own numbers.
func (l *loader) restart(ctx context.Context, t *loadedTable) error {
	for _, name := range t.names {
		c := t.columns[name]
		given := c.sequence != "" && slices.ContainsFunc(t.parts, func(f fixture) bool {
			return slices.ContainsFunc(f.rows, func(r fixtureRow) bool { return slices.Contains(r.columns, name) })
		})
		if !given {
			continue
		}
		err := l.command(ctx, "SELECT setval($1::regclass, max("+quoteName(postgres, name)+")) FROM "+quoteTable(postgres, t.name)+" HAVING max("+quoteName(postgres, name)+") > 0", c.sequence)
		if err != nil {
			return err
		}
	}
	return nil
}
