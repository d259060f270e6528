package sql

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/testmesh/testmesh/flow/value"
	"github.com/testmesh/testmesh/sdk/plugin"
)

const (
	// maxFixture bounds a file: what is larger is restored by the database's own tools.
	maxFixture = 32 << 20
	// maxFixtureValues bounds the values that a YAML file expands to by its aliases.
	maxFixtureValues = 5_000_000
	// maxFixtureDepth bounds the nesting of a YAML file.
	maxFixtureDepth = 100
)

// fixture are rows for one table, in the order of their file.
type fixture struct {
	table string
	rows  []fixtureRow
	csv   bool // every value is a text
}

// fixtureRow is a row, and where it stands.
type fixtureRow struct {
	columns []string
	values  []any  // as of a statement
	at      string // fixtures/users.yaml:12
}

// formatOf is how a file is read: as the config says, else by its ending.
func formatOf(name plugin.File, given string) string {
	if given != "" {
		return given
	}
	return strings.TrimPrefix(strings.ToLower(path.Ext(string(name))), ".")
}

// readFixtures reads a file of rows. table is for files that name none; empty: the
// file's name.
func readFixtures(name plugin.File, data []byte, table, format string) ([]fixture, error) {
	if !utf8.Valid(data) {
		return nil, plugin.Definitionf("file", "%s is no text in UTF-8", name)
	}
	if table == "" {
		table = strings.TrimSuffix(path.Base(string(name)), path.Ext(string(name)))
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	switch format {
	case "yaml", "yml", "json":
		return readYAML(string(name), data, table)
	case "csv":
		f, err := readCSV(string(name), data, table)
		return []fixture{f}, err
	}
	return nil, plugin.Definitionf("file", "%s ends with none of .yaml, .yml, .json, .csv and .sql", name).WithHint("say what it is with format")
}

// readYAML reads tables with lists of rows, or a list of rows.
func readYAML(name string, data []byte, table string) ([]fixture, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxFixtureDepth))))
	if err != nil {
		return nil, notYAML(name, err)
	}
	y := yamlReader{name: name}
	var out []fixture
	for {
		var doc yaml.Node
		if err := loader.Load(&doc); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, notYAML(name, err)
		}
		if len(doc.Content) == 0 {
			continue
		}
		tables, err := y.tables(doc.Content[0], table)
		if err != nil {
			return nil, err
		}
		out = append(out, tables...)
	}
}

func notYAML(name string, err error) error {
	return plugin.Definitionf("file", "%s cannot be read: %w", name, err)
}

// yamlReader reads the nodes of a file, a bounded number of them.
type yamlReader struct {
	name string
	read int
}

func (y *yamlReader) wrong(n *yaml.Node, format string, args ...any) error {
	return plugin.Definitionf("file", "%s:%d: %s", y.name, n.Line, fmt.Sprintf(format, args...)).
		WithHint("a file of rows is a map of tables with lists of rows, each a map of columns; or such a list, for the table that the file is named after")
}

func (y *yamlReader) tables(n *yaml.Node, table string) ([]fixture, error) {
	n = resolved(n)
	if n.Kind == yaml.SequenceNode {
		f, err := y.rows(table, n)
		return []fixture{f}, err
	}
	if n.Kind != yaml.MappingNode {
		return nil, y.wrong(n, "neither tables nor rows")
	}
	var out []fixture
	for i := 0; i+1 < len(n.Content); i += 2 {
		f, err := y.rows(n.Content[i].Value, resolved(n.Content[i+1]))
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// rows are those of one table; none at all is a table to clear.
func (y *yamlReader) rows(table string, n *yaml.Node) (fixture, error) {
	f := fixture{table: table}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return f, nil
	}
	if n.Kind != yaml.SequenceNode {
		return f, y.wrong(n, "the rows of %s are no list", table)
	}
	for _, item := range n.Content {
		item = resolved(item)
		if item.Kind != yaml.MappingNode {
			return f, y.wrong(item, "a row of %s is no map of columns", table)
		}
		row := fixtureRow{at: fmt.Sprintf("%s:%d", y.name, item.Line)}
		for i := 0; i+1 < len(item.Content); i += 2 {
			v, err := y.value(item.Content[i+1])
			if err != nil {
				return f, err
			}
			row.columns = append(row.columns, item.Content[i].Value)
			row.values = append(row.values, v)
		}
		f.rows = append(f.rows, row)
	}
	return f, nil
}

func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// value is a node as a value of a statement.
func (y *yamlReader) value(n *yaml.Node) (any, error) {
	if y.read++; y.read > maxFixtureValues {
		return nil, y.wrong(n, "more than %d values: its aliases expand to too much", maxFixtureValues)
	}
	n = resolved(n)
	switch n.Kind {
	case yaml.SequenceNode:
		out := []any{}
		for _, item := range n.Content {
			v, err := y.value(item)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := y.value(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = v
		}
		return fromConfig("a value", out)
	}
	return y.scalar(n)
}

// scalar is a value by its tag; numbers keep their digits.
func (y *yamlReader) scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			return nil, y.wrong(n, "the !!binary is not base64: %s", err)
		}
		return data, nil
	case "!!int", "!!float":
		// A number that would not be printed as it is written is a text to whoever
		// wrote it: 007, +49123.
		if _, err := value.ParseNumber(n.Value); err == nil {
			return json.Number(n.Value), nil
		}
	}
	return n.Value, nil
}

// readCSV reads a table with a line of columns. \N is NULL.
func readCSV(name string, data []byte, table string) (fixture, error) {
	f := fixture{table: table, csv: true}
	r := csv.NewReader(bytes.NewReader(data))
	r.ReuseRecord = false
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return f, plugin.Definitionf("file", "%s is empty", name).WithHint("the first line of a CSV file are the columns")
	}
	for {
		if err != nil {
			return f, plugin.Definitionf("file", "%s is no CSV: %w", name, err).WithHint("values are separated by commas; a value with a comma or a quote in it stands in quotes")
		}
		var record []string
		if record, err = r.Read(); errors.Is(err, io.EOF) {
			return f, nil
		} else if err != nil {
			continue
		}
		line, _ := r.FieldPos(0)
		row := fixtureRow{columns: header, at: fmt.Sprintf("%s:%d", name, line)}
		for _, text := range record {
			if text == `\N` {
				row.values = append(row.values, nil)
			} else {
				row.values = append(row.values, text)
			}
		}
		f.rows = append(f.rows, row)
	}
}
