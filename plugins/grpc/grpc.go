// Package grpc is the plugin of gRPC calls: unary ones, and streams of all three
// kinds, of services that it knows by reflection, .proto files or descriptor
// sets. It sends what a step says and reports what came back; it never judges a
// status that a server sent, and never generates code.
package grpc

import "github.com/testmesh/testmesh/sdk/plugin"

// New makes the plugin.
func New() plugin.Plugin {
	return plugin.New(plugin.Info{Name: "grpc", Version: "1.0.0", Summary: "gRPC: unary calls and streams."},
		plugin.Action("call", "Call a unary method and read the response.", unary, append(common(),
			plugin.Expect(`status.name == "OK"`),
			plugin.Description(callDescription),
			plugin.Example(callExample),
			plugin.BodyKey("response"),
			plugin.Alias("grpc_call", "grpc"),
		)...),
		plugin.Action("stream", "Send and receive messages of a streaming method.", streaming, append(common(),
			plugin.Expect(`status == nil or status.name == "OK"`),
			plugin.Description(streamDescription),
			plugin.Example(streamExample),
			plugin.BodyKey("messages"),
			plugin.Alias("grpc_stream"),
			plugin.ResultAlias("responses", "messages"),
		)...),
	)
}

// common are the older names that both actions have.
func common() []plugin.Option {
	return []plugin.Option{
		plugin.KeyAlias("proto_files", "proto_file"),
		plugin.KeyAlias("protoset", "descriptor_set"),
		plugin.KeyAlias("headers", "metadata"),
		plugin.KeyAlias("tls.ca_cert", "tls.ca_file"),
		plugin.KeyAlias("tls.client_cert", "tls.cert_file"),
		plugin.KeyAlias("tls.client_key", "tls.key_file"),
	}
}

const (
	callDescription = `Calls a method with one message and reads the one that comes back. What its messages are is asked of the server's reflection service,
or read from ` + "`proto_file`" + ` or ` + "`descriptor_set`" + `.

A step without assertions passes if the status is OK. Any status that the server sends is an answer: ` + "`status.name`" + ` is there to be
asserted. A server that cannot be reached, that resets the call or does not speak gRPC, an answer that cannot be read, and a time limit make
the step errored.

The effect is *once*, as nothing says what a method does: write ` + "`effect: observe`" + ` or ` + "`effect: idempotent`" + ` at steps that may be repeated.`

	callExample = `
- action: grpc.call
  config:
    address: ${API}
    method: shop.v1.ShopService/GetProduct
    request: {sku: TEA-001}
  effect: observe
  assert:
    - status.name == "OK"
    - response.product.price.cents == 2990
`

	streamDescription = `Opens a stream, sends ` + "`messages`" + ` in order, closes its side and collects what the server sends, until the server ends the stream,
` + "`max_receive`" + ` messages are kept, one matches ` + "`until`" + `, or ` + "`within`" + ` is over. With ` + "`script`" + ` sends and expectations take turns.

A step without assertions passes if the status is OK, or if the step itself ended the stream. A message that is expected, or that ` + "`until`" + ` waits
for, and does not come makes the step failed, with the one that came nearest. A stream that nobody ends within the step's timeout makes it errored.`

	streamExample = `
- action: grpc.stream
  config:
    address: ${API}
    method: shop.v1.ShopService/Quote
    script:
      - send: {sku: TEA-001, qty: 2}
      - expect: {where: {sku: TEA-001, total: {cents: 5980}}}
      - send: {sku: CUP-001}
  assert:
    - count == 2
    - messages[1].total.cents == 1200
`
)
