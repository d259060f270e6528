// Package websocket is the plugin of WebSocket connections (RFC 6455): it opens
// them, sends what a step says, and keeps what comes until the run ends, so that
// a step can wait for a message that came before it looked. It never judges a
// message, and never sends one that no step asked for but pings and a close.
package websocket

import "github.com/testmesh/testmesh/sdk/plugin"

// New makes the plugin.
func New() plugin.Plugin {
	return plugin.New(plugin.Info{Name: "websocket", Version: "1.0.0", Summary: "WebSocket connections: messages sent, waited for and exchanged."},
		plugin.Action("connect", "Open a connection that later steps of the run use.", connect,
			plugin.Observes(),
			plugin.Expect("status == 101"),
			plugin.Description(connectDescription),
			plugin.Example(connectExample),
			plugin.BodyKey("body"),
			plugin.KeyAlias("protocols", "subprotocols"),
			plugin.KeyAlias("connection_id", "name"),
		),
		plugin.Action("send", "Send a message, or a ping, over an open connection.", send,
			plugin.When("ping != nil", plugin.Observes()),
			plugin.Once(),
			plugin.Description(sendDescription),
			plugin.Example(sendExample),
			plugin.KeyAlias("connection_id", "connection"),
		),
		plugin.Action("expect", "Wait for messages, or for the close, of an open connection.", expect,
			plugin.Observes(),
			plugin.Description(expectDescription),
			plugin.Example(expectExample),
			plugin.BodyKey("messages"),
			plugin.KeyAlias("connection_id", "from"),
			plugin.KeyAlias("timeout", "within"),
		),
		plugin.Action("close", "Close a connection, and wait for the server's close.", closeNow,
			plugin.Removes(),
			plugin.Expect("code != 1006"),
			plugin.Description(closeDescription),
			plugin.Example(closeExample),
			plugin.KeyAlias("connection_id", "connection"),
		),
		plugin.Action("exchange", "Connect, send, collect what comes, and close, in one step.", exchange,
			plugin.When("len(send ?? []) == 0", plugin.Observes()),
			plugin.Once(),
			plugin.Expect("status == 101"),
			plugin.Description(exchangeDescription),
			plugin.Example(exchangeExample),
			plugin.BodyKey("messages"),
			plugin.KeyAlias("protocols", "subprotocols"),
		),
		plugin.Action("run", "Run a list of actions over one connection, as older documents write it.", run,
			plugin.When(`action == "close"`, plugin.Removes()),
			plugin.Once(),
			plugin.Description(runDescription),
			plugin.Example(runExample),
			plugin.Alias("websocket"),
			plugin.ResultAlias("received_message", "message"),
			plugin.ResultAlias("metadata.connection_id", "connection_id"),
			plugin.ResultAlias("metadata.status_code", "status"),
			plugin.ResultAlias("metadata.protocol", "subprotocol"),
		),
	)
}

const (
	connectDescription = `Returns when the connection is open; from then on every message is kept, so that ` + "`websocket.expect`" + ` finds also what
came before it looked. The connection lasts until ` + "`websocket.close`" + ` or the end of the run. A run may have several.

An answer other than 101 is an answer: its status, headers and body are the result, and a step without assertions is
failed. A server that chooses none of the subprotocols makes it failed too. What is no answer to the handshake, and a
connection, TLS or DNS fault, makes it errored.`

	connectExample = `
- action: websocket.connect
  config: {name: feed, url: "${API}/ws/events"}
  assert: [status == 101]
`

	sendDescription = `Passes once the message is on its way; whether it arrived is for ` + "`websocket.expect`" + ` to see. A ` + "`ping`" + ` waits for its
pong.`

	sendExample = `
- action: websocket.send
  config: {connection: echo, json: {type: subscribe, topic: orders}}
`

	expectDescription = `Looks at all messages since the connection was opened, and takes none away; ` + "`since`" + ` leaves out what had come before a
step sent its message. What does not come ` + "`within`" + ` its time makes the step failed, and so does a server that closes in
order before; a connection that is dropped, and one that breaks the protocol, makes it errored. With ` + "`close`" + ` the step
waits for the server's close, and compares its code and reason.`

	expectExample = `
- action: websocket.expect
  config: {from: feed, within: 10s, where: {json: {type: order.created}}}
  assert: ['messages[0].json.order.status == "confirmed"']
`

	closeDescription = `Where the server has closed already, its close is the result. A server that does not answer the close makes the step
errored, and one that drops the connection instead has code 1006, which fails a step without assertions.`

	closeExample = `
- action: websocket.close
  config: {connection: echo, code: 1000, reason: done}
  assert: [code == 1000, unread == 0]
`

	exchangeDescription = `Sends what ` + "`send`" + ` lists and collects until ` + "`count`" + ` messages that match ` + "`where`" + ` have come (one, where nothing else is
said), until nothing has come for ` + "`quiet`" + `, or until the server's ` + "`close`" + `; then it closes. What does not come ` + "`within`" + ` its
time makes the step failed.`

	exchangeExample = `
- action: websocket.exchange
  config:
    url: ${API}/ws/echo
    send: [{json: {price: 59.80}}, {text: bye}]
    count: 2
  assert:
    - messages[0].json.price == 59.80
    - messages[1].text == "bye"
`

	runDescription = `For flows of older dialects (action ` + "`websocket`" + `). ` + "`receive`" + ` takes the next message that nothing has taken, ` + "`wait_for`" + ` the
next that matches, and ` + "`messages`" + ` holds what they hold: values where they are JSON. New flows use the other actions.`

	runExample = `
- action: websocket.run
  config:
    url: ${API}/ws/echo
    actions:
      - {type: connect, timeout: 5s}
      - {type: send, message: {type: subscribed}}
      - {type: wait_for, message: {type: subscribed}, timeout: 10s}
      - {type: close}
  assert: ['result.messages[0].type == "subscribed"']
`
)
