package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/sdk/plugin"
)

func TestStreamsAreWrittenAndRead(t *testing.T) {
	bare(t)
	u := newUser(t)
	s, other := key(t, "s"), key(t, "other")
	is(t, u.do("xadd", m{"stream": s, "id": "1-1", "fields": m{"type": "created", "n": "007", "order": m{"id": "o1", "total": 1.50}}}), `{"id":"1-1"}`)
	u.do("xadd", m{"stream": s, "id": "1-2", "fields": m{"type": "paid"}})
	u.do("xadd", m{"stream": other, "id": "2-1", "fields": m{"a": "b"}})
	got := u.do("xread", m{"streams": m{s: "0", other: "1-1"}})
	is(t, got["count"], `3`)
	is(t, got["entries"].([]any)[0], fmt.Sprintf(`{"fields":{"a":"b"},"id":"2-1","stream":%q}`, other))
	is(t, got["entries"].([]any)[1], fmt.Sprintf(`{"fields":{"n":"007","order":"{\"id\":\"o1\",\"total\":1.5}","type":"created"},"id":"1-1","stream":%q}`, s))
	got = u.do("xread", m{"stream": s, "as": "json", "count": 1})
	is(t, got["entries"].([]any)[0].(map[string]any)["fields"], `{"n":"007","order":{"id":"o1","total":1.5},"type":"created"}`)
	is(t, u.do("xread", m{"streams": m{s: "1-2", key(t, "none"): "0"}}), `{"count":0,"entries":[]}`)
}

func TestXaddBoundsAStream(t *testing.T) {
	bare(t)
	u := newUser(t)
	s := key(t, "s")
	is(t, u.do("xadd", m{"stream": s, "fields": m{"a": 1}, "nomkstream": true}), `{"id":null}`)
	for i := range 5 {
		u.do("xadd", m{"stream": s, "id": fmt.Sprintf("%d-1", i+1), "fields": m{"a": i}, "maxlen": 3})
	}
	is(t, u.do("xread", m{"streams": m{s: "0"}})["count"], `3`)
	u.do("xadd", m{"stream": s, "id": "6-1", "fields": m{"a": 1}, "minid": "5-1"})
	is(t, u.do("xread", m{"streams": m{s: "0"}})["count"], `2`)
	u.do("xadd", m{"stream": s, "fields": m{"a": 1}, "maxlen": 1000, "approximate": true})
	for field, config := range map[string]m{
		"fields": {"fields": m{}}, "fields.a": {"fields": m{"a": nil}}, "minid": {"fields": m{"a": 1}, "maxlen": 1, "minid": "1"},
	} {
		config["stream"] = s
		if e := u.fails("xadd", with(t, config)); e.Blame != plugin.BlameDefinition || e.Field != field {
			t.Errorf("got %s at %s, want %s", e.Message, e.Field, field)
		}
	}
	for _, action := range []string{"xread", "xreadgroup"} {
		for field, config := range map[string]m{"stream": {"group": "g"}, "streams": {"group": "g", "stream": s, "streams": m{s: "0"}}} {
			if action == "xread" {
				delete(config, "group")
			}
			if e := u.fails(action, with(t, config)); e.Field != field {
				t.Errorf("%s: got %s at %s, want %s", action, e.Message, e.Field, field)
			}
		}
	}
	if e := u.fails("xread", with(t, m{"streams": m{s: 0}})); !strings.Contains(e.Hint, `"0"`) {
		t.Errorf("got %s (%s)", e.Message, e.Hint)
	}
}

