package graphql

import (
	"encoding/json"
	"strings"
)

const (
	queryDescription = `Sends one operation and reads the response. A step without assertions passes if the response has no ` + "`errors`" + `;
partial data beside errors is in the result all the same.

With ` + "`schema`" + ` or ` + "`introspect`" + ` the query and its variables are checked first: a field, an argument or a type that the
schema does not have makes the step errored, with its place in the query, and nothing is sent. ` + "`max_depth`" + ` and
` + "`max_complexity`" + ` are claims about the query: one that does not hold makes the step failed, and nothing is sent.

A mutation is done once, a query observes; a text in which the word mutation stands anywhere, and a query from a file,
count as a mutation unless the step says ` + "`effect: observe`" + `.

An answer that is no GraphQL response, like the page of a gateway, has ` + "`status`" + `, ` + "`headers`" + `, ` + "`body`" + ` and the reason in
` + "`body_error`" + `: they can be asserted, an assertion that reads ` + "`data`" + ` is errored, and a step without assertions failed.
A redirect is not followed.`

	queryExample = `
- id: tea
  action: graphql.query
  config:
    url: ${API}/graphql
    query: |
      query ($id: ID!) {
        product(id: $id) { name price }
      }
    variables: {id: TEA-001}
  assert:
    - errors == []
    - data.product.price == 29.90
`

	subscribeDescription = `Returns when the server listens, as far as the protocol can show it, and then collects what comes in the background
until the run ends: ` + "`graphql.expect`" + ` looks at it.

Over a WebSocket the server has acknowledged connection_init, the subscription was sent, and a ping that was sent after
it was answered: the server has read it, and did not refuse it until then. As server-sent events the server has begun
the stream. Whether what the server itself listens to is ready then no protocol can say.

` + "`errors`" + ` are those that the server refused the subscription with; a step without assertions passes if there are none.`

	subscribeExample = `
- id: orders
  action: graphql.subscribe
  config:
    url: ${API}/graphql
    query: subscription { orderPlaced { id total } }
`

	expectDescription = `Looks at all messages since the subscription began, and waits for more. It takes nothing away: another step sees the
same messages. If too few match ` + "`within`" + ` the time the step failed, and says how many came and which was nearest. With
` + "`absent`" + ` it fails as soon as one matches.`

	expectExample = `
- id: placed
  action: graphql.expect
  config:
    from: orders
    within: 5s
    where: {data: {orderPlaced: {total: 59.80}}}
  assert:
    - count == 1
    - messages[0].data.orderPlaced.id startsWith "ord_"
`

	introspectDescription = `Asks for the schema and stores it as a file of the run, named as the step with .graphql. A step without assertions
passes if the response has no ` + "`errors`" + `; where introspection is switched off there are some, which a flow can demand.`

	introspectExample = `
- id: schema
  action: graphql.introspect
  config: {url: "${API}/graphql"}
  assert:
    - types > 20
    - sdl contains "type Product implements Node"
`
)

// maxMessage bounds the words of a server in a sentence of ours.
const maxMessage = 300

// messages are what errors say, for a sentence of ours.
func messages(errors []json.RawMessage) string {
	var all []string
	for _, raw := range errors[:min(len(errors), maxFindings)] {
		var e struct{ Message string }
		if json.Unmarshal(raw, &e) != nil || e.Message == "" {
			e.Message = string(raw)
		}
		all = append(all, cut([]byte(e.Message), maxMessage))
	}
	return strings.Join(all, "; ")
}
