// Command testmesh-plugin-tcp is a TestMesh plugin for protocols that have none
// of their own: it sends bytes over TCP and reads what comes back, once or over
// a connection that lasts as long as the run. It is an example of a plugin in
// Go, written as anybody would outside of this repository; it never interprets
// what it reads.
package main

import (
	"github.com/testmesh/testmesh/sdk/plugin"
	"github.com/testmesh/testmesh/sdk/plugin/serve"
)

func main() { serve.Main(tcp()) }

// tcp is the plugin: what it says of itself, its actions and its function.
func tcp() plugin.Plugin {
	return plugin.New(plugin.Info{
		Name:    "tcp",
		Version: "0.1.0",
		Summary: "Bytes over TCP: exchanges, and connections that last for a run.",
	},
		plugin.Action("exchange", "Connect, send, and read the reply.", exchange,
			plugin.When(`(send ?? send_base64 ?? send_file ?? "") == ""`, plugin.Observes()),
			plugin.Description(exchangeDescription),
			plugin.Example(exchangeExample),
			plugin.BodyKey("reply"),
		),
		plugin.Action("open", "Open a connection that later steps of the run use.", open,
			plugin.Description(openDescription),
			plugin.Example(openExample),
		),
		plugin.Action("send", "Send bytes over an open connection.", send,
			plugin.Description("Passes once the bytes are on their way; whether they arrived is for `tcp.expect` to see."),
			plugin.Example(sendExample),
		),
		plugin.Action("expect", "Wait for bytes on an open connection.", expect,
			plugin.Consumes(),
			plugin.Description(expectDescription),
			plugin.Example(expectExample),
			plugin.BodyKey("reply"),
		),
		plugin.Action("close", "Close a connection before the run ends.", closeNow,
			plugin.Removes(),
			plugin.Description("Passes also where the connection is closed already."),
			plugin.Example(closeExample),
		),
		plugin.Function("is_open", "Whether something takes connections at an address.", isOpen, "address"),
	)
}

const (
	exchangeDescription = `Opens a connection, sends what ` + "`send`" + ` says and reads until the reply ends: at the text of ` + "`until`" + `, after
` + "`bytes`" + ` bytes, or when the server closes the connection. With ` + "`finish`" + ` our side is closed once everything is
sent, which many servers take for the end of a request.

A reply that does not end in time, or that ends early, makes the step errored. One over ` + "`max_bytes`" + ` is cut, and an
assertion that reads it is errored.`

	exchangeExample = `
- action: tcp.exchange
  config: {address: "127.0.0.1:6379", send: "PING\r\n", until: "\r\n"}
  assert: [reply == "+PONG"]
`

	openDescription = `The connection is closed by ` + "`tcp.close`" + `, and at the end of the run. A run may have several, each with a name.`

	openExample = `
- action: tcp.open
  config: {name: mail, address: "127.0.0.1:25"}
`

	sendExample = `
- action: tcp.send
  config: {name: mail, send: "EHLO example.com\r\n"}
`

	expectDescription = `Reads until the reply ends, as ` + "`tcp.exchange`" + ` does, and leaves the rest for the next step. What does not come
` + "`within`" + ` its time makes the step failed: the server had its chance to answer. What had come stays for another try.`

	expectExample = `
- action: tcp.expect
  config: {name: mail, until: "\r\n", within: 5s}
  assert: [reply startsWith "250"]
`

	closeExample = `
- action: tcp.close
  config: {name: mail}
`
)
