package sql

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// loadIn is the config of sql.load.
type loadIn struct {
	target
	File   plugin.Either[plugin.File, []plugin.File] `json:"file,omitempty" doc:"A file, or several in their order: .yaml and .json with rows by table, .csv with the rows of one, .sql with statements." example:"fixtures/users.yaml"`
	Rows   map[string][]map[string]any               `json:"rows,omitempty" doc:"Rows by table, in place of a file or after it."`
	Table  string                                    `json:"table,omitempty" doc:"The table of a file that names none; the file's own name by default."`
	Format string                                    `json:"format,omitempty" doc:"What the files are, where their endings do not tell." enum:"yaml|json|csv|sql"`
	Clear  string                                    `json:"clear" doc:"Whether the tables are emptied before: by DELETE, or by TRUNCATE, which starts their numbers again." enum:"none|delete|truncate" default:"none"`
}

// loadOut is the result of sql.load.
type loadOut struct {
	Tables     map[string]int `json:"tables" doc:"How many rows were loaded, by table."`
	RowCount   int            `json:"row_count" doc:"How many rows were loaded."`
	Statements int            `json:"statements" doc:"How many statements of SQL files were run."`
	Cleared    []string       `json:"cleared" doc:"Tables that were emptied, in that order."`
}

// loader loads what one step names, in one transaction.
type loader struct {
	call *plugin.Call
	seat *seat
	in   loadIn
	out  loadOut
	own  bool // the transaction is ours
	warn bool // it was said that MySQL commits
}

// load loads fixtures: all of them, or none.
func load(ctx context.Context, call *plugin.Call, in loadIn) (loadOut, error) {
	groups, err := in.read(call)
	if err != nil {
		return loadOut{}, err
	}
	seat, err := sit(ctx, call, in.target)
	if err != nil {
		return loadOut{}, err
	}
	defer seat.leave(call)
	if in.Clear == "truncate" && seat.kind() == mysql {
		return loadOut{}, plugin.Definitionf("clear", "is truncate, with which MySQL commits: what was loaded could not be taken back").WithHint("use clear: delete")
	}
	l := &loader{call: call, seat: seat, in: in, own: seat.transaction == nil, out: loadOut{Tables: map[string]int{}}}
	err = l.begin(ctx)
	for _, g := range groups {
		if err == nil {
			err = g.load(ctx, l)
		}
	}
	if err != nil {
		l.undo(ctx)
		return loadOut{}, err
	}
	return l.out, l.end(ctx, "COMMIT")
}

// group is what is loaded together: the statements of a file, or rows whose tables
// may be loaded in any order.
type group struct {
	file     plugin.File
	pieces   func(kind) []piece // nil: rows
	fixtures []fixture
}

// read reads all files before anything is connected to.
func (in loadIn) read(call *plugin.Call) ([]*group, error) {
	var files []plugin.File
	switch {
	case in.File.One != nil:
		files = []plugin.File{*in.File.One}
	case in.File.Other != nil:
		files = *in.File.Other
	case len(in.Rows) == 0:
		return nil, plugin.Definitionf("file", "or rows is what there is to load: give one of them")
	}
	var groups []*group
	for _, name := range files {
		data, err := call.ReadFile(name, maxFixture)
		if err != nil {
			return nil, err
		}
		format := formatOf(name, in.Format)
		if format == "sql" {
			text := strings.TrimPrefix(string(data), "\ufeff")
			groups = append(groups, &group{file: name, pieces: func(k kind) []piece { return split(k, text) }})
			continue
		}
		fixtures, err := readFixtures(name, data, in.Table, format)
		if err != nil {
			return nil, err
		}
		groups = appendRows(groups, fixtures)
	}
	var inline []fixture
	for _, table := range slices.Sorted(maps.Keys(in.Rows)) {
		f := fixture{table: table}
		for i, row := range in.Rows[table] {
			one := fixtureRow{at: "rows." + table + "[" + itoa(i) + "]"}
			for _, column := range slices.Sorted(maps.Keys(row)) {
				v, err := fromConfig(one.at+"."+column, row[column])
				if err != nil {
					return nil, err
				}
				one.columns, one.values = append(one.columns, column), append(one.values, v)
			}
			f.rows = append(f.rows, one)
		}
		inline = append(inline, f)
	}
	return appendRows(groups, inline), nil
}

// appendRows joins rows with those before, unless statements are between.
func appendRows(groups []*group, fixtures []fixture) []*group {
	if len(fixtures) == 0 {
		return groups
	}
	if n := len(groups); n > 0 && groups[n-1].pieces == nil {
		groups[n-1].fixtures = append(groups[n-1].fixtures, fixtures...)
		return groups
	}
	return append(groups, &group{fixtures: fixtures})
}

func (g *group) load(ctx context.Context, l *loader) error {
	if g.pieces != nil {
		return l.script(ctx, g)
	}
	return l.rows(ctx, g.fixtures)
}

func (l *loader) begin(ctx context.Context) error {
	if !l.own {
		return nil
	}
	if err := l.command(ctx, beginning(l.seat.kind(), "", false)[0]); err != nil {
		return err
	}
	switch l.seat.kind() {
	case sqlite:
		return l.command(ctx, "PRAGMA defer_foreign_keys = 1")
	case postgres:
		return l.command(ctx, "SET CONSTRAINTS ALL DEFERRED")
	}
	return nil
}

func (l *loader) end(ctx context.Context, how string) error {
	if !l.own {
		return nil
	}
	return l.command(ctx, how)
}

// undo ends our transaction, also where the step's time is over.
func (l *loader) undo(ctx context.Context) {
	ctx, release := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer release()
	if l.own && l.seat.state() == inTransaction {
		_ = l.end(ctx, "ROLLBACK") // where it errors, the seat is left by closing it
	}
}

func (l *loader) command(ctx context.Context, text string, args ...any) error {
	st := command(l.seat.kind(), text, args...)
	if err := l.seat.session.run(ctx, st, &gathered{}); err != nil {
		return l.seat.failed(ctx, st, err)
	}
	return nil
}

// script runs the statements of a file. Those that begin and end transactions are
// left out: the load is one.
func (l *loader) script(ctx context.Context, g *group) error {
	for _, p := range g.pieces(l.seat.kind()) {
		st := plain(p)
		if err := l.statement(ctx, st); err != nil {
			return inFile(g.file, st, err)
		}
	}
	return nil
}

func (l *loader) statement(ctx context.Context, st statement) error {
	switch words := st.keywords(1); {
	case len(words) == 0:
	case words[0] == "BEGIN" || words[0] == "START" || words[0] == "COMMIT" || words[0] == "END":
		return nil
	case words[0] == "ROLLBACK" && !st.has("TO"):
		return plugin.Definitionf("file", "rolls back what it has loaded: %s", brief(st.text()))
	}
	out := &gathered{limits: limits{MaxRows: maxAsked, MaxBytes: 1 << 20}} // of a SELECT, which nobody reads
	if _, err := l.seat.runAll(ctx, []statement{st}, out); err != nil {
		return l.seat.failed(ctx, st, err)
	}
	l.out.Statements++
	if !l.own || l.seat.state() == inTransaction {
		return nil
	}
	if !l.warn {
		l.call.Warn("the database commits with %s: what was loaded before stays, whatever comes", brief(st.text()))
		l.warn = true
	}
	return l.begin(ctx)
}
