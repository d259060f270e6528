package plugins

import (
	"encoding/json"
	"testing"

	"github.com/testmesh/testmesh/flow/catalog"
	"github.com/testmesh/testmesh/plugins/descriptor"
)

// What a step with Redis may be repeated for is decided by its command.
func TestEffectsOfRedis(t *testing.T) {
	c, err := catalog.New(descriptor.All()...)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ action, config, want string }{
		{"get", `{"key":"k"}`, "OBSERVE"},
		{"set", `{"key":"k","value":"v"}`, "IDEMPOTENT"},
		{"set", `{"key":"k","value":"v","ttl":"1s","xx":true}`, "IDEMPOTENT"},
		{"set", `{"key":"k","value":"v","nx":true}`, "ONCE"},
		{"set", `{"key":"k","value":"v","get":true}`, "ONCE"},
		{"del", `{"key":"k"}`, "IDEMPOTENT"},
		{"exists", `{"key":"k"}`, "OBSERVE"},
		{"command", `{"command":"GET k"}`, "OBSERVE"},
		{"command", `{"command":"  hgetall k"}`, "OBSERVE"},
		{"command", `{"command":["ZRANGE","k",0,-1]}`, "OBSERVE"},
		{"command", `{"command":"XREAD STREAMS s 0"}`, "OBSERVE"},
		{"command", `{"command":"DEL k"}`, "IDEMPOTENT"},
		{"command", `{"command":["hset","k","f",1]}`, "IDEMPOTENT"},
		{"command", `{"command":"FLUSHDB"}`, "IDEMPOTENT"},
		{"command", `{"command":"SET k v EX 10"}`, "IDEMPOTENT"},
		{"command", `{"command":["SET","k",7,"PX",100]}`, "IDEMPOTENT"},
		{"command", `{"command":"SET k v NX"}`, "ONCE"},
		{"command", `{"command":["SET","k","v","get"]}`, "ONCE"},
		{"command", `{"command":"INCR k"}`, "ONCE"},
		{"command", `{"command":["LPUSH","k","v"]}`, "ONCE"},
		{"command", `{"command":["EVAL","return 1",0]}`, "ONCE"},
		{"command", `{"command":"NEWCOMMAND k"}`, "ONCE"},
		{"command", `{"command":""}`, "ONCE"},
		{"command", `{"command":[]}`, "ONCE"},
		{"command", `{"command":"LPOP k"}`, "CONSUME"},
		{"command", `{"command":["BLPOP","k",0]}`, "CONSUME"},
		{"command", `{"command":"XREADGROUP GROUP g c STREAMS s >"}`, "CONSUME"},
		{"transaction", `{"commands":["GET k"]}`, "ONCE"},
		{"watch", `{"keys":["k"]}`, "OBSERVE"},
		{"xadd", `{"stream":"s","fields":{"a":1}}`, "ONCE"},
		{"xread", `{"streams":{"s":"0"}}`, "OBSERVE"},
		{"xreadgroup", `{"streams":{"s":">"},"group":"g"}`, "CONSUME"},
		{"xack", `{"stream":"s","group":"g","ids":["1-1"]}`, "IDEMPOTENT"},
		{"xgroup", `{"subcommand":"create","stream":"s","group":"g"}`, "ONCE"},
		{"xgroup", `{"subcommand":"create","stream":"s","group":"g","if_absent":true}`, "IDEMPOTENT"},
		{"xgroup", `{"subcommand":"destroy","stream":"s","group":"g"}`, "IDEMPOTENT"},
		{"publish", `{"channel":"c","message":"m"}`, "ONCE"},
		{"subscribe", `{"channels":["c"]}`, "OBSERVE"},
		{"expect", `{}`, "OBSERVE"},
	}
	for _, test := range tests {
		t.Run(test.action+" "+test.config, func(t *testing.T) {
			var config any
			if err := json.Unmarshal([]byte(test.config), &config); err != nil {
				t.Fatal(err)
			}
			a, _, ok := c.Action("redis." + test.action)
			if !ok {
				t.Fatalf("there is no redis.%s", test.action)
			}
			got, err := a.EffectOf(config)
			if err != nil || got.String() != "EFFECT_"+test.want {
				t.Errorf("got %s, %v, want %s", got, err, test.want)
			}
		})
	}
}
