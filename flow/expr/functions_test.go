package expr

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/testmesh/testmesh/flow/value"
)

func TestTextFunctions(t *testing.T) {
	check(t, []claim{
		{"upper of a word with umlauts", `upper("äb")`, "ÄB"},
		{"trim of characters", `trim("__a__", "_")`, "a"},
		{"trimPrefix", `trimPrefix("v1.2", "v")`, "1.2"},
		{"trimSuffix", `trimSuffix("a.txt", ".txt")`, "a"},
		{"hasPrefix and hasSuffix", `hasPrefix("abc", "a") and hasSuffix("abc", "c")`, true},
		{"indexOf counts characters", `indexOf("äöü", "ü")`, 2},
		{"indexOf of none", `indexOf("abc", "x")`, -1},
		{"lastIndexOf", `lastIndexOf("abab", "b")`, 3},
		{"replace of all", `replace("aaa", "a", "b")`, "bbb"},
		{"split", `split("a,b,c", ",")`, []any{"a", "b", "c"}},
		{"split with a limit", `split("a,b,c", ",", 2)`, []any{"a", "b,c"}},
		{"splitAfter", `splitAfter("a,b", ",")`, []any{"a,", "b"}},
		{"repeat", `repeat("ab", 3)`, "ababab"},
		{"repeat of too much", `repeat("ab", 1000000000)`, "LIMIT the expression makes more than 64 MiB of values"},
		{"repeat of an empty text of too much", `repeat("", 100000000000)`, "LIMIT the expression makes more than 64 MiB of values"},
		{"repeat downward", `repeat("ab", -1)`, "VALUE repeat needs a number from 0, got -1"},
		{"join prints numbers", `join([1, 2.5, "a", true], "-")`, "1-2.5-a-true"},
		{"join without a separator", `join(tags)`, "abc"},
		{"join of null", `join([nil])`, "VALUE join needs strings, numbers or booleans, got null at [0]"},
		{"an argument of the wrong kind says which", `replace("a", 1, "b")`, "VALUE replace needs a string as argument 2, got 1 (number)"},
		{"too few arguments", `replace("a")`, "SYNTAX replace takes 3 arguments, got 1"},
		{"too many", `trim("a", "b", "c")`, "SYNTAX trim takes 1 to 2 arguments, got 3"},
		{"an unknown function", `uper("a")`, `SYNTAX unknown function "uper"; did you mean upper()?`},
		{"an unknown function of another case", `UPPER("a")`, `SYNTAX unknown function "UPPER"; did you mean upper()?`},
	})
}

func TestNumberFunctions(t *testing.T) {
	check(t, []claim{
		{"abs", "abs(-5) + abs(5)", 10},
		{"abs of a decimal", "abs(-123456789012345678901234567890) == huge", true},
		{"ceil", "ceil(1.2)", 2},
		{"ceil of a negative", "ceil(-1.2)", -1},
		{"floor", "floor(1.9)", 1},
		{"floor of a negative", "floor(-1.2)", -2},
		{"round", "round(1.5)", 2},
		{"round away from zero", "round(-1.5)", -2},
		{"round to decimals", "round(2.675, 2)", 2.68},
		{"round of an integer", "round(3)", 3},
		{"round of many decimals", "round(exact, 3)", 0.123},
		{"round of a decimal past 64 bits", "round(huge) == huge", true},
		{"round to a number of decimals that is none", "round(1, 1000)", "VALUE round takes 0 to 100 decimals, got 1000"},
		{"min and max of arguments", "min(3, 1, 2) + max(3, 1, 2)", 4},
		{"min of an array", "min(numbers)", 1},
		{"min is exact", "min(huge, 123456789012345678901234567889) == huge", false},
		{"max of strings", `max("a", "b")`, "b"},
		{"max across kinds", `max(1, "b")`, `VALUE max needs numbers or strings, got 1 (number) and "b" (string)`},
		{"mean", "mean([1, 2])", 1.5},
		{"median", "median([3, 1, 2])", 2},
		{"median of four", "median([4, 1, 2, 3])", 2.5},
		{"bits", "bitand(12, 10) + bitor(1, 2) + bitxor(1, 3) + bitnot(0) + bitshl(1, 4) + bitshr(16, 2) + bitnand(7, 2)", 8 + 3 + 2 - 1 + 16 + 4 + 5},
		{"bitushr", "bitushr(-1, 63)", 1},
		{"a shift downward", "bitshl(1, -1)", "VALUE bitshl shifts by 0 or more bits, got -1"},
	})
}

