package redis

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// oneWay is why the kit cannot send a value and see what becomes of it; the
// tests of set and get do.
const oneWay = "a step writes a JSON value or reads one"

// answerSubscribers sends each channel that somebody listens to the end of its
// name, once.
func answerSubscribers(t *testing.T, prefix string) {
	c := bare(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		answered := map[string]bool{}
		for ctx.Err() == nil {
			channels, _ := c.PubSubChannels(ctx, prefix+"*").Result() // none, at the end
			for _, channel := range channels {
				if !answered[channel] {
					answered[channel] = c.Publish(ctx, channel, strings.TrimPrefix(channel, prefix)).Val() > 0
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
}

func kitConfig(t *testing.T) plugintest.Config {
	t.Helper()
	bare(t)
	call := func(action, config string) plugintest.Call {
		return plugintest.Call{Action: "redis." + action, Config: json.RawMessage(config)}
	}
	text, session := key(t, "text"), key(t, "session:")
	answerSubscribers(t, session)
	slow := call("command", `{"connection": "${redis}", "command": "BLPOP `+key(t, "none")+` 0"}`)
	secret := call("command", `{"connection": {"url": "redis://${tcp_echo}", "password": "${secret}", "connect_timeout": "1s"}, "command": ["ECHO", "${secret}"]}`)
	return plugintest.Config{
		Descriptor: New().Describe(),
		Vars:       map[string]any{"redis": servertest.Value(t, "REDIS_URL")},
		Conformance: plugintest.Conformance{
			Echo:       &plugintest.Echo{Call: call("command", `{"connection": "${redis}", "command": ["ECHO", "${payload}"], "max_bytes": 67108864}`), Result: "reply"},
			Binary:     &plugintest.Echo{Call: call("command", `{"connection": "${redis}", "command": ["ECHO", {"base64": "${payload}"}], "as": "bytes", "max_bytes": 67108864}`), Result: "reply"},
			Slow:       &slow,
			Bad:        &plugintest.Bad{Call: call("get", `{"connection": {"host": "localhost", "port": 70000}, "key": "x"}`), Field: "connection.port"},
			Observe:    &plugintest.Repeat{Call: call("get", `{"connection": "${redis}", "key": "`+key(t, "none")+`"}`)},
			Idempotent: &plugintest.Repeat{Call: call("set", `{"connection": "${redis}", "key": "`+text+`", "value": "x"}`)},
			Secret:     &secret,
			Session: &plugintest.SessionPair{
				Write: call("subscribe", `{"connection": "${redis}", "channels": ["`+session+`${payload}"]}`),
				Read:  plugintest.Echo{Call: call("expect", `{"within": "5s"}`), Result: "messages.0.message"},
			},
			Without: map[string]string{
				"numbers": oneWay, "null": oneWay, "nesting": oneWay,
				"files": "the only files are certificates in PEM, which the kit's file is none of",
			},
		},
	}
}

func TestItKeepsThePromisesOfTheWireInAProcess(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := kitConfig(t)
	c.Command = []string{exe, asPlugin}
	plugintest.Run(t, c)
}

func TestItKeepsThePromisesOfTheWireInMemory(t *testing.T) {
	c := kitConfig(t)
	c.Plugin = New
	plugintest.Run(t, c)
}
