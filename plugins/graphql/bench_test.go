package graphql

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/testmesh/testmesh/sdk/plugin"
)

const benchQuery = `{"query":"query ($id: ID!) { product(id: $id) { name price supplier { name } } }","variables":{"id":"TEA-001"}}`

// BenchmarkBare is the floor: the same query by net/http and encoding/json.
func BenchmarkBare(b *testing.B) {
	url := shop(b) + "/graphql"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: idlePerHost}}
	b.ReportAllocs()
	for b.Loop() {
		res, err := client.Post(url, "application/json", bytes.NewReader([]byte(benchQuery)))
		if err != nil {
			b.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		res.Body.Close()
		var v any
		if err != nil || json.Unmarshal(data, &v) != nil || res.StatusCode != http.StatusOK {
			b.Fatal(err, res.Status)
		}
	}
}

// BenchmarkQuery is what graphql.query costs, to the JSON of its result; checked
// is with a schema.
func BenchmarkQuery(b *testing.B) {
	for name, more := range map[string]m{"unchecked": {}, "checked": {"schema": "shop.graphql", "max_depth": 10}} {
		b.Run(name, func(b *testing.B) {
			p := New()
			defer p.Close()
			config := m{"url": shop(b) + "/graphql"}
			if err := json.Unmarshal([]byte(benchQuery), &config); err != nil {
				b.Fatal(err)
			}
			for key, value := range more {
				config[key] = value
			}
			req := &plugin.Request{
				Action: "graphql.query", RunID: "run", StepID: "step", Try: 1, Attempt: 1, Config: json.RawMessage(text(b, config)), Root: shopSchema(b),
				TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Execute(b.Context(), req, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
