package sql

import (
	"context"
	"fmt"
	"strings"

	"github.com/testmesh/testmesh/flow/value"
)

// catalogue reads what a database knows about its own tables.
type catalogue struct {
	session session
	kind    kind
}

// tables are the names of the tables and views of the connection's own schemas.
func (c catalogue) tables(ctx context.Context) ([]string, error) {
	query := map[kind]string{
		postgres: "SELECT table_name AS name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
		mysql:    "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1",
		sqlite:   "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY 1",
	}[c.kind]
	rows, err := ask(ctx, c.session, c.kind, query)
	return texts(rows, "name"), err
}

// tableColumn is a column of a table.
type tableColumn struct {
	name string
	// declared is its type in lower case: "integer", "timestamp with time zone",
	// "tinyint(1)".
	declared string
	key      bool // of the primary key
	sequence string
}

// columns are those of a table, in their order; none: there is no such table.
func (c catalogue) columns(ctx context.Context, table string) ([]tableColumn, error) {
	query, args := map[kind]string{
		postgres: `SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type,
				EXISTS (SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY(i.indkey)) AS key,
				pg_get_serial_sequence(a.attrelid::regclass::text, a.attname) AS sequence
			FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
		mysql: `SELECT column_name AS name, column_type AS type, column_key = 'PRI' AS ` + "`key`" + `, NULL AS sequence
			FROM information_schema.columns WHERE table_schema = COALESCE(?, DATABASE()) AND table_name = ? ORDER BY ordinal_position`,
		sqlite: `SELECT name, type, pk > 0 AS key, NULL AS sequence FROM pragma_table_info(?)`,
	}[c.kind], []any{table}
	switch c.kind {
	case postgres:
		args[0] = quoteTable(postgres, table)
	case mysql:
		schema, name, ok := strings.Cut(table, ".")
		args = []any{schema, name}
		if !ok {
			args = []any{nil, table}
		}
	}
	rows, err := ask(ctx, c.session, c.kind, query, args...)
	out := make([]tableColumn, 0, len(rows))
	for _, row := range rows {
		sequence, _ := row["sequence"].(string)
		out = append(out, tableColumn{
			name: fmt.Sprint(row["name"]), declared: strings.ToLower(fmt.Sprint(row["type"])),
			key: row["key"] == true || fmt.Sprint(row["key"]) == "1", sequence: sequence,
		})
	}
	return out, err
}

// parents are, by table, the other tables that its foreign keys point to.
func (c catalogue) parents(ctx context.Context, tables []string) (map[string][]string, error) {
	out := map[string][]string{}
	for _, table := range tables {
		query, args := map[kind]string{
			postgres: "SELECT f.confrelid::regclass::text AS name FROM pg_constraint f WHERE f.contype = 'f' AND f.conrelid = to_regclass($1)",
			mysql: "SELECT referenced_table_name AS name FROM information_schema.key_column_usage " +
				"WHERE referenced_table_name IS NOT NULL AND table_schema = COALESCE(?, DATABASE()) AND table_name = ?",
			sqlite: `SELECT "table" AS name FROM pragma_foreign_key_list(?)`,
		}[c.kind], []any{table}
		switch c.kind {
		case postgres:
			args[0] = quoteTable(postgres, table)
		case mysql:
			schema, name, ok := strings.Cut(table, ".")
			args = []any{schema, name}
			if !ok {
				args = []any{nil, table}
			}
		}
		rows, err := ask(ctx, c.session, c.kind, query, args...)
		if err != nil {
			return nil, err
		}
		out[table] = texts(rows, "name")
	}
	return out, nil
}

func texts(rows []map[string]any, key string) []string {
	out := make([]string, 0, len(rows))
	for _, row := range rows {
		if text, ok := row[key].(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// quoteTable is the name of a table, with its schema where it has one, for a
// statement.
func quoteTable(k kind, name string) string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = quoteName(k, part)
	}
	return strings.Join(parts, ".")
}

func quoteName(k kind, name string) string {
	mark := `"`
	if k == mysql {
		mark = "`"
	}
	return mark + strings.ReplaceAll(name, mark, mark+mark) + mark
}

// nearest finds what was meant by a table or column that is not there, and where in
// the statement it stands.
func (c catalogue) nearest(ctx context.Context, st statement, r *refused) {
	missing := missingName(r.Message)
	if missing == "" || r.Kind != kindNoTable && r.Kind != kindNoColumn {
		return
	}
	if r.where < 0 {
		r.where = st.find(missing)
	}
	tables, err := c.tables(ctx)
	if err != nil {
		return
	}
	if r.Kind == kindNoTable {
		r.hint = suggestion(missing, tables, "the database has the tables ", "the database has no tables: is it the right one?")
		return
	}
	var columns []string
	for _, table := range tables {
		if st.find(table) < 0 {
			continue
		}
		found, err := c.columns(ctx, table)
		if err != nil {
			return
		}
		for _, one := range found {
			columns = append(columns, one.name)
		}
	}
	if len(columns) > 0 {
		r.hint = suggestion(missing, columns, "there are the columns ", "")
	}
}

func suggestion(missing string, names []string, are, none string) string {
	if near := value.Closest(missing, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(names) == 0 {
		return none
	}
	return are + list(names, "")
}

// missingName is the name that a message is about: the column "u.nme" of it is nme.
func missingName(message string) string {
	for _, about := range []struct{ before, behind string }{
		{`relation "`, `"`},
		{`column "`, `"`},
		{"column ", " does not exist"},
		{"Table '", "'"},
		{"Unknown table '", "'"},
		{"Unknown column '", "'"},
		{"no such table: ", ""},
		{"no such column: ", ""},
		{"has no column named ", ""},
	} {
		_, rest, ok := strings.Cut(message, about.before)
		if !ok {
			continue
		}
		if about.behind != "" {
			if rest, _, ok = strings.Cut(rest, about.behind); !ok {
				continue
			}
		}
		rest, _, _ = strings.Cut(rest, " ")
		rest = strings.Trim(rest, `"'`+"`")
		return rest[strings.LastIndex(rest, ".")+1:]
	}
	return ""
}

// find is where a name stands in the step's SQL; -1: nowhere.
func (p piece) find(wanted string) int {
	for _, t := range p.tokens {
		if (t.class == word || t.class == name) && strings.EqualFold(strings.Trim(t.text, "\"`[]"), wanted) {
			return t.at
		}
	}
	return -1
}
