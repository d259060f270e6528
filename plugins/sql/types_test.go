package sql

import (
	"testing"
)

// typeCase is what an expression of a database is as a value.
type typeCase struct{ sql, want, column string }

func TestTypesOfPostgreSQL(t *testing.T) {
	tests := map[string]typeCase{
		"text of digits":        {`'007'::text`, `"007"`, "text"},
		"a text":                {`'ä"\n<&>'`, `"ä\"\\n<&>"`, "text"},
		"varchar":               {`'x'::varchar(5)`, `"x"`, "character varying"},
		"smallint":              {`32767::smallint`, `32767`, "smallint"},
		"integer":               {`-5`, `-5`, "integer"},
		"bigint":                {`9223372036854775807`, `9223372036854775807`, "bigint"},
		"numeric":               {`1234567890.12345678901234567890::numeric`, `1234567890.12345678901234567890`, "numeric"},
		"numeric with a scale":  {`12.5::numeric(10,2)`, `12.50`, "numeric"},
		"numeric without end":   {`'NaN'::numeric`, `"NaN"`, "numeric"},
		"real":                  {`0.1::real`, `0.1`, "real"},
		"double":                {`1e300::float8`, `1e+300`, "double precision"},
		"infinity":              {`'-Infinity'::float8`, `"-Infinity"`, "double precision"},
		"NULL":                  {`NULL::integer`, `null`, "integer"},
		"true":                  {`true`, `true`, "boolean"},
		"false":                 {`1 = 2`, `false`, "boolean"},
		"json":                  {`'{"b": 1.50, "a": [null]}'::json`, `{"a":[null],"b":1.50}`, "json"},
		"jsonb":                 {`'{"n": 12345678901234567890.5}'::jsonb`, `{"n":12345678901234567890.5}`, "jsonb"},
		"json null":             {`'null'::jsonb`, `null`, "jsonb"},
		"bytea":                 {`'\x00ff'::bytea`, `"AP8="`, "bytea"},
		"no bytes":              {`''::bytea`, `""`, "bytea"},
		"timestamptz":           {`'2026-01-02 03:04:05.678+02'::timestamptz`, `"2026-01-02T01:04:05.678Z"`, "timestamp with time zone"},
		"timestamp":             {`'2026-01-02 03:04:05'::timestamp`, `"2026-01-02T03:04:05"`, "timestamp without time zone"},
		"infinite timestamp":    {`'infinity'::timestamptz`, `"infinity"`, "timestamp with time zone"},
		"before Christ":         {`'0044-03-15 12:00:00 BC'::timestamp`, `"0044-03-15 12:00:00 BC"`, "timestamp without time zone"},
		"date":                  {`'2026-01-02'::date`, `"2026-01-02"`, "date"},
		"time":                  {`'03:04:05.5'::time`, `"03:04:05.5"`, "time without time zone"},
		"time with a zone":      {`'03:04:05+02'::timetz`, `"03:04:05+02"`, "time with time zone"},
		"interval":              {`interval '1 day 2 hours'`, `"1 day 02:00:00"`, "interval"},
		"uuid":                  {`'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, "uuid"},
		"inet":                  {`'10.0.0.1'::inet`, `"10.0.0.1"`, "inet"},
		"array of integers":     {`ARRAY[1,NULL,3]`, `[1,null,3]`, "integer[]"},
		"array of texts":        {`ARRAY['a b','NULL',NULL,'','q"\']`, `["a b","NULL",null,"","q\"\\"]`, "text[]"},
		"array of arrays":       {`ARRAY[[1,2],[3,4]]`, `[[1,2],[3,4]]`, "integer[]"},
		"array from another 0":  {`'[0:1]={5,6}'::int[]`, `[5,6]`, "integer[]"},
		"array of nothing":      {`'{}'::text[]`, `[]`, "text[]"},
		"array of numerics":     {`ARRAY[1.10::numeric]`, `[1.10]`, "numeric[]"},
		"array of JSON":         {`ARRAY['{"a": 1}'::jsonb]`, `[{"a":1}]`, "jsonb[]"},
		"array of timestamps":   {`ARRAY['2026-01-02 03:04:05+00'::timestamptz]`, `["2026-01-02T03:04:05Z"]`, "timestamp with time zone[]"},
		"array of booleans":     {`ARRAY[true,false]`, `[true,false]`, "boolean[]"},
		"array of boxes":        {`ARRAY['(1,1),(0,0)'::box]`, `["(1,1),(0,0)"]`, "box[]"},
		"a range":               {`int4range(1, 5)`, `"[1,5)"`, "int4range"},
		"a row":                 {`ROW(1, 'a b')`, `"(1,\"a b\")"`, "record"},
		"money":                 {`12.5::money`, `"$12.50"`, "money"},
		"an enum":               {`'happy'::testmesh_mood`, `"happy"`, "testmesh_mood"},
		"array of enums":        {`ARRAY['happy','sad']::testmesh_mood[]`, `["happy","sad"]`, "testmesh_mood[]"},
		"a domain":              {`5::testmesh_small`, `5`, "integer"},
		"digits without an end": {`('1' || repeat('0', 9000))::numeric`, ``, "numeric"},
	}
	b := newBench(t)
	connection := postgresURL(t)
	b.must("exec", fields{"connection": connection, "query": `
		DO $$ BEGIN
			CREATE TYPE testmesh_mood AS ENUM ('happy', 'sad');
			CREATE DOMAIN testmesh_small AS integer CHECK (VALUE < 10);
		EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { checkType(t, b, connection, test) })
	}
}

func checkType(t *testing.T, b *bench, connection string, test typeCase) {
	t.Helper()
	got := b.must("query", fields{"connection": connection, "query": "SELECT " + test.sql + " AS v"})
	value := compact(got["single_row"].(fields)["v"])
	if test.want == "" && value[0] != '"' {
		t.Errorf("got %.40s, want a text", value)
	}
	if test.want != "" && value != test.want {
		t.Errorf("got %s, want %s", value, test.want)
	}
	if columns := compact(got["columns"]); columns != `[{"name":"v","type":"`+test.column+`"}]` {
		t.Errorf("got %s, want the type %s", columns, test.column)
	}
}

func TestTypesOfMySQL(t *testing.T) {
	tests := map[string]struct{ column, literal, want, kind string }{
		"text of digits":       {"varchar(10)", `'007'`, `"007"`, "VARCHAR"},
		"text":                 {"text", `'ä<&>'`, `"ä<&>"`, "TEXT"},
		"tinyint":              {"tinyint", `-128`, `-128`, "TINYINT"},
		"boolean is a number":  {"boolean", `true`, `1`, "TINYINT"},
		"int":                  {"int", `5`, `5`, "INT"},
		"bigint":               {"bigint", `-9223372036854775808`, `-9223372036854775808`, "BIGINT"},
		"unsigned bigint":      {"bigint unsigned", `18446744073709551615`, `18446744073709551615`, "UNSIGNED BIGINT"},
		"decimal":              {"decimal(30,10)", `12345678901234567890.1234567890`, `12345678901234567890.1234567890`, "DECIMAL"},
		"decimal with a scale": {"decimal(10,2)", `12.5`, `12.50`, "DECIMAL"},
		"float":                {"float", `0.1`, `0.1`, "FLOAT"},
		"double":               {"double", `1e300`, `1e+300`, "DOUBLE"},
		"NULL":                 {"int", `NULL`, `null`, "INT"},
		"binary":               {"varbinary(10)", `x'00ff'`, `"AP8="`, "VARBINARY"},
		"blob":                 {"blob", `x'00ff'`, `"AP8="`, "BLOB"},
		"bits":                 {"bit(10)", `b'1000000001'`, `513`, "BIT"},
		"datetime":             {"datetime(3)", `'2026-01-02 03:04:05.678'`, `"2026-01-02T03:04:05.678"`, "DATETIME"},
		"timestamp":            {"timestamp", `'2026-01-02 03:04:05'`, `"2026-01-02T03:04:05Z"`, "TIMESTAMP"},
		"date":                 {"date", `'2026-01-02'`, `"2026-01-02"`, "DATE"},
		"time":                 {"time", `'-30:04:05'`, `"-30:04:05"`, "TIME"},
		"year":                 {"year", `2026`, `2026`, "YEAR"},
		"enum":                 {"enum('happy','sad')", `'sad'`, `"sad"`, "ENUM"},
		"set":                  {"set('a','b')", `'a,b'`, `"a,b"`, "SET"},
		"uuid of MariaDB":      {"uuid", `'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'`, `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, "CHAR"},
		"JSON of MariaDB":      {"json", `'{"a": 1}'`, `"{\"a\": 1}"`, "TEXT"},
	}
	b := newBench(t)
	connection := mariadbURL(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			table := b.table(connection)
			b.must("exec", fields{"connection": connection, "query": "CREATE TABLE " + table + " (v " + test.column + "); INSERT INTO " + table + " VALUES (" + test.literal + ")"})
			// Both ways in which the server prints values: as text, and binary where the
			// statement has parameters.
			for how, config := range map[string]fields{
				"text":   {"query": "SELECT v FROM " + table},
				"binary": {"query": "SELECT v FROM " + table + " WHERE 1 = ?", "params": []any{1}},
			} {
				config["connection"] = connection
				got := b.must("query", config)
				if value := compact(got["single_row"].(fields)["v"]); value != test.want {
					t.Errorf("%s: got %s, want %s", how, value, test.want)
				}
				if columns := compact(got["columns"]); columns != `[{"name":"v","type":"`+test.kind+`"}]` {
					t.Errorf("%s: got %s, want the type %s", how, columns, test.kind)
				}
			}
		})
	}
}

