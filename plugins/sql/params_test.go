package sql

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// What goes in comes out: of its type, and to the last digit.
func TestValuesSurviveTheWayThere(t *testing.T) {
	tests := map[string]struct {
		column        [3]string // of PostgreSQL, MySQL, SQLite; empty: it has none
		value         any
		want, differs string // differs: what SQLite or MySQL make of it
	}{
		"a text of digits":    {[3]string{"text", "varchar(20)", "text"}, "007", `"007"`, ""},
		"a text":              {[3]string{"text", "text", "text"}, "ä'\"\\<&>;--?:a", `"ä'\"\\<&>;--?:a"`, ""},
		"an integer":          {[3]string{"integer", "integer", "integer"}, 42, `42`, ""},
		"a bigint":            {[3]string{"bigint", "bigint", "integer"}, num("9223372036854775807"), `9223372036854775807`, ""},
		"a whole fraction":    {[3]string{"integer", "integer", "integer"}, num("5.0"), `5`, ""},
		"an unsigned bigint":  {[3]string{"", "bigint unsigned", ""}, num("18446744073709551615"), `18446744073709551615`, ""},
		"a decimal":           {[3]string{"numeric", "decimal(40,20)", ""}, num("12345678901234567890.12345678901234567890"), `12345678901234567890.12345678901234567890`, ""},
		"a double":            {[3]string{"double precision", "double", "real"}, num("0.1"), `0.1`, ""},
		"true":                {[3]string{"boolean", "boolean", "boolean"}, true, `true`, `1`},
		"NULL":                {[3]string{"text", "text", "text"}, nil, `null`, ""},
		"bytes":               {[3]string{"bytea", "blob", "blob"}, fields{"$bytes": "AP8="}, `"AP8="`, ""},
		"no bytes":            {[3]string{"bytea", "blob", "blob"}, fields{"$bytes": ""}, `""`, ""},
		"a map":               {[3]string{"jsonb", "text", "text"}, fields{"a": []any{num("1.50"), nil, "<"}}, `{"a":[1.50,null,"<"]}`, `"{\"a\":[1.50,null,\"<\"]}"`},
		"a list":              {[3]string{"json", "text", "text"}, []any{1, "a"}, `[1,"a"]`, `"[1,\"a\"]"`},
		"a number as JSON":    {[3]string{"jsonb", "", ""}, num("1.50"), `1.50`, ""},
		"JSON as a text":      {[3]string{"jsonb", "text", "text"}, `{"a":1}`, `{"a":1}`, `"{\"a\":1}"`},
		"an array":            {[3]string{"integer[]", "", ""}, []any{1, nil, 3}, `[1,null,3]`, ""},
		"an array of texts":   {[3]string{"text[]", "", ""}, []any{"a \"b\"", `\`, "NULL", nil, ""}, `["a \"b\"","\\","NULL",null,""]`, ""},
		"an array of arrays":  {[3]string{"integer[]", "", ""}, []any{[]any{1, 2}, []any{3, 4}}, `[[1,2],[3,4]]`, ""},
		"an array of JSON":    {[3]string{"jsonb[]", "", ""}, []any{fields{"a": 1}, []any{2}}, `[{"a":1},[2]]`, ""},
		"an array of bytes":   {[3]string{"bytea[]", "", ""}, []any{fields{"$bytes": "AP8="}}, `["AP8="]`, ""},
		"a time with a zone":  {[3]string{"timestamptz", "", "text"}, "2026-01-02T03:04:05Z", `"2026-01-02T03:04:05Z"`, ""},
		"a time without":      {[3]string{"timestamp", "datetime", "text"}, "2026-01-02T03:04:05", `"2026-01-02T03:04:05"`, ""},
		"a uuid":              {[3]string{"uuid", "uuid", "text"}, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, ""},
		"an interval":         {[3]string{"interval", "", ""}, "PT1H30M", `"01:30:00"`, ""},
		"a number for a text": {[3]string{"text", "text", "text"}, 5, `"5"`, ""},
	}
	each(t, func(t *testing.T, b *bench, k kind, connection string) {
		for name, test := range tests {
			column := pick(k, test.column[0], test.column[1], test.column[2])
			if column == "" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				b := &bench{t: t, plugin: b.plugin, root: b.root, run: b.run, heard: b.heard}
				table := b.table(connection)
				b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + table + " (v " + column + ")"})
				b.must("exec", fields{"connection": connection, "query": "INSERT INTO " + table + " VALUES (:v)", "params": fields{"v": test.value}})
				want := test.want
				if k != postgres && test.differs != "" {
					want = test.differs
				}
				got := b.must("query", fields{"connection": connection, "query": "SELECT v FROM " + table})
				if v := compact(got["single_row"].(fields)["v"]); v != want {
					t.Errorf("got %s, want %s", v, want)
				}
			})
		}
	})
}

func TestValuesThatPostgreSQLDoesNotTake(t *testing.T) {
	b := newBench(t)
	connection := postgresURL(t)
	tests := map[string]struct {
		query, message string
		value          any
	}{
		"a list for a number":  {"SELECT 1 WHERE 1 = :v", "a value that is no integer: a list or map is for JSON, a list for an array or IN (…)", []any{1}},
		"a text for a number":  {"SELECT :v::integer", "invalid input syntax for type integer", "seven"},
		"a number out of line": {"SELECT :v::smallint", "is out of range for type smallint", 100000},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fault := b.fault("query", fields{"connection": connection, "query": test.query, "params": fields{"v": test.value}})
			if !strings.Contains(fault.Message, test.message) {
				t.Errorf("got %s", inWords(fault))
			}
		})
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	b := newBench(t)
	connection := postgresURL(t)
	b.must("query", fields{"connection": connection, "query": "SELECT :p::text AS p", "params": fields{"p": "it is testmesh-secret"}})
	if len(b.heard.exchanges) != 1 {
		t.Fatalf("got %d exchanges", len(b.heard.exchanges))
	}
	x := b.heard.exchanges[0]
	all := x.Summary + string(x.Request) + string(x.Response)
	if strings.Contains(all, "testmesh-secret") || !strings.Contains(all, "‹secret:connection.password›") {
		t.Errorf("got %s", all)
	}
	if x.Protocol != "PostgreSQL" || x.Summary != "SELECT :p::text AS p → 1 row" || x.Timings["total"] <= 0 || !strings.Contains(string(x.Request), `"database":"postgresql://testmesh@127.0.0.1:`) {
		t.Errorf("got %+v", x)
	}
	if fault := b.fault("query", fields{"connection": connection, "query": "SELECT 'testmesh-secret' FROM nowhere"}); strings.Contains(inWords(fault), "testmesh-secret") {
		t.Errorf("got %s", inWords(fault))
	}
	if x := b.heard.exchanges[1]; strings.Contains(x.Summary+string(x.Request)+string(x.Response), "testmesh-secret") || !strings.HasSuffix(x.Summary, "→ "+plugin.CodeReply) {
		t.Errorf("got %s %s %s", x.Summary, x.Request, x.Response)
	}
}

func num(text string) json.Number { return json.Number(text) }
