package flow

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/testmesh/testmesh/flow/source"
	"github.com/testmesh/testmesh/flow/value"
)

// ParseData reads rows. The extension of the name says the form: .csv, .json,
// .jsonl or .ndjson, .yaml or .yml.
func ParseData(name string, data []byte) (*DataSource, source.Problems) {
	at := source.Pos{File: name, Line: 1, Column: 1}
	if !utf8.Valid(data) {
		return nil, source.Problems{problem(source.CodeInput, at, "", "the rows are not UTF-8 text")}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var v any
	var problems source.Problems
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		v, problems = readCSV(name, data)
	case ".json":
		v, problems = decodeFile(name, data)
	case ".jsonl", ".ndjson":
		v, problems = readLines(name, data)
	case ".yaml", ".yml":
		v, problems = decodeFile(name, data)
	default:
		problems = source.Problems{hinted(problem(source.CodeInput, source.Pos{File: name}, path.Base(name), fmt.Sprintf("rows cannot be read from %q", path.Base(name))),
			"rows come from .csv, .json, .jsonl, .yaml or .yml")}
	}
	if len(problems.Errors()) > 0 {
		return nil, problems
	}
	d := &DataSource{Path: name, Value: v}
	rows, p := makeRows(v, at)
	if p != nil {
		d.notRows = p
	}
	d.Rows = rows
	return d, problems
}

// decodeFile reads a value from a JSON or YAML file.
func decodeFile(name string, data []byte) (any, source.Problems) {
	if strings.ToLower(path.Ext(name)) != ".json" {
		return source.Decode(name, data)
	}
	v, err := value.Decode(bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		return nil, source.Problems{problem(source.CodeInput, source.Pos{File: name, Line: 1, Column: 1}, "", fmt.Sprintf("the file is not JSON: %v", err))}
	}
	return v, nil
}

// makeRows reads a list of maps.
func makeRows(v any, at source.Pos) ([]Row, *source.Problem) {
	list, ok := v.([]any)
	if v == nil {
		return nil, nil
	}
	if !ok {
		p := problem(source.CodeInput, at, "", fmt.Sprintf("rows are a list of maps, not %s", kindWord(v)))
		return nil, &p
	}
	if len(list) > MaxRows {
		p := problem(source.CodeLimit, at, "", fmt.Sprintf("%d rows are over the limit of %d", len(list), MaxRows))
		return nil, &p
	}
	rows := make([]Row, 0, len(list))
	for i, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			p := problem(source.CodeInput, at, "", fmt.Sprintf("row %d is %s, not a map", i+1, kindWord(e)))
			return nil, &p
		}
		rows = append(rows, Row{Index: i, Name: rowName(m), Values: m})
	}
	return rows, nil
}

func rowName(m map[string]any) string {
	for _, key := range [...]string{"name", "id"} {
		if v, ok := m[key]; ok && v != nil {
			return value.Text(v)
		}
	}
	return ""
}

// article words a kind of package value.
func article(kind string) string {
	switch kind {
	case "array":
		return "a list"
	case "object":
		return "a map"
	case "boolean":
		return "true or false"
	case "null":
		return "null"
	}
	return "a " + kind
}

func kindWord(v any) string {
	switch value.KindOf(v) {
	case value.Array:
		return "a list"
	case value.Object:
		return "a map"
	case value.Null:
		return "null"
	}
	return quoted(v)
}

