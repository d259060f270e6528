package sql

import (
	"context"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// snapshotIn is the config of sql.snapshot: which rows.
type snapshotIn struct {
	target
	Tables []plugin.Either[string, snapshotTable] `json:"tables,omitempty" doc:"The tables, as names or as maps {table, key, ignore, where}." example:"[\"orders\", \"order_lines\"]" minItems:"1"`
	Query  string                                 `json:"query,omitempty" doc:"A statement that gives the rows, in place of tables."`
	Params plugin.Either[[]any, map[string]any]   `json:"params,omitempty" doc:"The values of its parameters."`
	Key    plugin.Either[string, []string]        `json:"key,omitempty" doc:"The column, or columns, by which rows are the same one before and after; of a table its primary key by default. Where there is none, a row that changed is one removed and one added."`
	Ignore []string                               `json:"ignore,omitempty" doc:"Columns that may change." example:"[\"updated_at\"]"`
	limits
}

// snapshotTable is one table of a snapshot.
type snapshotTable struct {
	Table  string                          `json:"table" doc:"Its name, with its schema where that is not the connection's own." minLength:"1"`
	Key    plugin.Either[string, []string] `json:"key,omitempty" doc:"The columns by which rows are the same one."`
	Ignore []string                        `json:"ignore,omitempty" doc:"Columns that may change."`
	Where  string                          `json:"where,omitempty" doc:"A condition on its rows, as SQL."`
}

// snapshotOut is the result of sql.snapshot.
type snapshotOut struct {
	Tables   map[string]int `json:"tables" doc:"How many rows of each table there are; of a query under the name query."`
	RowCount int            `json:"row_count" doc:"How many rows there are in all."`
}

// snapshot is what sql.snapshot keeps for the sql.diff that follows.
type snapshot struct {
	step   string
	in     snapshotIn
	server *server
	sets   []*keyedSet
}

// keyedSet are the rows of one table or query, with what tells them apart.
type keyedSet struct {
	name   string
	query  string
	key    []string // empty: the whole row
	ignore []string
	rows   []map[string]any
}

// snapshots are the keys under which a run keeps them.
const snapshots = "snapshot:"

// queryName is the name of the rows of a query, where tables have their own.
const queryName = "query"

// takeSnapshot reads the rows and keeps them under the id of the step.
func takeSnapshot(ctx context.Context, call *plugin.Call, in snapshotIn) (snapshotOut, error) {
	if in.Query != "" == (len(in.Tables) > 0) {
		return snapshotOut{}, plugin.Definitionf("tables", "or query is what a snapshot is of: give one of them")
	}
	seat, err := sit(ctx, call, in.target)
	if err != nil {
		return snapshotOut{}, err
	}
	defer seat.leave(call)
	s := &snapshot{step: call.StepID(), in: in, server: seat.pool.server}
	if err := s.read(ctx, seat); err != nil {
		return snapshotOut{}, err
	}
	// A second try takes the place of the first.
	if err := plugin.Drop(call, snapshots+s.step); err != nil {
		return snapshotOut{}, err
	}
	_, err = plugin.Keep(ctx, call, snapshots+s.step, func() (*snapshot, func() error, error) { return s, nil, nil })
	out := snapshotOut{Tables: map[string]int{}}
	for _, set := range s.sets {
		out.Tables[set.name] = len(set.rows)
		out.RowCount += len(set.rows)
	}
	return out, err
}

// read reads the rows. All tables are read in one transaction, so that they belong
// together.
func (s *snapshot) read(ctx context.Context, seat *seat) (err error) {
	if s.sets, err = s.named(ctx, seat); err != nil {
		return err
	}
	together := len(s.sets) > 1 && seat.transaction == nil
	if together {
		for _, text := range beginning(seat.kind(), "REPEATABLE READ", true) {
			if err := exec(ctx, seat, seat.kind(), text); err != nil {
				return seat.failed(ctx, statement{}, err)
			}
		}
	}
	left := s.in.limits
	for _, set := range s.sets {
		if err := set.read(ctx, seat, s.in, &left); err != nil {
			if together && seat.state() == inTransaction {
				_ = exec(ctx, seat, seat.kind(), "ROLLBACK") // where it errors, so does the next step
			}
			return err
		}
	}
	if together {
		if err := exec(ctx, seat, seat.kind(), "COMMIT"); err != nil {
			return seat.failed(ctx, statement{}, err)
		}
	}
	return nil
}

// named are the sets that the config asks for, without their rows.
func (s *snapshot) named(ctx context.Context, seat *seat) ([]*keyedSet, error) {
	if s.in.Query != "" {
		return []*keyedSet{{name: queryName, query: s.in.Query, key: columnsOf(s.in.Key), ignore: s.in.Ignore}}, nil
	}
	about := catalogue{seat.session, seat.kind()}
	var sets []*keyedSet
	for i, one := range s.in.Tables {
		t := snapshotTable{Key: s.in.Key}
		if one.Other != nil {
			t = *one.Other
		} else {
			t.Table = *one.One
		}
		columns, err := about.columns(ctx, t.Table)
		if err != nil {
			return nil, seat.failed(ctx, statement{}, err)
		}
		if len(columns) == 0 {
			return nil, seat.noTable(ctx, fmt.Sprintf("tables[%d]", i), t.Table)
		}
		set := &keyedSet{name: t.Table, key: columnsOf(t.Key), ignore: append(t.Ignore, s.in.Ignore...)}
		if len(set.key) == 0 {
			for _, c := range columns {
				if c.key {
					set.key = append(set.key, c.name)
				}
			}
		}
		set.query = "SELECT * FROM " + quoteTable(seat.kind(), t.Table)
		if t.Where != "" {
			set.query += " WHERE " + t.Where
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// noTable is for a table that a config names and that is not there.
func (s *seat) noTable(ctx context.Context, field, table string) error {
	e := plugin.Definitionf(field, "names %s, and the database has no such table", table)
	tables, err := catalogue{s.session, s.kind()}.tables(ctx)
	if err != nil {
		return e
	}
	return e.WithHint("%s", suggestion(table, tables, "it has ", "it has no tables: is it the right one?"))
}

func columnsOf(key plugin.Either[string, []string]) []string {
	switch {
	case key.One != nil:
		return []string{*key.One}
	case key.Other != nil:
		return *key.Other
	}
	return nil
}

// read reads the rows of one set; left is what the limits leave for it.
func (k *keyedSet) read(ctx context.Context, seat *seat, in snapshotIn, left *limits) error {
	statements, err := bound(seat.kind(), queryIn{Query: k.query, Params: in.Params}, 1)
	if err != nil {
		return err
	}
	g := &gathered{limits: *left}
	if stopped, err := seat.runAll(ctx, statements, g); err != nil {
		return seat.failed(ctx, stopped, err)
	}
	if g.over != "" {
		return plugin.Errorf(plugin.CodeBody, "a snapshot is of all rows, and %s has more than %s lets through", k.name, g.over).
			WithHint("narrow it by where, or raise the limit")
	}
	left.MaxRows -= g.rows
	left.MaxBytes -= g.bytes
	if len(g.sets) == 0 || g.sets[0].columns == nil {
		return plugin.Definitionf("query", "gives no rows")
	}
	return k.take(g.sets[0])
}

// take takes the rows, and wants the key to tell them apart.
func (k *keyedSet) take(set *rowSet) error {
	k.rows = set.rows
	names := map[string]bool{}
	for _, c := range set.columns {
		names[c.Name] = true
	}
	for _, c := range append(append([]string(nil), k.key...), k.ignore...) {
		if !names[c] && !k.mayLack(c) {
			return plugin.Definitionf("key", "or ignore names the column %s, which %s has not", c, k.name)
		}
	}
	if len(k.key) == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, row := range k.rows {
		id := k.id(row)
		if seen[id] {
			return plugin.Definitionf("key", "does not tell the rows of %s apart: several have %s", k.name, k.words(row))
		}
		seen[id] = true
	}
	return nil
}

// mayLack: what is ignored in several tables need not be in all of them.
func (k *keyedSet) mayLack(column string) bool {
	for _, c := range k.key {
		if c == column {
			return false
		}
	}
	return k.name != queryName
}

// id is what tells a row from others: its key, or else all of it.
func (k *keyedSet) id(row map[string]any) string {
	if len(k.key) == 0 {
		return printedRow(row, k.ignore)
	}
	values := make([]any, len(k.key))
	for i, c := range k.key {
		values[i] = row[c]
	}
	text, _ := jsonText(values) // of values that the database gave
	return text
}

// words is the key of a row in a message: id=3.
func (k *keyedSet) words(row map[string]any) string {
	if len(k.key) == 0 {
		return printedRow(row, nil)
	}
	parts := make([]string, len(k.key))
	for i, c := range k.key {
		text, _ := jsonText(row[c])
		parts[i] = c + "=" + text
	}
	return strings.Join(parts, " ")
}

func printedRow(row map[string]any, without []string) string {
	if len(without) > 0 {
		copied := make(map[string]any, len(row))
		for c, v := range row {
			copied[c] = v
		}
		for _, c := range without {
			delete(copied, c)
		}
		row = copied
	}
	text, _ := jsonText(row)
	return text
}
