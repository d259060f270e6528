package kafka

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/testmesh/testmesh/plugins/servertest"
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
	"github.com/testmesh/testmesh/sdk/plugintest"
)

// asPlugin makes this test's binary the plugin in a process of its own.
const asPlugin = "-serve-kafka"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asPlugin {
		os.Args = append(os.Args[:1], os.Args[2:]...)
		serve.Main(kitPlugin())
	}
	os.Exit(m.Run())
}

// kitPlugin is the plugin with three actions for the kit, which wants what it gives
// back from one step.
func kitPlugin() plugin.Plugin {
	return plugin.New(info(), append(parts(),
		plugin.Action("echo", "Publish a message and read it.", echo, plugin.Example("- action: kafka.echo"), plugin.Description("Passes when it came.")),
		plugin.Action("recall", "Read the message that was kept.", recall, plugin.Example("- action: kafka.recall"), plugin.Description("Passes when it is there.")),
		plugin.Action("remember", "Publish a message and keep it for the run.", remember, plugin.Example("- action: kafka.remember"), plugin.Description("Passes when it was written.")),
	)...)
}

func echo(ctx context.Context, call *plugin.Call, in publishIn) (consumed, error) {
	out, err := publish(ctx, call, in)
	if err != nil {
		return consumed{}, err
	}
	return consume(ctx, call, consumeIn{
		connection: in.connection, Topic: texts{One: &in.Topic}, Partition: &out.Partition, Offset: out.Offset, Start: "latest", Count: 1, Within: in.RequestTimeout,
		decodingIn: decodingIn{ValueFormat: in.ValueFormat, KeyFormat: formatText},
	})
}

func remember(ctx context.Context, call *plugin.Call, in publishIn) (published, error) {
	_, err := subscribe(ctx, call, subscribeIn{
		connection: in.connection, Topic: texts{One: &in.Topic}, MaxMessages: 1000, MaxBytes: 1 << 20,
		decodingIn: decodingIn{ValueFormat: in.ValueFormat, KeyFormat: formatText},
	})
	if err != nil {
		return published{}, err
	}
	in.Headers = map[string]any{"run": call.RunID()} // the topic is shared by all
	return publish(ctx, call, in)
}

func recall(ctx context.Context, call *plugin.Call, in expectIn) (expected, error) {
	in.Where = json.RawMessage(`{"headers": {"run": "` + call.RunID() + `"}}`)
	return expect(ctx, call, in)
}

// topic is a new one on the real brokers.
func topic(t *testing.T, brokers string) string {
	t.Helper()
	w := newWorld(t)
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	do[deleted](w, "delete", "delete_topic", keys{"brokers": brokers, "topic": name})
	do[created](w, "create", "create_topic", keys{"brokers": brokers, "topic": name, "partitions": 3, "configs": keys{"max.message.bytes": 64 << 20}})
	return name
}

func kitConfig(t *testing.T) plugintest.Config {
	t.Helper()
	brokers := servertest.Value(t, "KAFKA_BROKERS")
	call := func(action, config string) plugintest.Call {
		return plugintest.Call{Action: "kafka." + action, Config: json.RawMessage(config)}
	}
	const at = `{"brokers": "${brokers}", "topic": "${topic}", `
	slow := call("consume", `{"brokers": "${tcp_silent}", "connect_timeout": "60s", "topic": "x"}`)
	secret := call("publish", `{"brokers": "${tcp_echo}", "topic": "x", "value": "it is ${secret}", "sasl": {"username": "u", "password": "${secret}"}, "schema_registry": {"url": "http://u:${secret}@127.0.0.1:1", "token": "${secret}"}}`)
	file := call("publish", at+`"value_file": "${file}"}`)
	return plugintest.Config{
		Descriptor: kitPlugin().Describe(),
		Vars:       map[string]any{"brokers": brokers, "topic": topic(t, brokers)},
		Conformance: plugintest.Conformance{
			Echo:       &plugintest.Echo{Call: call("echo", at+`"value": "${payload}", "value_format": "text"}`), Result: "messages.0.value"},
			JSON:       &plugintest.Echo{Call: call("echo", at+`"value": "${payload}", "value_format": "json"}`), Result: "messages.0.value"},
			Binary:     &plugintest.Echo{Call: call("echo", at+`"value": "${payload}", "value_format": "bytes"}`), Result: "messages.0.value"},
			Slow:       &slow,
			Bad:        &plugintest.Bad{Call: call("publish", at+`"value": "x", "compression": "rar"}`), Field: "compression"},
			Observe:    &plugintest.Repeat{Call: call("topics", at+`"client_id": "kit"}`)},
			Idempotent: &plugintest.Repeat{Call: call("create_topic", at+`"partitions": 3}`)},
			Secret:     &secret,
			Session: &plugintest.SessionPair{
				Write: call("remember", at+`"value": "${payload}", "value_format": "text"}`),
				Read:  plugintest.Echo{Call: call("recall", `{"within": "2s"}`), Result: "messages.0.value"},
			},
			File: &file,
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
	c.Plugin = kitPlugin
	plugintest.Run(t, c)
}