func TestListFunctions(t *testing.T) {
	check(t, []claim{
		{"len of each", `len("äö") + len(tags) + len({a: 1})`, 6},
		{"len of a number", "len(status)", "VALUE len needs a string, an array or an object, got 201 (number)"},
		{"first and last", "first(tags) + last(tags)", "ac"},
		{"first of an empty array", "first(none)", nil},
		{"get of an index", "get(tags, -1)", "c"},
		{"get past the end", "get(tags, 9)", nil},
		{"take", "take(tags, 2)", []any{"a", "b"}},
		{"take of more", "take(tags, 9)", []any{"a", "b", "c"}},
		{"concat", "concat(tags, [1])", []any{"a", "b", "c", 1}},
		{"flatten", "flatten([1, [2, [3]]])", []any{1, 2, 3}},
		{"uniq knows numbers by value", `uniq([1, 1.0, "1", "1", nil, nil])`, []any{1, "1", nil}},
		{"reverse", "reverse(tags)", []any{"c", "b", "a"}},
		{"sort", "sort(numbers)", []any{1, 2, 3}},
		{"sort downward", `sort(tags, "desc")`, []any{"c", "b", "a"}},
		{"sort of a mixture", `sort([1, "a"])`, `VALUE only numbers or only strings can be sorted, got 1 (number) and "a" (string)`},
		{"sort in an unknown order", `sort(tags, "down")`, `VALUE the order is "asc" or "desc", got "down" (string)`},
		{"keys are sorted", "keys({b: 1, a: 2})", []any{"a", "b"}},
		{"values are in the order of keys", "values({b: 1, a: 2})", []any{2, 1}},
		{"toPairs", "toPairs({b: 1, a: 2})", []any{[]any{"a", 2}, []any{"b", 1}}},
		{"fromPairs", `fromPairs([["a", 1]])`, map[string]any{"a": 1}},
		{"fromPairs of something else", `fromPairs([1])`, "VALUE fromPairs needs [key, value] pairs, got 1 (number) at [0]"},
	})
}

func TestConversions(t *testing.T) {
	check(t, []claim{
		{"int of text", `int("42")`, 42},
		{"int cuts the fraction", "int(-3.9)", -3},
		{"int past 64 bits", `int("123456789012345678901234567890") == huge`, true},
		{"int of a word", `int("x")`, `VALUE int needs a whole number, got "x" (string)`},
		{"float of text", `float("1.5")`, 1.5},
		{"string of a number", "string(59.80)", "59.8"},
		{"string of an exact one", "string(huge)", "123456789012345678901234567890"},
		{"string of a list", "string(tags)", `["a","b","c"]`},
		{"type names the language's kinds", `type(1) + type("") + type([]) + type({}) + type(nil) + type(true) + type(now())`, "numberstringarrayobjectnullbooleantime"},
		{"toJSON", "toJSON({b: 1, a: [huge]})", `{"a":[123456789012345678901234567890],"b":1}`},
	})
	if got := run(t, `fromJSON("{")`); !strings.HasPrefix(got.(string), "VALUE fromJSON needs JSON: ") {
		t.Errorf("got %v", got)
	}
	check(t, []claim{
		{"fromJSON keeps digits", "fromJSON('{\"a\":123456789012345678901234567890}').a == huge", true},
		{"json_decode and json_encode", `json_encode(json_decode("[1, 2]"))`, "[1,2]"},
	})
}

