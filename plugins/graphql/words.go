package graphql

import (
	"encoding/json"
	"strings"
)

const queryDescription = `x`

const queryExample = `
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

const introspectDescription = `x`

const introspectExample = `
- action: graphql.introspect
  config: {url: "${API}/graphql"}
  assert: [types > 10]
`

// messages are what errors say, for a sentence of our own.
func messages(errors []json.RawMessage) string {
	var all []string
	for _, raw := range errors {
		var e struct{ Message string }
		if json.Unmarshal(raw, &e) != nil || e.Message == "" {
			e.Message = cut(raw, maxMessage)
		}
		all = append(all, cut([]byte(e.Message), maxMessage))
		if len(all) == maxFindings {
			break
		}
	}
	return strings.Join(all, "; ")
}

// maxMessage bounds the words of a server in a sentence of ours.
const maxMessage = 300
