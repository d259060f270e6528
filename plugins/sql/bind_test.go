package sql

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

// params are the params of a step as its config decodes.
func params(t testing.TB, text string) plugin.Either[[]any, map[string]any] {
	t.Helper()
	var out plugin.Either[[]any, map[string]any]
	if text == "" {
		return out
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	switch v := v.(type) {
	case []any:
		out.One = &v
	case map[string]any:
		out.Other = &v
	}
	return out
}

func TestParametersAreFoundWhereTheyAre(t *testing.T) {
	all := []kind{postgres, mysql, sqlite}
	tests := map[string]struct {
		kinds        []kind
		query, given string
		sent         string // with ? for the placeholders of MySQL and SQLite, $1 for PostgreSQL's
		args         string
	}{
		"a name":                              {all, "SELECT :a", `{"a":1}`, "SELECT $1", `[1]`},
		"a question mark":                     {all, "SELECT ?", `[1]`, "SELECT $1", `[1]`},
		"a dollar":                            {all, "SELECT $1", `[1]`, "SELECT $1", `[1]`},
		"a name twice":                        {all, "SELECT :a, :a", `{"a":1}`, "SELECT $1, $1", `[1]`},
		"dollars in another order":            {all, "SELECT $2, $1", `["a","b"]`, "SELECT $1, $2", `["b","a"]`},
		"names without blanks":                {all, "WHERE a=:a AND b IN(:b)", `{"a":1,"b":2}`, "WHERE a=$1 AND b IN($2)", `[1,2]`},
		"letters of other languages":          {all, "SELECT :größe", `{"größe":1}`, "SELECT $1", `[1]`},
		"in a string":                         {all, "SELECT ':a ? $1', :a", `{"a":1}`, "SELECT ':a ? $1', $1", `[1]`},
		"behind a doubled quote":              {all, "SELECT 'it''s :a', :a", `{"a":1}`, "SELECT 'it''s :a', $1", `[1]`},
		"in a name":                           {all, `SELECT "a:b?" , :a`, `{"a":1}`, `SELECT "a:b?" , $1`, `[1]`},
		"in a line comment":                   {all, "SELECT 1 -- :a ?\n, :a", `{"a":1}`, "SELECT 1 -- :a ?\n, $1", `[1]`},
		"in a comment":                        {all, "SELECT /* :a ? */ :a", `{"a":1}`, "SELECT /* :a ? */ $1", `[1]`},
		"behind a nested comment":             {[]kind{postgres}, "SELECT /* /* */ :a */ :b", `{"b":1}`, "SELECT /* /* */ :a */ $1", `[1]`},
		"behind a comment that does not nest": {[]kind{mysql, sqlite}, "SELECT /* /* */ :a", `{"a":1}`, "SELECT /* /* */ $1", `[1]`},
		"behind a backslash in MySQL":         {[]kind{mysql}, `SELECT 'a\':a', ":b\"", :c`, `{"c":1}`, `SELECT 'a\':a', ":b\"", $1`, `[1]`},
		"behind a backslash elsewhere":        {[]kind{postgres, sqlite}, `SELECT 'a\', :a`, `{"a":1}`, `SELECT 'a\', $1`, `[1]`},
		"behind a backslash in E''":           {[]kind{postgres}, `SELECT E'a\':a', :b`, `{"b":1}`, `SELECT E'a\':a', $1`, `[1]`},
		"in dollar quotes":                    {[]kind{postgres}, "SELECT $$ :a ? $1 $$, $x$ $$ :a $x$, :b", `{"b":1}`, "SELECT $$ :a ? $1 $$, $x$ $$ :a $x$, $1", `[1]`},
		"in backticks":                        {[]kind{mysql, sqlite}, "SELECT `a:b`, :a", `{"a":1}`, "SELECT `a:b`, $1", `[1]`},
		"in square brackets of SQLite":        {[]kind{sqlite}, "SELECT [a :b], :a", `{"a":1}`, "SELECT [a :b], $1", `[1]`},
		"behind MySQL's #":                    {[]kind{mysql}, "SELECT 1 # :a\n, :b", `{"b":1}`, "SELECT 1 # :a\n, $1", `[1]`},
		"minus minus of MySQL":                {[]kind{mysql}, "SELECT 1--?", `[1]`, "SELECT 1--$1", `[1]`},
		"a cast":                              {[]kind{postgres}, "SELECT :a::int, b::text", `{"a":"1"}`, "SELECT $1::int, b::text", `["1"]`},
		"a slice":                             {[]kind{postgres}, "SELECT a[1:n], a[lo:hi], a[:n]", `{"n":1}`, "SELECT a[1:n], a[lo:hi], a[$1]", `[1]`},
		"an assignment":                       {[]kind{mysql}, "SELECT @x := :a", `{"a":1}`, "SELECT @x := $1", `[1]`},
		"operators of JSON with names":        {[]kind{postgres}, "SELECT d ? 'a', d ?| :l, d ?& :l, d @? '$.a'", `{"l":["a"]}`, "SELECT d ? 'a', d ?| $1, d ?& $1, d @? '$.a'", `[["a"]]`},
		"operators of JSON with ?":            {[]kind{postgres}, "SELECT d ? ?, (d) ? 'b', d->'x' ? 'c', ? || 'x', \"d\" ?| ? LIMIT ?", `["a","b",["c"],1]`, "SELECT d ? $1, (d) ? 'b', d->'x' ? 'c', $2 || 'x', \"d\" ?| $3 LIMIT $4", `["a","b",["c"],1]`},
		"operators of JSON, doubled":          {[]kind{postgres}, "SELECT ? WHERE d ?? 'a' AND d ??| ?", `[1,2]`, "SELECT $1 WHERE d ? 'a' AND d ?| $2", `[1,2]`},
		"? behind keywords":                   {all, "SELECT ? FROM t WHERE ? = 1 AND NOT ? OR b BETWEEN ? AND ? LIMIT ? OFFSET ?", `[1,2,3,4,5,6,7]`, "SELECT $1 FROM t WHERE $2 = 1 AND NOT $3 OR b BETWEEN $4 AND $5 LIMIT $6 OFFSET $7", `[1,2,3,4,5,6,7]`},
		"numbers behind ? in SQLite":          {[]kind{sqlite}, "SELECT ?2, ?1", `["a","b"]`, "SELECT $1, $2", `["b","a"]`},
		"IN a list":                           {all, "WHERE id IN (:ids) AND x = :x", `{"ids":[1,2,3],"x":"y"}`, "WHERE id IN ($1, $2, $3) AND x = $4", `[1,2,3,"y"]`},
		"IN a list without brackets":          {all, "WHERE id NOT IN :ids", `{"ids":[1,2]}`, "WHERE id NOT IN ($1, $2)", `[1,2]`},
		"IN a list and more":                  {all, "WHERE id IN (0, ?, ?)", `[[1,2],3]`, "WHERE id IN (0, $1, $2, $3)", `[1,2,3]`},
		"IN a list of rows":                   {all, "WHERE (a, b) IN (:rows)", `{"rows":[[1,"a"],[2,"b"]]}`, "WHERE (a, b) IN (($1, $2), ($3, $4))", `[1,"a",2,"b"]`},
		"a list elsewhere is one value":       {all, "SELECT f(:l), (:l)", `{"l":[1,2]}`, "SELECT f($1), ($1)", `[[1,2]]`},
		"a list within an expression":         {all, "WHERE id IN (SELECT x FROM f(:l))", `{"l":[1]}`, "WHERE id IN (SELECT x FROM f($1))", `[[1]]`},
		"bytes":                               {all, "SELECT :b", `{"b":{"$bytes":"AP8="}}`, "SELECT $1", `["AP8="]`},
		"a map that has more":                 {all, "SELECT :b", `{"b":{"$bytes":"AP8=","x":1}}`, "SELECT $1", `[{"$bytes":"AP8=","x":1}]`},
		"decimals of MySQL":                   {[]kind{mysql}, "SELECT 5-?, ?", `[-1.50,12345678901234567890123]`, "SELECT 5-(-1.50), (12345678901234567890123)", `null`},
		"null, true and a text":               {all, "VALUES (?, ?, ?)", `[null,true,"x"]`, "VALUES ($1, $2, $3)", `[null,true,"x"]`},
		"nothing to replace":                  {all, "SELECT ':a'", ``, "SELECT ':a'", `null`},
		"an operator without params":          {[]kind{postgres}, "SELECT d ? 'a', $1", ``, "SELECT d ? 'a', $1", `null`},
		"a label of MySQL":                    {[]kind{mysql}, "l:LOOP x END LOOP", ``, "l:LOOP x END LOOP", `null`},
	}
	for what, test := range tests {
		for _, k := range test.kinds {
			t.Run(what+"/"+string(k), func(t *testing.T) {
				got, err := bound(k, queryIn{Query: test.query, Params: params(t, test.given)}, 1)
				if err != nil {
					t.Fatal(inWords(err))
				}
				sent, args := forKind(t, k, test.sent, test.args)
				if got[0].sent != sent || compact(got[0].args) != args {
					t.Errorf("got  %s %s\nwant %s %s", got[0].sent, compact(got[0].args), sent, args)
				}
			})
		}
	}
}

// forKind writes ? for $1 where the database is not PostgreSQL, and a value for
// each.
func forKind(t *testing.T, k kind, sent, args string) (string, string) {
	t.Helper()
	if k == postgres || args == "null" {
		return sent, args
	}
	var values, out []json.RawMessage
	if err := json.Unmarshal([]byte(args), &values); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, tok := range tokens(k, sent) {
		if tok.class != parameter {
			text.WriteString(tok.text)
			continue
		}
		out = append(out, values[int(tok.text[1]-'1')])
		text.WriteByte('?')
	}
	return text.String(), compact(out)
}

func TestParametersThatDoNotFit(t *testing.T) {
	tests := map[string]struct{ query, params, field, message, hint string }{
		"none given, by name":       {"SELECT :id", ``, "params", "is missing: the statement has the parameter :id", "write params: {id: …}"},
		"none given, by number":     {"SELECT ?", ``, "params", "is missing: the statement has the parameter ?", "write params: […]"},
		"a slip":                    {"SELECT :user_id", `{"userid":1}`, "params", "has no value for :user_id", "did you mean :userid?"},
		"nothing like it":           {"SELECT :a", `{"zzzz":1}`, "params", "has no value for :a", "it has zzzz"},
		"one that nobody uses":      {"SELECT :a", `{"a":1,"b":2}`, "params.b", "is not in the statement: there is no :b", "write :b"},
		"too few":                   {"SELECT ?, ?", `[1]`, "params", "holds 1 value, and the statement asks for number 2", ""},
		"too many":                  {"SELECT ?", `[1,2]`, "params", "holds 2 values, and the statement does not use number 2", "one too many"},
		"number nought":             {"SELECT $0", `[1]`, "params", "asks for number 0", ""},
		"a far number":              {"SELECT $99999999999999999999", `[1]`, "params", "asks for number", ""},
		"a list for names":          {"SELECT :a", `[1]`, "params", "is a list, and the statement names its parameters: :a", "write params: {a: …}"},
		"a map for numbers":         {"SELECT ?", `{"a":1}`, "params", "is a map, and the statement counts its parameters: ?", "write them as :name"},
		"two ways":                  {"SELECT ?, :a", `[1]`, "query", "has parameters of two kinds: :a and ?", ""},
		"an empty list":             {"SELECT 1 WHERE 1 IN (:l)", `{"l":[]}`, "params", "the list for :l is empty", "`when`"},
		"bytes that are none":       {"SELECT :b", `{"b":{"$bytes":"#"}}`, "params", "the $bytes of :b is not base64", ""},
		"values without parameters": {"SELECT 1", `[1]`, "params", "does not use number 1", ""},
		"no statement":              {" -- nothing\n;", ``, "query", "has no statement in it", ""},
		"two statements":            {"SELECT 1; SELECT 2", ``, "query", "has 2 statements, and sql.query runs one", "use sql.exec"},
		"an endless list":           {"SELECT 1 WHERE 1 IN (:l)", `{"l":[` + strings.Repeat("1,", maxParameters) + `1]}`, "params", "at most 32766 are possible", ""},
	}
	for name, test := range tests {
		for _, k := range []kind{postgres, mysql, sqlite} {
			t.Run(name+"/"+string(k), func(t *testing.T) {
				_, err := bound(k, queryIn{Query: test.query, Params: params(t, test.params)}, 1)
				if fault := faultOf(t, nil, err); fault.Field != test.field || !strings.Contains(fault.Message, test.message) || !strings.Contains(fault.Hint, test.hint) || fault.Blame != plugin.BlameDefinition {
					t.Errorf("got %s", inWords(fault))
				}
			})
		}
	}
}

func TestStatementsOfAText(t *testing.T) {
	const trigger = "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET n = CASE WHEN n > 1 THEN 1 ELSE 2 END; DELETE FROM u; END"
	tests := map[string]struct {
		kind kind
		text string
		want []string
	}{
		"two":                           {postgres, "SELECT 1; SELECT 2", []string{"SELECT 1", "SELECT 2"}},
		"with blanks and empty ones":    {postgres, " ;; SELECT 1 ;\n-- the end\n", []string{"SELECT 1"}},
		"a semicolon in a string":       {postgres, "SELECT ';', 'a'';'; SELECT 2", []string{"SELECT ';', 'a'';'", "SELECT 2"}},
		"comments stay with them":       {postgres, "-- one;\nSELECT 1 /* ; */; SELECT 2", []string{"-- one;\nSELECT 1 /* ; */", "SELECT 2"}},
		"a function in dollars":         {postgres, "CREATE FUNCTION f() RETURNS int AS $$ BEGIN; RETURN 1; END $$ LANGUAGE plpgsql; SELECT 1", []string{"CREATE FUNCTION f() RETURNS int AS $$ BEGIN; RETURN 1; END $$ LANGUAGE plpgsql", "SELECT 1"}},
		"a function of the standard":    {postgres, "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3", []string{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "SELECT 3"}},
		"a trigger":                     {sqlite, trigger + "; SELECT 1", []string{trigger, "SELECT 1"}},
		"a transaction":                 {sqlite, "BEGIN; SELECT 1; END; SELECT 2", []string{"BEGIN", "SELECT 1", "END", "SELECT 2"}},
		"a procedure":                   {mysql, "CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; CASE 1 WHEN 1 THEN SELECT 2; END CASE; WHILE 0 DO SELECT 3; END WHILE; END; SELECT 4", []string{"CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; CASE 1 WHEN 1 THEN SELECT 2; END CASE; WHILE 0 DO SELECT 3; END WHILE; END", "SELECT 4"}},
		"a delimiter":                   {mysql, "SELECT 1;\nDELIMITER //\nCREATE PROCEDURE p() SELECT 1;//\nSELECT 2; //\ndelimiter ;\nSELECT 3;", []string{"SELECT 1", "CREATE PROCEDURE p() SELECT 1;", "SELECT 2;", "SELECT 3"}},
		"a delimiter of two semicolons": {mysql, "DELIMITER ;;\nSELECT 1; SELECT 2;;\nDELIMITER ;\nSELECT 3", []string{"SELECT 1; SELECT 2", "SELECT 3"}},
		"a column named delimiter":      {mysql, "SELECT delimiter FROM t; SELECT 1", []string{"SELECT delimiter FROM t", "SELECT 1"}},
		"a table named trigger":         {sqlite, "SELECT * FROM \"trigger\"; BEGIN; SELECT 1", []string{`SELECT * FROM "trigger"`, "BEGIN", "SELECT 1"}},
		"a block of MariaDB":            {mysql, "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END; SELECT 3", []string{"BEGIN NOT ATOMIC SELECT 1; SELECT 2; END", "SELECT 3"}},
		"a string that does not end":    {postgres, "SELECT 'a; SELECT 1", []string{"SELECT 'a; SELECT 1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := []string{}
			for _, p := range split(test.kind, test.text) {
				got = append(got, p.text())
			}
			if compact(got) != compact(test.want) {
				t.Errorf("got  %s\nwant %s", compact(got), compact(test.want))
			}
		})
	}
}

// Whatever a statement is, its tokens are its text, and what is no parameter is
// sent as it is written.
func FuzzBind(f *testing.F) {
	for _, text := range []string{"SELECT :a, ?, $1", "SELECT 'a' /* b */ -- c\n", `E'\'' $$x$$ $t$ $t$`, "a::int [1:n] `x` [y] \"z\" # q\n", "BEGIN; END;; DELIMITER //\nx//", "IN (:a) ?? ?| ?&", "CREATE TRIGGER x BEGIN CASE END; END;"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, k := range []kind{postgres, mysql, sqlite} {
			var whole strings.Builder
			for _, tok := range tokens(k, text) {
				if tok.at != whole.Len() || tok.text == "" {
					t.Fatalf("%s: the token %q stands at %d, want %d", k, tok.text, tok.at, whole.Len())
				}
				whole.WriteString(tok.text)
			}
			if whole.String() != text {
				t.Fatalf("%s: got %q, want %q", k, whole.String(), text)
			}
			named := map[string]any{}
			for _, p := range split(k, text) {
				if !strings.Contains(text, p.text()) {
					t.Fatalf("%s: the statement %q is not in the text", k, p.text())
				}
				for _, tok := range p.tokens {
					if tok.class == parameter {
						named[strings.TrimLeft(tok.text, ":?$")] = nil
					}
				}
			}
			statements, err := newValues(plugin.Either[[]any, map[string]any]{Other: &named}).bind(k, split(k, text))
			for _, st := range statements {
				if err == nil && len(st.args) == 0 && st.sent != strings.ReplaceAll(st.text(), "??", "?") && st.sent != st.text() {
					t.Fatalf("%s: got %q, want %q", k, st.sent, st.text())
				}
				for at := range st.sent {
					if from := st.sourceAt(at); from < 0 || from > len(text)+len(st.sent) {
						t.Fatalf("%s: the offset %d comes from %d", k, at, from)
					}
				}
			}
		}
	})
}
