package grpc

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugintest"
)

func kitConfig(t *testing.T) plugintest.Config {
	t.Helper()
	call := func(config string) plugintest.Call {
		return plugintest.Call{Action: "grpc.call", Config: json.RawMessage(config)}
	}
	const (
		typed       = "the fields of a message have types, and what fits none of them is no message"
		connections = "what a run keeps are connections and schemas, which no step reads"
		once        = "nothing says what a method does, so that every call is once"
		none        = "it has no functions"
		formats     = "it reads .proto files, descriptor sets and PEM; TestSchemasThatCannotBe wants one outside of the project to be refused"
	)
	return plugintest.Config{
		Descriptor: New().Describe(),
		Vars:       map[string]any{"shop": shop(t)},
		Conformance: plugintest.Conformance{
			Echo:   &plugintest.Echo{Call: call(`{"address":"${shop}","method":"echo.v1.EchoService/Echo","request":{"value":{"text":"${payload}"}},"max_message":67108864}`), Result: "response.value.text"},
			Binary: &plugintest.Echo{Call: call(`{"address":"${shop}","method":"echo.v1.EchoService/Echo","request":{"value":{"data":"${payload}"}},"max_message":67108864}`), Result: "response.value.data"},
			Slow:   new(call(`{"address":"${shop}","method":"echo.v1.EchoService/Delay","request":{"delay":"60s"}}`)),
			Bad:    &plugintest.Bad{Call: call(`{"address":"nowhere","method":"a.B/C"}`), Field: "address"},
			Secret: new(call(`{"address":"${shop}","method":"echo.v1.EchoService/Echo","auth":{"token":"${secret}"}}`)),
			Without: map[string]string{
				"numbers": typed, "null": typed, "nesting": typed, "sessions-apart": connections, "session-close": connections, "session-cut": connections,
				"observe": once, "idempotent": once, "functions": none, "function-arguments": none, "files": formats,
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