func TestGroups(t *testing.T) {
	bare(t)
	u := newUser(t)
	s := key(t, "s")
	group := func(subcommand string, more m) m {
		config := m{"subcommand": subcommand, "stream": s, "group": "billing"}
		for k, v := range more {
			config[k] = v
		}
		return config
	}
	is(t, u.do("xgroup", group("create", m{"id": "0", "mkstream": true})), `{"changed":true,"pending":null}`)
	is(t, u.do("xgroup", group("create", m{"if_absent": true})), `{"changed":false,"pending":null}`)
	if e := u.fails("xgroup", with(t, group("create", nil))); e.Code != plugin.CodeReply || !strings.Contains(e.Message, "BUSYGROUP") || !strings.Contains(e.Hint, "if_absent") {
		t.Errorf("got %s: %s (%s)", e.Code, e.Message, e.Hint)
	}
	for i := range 3 {
		u.do("xadd", m{"stream": s, "id": fmt.Sprintf("1-%d", i+1), "fields": m{"n": i}})
	}
	read := func(consumer, after string, count int) m {
		if after == ">" { // by default
			return u.do("xreadgroup", m{"group": "billing", "consumer": consumer, "stream": s, "count": count})
		}
		return u.do("xreadgroup", m{"group": "billing", "consumer": consumer, "streams": m{s: after}, "count": count})
	}
	is(t, read("one", ">", 2)["count"], `2`)
	is(t, read("two", ">", 2)["entries"], fmt.Sprintf(`[{"fields":{"n":"2"},"id":"1-3","stream":%q}]`, s))
	is(t, read("two", ">", 2), `{"count":0,"entries":[]}`)
	is(t, u.do("xack", m{"stream": s, "group": "billing", "ids": []any{"1-1", "9-9"}}), `{"acknowledged":1}`)
	is(t, read("one", "0", 10)["entries"], fmt.Sprintf(`[{"fields":{"n":"1"},"id":"1-2","stream":%q}]`, s))
	u.do("command", m{"command": []any{"XDEL", s, "1-2"}})
	is(t, read("one", "0", 10)["entries"], fmt.Sprintf(`[{"fields":{},"id":"1-2","stream":%q}]`, s)) // deleted, and pending
	is(t, u.do("xreadgroup", m{"group": "billing", "consumer": "one", "streams": m{s: ">"}, "noack": true})["count"], `0`)
	is(t, u.do("xgroup", group("createconsumer", m{"consumer": "three"})), `{"changed":true,"pending":null}`)
	is(t, u.do("xgroup", group("createconsumer", m{"consumer": "three"})), `{"changed":false,"pending":null}`)
	is(t, u.do("xgroup", group("delconsumer", m{"consumer": "two"})), `{"changed":true,"pending":1}`)
	is(t, u.do("xgroup", group("setid", m{"id": "0"})), `{"changed":true,"pending":null}`)
	is(t, read("one", ">", 10)["count"], `2`)
	is(t, u.do("xgroup", group("destroy", nil)), `{"changed":true,"pending":null}`)
	is(t, u.do("xgroup", group("destroy", nil)), `{"changed":false,"pending":null}`)
	for field, config := range map[string]m{
		"consumer":   group("createconsumer", nil),
		"subcommand": group("destroy", m{"mkstream": true}),
	} {
		if e := u.fails("xgroup", with(t, config)); e.Field != field {
			t.Errorf("got %s at %s, want %s", e.Message, e.Field, field)
		}
	}
	if e := u.fails("xgroup", with(t, group("create", m{"consumer": "x"}))); e.Field != "consumer" {
		t.Errorf("got %s at %s", e.Message, e.Field)
	}
}

func TestReadingWaitsForAnEntry(t *testing.T) {
	bare(t)
	u, writer := newUser(t), newUser(t)
	s := key(t, "s")
	began := time.Now()
	is(t, u.do("xread", m{"streams": m{s: "$"}, "block": "200ms"}), `{"count":0,"entries":[]}`)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("it waited %s", took)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		waitFor(t, "a reader that waits", func() bool {
			got, err := writer.try(t.Context(), "command", with(t, m{"command": "INFO clients"}))
			return err == nil && !strings.Contains(fmt.Sprint(got["reply"]), "blocked_clients:0")
		})
		writer.do("xadd", m{"stream": s, "fields": m{"a": 1}})
	}()
	is(t, u.do("xread", m{"streams": m{s: "$"}, "block": "20s"})["count"], `1`)
	<-done
}

// Servers of the old protocol answer with lists where RESP3 has maps.
func TestAnswersThatHoldEntries(t *testing.T) {
	tests := map[string]struct{ said, want string }{
		"a map":                    {"%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n+a\r\n+b\r\n", `[{"fields":{"a":"b"},"id":"1-1","stream":"s"}]`},
		"pairs":                    {"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n+a\r\n+b\r\n", `[{"fields":{"a":"b"},"id":"1-1","stream":"s"}]`},
		"none":                     {"_\r\n", `[]`},
		"a text":                   {"+OK\r\n", ""},
		"a list of texts":          {"*1\r\n+s\r\n", ""},
		"a stream without entries": {"%1\r\n+s\r\n+x\r\n", ""},
		"an entry that is none":    {"%1\r\n+s\r\n*1\r\n+x\r\n", ""},
		"an entry without an id":   {"%1\r\n+s\r\n*1\r\n*2\r\n:1\r\n*0\r\n", ""},
		"a field without a value":  {"%1\r\n+s\r\n*1\r\n*2\r\n+1-1\r\n*1\r\n+a\r\n", ""},
		"fields that are no list":  {"%1\r\n+s\r\n*1\r\n*2\r\n+1-1\r\n+a\r\n", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			got, err := u.try(t.Context(), "xread", m{"connection": "redis://" + fake(t, says(test.said)), "streams": m{"s": "0"}})
			if test.want == "" {
				if e := asError(t, err); e.Code != plugin.CodeProtocol || !strings.Contains(e.Message, "did not answer XREAD with entries: ") {
					t.Errorf("got %s: %s", e.Code, e.Message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			is(t, got["entries"], test.want)
		})
	}
}

func TestAnEntryThatIsNoText(t *testing.T) {
	bare(t)
	u := newUser(t)
	s := key(t, "s")
	u.do("command", m{"command": []any{"XADD", s, "1-1", "photo", m{"base64": "/wA="}}})
	e := u.fails("xread", with(t, m{"streams": m{s: "0"}}))
	if e.Code != plugin.CodeBody || e.Message != `field "photo" of 1-1 of 2 bytes is not text` {
		t.Errorf("got %s: %s", e.Code, e.Message)
	}
	is(t, u.do("xread", m{"streams": m{s: "0"}, "as": "bytes"})["entries"].([]any)[0].(map[string]any)["fields"], `{"photo":"/wA="}`)
}