func readCSV(name string, data []byte) (any, source.Problems) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	bad := func(line int, message string) (any, source.Problems) {
		return nil, source.Problems{problem(source.CodeInput, source.Pos{File: name, Line: line, Column: 1}, "", message)}
	}
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return bad(1, "the file has no header line with the names of the columns")
	}
	if err != nil {
		return bad(1, csvMessage(err))
	}
	seen := map[string]bool{}
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
		switch {
		case header[i] == "":
			return bad(1, fmt.Sprintf("column %d has no name", i+1))
		case seen[header[i]]:
			return bad(1, fmt.Sprintf("there are two columns %q", header[i]))
		}
		seen[header[i]] = true
	}
	rows := []any{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			line := 1
			var pe *csv.ParseError
			if errors.As(err, &pe) {
				line = pe.Line
			}
			return bad(line, csvMessage(err))
		}
		line, _ := r.FieldPos(0)
		if len(record) != len(header) {
			return bad(line, fmt.Sprintf("the row has %d values for %d columns", len(record), len(header)))
		}
		if len(rows) >= MaxRows {
			return bad(line, fmt.Sprintf("more than %d rows", MaxRows))
		}
		row := make(map[string]any, len(header))
		for i, cell := range record {
			row[header[i]] = cell
		}
		rows = append(rows, row)
	}
}

func csvMessage(err error) string {
	var pe *csv.ParseError
	if errors.As(err, &pe) {
		return fmt.Sprintf("the rows are not CSV: line %d: %v", pe.Line, pe.Err)
	}
	return fmt.Sprintf("the rows are not CSV: %v", err)
}

func readLines(name string, data []byte) (any, source.Problems) {
	rows := []any{}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		v, err := value.Decode(line)
		if err != nil {
			return nil, source.Problems{problem(source.CodeInput, source.Pos{File: name, Line: i + 1, Column: 1}, "", fmt.Sprintf("the line is not JSON: %v", err))}
		}
		rows = append(rows, v)
	}
	return rows, nil
}

// columns are the names that every row has, and those that only some have.
func (d *DataSource) columns() (all, some map[string]bool) {
	all, some = map[string]bool{}, map[string]bool{}
	if d == nil {
		return all, some
	}
	counts := map[string]int{}
	for _, r := range d.Rows {
		for name := range r.Values {
			counts[name]++
		}
	}
	for name, n := range counts {
		if n == len(d.Rows) {
			all[name] = true
		} else {
			some[name] = true
		}
	}
	return all, some
}

// maxRowProblems bounds what is said about the values of rows.
const maxRowProblems = 20

// checkRows judges the columns that are inputs.
func (c *compiler) checkRows() {
	if !c.hasRows() {
		return
	}
	said := 0
	for _, row := range c.p.Data.Rows {
		for i := range c.p.Inputs {
			in := &c.p.Inputs[i]
			v, ok := row.Values[in.Name]
			if !ok {
				continue
			}
			if _, err := in.Accept(v); err != nil {
				c.add(problem(source.CodeInput, in.Pos, in.Name, fmt.Sprintf("row %d%s: %v", row.Index+1, of(c.p.Data.Path), err)))
				if said++; said == maxRowProblems {
					return
				}
			}
		}
	}
}

// data reads the rows of the flow, or takes those that replace them. Without a
// single row nobody knows the columns, and nothing runs that could lack one.
func (c *compiler) data() {
	c.readData()
	if d := c.p.Data; d != nil && d.As == "" && len(d.Rows) == 0 {
		c.vague = true
	}
}

func (c *compiler) readData() {
	if c.l.o.Data != nil {
		d := *c.l.o.Data
		if c.flow.DataAs == "" {
			if d.notRows != nil {
				c.add(*d.notRows)
			}
			c.p.Data = &d
			return
		}
		d.As = c.flow.DataAs
		c.p.Data = &d
		return
	}
	n := c.flow.Data
	if n == nil {
		return
	}
	if n.Kind == source.List {
		for _, item := range n.Items {
			c.literal(item, "a row")
		}
		rows, p := makeRows(n.Plain(), n.Pos)
		if p != nil {
			c.add(*p)
		}
		c.p.Data = &DataSource{Rows: rows, As: c.flow.DataAs, Value: n.Plain()}
		return
	}
	name, data, ok := c.readFile(n, c.p.Dir)
	if !ok {
		c.vague = true
		return
	}
	d, problems := ParseData(name, data)
	c.add(problems...)
	if d == nil {
		c.vague = true
		return
	}
	d.As = c.flow.DataAs
	if d.As == "" && d.notRows != nil {
		c.add(*d.notRows)
		c.vague = true
	}
	c.p.Data = d
}