func TestCodecs(t *testing.T) {
	check(t, []claim{
		{"md5", `md5("abc")`, "900150983cd24fb0d6963f7d28e17f72"},
		{"sha1", `sha1("abc")`, "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{"sha256", `sha256("abc")`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"sha512", `sha512("abc").substring(0, 8)`, "ddaf35a1"},
		{"hmac_sha256 takes the key first", `hmac_sha256("key", "The quick brown fox jumps over the lazy dog")`, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"},
		{"base64", `base64_encode("a?>~") + base64_decode("YT8+fg==")`, "YT8+fg==a?>~"},
		{"base64 of the library's names", `fromBase64(toBase64("x"))`, "x"},
		{"base64url has no padding", `base64url_encode("a?>~~")`, "YT8-fn4"},
		{"base64url_decode", `base64url_decode("YT8-fn4")`, "a?>~~"},
		{"hex", `hex_encode("az") + hex_decode("617a")`, "617aaz"},
		{"url", `url_encode("a b&c/d") + url_decode("a%20b%26c")`, "a%20b%26c%2Fda b&c"},
		{"hex of no hex", `hex_decode("zz")`, `VALUE hex_decode got "zz" (string): encoding/hex: invalid byte: U+007A 'z'`},
		{"a digest of a number is refused", "sha256(1)", "VALUE sha256 needs a string, got 1 (number)"},
	})
}

func TestJWT(t *testing.T) {
	env := testEnv(t)
	env.Scope.(names)["rsa"], env.Scope.(names)["ec"] = keyPair(t)
	for _, c := range []claim{
		{"HS256 is the default", `jwt_encode({sub: "1"}, "secret")`, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxIn0.8qZF8vbN3UpcanXFc-mPXJkOPN01-bRch8XX3rToP1U"},
		{"claims come back", `jwt_decode(jwt_encode({sub: "1", n: 123456789012345678901234567890}, "s")).claims.n == huge`, true},
		{"the header may say more", `jwt_decode(jwt_encode({}, "s", "HS512", {kid: "k"})).header`, map[string]any{"alg": "HS512", "typ": "JWT", "kid": "k"}},
		{"a signature is checked with a key", `jwt_decode(jwt_encode({a: 1}, "s"), "s").claims.a`, 1},
		{"a wrong key is refused", `jwt_decode(jwt_encode({}, "s"), "t")`, "VALUE the signature of the token is not of this key: signature is invalid"},
		{"RS256", `jwt_decode(jwt_encode({a: 1}, rsa, "RS256"), rsa).claims.a`, 1},
		{"ES256", `jwt_decode(jwt_encode({a: 1}, ec, "ES256"), ec).claims.a`, 1},
		{"none has no signature", `jwt_encode({}, "", "none")`, "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30."},
		{"none is never verified", `jwt_decode(jwt_encode({}, "", "none"), "k")`, `VALUE unknown algorithm "none"; HS, RS, PS and ES with 256, 384 and 512, and EdDSA are known`},
		{"an unknown algorithm", `jwt_encode({}, "k", "HS1")`, `VALUE unknown algorithm "HS1"; HS, RS, PS and ES with 256, 384 and 512, and EdDSA are known`},
		{"an empty algorithm", `jwt_encode({}, "k", "")`, `VALUE unknown algorithm ""; HS, RS, PS and ES with 256, 384 and 512, and EdDSA are known`},
		{"a token that is none", `jwt_decode("abc")`, `VALUE jwt_decode needs a token of three parts, got "abc" (string)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := evaluate(t, c.text, env)
			if !value.Equal(normal(got), normal(c.want)) {
				t.Errorf("%s\n got %s\nwant %s", c.text, show(got), show(c.want))
			}
		})
	}
}

// evaluate is run in another env.
func evaluate(t *testing.T, text string, env *Env) any {
	t.Helper()
	x, err := Compile(text, Options{JSONPath: true})
	if err != nil {
		return "SYNTAX " + complaint(t, err)
	}
	v, err := x.Eval(env)
	if err != nil {
		return failure(err)
	}
	return v
}

func TestTimes(t *testing.T) {
	check(t, []claim{
		{"now is RFC 3339", "now()", "2026-03-04T05:06:07.89Z"},
		{"now minus a duration", `now() - duration("1h")`, "2026-03-04T04:06:07.89Z"},
		{"a difference", `date("2026-03-05") - date("2026-03-04")`, "24h0m0s"},
		{"a difference in hours", `(date("2026-03-05") - date("2026-03-04")).Hours()`, 24},
		{"a time and text", `now() > "2026-03-04T05:00:00Z"`, true},
		{"text and a time", `"2026-03-04T05:00:00Z" < now()`, true},
		{"equal times in two zones", `date("2026-03-04T06:00:00+01:00") == "2026-03-04T05:00:00Z"`, true},
		{"durations", `duration("90s") == duration("1m30s") and duration("1h") > "59m"`, true},
		{"a duration that is none", `duration("1 hour")`, `VALUE duration needs a text such as "1h30m", got "1 hour" (string)`},
		{"a time that is none", `date("soon")`, `VALUE date needs a time such as "2026-01-31T12:00:00Z", got "soon" (string)`},
		{"parts", `let d = date("2026-03-04T05:06:07Z"); [d.Year(), d.Month(), d.Day(), d.Hour(), d.Minute(), d.Second(), d.YearDay(), d.Weekday(), d.Unix()]`, []any{2026, 3, 4, 5, 6, 7, 63, "Wednesday", 1772600767}},
		{"format by name", `format_time(now(), "date") + " " + format_time(now(), "http")`, "2026-03-04 Wed, 04 Mar 2026 05:06:07 GMT"},
		{"format by %", `format_time(now(), "%d.%m.%Y")`, "04.03.2026"},
		{"format by example", `format_time("2026-03-04T05:06:07Z", "02 Jan 2006 15:04")`, "04 Mar 2026 05:06"},
		{"format of seconds", `format_time(0, "rfc3339")`, "1970-01-01T00:00:00Z"},
		{"format to seconds", `int(format_time("1970-01-01T00:01:00Z", "unix"))`, 60},
		{"format in a zone", `format_time("2026-07-01T00:00:00Z", "15:04", "Europe/Zurich")`, "02:00"},
		{"a format of another notation", `format_time(now(), "YYYY-MM-DD")`, `VALUE "YYYY-MM-DD" names no part of a time; write 2006-01-02 15:04:05, %Y-%m-%d %H:%M:%S or rfc3339`},
		{"parse by %", `parse_time("04.03.2026", "%d.%m.%Y")`, "2026-03-04T00:00:00Z"},
		{"parse by example in a zone", `parse_time("2026-07-01 02:00", "2006-01-02 15:04", "Europe/Zurich").UTC()`, "2026-07-01T00:00:00Z"},
		{"parse of seconds", `parse_time("60", "unix")`, "1970-01-01T00:01:00Z"},
		{"parse that fails", `parse_time("x", "date").Year()`, `VALUE "x" (string) is not a time of the form "date": parsing time "x" as "2006-01-02": cannot parse "x" as "2006"`},
		{"an unknown zone", `timezone("Mars/Base")`, `VALUE unknown time zone "Mars/Base"; write one such as "Europe/Zurich" or "UTC"`},
		{"In", `date("2026-07-01").In("Europe/Zurich").Hour()`, 2},
		{"a time inside a list is text", `[now()][0] is string`, true},
		{"a time inside a text", `"at ${now().Year()}"`, "at 2026"},
		{"a time has no products", "now() * 2", `VALUE * needs two numbers, got "2026-03-04T05:06:07.89Z" (string) and 2 (number)`},
	})
}

func TestQueries(t *testing.T) {
	check(t, []claim{
		{"jsonpath of a singular path", `jsonpath(body, "$.items[0].sku")`, "A1"},
		{"jsonpath of another path", `jsonpath(body, "$.items[*].sku")`, []any{"A1", "B2"}},
		{"jsonpath of nothing", `jsonpath(body, "$.itms")`, `MISSING $.itms is missing: $ has no "itms"; did you mean "items"?`},
		{"jsonpath_all of a singular path", `jsonpath_all(body, "$.id")`, []any{7}},
		{"jsonpath_all of nothing", `jsonpath_all(body, "$.zip")`, []any{}},
		{"a JSONPath is checked before a run", `jsonpath(body, "$[")`, "SYNTAX"},
		{"a computed JSONPath", `jsonpath(body, "$." + "id")`, 7},
		{"jq gives one output", `jq(body, ".items | map(.price) | add")`, 13.5},
		{"jq gives several", `jq(body, ".items[].sku")`, []any{"A1", "B2"}},
		{"jq gives none", `jq(body, "empty")`, nil},
		{"jq keeps integers of any size", `jq({a: huge}, ".a") == huge`, true},
		{"jq refuses to round", `jq({a: exact}, ".a")`, "VALUE jq cannot hold 0.1234567890123456789012345 (number) without losing digits"},
		{"jq that fails", `jq(body, ".id.x")`, "VALUE jq: expected an object but got: number (7)"},
		{"jq that does not parse", `jq(body, ".[")`, "SYNTAX"},
		{"jq that never ends", `jq(1, "def f: f; f")`, "LIMIT the jq program takes more than 1000000 steps"},
		{"jq that gives too much", `jq(1, "range(200000)")`, "LIMIT the jq program gives more than 100000 values"},
		{"jq reads no environment", `jq(1, "env")`, map[string]any{}},
		{"jq has our clock", `jq(1, "now | floor")`, 1772600767},
		{"xpath of one node", "xpath('<a><b>x</b></a>', '/a/b')", "x"},
		{"xpath of several", "xpath('<a><b>x</b><b>y</b></a>', '//b')", []any{"x", "y"}},
		{"xpath of an attribute", "xpath('<a id=\"5\"/>', '/a/@id')", "5"},
		{"xpath of a number", "xpath('<a><b/><b/></a>', 'count(//b)')", 2},
		{"xpath of nothing", "xpath('<a/>', '/b')", "MISSING /b is missing: nothing in the document matches it"},
		{"an XPath is checked before a run", "xpath('<a/>', '//[')", "SYNTAX"},
		{"xpath of no XML", "xpath('<a', '/a')", "VALUE not XML: XML syntax error on line 1: unexpected EOF"},
		{"schema_errors of a valid value", `schema_errors(body.user, {type: "object", required: ["name"]})`, []any{}},
		{"schema_errors counts", `len(schema_errors({a: 1}, {type: "object", required: ["b", "c"]})) > 0`, true},
		{"schema_errors of a file without files", `schema_errors(1, "x.json")`, "VALUE no files can be read here"},
	})
}

func TestSchemaFile(t *testing.T) {
	env := testEnv(t)
	env.FS = fstest.MapFS{"flows/s.json": {Data: []byte(`{"type": "string"}`)}}
	env.Dir = "flows"
	if got := evaluate(t, `len(schema_errors(1, "s.json"))`, env); !value.Equal(normal(got), int64(1)) {
		t.Errorf("got %v, want one error", got)
	}
}

func TestXPathIsBounded(t *testing.T) {
	env := testEnv(t)
	env.Scope.(names)["xml"] = "<a>" + strings.Repeat("<b><c/></b>", 3000) + "</a>"
	got := evaluate(t, "xpath(xml, 'count(//b[count(//c) > count(//c[count(//b) > 1])])')", env)
	if got != "LIMIT the XPath takes more than 5000000 steps" {
		t.Errorf("got %v, want the limit", got)
	}
}

func TestRandomFunctions(t *testing.T) {
	check(t, []claim{
		{"uuid", `uuid() matches "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"`, true},
		{"two uuids differ", "uuid() != uuid()", true},
		{"random_int includes both ends", "sort(uniq(map(1..100, random_int(1, 3))))", []any{1, 2, 3}},
		{"random_int of one number", "random_int(5, 5)", 5},
		{"random_int of all numbers", "random_int(-9223372036854775808, 9223372036854775807) is integer", true},
		{"random_int the wrong way round", "random_int(2, 1)", "VALUE random_int needs the smaller number first, got 2 and 1"},
		{"random_string", `random_string(8) matches "^[A-Za-z0-9]{8}$"`, true},
		{"random_string of too much", "random_string(100000000)", "VALUE random_string makes 0 to 1048576 characters, got 100000000"},
		{"fake", `fake("internet.email") matches "^[a-z.]+[0-9]+@example"`, true},
		{"an unknown fake field", `fake("internet.emial")`, `SYNTAX unknown fake data "internet.emial"; did you mean "internet.email"?`},
		{"an unknown fake field while running", `fake("internet." + "emial")`, `VALUE unknown fake data "internet.emial"`},
	})
	if got := evaluate(t, "uuid()", &Env{}); got != "VALUE there is no source of random values here" {
		t.Errorf("without random bits: %v", got)
	}
	if got := evaluate(t, `timezone("Europe/Zurich")`, nil); got != "VALUE no time zone but UTC is known here" {
		t.Errorf("without time zones: %v", got)
	}
	if got := evaluate(t, "now()", nil); got != "VALUE there is no clock here" {
		t.Errorf("without a clock: %v", got)
	}
}

func TestFunctionsOfPluginsNeedACaller(t *testing.T) {
	x, err := Compile("crc.sum(1)", Options{Function: func(string) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Eval(testEnv(t)); err == nil || err.Error() != "crc.sum cannot be called here" {
		t.Errorf("error is %v", err)
	}
	if refs := x.Refs(); len(refs) != 1 || refs[0].Name != "crc.sum" || !refs[0].Called {
		t.Errorf("refs are %+v, want the call", refs)
	}
}
