package sql

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// gathered is what the statements of a step have given, within limits. Its values
// are nil, bool, json.Number, string, json.RawMessage and []any of them.
type gathered struct {
	limits  limits
	sets    []*rowSet
	rows    int // of all sets
	bytes   int
	over    string   // the limit that more rows would break; empty: none
	renamed []string // columns that had the name of another
	notices []string // what PostgreSQL said beside its answer
}

// rowSet is one result.
type rowSet struct {
	columns  []column
	rows     []map[string]any
	affected *int64
	lastID   *int64
}

// begin is for a result with columns. One that has the name of another gets a
// number, so that no value is lost.
func (g *gathered) begin(columns []column) {
	taken := map[string]bool{}
	for _, c := range columns {
		taken[c.Name] = true
	}
	seen := map[string]bool{}
	out := make([]column, len(columns))
	for i, c := range columns {
		if seen[c.Name] {
			was, n := c.Name, 2
			for c.Name = was + "_2"; taken[c.Name]; c.Name = was + "_" + strconv.Itoa(n) {
				n++
			}
			taken[c.Name] = true
			g.renamed = append(g.renamed, fmt.Sprintf("%q is %q", was, c.Name))
		}
		seen[c.Name] = true
		out[i] = c
	}
	g.sets = append(g.sets, &rowSet{columns: out})
}

// add takes a row of the last result, and says whether it wants another. A row
// over a limit is left out.
func (g *gathered) add(values []any) (more bool) {
	set := g.sets[len(g.sets)-1]
	size := 0
	for _, v := range values {
		size += sizeOf(v)
	}
	switch {
	case g.rows == g.limits.MaxRows:
		g.over = fmt.Sprintf("max_rows: %d", g.limits.MaxRows)
	case g.bytes+size > g.limits.MaxBytes:
		g.over = fmt.Sprintf("max_bytes: %d", g.limits.MaxBytes)
	}
	if g.over != "" {
		return false
	}
	row := make(map[string]any, len(values))
	for i, v := range values {
		row[set.columns[i].Name] = v
	}
	set.rows = append(set.rows, row)
	g.rows++
	g.bytes += size
	return true
}

// done is for the end of a statement, which may have had no columns.
func (g *gathered) done(affected, lastID *int64, columns bool) {
	if !columns {
		g.sets = append(g.sets, &rowSet{})
	}
	set := g.sets[len(g.sets)-1]
	set.affected, set.lastID = affected, lastID
}

// perValue is what a value costs beside its text.
const perValue = 16

func sizeOf(v any) int {
	switch x := v.(type) {
	case string:
		return perValue + len(x)
	case json.Number:
		return perValue + len(x)
	case json.RawMessage:
		return perValue + len(x)
	case []any:
		size := perValue
		for _, e := range x {
			size += sizeOf(e)
		}
		return size
	}
	return perValue
}
