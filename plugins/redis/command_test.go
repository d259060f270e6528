package redis

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestRepliesKeepTheirTypes(t *testing.T) {
	tests := map[string]struct{ said, as, want string }{
		"a state":                    {"+OK\r\n", "text", `"OK"`},
		"a text":                     {"$3\r\n007\r\n", "text", `"007"`},
		"an integer":                 {":9223372036854775807\r\n", "text", `9223372036854775807`},
		"a big number":               {"(123456789012345678901234567890\r\n", "text", `123456789012345678901234567890`},
		"a double":                   {",0.1\r\n", "text", `0.1`},
		"a double of 17 digits":      {",0.10000000000000001\r\n", "text", `0.1`},
		"a double without fraction":  {",3\r\n", "text", `3`},
		"a large double":             {",1e300\r\n", "text", `1e+300`},
		"what no number is":          {"*3\r\n,inf\r\n,-inf\r\n,nan\r\n", "text", `["inf","-inf","nan"]`},
		"true and false":             {"*2\r\n#t\r\n#f\r\n", "text", `[true,false]`},
		"null":                       {"_\r\n", "text", `null`},
		"null of the old protocol":   {"$-1\r\n", "text", `null`},
		"no list":                    {"*-1\r\n", "text", `null`},
		"null in a list":             {"*2\r\n_\r\n$-1\r\n", "text", `[null,null]`},
		"a verbatim text":            {"=8\r\ntxt:hey\n\r\n", "text", `"hey\n"`},
		"a list in a list":           {"*2\r\n*1\r\n:1\r\n*0\r\n", "text", `[[1],[]]`},
		"a set":                      {"~2\r\n+a\r\n+b\r\n", "text", `["a","b"]`},
		"a map":                      {"%2\r\n+a\r\n:1\r\n:7\r\n%1\r\n+b\r\n_\r\n", "text", `{"7":{"b":null},"a":1}`},
		"an error in a list":         {"*2\r\n:1\r\n-WRONGTYPE no\r\n", "text", `[1,{"error":"WRONGTYPE no"}]`},
		"what was said aside":        {"|1\r\n+ttl\r\n:3\r\n+OK\r\n", "text", `"OK"`},
		"JSON where there is some":   {"*4\r\n$7\r\n{\"a\":1}\r\n$3\r\n007\r\n$1\r\n7\r\n+OK\r\n", "json", `[{"a":1},"007",7,"OK"]`},
		"JSON under keys":            {"%1\r\n$1\r\n1\r\n$4\r\ntrue\r\n", "json", `{"1":true}`},
		"bytes":                      {"*2\r\n$2\r\n\xff\x00\r\n:1\r\n", "bytes", `["/wA=",1]`},
		"bytes as keys":              {"%1\r\n$1\r\n\xff\r\n$1\r\na\r\n", "bytes", `{"/w==":"YQ=="}`},
		"a push before the answer":   {">2\r\n+invalidate\r\n*1\r\n+k\r\n+OK\r\n", "text", `"OK"`},
		"a text that is cut":         {"*2\r\n$12\r\nhello world!\r\n$1\r\na\r\n", "cut", `["hello worl",""]`},
		"of a letter that is cut no": {"$12\r\n123456789\xe2\x82\xac\r\n", "cut", `"123456789"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := m{"connection": "redis://" + fake(t, says(test.said)), "command": "ASK", "as": test.as}
			if test.as == "cut" {
				config["as"], config["max_bytes"] = "text", 10
			}
			u := newUser(t)
			got, err := u.try(t.Context(), "command", config)
			if err != nil {
				t.Fatal(err)
			}
			is(t, got["reply"], test.want)
			if cut := u.last.Limited != ""; cut != (test.as == "cut") {
				t.Errorf("limited %q", u.last.Limited)
			}
		})
	}
}

func TestWhatIsNoTextInAReply(t *testing.T) {
	for said, at := range map[string]string{
		"$2\r\n\xff\xfe\r\n":                              "the reply of 2 bytes is not text",
		"*2\r\n:1\r\n*1\r\n$1\r\n\xff\r\n":                "the reply[1][0] of 1 bytes is not text",
		"%1\r\n+user\r\n%1\r\n+photo\r\n$3\r\n\xff12\r\n": "the reply.user.photo of 3 bytes is not text",
		"%1\r\n$1\r\n\xff\r\n:1\r\n":                      "the reply's key of 1 bytes is not text",
	} {
		e := newUser(t).fails("command", m{"connection": "redis://" + fake(t, says(said)), "command": "ASK"})
		if e.Code != plugin.CodeBody || e.Message != at || !strings.Contains(e.Hint, "as: bytes") {
			t.Errorf("got %s: %s (%s), want %s", e.Code, e.Message, e.Hint, at)
		}
	}
}

// Real answers, through go-redis in another way: its own types.
func TestRepliesOfTheRealServer(t *testing.T) {
	c := bare(t)
	u := newUser(t)
	hash, zset, list := key(t, "h"), key(t, "z"), key(t, "l")
	for _, command := range []any{
		[]any{"HSET", hash, "name", "Ada", "age", 36, "bytes", m{"base64": "YQ=="}},
		"ZADD " + zset + " 0.1 a 2 b -inf c",
		[]any{"RPUSH", list, "one two", "", `"quoted"`},
	} {
		u.do("command", m{"command": command})
	}
	is(t, u.do("command", m{"command": "HGETALL " + hash}), `{"error":null,"reply":{"age":"36","bytes":"a","name":"Ada"}}`)
	is(t, u.do("command", m{"command": "ZRANGE " + zset + " 0 -1 WITHSCORES"})["reply"], `[["c","-inf"],["a",0.1],["b",2]]`)
	is(t, u.do("command", m{"command": "ZSCORE " + zset + " none"})["reply"], `null`)
	is(t, u.do("command", m{"command": []any{"LRANGE", list, 0, -1}})["reply"], `["one two","","\"quoted\""]`)
	for script, want := range map[string]string{
		`return {double=3.141}`: `3.141`, `return {big_number='1234567999999999999999999999999999999'}`: `1234567999999999999999999999999999999`,
		`return true`: `true`, `return {map={a={1, 2}}}`: `{"a":[1,2]}`, `return {set={['a']=true}}`: `["a"]`, `return nil`: `null`,
		`return redis.call('ZSCORE', KEYS[1], 'a')`: `0.1`, `return {1, redis.error_reply('ERR mine')}`: `[1,{"error":"ERR mine"}]`,
	} {
		is(t, u.do("command", m{"command": []any{"EVAL", "redis.setresp(3); " + script, 1, zset}})["reply"], want)
	}
	if want, err := c.HGetAll(t.Context(), hash).Result(); err != nil || cmp.Diff(want, map[string]string{"name": "Ada", "age": "36", "bytes": "a"}) != "" {
		t.Errorf("the oracle has %v, %v", want, err)
	}
	// All of what a server can say of its commands: maps eight deep, 200 KiB.
	docs := u.do("command", m{"command": "COMMAND DOCS"})["reply"].(map[string]any)
	if len(docs) < 200 || docs["get"].(map[string]any)["group"] != "string" {
		t.Errorf("got %d commands", len(docs))
	}
}

func TestAnErrorThatIsAllowedIsTheResult(t *testing.T) {
	bare(t)
	u := newUser(t)
	k := key(t, "k")
	u.do("set", m{"key": k, "value": "x"})
	got := u.do("command", m{"command": "INCR " + k, "allow_error": true})
	is(t, got, `{"error":"ERR value is not an integer or out of range","reply":null}`)
	is(t, u.do("command", m{"command": "GET " + k, "allow_error": true}), `{"error":null,"reply":"x"}`)
	// A login that fails is no answer to the command.
	e := u.fails("command", m{"connection": "redis://" + nobody(t), "command": "PING", "allow_error": true})
	if e.Code != plugin.CodeConn {
		t.Errorf("got %s", e.Code)
	}
}

func TestCommandsThatAreNoneOfASingleStep(t *testing.T) {
	u := newUser(t)
	for command, hint := range map[string]string{
		"SUBSCRIBE c": "redis.subscribe", "psubscribe c*": "redis.subscribe", "MULTI": "redis.transaction", "watch k": "redis.watch",
		"SELECT 1": "db: 2", "AUTH secret": "in the connection", "HELLO 2": "in the connection", "MONITOR": "redis.subscribe",
		"CLIENT REPLY OFF": "the next step may have another", "client tracking on": "the next step may have another", "QUIT": "end with the run",
	} {
		if e := u.fails("command", with(t, m{"command": command})); e.Blame != plugin.BlameDefinition || e.Field != "command" || !strings.Contains(e.Hint, hint) {
			t.Errorf("%s: got %s: %s (%s)", command, e.Blame, e.Message, e.Hint)
		}
	}
	if e := u.fails("transaction", with(t, m{"commands": []any{"PING", "EXEC"}})); e.Field != "commands[1]" {
		t.Errorf("got %s at %s", e.Message, e.Field)
	}
	if got := u.do("command", m{"command": "CLIENT ID"}); got["reply"] == nil {
		t.Errorf("what only asks may be asked: got %v", got)
	}
}

func TestWords(t *testing.T) {
	tests := map[string]struct {
		command any
		want    string // words joined by |
		wrong   string // or why there are none
	}{
		"words":                      {"SET key value", "SET|key|value", ""},
		"blanks":                     {"  SET \t key\nvalue  ", "SET|key|value", ""},
		"quotes":                     {`SET "my key" 'your value'`, "SET|my key|your value", ""},
		"nothing in quotes":          {`SET key ""`, "SET|key|", ""},
		"what is escaped":            {`SET "a\"b\\c\n\x41\q"`, "SET|a\"b\\c\nAq", ""},
		"what is not, in these":      {`SET 'a\nb\'c'`, `SET|a\nb'c`, ""},
		"half an escape":             {`SET "\x4"`, "SET|x4", ""},
		"JSON":                       {`SET k {"a":1}`, `SET|k|{"a":1}`, ""},
		"a list":                     {[]any{"SET", "my key", `"`, 7, 1.5, m{"base64": "AP8="}}, "SET|my key|\"|7|1.5|\x00\xff", ""},
		"a quote that stays open":    {`SET "a`, "", `a " is not closed`},
		"a quote that ends too soon": {`SET "a"b`, "", `a quote ends in the middle of a word, before "b"`},
		"nothing":                    {" ", "", "is empty"},
		"an empty list":              {[]any{}, "", "is empty"},
		"no name":                    {`"" a`, "", "does not begin with the name of a command"},
		"a list in a list":           {[]any{"SET", []any{"a"}}, "", `is ["a"]: a word of a command is a text, a number`},
		"a map":                      {[]any{"SET", m{"a": 1}}, "", `is {"a":1}: a word`},
		"null":                       {[]any{"SET", nil}, "", "is null: a word"},
		"true":                       {[]any{"SET", true}, "", "is true: a word"},
		"no base64":                  {[]any{"SET", m{"base64": "?"}}, "", "is not base64"},
		"a number alone":             {7, "", "must be a text or a list, not 7"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			address := fake(t, func(command []string) string {
				got = append([]string{strings.ToUpper(command[0])}, command[1:]...)
				return "+OK\r\n"
			})
			u := newUser(t)
			_, err := u.try(t.Context(), "command", m{"connection": "redis://" + address, "command": test.command})
			if test.wrong != "" {
				if e := asError(t, err); e.Blame != plugin.BlameDefinition || !strings.HasPrefix(e.Field, "command") || !strings.Contains(e.Message, test.wrong) {
					t.Errorf("got %s at %s, want %s", e.Message, e.Field, test.wrong)
				}
				return
			}
			if err != nil || strings.Join(got, "|") != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestExchangesAreShortAndShowNoPasswords(t *testing.T) {
	bare(t)
	u := newUser(t)
	u.do("set", m{"key": key(t, "k"), "value": strings.Repeat("x", 100_000)})
	u.do("get", m{"key": key(t, "k")})
	u.do("command", m{"command": "ACL GETUSER nobody"})
	u.do("command", m{"command": "GTE", "allow_error": true})
	address := strings.TrimSuffix(strings.SplitN(with(t, nil)["connection"].(string), "@", 2)[1], "/0")
	for i, want := range []string{"SET test:", "GET test:", "ACL … → null", "GTE → ERR unknown command 'GTE'"} {
		x := u.out.exchanges[i]
		if !strings.HasPrefix(x.Summary, address+": "+want) || len(x.Summary) > 200 || len(x.Request)+len(x.Response) > 3*maxShownBytes || x.Timings["total"] <= 0 {
			t.Errorf("got %s with %d and %d bytes, want %s", x.Summary, len(x.Request), len(x.Response), want)
		}
	}
	if x := u.out.exchanges[2]; strings.Contains(string(x.Request), "nobody") {
		t.Errorf("got %s", x.Request)
	}
}