// SQLite keeps what it is given, whatever the column is called; so do we.
func TestTypesOfSQLite(t *testing.T) {
	tests := map[string]struct{ column, literal, want, kind string }{
		"text of digits":             {"text", `'007'`, `"007"`, "text"},
		"a number in a text column":  {"text", `7`, `"7"`, "text"},
		"a text in a number column":  {"integer", `'seven'`, `"seven"`, "integer"},
		"integer":                    {"integer", `9223372036854775807`, `9223372036854775807`, "integer"},
		"real":                       {"real", `0.1`, `0.1`, "real"},
		"infinity":                   {"real", `9e999`, `"+Infinity"`, "real"},
		"boolean is a number":        {"boolean", `true`, `1`, "boolean"},
		"a datetime is a text":       {"datetime", `'2026-01-02 03:04:05'`, `"2026-01-02 03:04:05"`, "datetime"},
		"a timestamp is a number":    {"timestamp", `1767323045`, `1767323045`, "timestamp"},
		"a date that is none":        {"date", `'soon'`, `"soon"`, "date"},
		"blob":                       {"blob", `x'00ff'`, `"AP8="`, "blob"},
		"NULL":                       {"integer", `NULL`, `null`, "integer"},
		"decimals are numbers":       {"decimal(10,2)", `12.5`, `12.5`, "decimal(10,2)"},
		"JSON is a text":             {"json", `'{"a":1}'`, `"{\"a\":1}"`, "json"},
		"a column without a type":    {"", `'x'`, `"x"`, "text"},
		"a text with a zero in it":   {"text", `'a' || char(0) || 'b'`, `"a\u0000b"`, "text"},
		"a number of a whole double": {"real", `3`, `3`, "real"},
	}
	b := newBench(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b.run = name
			got := b.must("exec", fields{"connection": "sqlite::memory:", "query": "CREATE TABLE t (v " + test.column + "); INSERT INTO t VALUES (" + test.literal + "); SELECT v FROM t"})
			if value := compact(got["single_row"].(fields)["v"]); value != test.want {
				t.Errorf("got %s, want %s", value, test.want)
			}
			if columns := compact(got["columns"]); columns != `[{"name":"v","type":"`+test.kind+`"}]` {
				t.Errorf("got %s, want the type %s", columns, test.kind)
			}
		})
	}
}

func TestATextThatIsNoneIsAnError(t *testing.T) {
	fault := newBench(t).fault("query", fields{"connection": "sqlite::memory:", "query": "SELECT CAST(x'fffe' AS TEXT) AS broken"})
	if fault.Code != "E-BODY" || fault.Message != "the column broken (text) of row 1: it is no text in UTF-8" {
		t.Errorf("got %s", inWords(fault))
	}
}
